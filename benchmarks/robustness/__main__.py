"""The command: `python -m benchmarks.robustness PART`."""

from __future__ import annotations

import argparse

from benchmarks.robustness import faults, kills, machines
from benchmarks.robustness.results import record
from coursework import files, session


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness",
        description="Measure how well the guarantees of reproducibility hold, and what they cost.",
    )
    parser.add_argument("part", choices=("faults", "setup", "kills", "training", "overhead", "machines"))
    parser.add_argument("--kills", type=int, help="number of kills (default: 200, of the training 5, of the set-up 10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills (default: 0)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of the overhead (default: 9)")
    parser.add_argument("--profile", default="quick", help="profile of the machines (default: quick)")
    arguments = parser.parse_args()
    if arguments.part == "faults":
        record("faults", faults.inject_faults())
    elif arguments.part == "setup":
        record("setup", kills.kill_set_up(arguments.kills or 10, arguments.seed))
    elif arguments.part == "kills":
        kills.kill_until("kills", arguments.kills or 200, arguments.seed, "smoke", None)
    elif arguments.part == "training":
        kills.kill_until("training", arguments.kills or 5, arguments.seed, "full", files.REPORTS_FOLDER)
    elif arguments.part == "overhead":
        from benchmarks.robustness import overhead  # loads TensorFlow

        session.start(seed=0)
        record("overhead", overhead.measure_overhead(arguments.rounds))
    else:
        record("machines", machines.compare_machines(arguments.profile))


if __name__ == "__main__":
    main()
