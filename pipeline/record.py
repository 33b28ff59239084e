"""The record of a profile's runs in `metrics/`: what the pipeline reads of it, and one error for a damaged file."""

from __future__ import annotations

from typing import Any

import pydantic

from coursework import files
from pipeline.errors import UserError
from pipeline.settings import describe

SCORE = "score"


class _Run(pydantic.BaseModel):
    parameters: dict[str, Any]
    scores: dict[str, Any]
    trainings: dict[str, dict[str, Any]]
    data_sha256: str
    duration_seconds: float
    peak_memory_gib: float
    versions: dict[str, str]
    hardware: dict[str, Any]


class _Score(pydantic.BaseModel):
    held_out: dict[str, Any]
    submission_sha256: str


def read(profile: str, name: str) -> dict[str, Any] | None:
    """The metrics of a notebook's run, or the profile's `score`; None without a file, a UserError for a damaged one."""
    folder = files.output_folder(profile)
    path = folder / "metrics" / f"{name}.json"
    if not path.exists():
        return None
    try:
        return (_Score if name == SCORE else _Run).model_validate_json(path.read_bytes()).model_dump()
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
