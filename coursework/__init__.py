"""What the notebooks compute with. `utilities.py` lists the public names."""
