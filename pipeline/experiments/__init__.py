"""The study of part 3: the grid of runs, one run, and the sweep over all of them."""
