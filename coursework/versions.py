"""The oldest versions of packages that the notebooks run with."""

from __future__ import annotations

import importlib.metadata
import re

from packaging.version import Version

from coursework.files import ROOT

OLDEST_FILE = ROOT / "requirements-oldest.txt"


def require_versions() -> None:
    """Raise an ImportError that names each installed package that is older than in `requirements-oldest.txt`."""
    oldest = re.findall(r"^([\w.-]+)==([\w.]+)", OLDEST_FILE.read_text(encoding="utf-8"), re.MULTILINE)
    older = {}
    for name, version in oldest:
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # TensorFlow has two names
            continue
        if Version(installed) < Version(version):
            older[name] = f"{name} {installed} (expected at least {version})"
    if older:
        raise ImportError(
            f"too old for these notebooks: {', '.join(older.values())}. Run `pip install --upgrade "
            f"{' '.join(older)}`, then restart the kernel"
        )
