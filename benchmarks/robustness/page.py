"""The page `robustness.md`, from the recorded results."""

from __future__ import annotations

from typing import Any

from benchmarks.tables import markdown_table
from coursework.text import pluralize

FIXED = (
    "The HDF5 library hangs, crashes or fills the memory for some damaged files. A separate process with limits reads them.",
    "A checkpoint with a damaged directory or header raised unexpected errors, and one with a damaged array header was used without a "
    "warning. A hash covers the content, and any error while reading counts as damage.",
    "`\\phantom`, and quotation marks that pandoc does not escape, let Typst code through in formulas. A formula with a number sign "
    "that pandoc did not write itself is printed as its source.",
    "The time to find an unclosed formula doubled with every two backslashes. The pattern matches them in one way only.",
    "Tables of impossible size, words on which a lexer does not terminate, and pictures of gigabytes occupied the exporter. An export "
    "has limits on time and memory.",
    "The PDF lacked the last line of terminal sessions and lists below level 48. It prints both.",
    "An EPS picture made Pillow start another program. Only formats that Pillow decodes itself are read.",
    "YAML with aliases, impossible dates and numbers, or lone surrogates ended with a stack trace. The message is a sentence with the line.",
    "A course file with a wrong hash was overwritten. It is renamed.",
)
"""What fuzzing and code review found."""


def page(results: dict[str, Any]) -> str:
    parts = ["# Robustness", "Written by `python -m benchmarks.robustness`, do not edit."]
    for part, describe in (
        ("faults", describe_faults),
        ("setup", describe_set_up),
        ("kills", describe_kills),
        ("training", describe_kills),
        ("overhead", describe_overhead),
        ("machines", describe_machines),
        ("fuzzing", describe_fuzzing),
    ):
        if part in results:
            heading, *sections = describe(results[part])
            machine = results.get("machine", {}).get(part)
            parts += [heading, *([f"Measured on {machine}."] if machine else []), *sections]
    return "\n\n".join(parts) + "\n"


def describe_faults(faults: dict[str, Any]) -> list[str]:
    rows = [
        [
            fault,
            str(count),
            str(faults["survived"].get(fault, 0)),
            "nothing" if faults["survived"].get(fault) == count else "**see the test**",
        ]
        for fault, count in faults["injected"].items()
    ]
    return [
        "## Faults",
        "The tests inject these faults. A fault counts as survived if the command ends with a correct result or with a message that says what "
        "to do, if finished results are kept, and if the command reaches the correct result once the cause is gone.",
        markdown_table(["fault", "injected", "survived", "lost"], rows),
        *(f"Not tried: {reason}" for reason in faults["skipped"]),
    ]


def describe_set_up(kills: dict[str, Any]) -> list[str]:
    return [
        "## Kills of the set-up",
        f"All processes of `make data` were killed at once (SIGKILL), {pluralize(kills['kills'], 'time')}, while they created environment and "
        f"data from scratch. An undisturbed run took {kills['seconds']:.0f} s. The packages and the contents of all data files at the end: "
        f"**{', '.join(kills['differences']) or 'identical'}**.",
        _kills_table(kills),
    ]


def describe_kills(kills: dict[str, Any]) -> list[str]:
    differences = len(kills["differences"])
    return [
        f"## Kills at random moments, profile `{kills['profile']}`",
        f"All processes of `make report submit score PROFILE={kills['profile']}` were killed at once (SIGKILL), "
        f"{pluralize(kills['kills'], 'time')} in {pluralize(kills['runs'], 'run')} from scratch to the end. Results compared bit for bit with "
        f"those of an undisturbed run: **{pluralize(differences, 'difference') if differences else 'nothing lost, nothing different'}**.",
        _kills_table(kills),
    ]


def _kills_table(kills: dict[str, Any]) -> str:
    rows = [[command, str(count)] for command, count in kills["killed"].items()]
    return markdown_table(["running when killed", "kills"], rows)


def describe_overhead(overhead: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{row['epoch_seconds']:.1f} s",
            f"{1000 * row['checkpoint_seconds']:.0f} ms, {row['checkpoint_bytes'] / 1e6:.1f} MB",
            f"{row['checkpoint_share']:.2%}",
            f"{row['drawing_share']:.2%}",
            "–" if row["over_plain_fit"] is None else f"{row['over_plain_fit']:.2f}",
        ]
        for name, row in overhead.items()
    ]
    header = [
        "network", "epoch", "checkpoint", "checkpoint / epoch", "drawing / epoch", "epoch with checkpoint / plain `fit`"
    ]  # fmt: skip
    return [
        "## Overhead",
        "Medians of measurements in turn. Reproducibility adds two things to a training: a checkpoint after each epoch, and drawing the order "
        "of the images and their augmentation from the seed and the number of the epoch. The last column compares our epoch and its checkpoint "
        "with an epoch of Keras's `fit`, which shuffles in a new order on each run and writes no checkpoint. Iteration 3 has no such "
        "comparison, because `fit` does not augment.",
        markdown_table(header, rows),
    ]


def describe_machines(machines: dict[str, Any]) -> list[str]:
    found = machines["scores"]
    first = found["as here"]
    rows = [
        [
            name,
            f"{sum(value == first[place] for place, value in own.items())} of {len(own)}",
            f"{max(abs(value - first[place]) for place, value in own.items()):.4f}",
        ]
        for name, own in found.items()
        if own is not first
    ]
    return [
        "## Other machines",
        f"The profile `{machines['profile']}` with other settings of TensorFlow, compared with a run with this machine's settings. These "
        "settings change the order of sums, as another processor does.",
        markdown_table(["setting", "identical scores", "largest difference of a score"], rows),
    ]


def describe_fuzzing(fuzzing: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{row['cases']:,}",
            f"{row['seconds'] / 60:.0f} min",
            f"{row['reached']} of {row['lines']}" if "lines" in row else "–",
            str(row.get("survived", "–")),
            str(row["findings"]),
        ]
        for name, row in fuzzing.items()
    ]
    header = ["", "cases", "time", "lines reached", "hangs and crashes of a library, survived", "findings left"]
    return [
        "## Hostile files",
        "The fuzzer feeds damaged and invented files to the readers, guided by the coverage of their code, and the property tests run with many "
        "cases. A finding is a case that ends neither with a correct result nor with our own error.",
        markdown_table(header, rows),
        "Fuzzing and code review found these problems, all of which are fixed:",
        "\n".join(f"- {found}" for found in FIXED),
    ]
