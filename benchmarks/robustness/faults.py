"""Faults that the tests inject: how often, and how often nothing was lost."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from coursework import files


def inject_faults() -> dict[str, Any]:
    """Run the tests that inject faults; returns the counts of `count_faults`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "fault", "-o", "junit_family=xunit1"]
        subprocess.run([*command, f"--junitxml={report}"], cwd=files.ROOT)
        return count_faults(ElementTree.parse(report).getroot())


def count_faults(report: ElementTree.Element) -> dict[str, Any]:
    """Count the faults in pytest's report.

    Returns:
        How often each fault was `injected` and `survived`, and the tests that were `skipped`, each with its reason.
    """
    injected, survived, skipped = Counter(), Counter(), []
    for case in report.iter("testcase"):
        found = [part.get("value") for part in case.iter("property") if part.get("name") == "fault"]
        if (reason := case.find("skipped")) is not None:
            skipped.append(f"{', '.join(found)}: {reason.get('message')}")
            continue
        injected.update(found)
        if case.find("failure") is None and case.find("error") is None:
            survived.update(found)
    return {"injected": dict(sorted(injected.items())), "survived": dict(survived), "skipped": skipped}
