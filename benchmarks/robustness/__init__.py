"""How well the guarantees of reproducibility hold, and what they cost: `python -m benchmarks.robustness PART`. The parts:

- `faults` runs the tests that inject faults, and counts the faults. Ten minutes.
- `setup` creates the environment and the data from scratch, kills all processes (SIGKILL) at random moments until it reaches the end,
  and compares the result with an undisturbed run. A quarter of an hour.
- `kills` runs the smoke profile from scratch to the score, first undisturbed, then again and again. It kills all processes (SIGKILL) at
  random moments, every other time soon after a new file, until the run reaches the end, and compares the results bit for bit with the
  undisturbed run. An hour or two.
- `training` does the same with the full profile and compares with the hand-in in `reports/`. An hour.
- `overhead` measures what a checkpoint adds to an epoch, and how long it takes to draw order and augmentation from the seed. A quarter of
  an hour.
- `machines` trains with another number of threads and without oneDNN, which sum in another order as another machine would. Half an hour;
  it resumes where it was stopped.

Each part writes its results to `benchmarks/robustness.json`, and the page of all results to `benchmarks/robustness.md`.
"""
