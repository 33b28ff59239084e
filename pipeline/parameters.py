"""The parameters of a notebook: its declarations, the values of a profile, and their checks.

A notebook declares its parameters in the cell tagged `parameters`, one per line:

    epochs: int = 20  # in [1, 1000]: passes over the training images

The comment may begin with the allowed values: an interval, where a round bracket excludes the end, as in `in (0, 1)`, or a
set of words, as in `in {constant, cosine}`.
"""

from __future__ import annotations

import ast
import difflib
import functools
import re
from pathlib import Path
from typing import Any

import yaml

from coursework import files
from pipeline.errors import UserError

NOTEBOOKS_FOLDER = files.ROOT / "notebooks"
PROFILES_FOLDER = NOTEBOOKS_FOLDER / "profiles"
HANDIN_FILE = files.ROOT / "handin.yaml"
TRAINING_NOTEBOOKS = ("part1_mnist", "part2_fashion_mnist")
REPORTED_NOTEBOOKS = (*TRAINING_NOTEBOOKS, "part3_experiments")
PICTURE_TAG = "readme"
"""Tag of the cells whose figure the README shows."""

TYPES = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list}
INTERVAL = re.compile(r"in ([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+?)\s*([\])])")
CHOICE = re.compile(r"in \{([^}]*)\}")


class YamlReader:
    """Reads a YAML file with the line of each part, so that errors can name it.

    Args:
        path: the file.
        expected: its expected content, for the message if it does not exist.

    Raises:
        UserError: the file does not exist, or is not valid YAML without aliases.
    """

    def __init__(self, path: Path, expected: str):
        self.path = path
        self.lines: dict[tuple, int] = {(): 1}
        self.seen: set[int] = set()
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except OSError as error:
            raise UserError(f"{path} can't be read: {error.strerror}: expected {expected}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path.name} is not valid UTF-8 text: {error}") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            raise UserError(
                f"{path.name}{where}: not valid YAML: {getattr(error, 'problem', None) or error}. (The error may be in an "
                'earlier line. Quote texts with a colon, a # or another special character: "like this".)'
            ) from error
        except RecursionError as error:
            raise UserError(f"{path.name} is nested too deeply: expected {expected}") from error
        self.content = self._plain(root, ()) if root is not None else None

    def _plain(self, node: yaml.Node, place: tuple) -> Any:
        self.lines.setdefault(place, node.start_mark.line + 1)
        if id(node) in self.seen:  # it may be recursive, or grow exponentially
            raise self.error(place, "an alias (*name) is not supported: write the value out")
        self.seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(child, (*place, number)) for number, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            content: dict[Any, Any] = {}
            for key_node, child in node.value:
                if not isinstance(key_node, yaml.ScalarNode):
                    raise self.error(place, "a list or a mapping is not a valid key: expected a name")
                key = self._plain(key_node, (*place, "?"))
                self.lines[*place, key] = key_node.start_mark.line + 1
                if key in content:
                    raise self.error((*place, key), f"{key} is a duplicate")
                content[key] = self._plain(child, (*place, key))
            return content
        if node.tag.endswith(":merge"):
            raise self.error(place, "a merge (<<) is not supported: write the lines out")
        try:
            value = yaml.SafeLoader("").construct_object(node)
            str(value).encode()
        except Exception as error:  # PyYAML raises many kinds for invalid numbers, dates, tags and lone surrogates
            raise self.error(place, f"{node.value[:80]!r} is not a valid {node.tag.rpartition(':')[2]}") from error
        return value

    def error(self, place: tuple, text: str) -> UserError:
        while place not in self.lines:
            place = place[:-1]
        return UserError(f"{self.path.name}, line {self.lines[place]}: {text}")

    def get(self, place: tuple, kind: type, expected: str, default: Any = None) -> Any:
        """The value at a place, which must be of a kind and not empty; `default` if it is missing."""
        value: Any = self.content
        for key in place:
            if isinstance(value, dict) and key not in value and default is not None:
                return default
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise self.error(place, f"{key} is missing: expected {expected}") from None
        if not isinstance(value, kind) or isinstance(value, bool) or (value in ("", [], {}) and default is None):
            raise self.error(place, f"{place[-1] if place else 'the file'} is {value!r}: expected {expected}")
        return value

    def refuse_others(self, place: tuple, known: tuple[str, ...]) -> None:
        for key in self.get(place, dict, f"lines of {', '.join(known)}"):
            if key not in known:
                raise self.error((*place, key), f"{key} is unknown: expected {', '.join(known)}")


def read_yaml(path: Path, expected: str) -> dict[str, Any]:
    """Read a YAML file with a mapping; a UserError names the file if it has another content."""
    content = YamlReader(path, expected).content
    if not isinstance(content, dict):
        raise UserError(f"{path.name} has no `name: value` lines: expected {expected}")
    return content


def read_profile(profile: str, notebook: str) -> dict[str, Any]:
    """The values that a profile sets for a notebook."""
    path = PROFILES_FOLDER / f"{profile}.yaml"
    known = sorted(file.stem for file in PROFILES_FOLDER.glob("*.yaml"))
    if profile not in known:
        raise UserError(f"there is no profile {profile!r}: expected one of {', '.join(known)}")
    content = read_yaml(path, "parameters of each notebook")
    unknown = set(content) - set(REPORTED_NOTEBOOKS)
    if unknown:
        raise UserError(
            f"{path.name} sets parameters of {', '.join(map(str, unknown))}: expected {', '.join(REPORTED_NOTEBOOKS)}"
        )
    values = content.get(notebook) or {}
    if not isinstance(values, dict):
        raise UserError(f"{path.name}: {notebook} has no `parameter: value` lines")
    reserved = [name for name in values if name == "profile" or str(name).startswith("group_")]
    if reserved:
        raise UserError(
            f"{path.name} sets {', '.join(reserved)}: the file's name is the profile, and handin.yaml sets the group"
        )
    return values


def read_handin() -> dict[str, Any]:
    """`handin.yaml`: `course`, `group_number`, `group_name`, `group_members` and `leaderboard_line`."""
    content = read_yaml(HANDIN_FILE, "lines of course, group and leaderboard")
    expected = {
        "course": str,
        "group_number": int,
        "group_name": str,
        "group_members": list,
        "leaderboard_line": (int, float),
    }
    for name, kind in expected.items():
        if name not in content:
            raise UserError(f"handin.yaml has no {name}")
        if not isinstance(content[name], kind) or isinstance(content[name], bool):
            raise UserError(f"handin.yaml: {name} is {content[name]!r}, expected {_type_name(kind)}")
    if not all(isinstance(member, str) for member in content["group_members"]):
        raise UserError(f"handin.yaml: group_members is {content['group_members']!r}, expected a list of names")
    if not 0 < content["leaderboard_line"] < 1:
        raise UserError(f"handin.yaml: leaderboard_line is {content['leaderboard_line']}, expected between 0 and 1")
    if unknown := set(content) - set(expected):
        raise UserError(f"handin.yaml sets {', '.join(map(str, unknown))}: expected only {', '.join(expected)}")
    return content


def check_parameters(notebook: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Raise a UserError for an undeclared parameter, or a value of the wrong type or out of range.

    The notebook's own values are checked as well.

    Returns:
        All parameters of the run: `values`, and the notebook's own values for the others.
    """
    declared = _declared(notebook, notebook.stat().st_mtime_ns)
    try:
        defaults = {name: ast.literal_eval(declaration["default"]) for name, declaration in declared.items()}
    except (ValueError, SyntaxError) as error:
        raise UserError(
            f"{notebook.name}: a parameter's value is not a literal such as 3 or 'text' ({error})"
        ) from error
    for name, value in (defaults | values).items():
        if name not in declared:
            close = difflib.get_close_matches(str(name), declared, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(declared)}"
            raise UserError(f"{notebook.name} has no parameter {name}: {hint}")
        kind, help_text = declared[name]["inferred_type_name"], declared[name]["help"]
        expected = TYPES.get(kind)
        if expected and (not isinstance(value, expected) or (isinstance(value, bool) and kind != "bool")):
            raise UserError(f"{notebook.name}: {name} is {value!r}, expected {_type_name(expected)}")
        if problem := _outside(value, help_text):
            raise UserError(f"{notebook.name}: {name} is {value!r}, expected {problem}")
    return defaults | values


@functools.lru_cache(maxsize=16)
def _declared(notebook: Path, modified: int) -> dict[str, Any]:
    """The declarations of a notebook, cached for each time of its last change."""
    import papermill  # which takes a second

    try:
        return papermill.inspect_notebook(notebook)
    except ValueError as error:
        raise UserError(f"{notebook.name} can't be read as a notebook: {str(error)[:200]}") from error


def _type_name(kind: type | tuple[type, ...]) -> str:
    names = {int: "an integer", (int, float): "a number", str: "text", bool: "true or false", list: "a list"}
    return names[kind]


def _outside(value: Any, help_text: str) -> str | None:
    """The allowed values in words if `value` is not one of them; `help_text` is the comment of the declaration."""
    if match := CHOICE.match(help_text):
        allowed = [word.strip() for word in match[1].split(",")]
        return None if value in allowed else f"one of {', '.join(allowed)}"
    if match := INTERVAL.match(help_text):
        left, low, high, right = match.groups()
        above = value >= float(low) if left == "[" else value > float(low)
        below = value <= float(high) if right == "]" else value < float(high)
        if not (above and below):
            ends = f"{'' if left == '[' else 'above '}{low} to {'' if right == ']' else 'below '}{high}"
            return ends
    return None
