"""The record of a profile's runs in `metrics/`: what the pipeline reads of it, and one error for a damaged file."""

from __future__ import annotations

from typing import Any

import pydantic

from coursework import files
from pipeline.errors import UserError
from pipeline.settings import describe

PART_1, PART_2, SCORE = "part1_mnist", "part2_fashion_mnist", "score"


class _Scores(pydantic.BaseModel):
    accuracy: float
    accuracy_interval: tuple[float, float]
    f1: float
    f1_interval: tuple[float, float]
    images: int


class _Score(pydantic.BaseModel):
    held_out: _Scores
    submission_sha256: str


class _Hardware(pydantic.BaseModel):
    processor: str
    system: str
    cores: int


class _Training(pydantic.BaseModel):
    epochs: int
    best_epoch: int


class _Run(pydantic.BaseModel):
    parameters: dict[str, Any]
    trainings: dict[str, _Training]
    data_sha256: str
    duration_seconds: float
    peak_memory_gib: float
    versions: dict[str, str]
    hardware: _Hardware


class _Part1Scores(pydantic.BaseModel):
    validation_last: dict[str, float]
    test: _Scores


class _Part1(_Run):
    scores: _Part1Scores


class _Part2Scores(pydantic.BaseModel):
    validation: dict[str, _Scores]
    best: str
    predictions_sha256: str | None = None  # missing in old files


class _Part2(_Run):
    scores: _Part2Scores


def read(profile: str, name: str) -> dict[str, Any] | None:
    """The metrics of a notebook's run, or the profile's `score`; None if there are none.

    Raises:
        UserError: the file is damaged; the message says what to delete and run.
    """
    folder = files.output_folder(profile)
    path = folder / "metrics" / f"{name}.json"
    if not path.exists():
        return None
    model = {PART_1: _Part1, PART_2: _Part2, SCORE: _Score}.get(name, _Run)
    try:
        return model.model_validate_json(path.read_bytes()).model_dump()
    except pydantic.ValidationError as error:
        cause, command = (path, "score") if name == SCORE else (folder / f"{name}.ipynb", "report")
        raise UserError(
            f"{files.display_path(path)} is damaged ({describe(error)[1]}): delete {files.display_path(cause)} and run "
            f"`make {command} PROFILE={profile}`, which writes it again"
        ) from error


def read_score(profile: str) -> dict[str, Any] | None:
    """The score that `make score` wrote, unless it is of another submission than the present one."""
    score, submission = read(profile, SCORE), files.output_folder(profile) / "submission.csv"
    if score and submission.exists() and score["submission_sha256"] != files.file_sha256(submission):
        return None
    return score


def last_duration(profile: str, notebook: str) -> float | None:
    """Duration in seconds of the last run of a notebook, trainings included; None if it is unknown."""
    try:
        run = read(profile, notebook)
    except UserError:
        return None
    return run["duration_seconds"] if run else None
