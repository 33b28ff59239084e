"""Download the data sets: `python -m pipeline.fetch_data mnist fashion_mnist`."""

from __future__ import annotations

import argparse

from coursework import course_split, data
from pipeline.errors import run_command

LOADERS = {"mnist": data.load_mnist, "fashion_mnist": course_split.load_fashion_mnist}


def main() -> None:
    parser = argparse.ArgumentParser(description="Download data sets to data/, unless they exist.")
    parser.add_argument("data_sets", nargs="+", choices=LOADERS)
    for data_set in parser.parse_args().data_sets:
        LOADERS[data_set](verbose=1)


if __name__ == "__main__":
    run_command(main, data.DataError)
