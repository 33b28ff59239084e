"""The assignment's models, built by running the notebooks' own cells, so that the tests see what is handed in."""

from __future__ import annotations

import keras
import nbformat

from coursework import files


def notebook_model(notebook: str, name: str) -> keras.Model:
    """The model that a notebook's cell with the tag `name`-layers builds."""
    cells = nbformat.read(files.ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    (source,) = (cell.source for cell in cells if f"{name}-layers" in cell.metadata.get("tags", []))
    namespace = {"keras": keras, "layers": keras.layers, "seed": 1, "iteration3_width": 32, "iteration3_depth": 0}
    exec(source.replace(f"{name}.summary()", ""), namespace)
    return namespace[name]
