"""Have the data sets ready before a notebook needs them: `python -m pipeline.fetch_data mnist fashion_mnist`."""

from __future__ import annotations

import argparse

import utilities
from pipeline.errors import run_command

LOADERS = {"mnist": utilities.load_mnist, "fashion_mnist": utilities.load_fashion_mnist}


def main() -> None:
    parser = argparse.ArgumentParser(description="Download data sets into data/, unless they are there.")
    parser.add_argument("data_sets", nargs="+", choices=LOADERS)
    for data_set in parser.parse_args().data_sets:
        LOADERS[data_set](verbose=1)


if __name__ == "__main__":
    run_command(main, utilities.DataError)
