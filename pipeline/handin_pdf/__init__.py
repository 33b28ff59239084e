"""Notebook -> Typst -> PDF, without LaTeX or a browser: `document.py` alone, `exporter.py` as a part of nbconvert."""
