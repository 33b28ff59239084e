"""The parameters of a notebook: its declarations, the values of a profile, and their checks.

A notebook declares its parameters in the cell tagged `parameters`, one per line:

    epochs: int = 20  # in [1, 1000]: passes over the training images

The comment may begin with the allowed values: an interval, where a round bracket excludes the end, as in `in (0, 1)`,
or a set of words, as in `in {constant, cosine}`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from coursework import files
from pipeline.errors import UserError
from pipeline.settings import Settings, YamlFile, describe

NOTEBOOKS_FOLDER = files.ROOT / "notebooks"
PROFILES_FOLDER = NOTEBOOKS_FOLDER / "profiles"
HANDIN_FILE = files.ROOT / "handin.yaml"
TRAINING_NOTEBOOKS = ("part1_mnist", "part2_fashion_mnist")
REPORTED_NOTEBOOKS = (*TRAINING_NOTEBOOKS, "part3_experiments")
PICTURE_TAG = "readme"
"""Tag of the cells whose figure the README shows."""

TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list}
INTERVAL = re.compile(r"in ([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+?)\s*([\])])")
CHOICE = re.compile(r"in \{([^}]*)\}")


class Handin(Settings):
    """`handin.yaml`."""

    course: str
    group_number: int
    group_name: str
    group_members: list[str]
    leaderboard_line: Annotated[float, pydantic.Field(gt=0, lt=1)]


def read_handin() -> dict[str, Any]:
    """The lines of `handin.yaml`."""
    return YamlFile(HANDIN_FILE).check(Handin).model_dump()


def read_profile(profile: str, notebook: str) -> dict[str, Any]:
    """The values that a profile sets for a notebook. The whole profile is checked."""
    known = sorted(file.stem for file in PROFILES_FOLDER.glob("*.yaml"))
    if profile not in known:
        raise UserError(f"there is no profile {profile!r}: expected one of {', '.join(known)}")
    reserved = ("profile", *Handin.model_fields)  # the file's name is the profile, and handin.yaml sets the group
    parts: dict[str, Any] = {
        name: (parameters_model(NOTEBOOKS_FOLDER / f"{name}.ipynb", reserved) | None, None)
        for name in REPORTED_NOTEBOOKS
    }
    checked = YamlFile(PROFILES_FOLDER / f"{profile}.yaml").check(
        pydantic.create_model("Profile", __base__=Settings, **parts)
    )
    values = getattr(checked, notebook)
    return values.model_dump(exclude_unset=True) if values else {}


def check_parameters(notebook: Path, values: dict[str, Any]) -> dict[str, Any]:
    """All parameters of the run: `values`, and the notebook's own values for the others.

    A UserError names an undeclared parameter, or a value of the wrong type or out of range.
    """
    try:
        return parameters_model(notebook).model_validate(values).model_dump()
    except pydantic.ValidationError as error:
        raise UserError(f"{notebook.name}: {describe(error)[1]}") from error


def parameters_model(notebook: Path, without: tuple[str, ...] = ()) -> type[Settings]:
    """The model of a notebook's parameters, except for those named in `without`."""
    import papermill  # which takes a second

    try:
        declared = papermill.inspect_notebook(notebook)
    except ValueError as error:
        raise UserError(f"{notebook.name} can't be read as a notebook: {str(error)[:200]}") from error
    try:
        fields: dict[str, Any] = {
            name: (_type(about["inferred_type_name"], about["help"]), ast.literal_eval(about["default"]))
            for name, about in declared.items()
            if name not in without
        }
    except (ValueError, SyntaxError) as error:
        raise UserError(
            f"{notebook.name}: a parameter's value is not a literal such as 3 or 'text' ({error})"
        ) from error
    return pydantic.create_model(notebook.stem, __base__=Settings, **fields)


def _type(name: str, comment: str) -> Any:
    """The type of a parameter with the allowed values of its comment."""
    if match := CHOICE.match(comment):
        return Literal[tuple(word.strip() for word in match[1].split(","))]
    kind = TYPES.get(name, Any)
    if match := INTERVAL.match(comment):
        left, low, high, right = match.groups()
        lower = {"ge" if left == "[" else "gt": ast.literal_eval(low)}
        upper = {"le" if right == "]" else "lt": ast.literal_eval(high)}
        return Annotated[kind, pydantic.Field(**lower, **upper)]
    return kind
