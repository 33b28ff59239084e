"""`submission.csv`: write, read and check it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from coursework.files import replace_when_complete


class SubmissionError(ValueError):
    """A submission does not have the leaderboard's format. The message says what is wrong."""


def write_submission(path: Path | str, predictions: np.ndarray, images: int) -> pd.DataFrame:
    """Check class indices (n,) of the test images and write them atomically: invalid ones leave the previous file.

    Returns:
        The written table: `ID`, `Prediction`.

    Raises:
        SubmissionError: the predictions are invalid; nothing is written.
    """
    predictions = np.asarray(predictions)
    if predictions.ndim != 1:
        raise SubmissionError(f"predictions have shape {predictions.shape}: expected one class index for each image")
    table = pd.DataFrame({"ID": np.arange(len(predictions)), "Prediction": predictions})
    check_submission(table, images)
    with replace_when_complete(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return table


def read_submission(path: Path | str, images: int) -> np.ndarray:
    """Read the predictions (n,) int64 of a submission file, after the checks of `check_submission`.

    The byte order mark and the line ends that Excel writes are accepted.

    Raises:
        SubmissionError: the file is not a valid submission.
    """
    name = Path(path).name
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{name} is not valid UTF-8 text: {error}") from error
    if lines[0] != "ID,Prediction":
        raise SubmissionError(f"{name}: the header is {lines[0]!r}, expected 'ID,Prediction'")
    for number, line in enumerate(lines, start=1):
        if line.count(",") != 1:
            raise SubmissionError(f"{name}, line {number} is {line[:40]!r}: expected two values and a comma")
    table = pd.read_csv(io.StringIO("\n".join(lines)), quoting=csv.QUOTE_NONE)
    try:
        check_submission(table, images)
    except SubmissionError as error:
        raise SubmissionError(f"{name}: {error}") from None
    for number, (line, row) in enumerate(zip(lines[1:], table.itertuples(index=False), strict=True), start=2):
        if line != f"{row.ID},{row.Prediction}":
            raise SubmissionError(f"{name}, line {number} is {line!r}: expected {f'{row.ID},{row.Prediction}'!r}")
    return table["Prediction"].to_numpy(np.int64)


def check_submission(table: pd.DataFrame, images: int, classes: int = 10) -> None:
    """Raise a SubmissionError for a table with `ID` and `Prediction` that the leaderboard would reject or misread."""
    if len(table) != images:
        raise SubmissionError(f"{len(table)} rows for {images} test images: expected one row for each")
    for column in table:
        values = table[column]
        if values.isna().any():
            raise SubmissionError(f"{column} is missing in row {int(values.isna().argmax())}")
        if not pd.api.types.is_integer_dtype(values):
            raise SubmissionError(f"{column} holds values that are not integers ({values.dtype})")
    out_of_order = table["ID"].to_numpy() != np.arange(images)
    if out_of_order.any():
        row = int(out_of_order.argmax())
        raise SubmissionError(f"ID is {table['ID'].iloc[row]} in row {row}: expected 0 to {images - 1} in order")
    outside = ~table["Prediction"].between(0, classes - 1).to_numpy()
    if outside.any():
        row = int(outside.argmax())
        raise SubmissionError(
            f"Prediction is {table['Prediction'].iloc[row]} in row {row}: expected 0 to {classes - 1}"
        )
