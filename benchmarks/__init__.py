"""How fast, against what, measured in one run."""
