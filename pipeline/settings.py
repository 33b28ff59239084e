"""YAML files with settings, checked by models; an error names the file, the line and what is expected."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import pydantic
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML, MappingNode, SequenceNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.errors import UserError

Model = TypeVar("Model", bound=pydantic.BaseModel)


class Settings(pydantic.BaseModel):
    """Lines of `name: value`: an unknown name is an error, and types are strict, so that `true` is not an integer."""

    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, validate_default=True, hide_input_in_errors=True
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse_unknown_names(cls, content: Any) -> Any:
        for name in content if isinstance(content, dict) else ():
            if name not in cls.model_fields:
                close = difflib.get_close_matches(str(name), cls.model_fields, n=1)
                hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(cls.model_fields)}"
                raise PydanticCustomError("unknown", "{name} can't be set here: {hint}", {"name": name, "hint": hint})
        return content


def describe(error: pydantic.ValidationError) -> tuple[tuple[Any, ...], str]:
    """The place of the first error of a model, as keys and numbers, and a sentence about it."""
    first = error.errors()[0]
    place = tuple(part for part in first["loc"] if part != "[key]")
    if first["type"] == "unknown":
        return (*place, first["ctx"]["name"]), first["msg"]
    name = ".".join(map(str, place)) or "the content"
    if first["type"] == "missing":
        return place, f"{name} is missing"
    expected = "it should be lines of `name: value`" if first["type"] == "model_type" else first["msg"]
    return place, f"{name} is {reprlib.repr(first['input'])}: {expected.replace('Input', 'it', 1)}"


class YamlFile:
    """A YAML file: its content, and errors that name its lines. A UserError if it can't be read."""

    def __init__(self, path: Path):
        self.path = path
        yaml = YAML(typ="safe", pure=True)
        try:
            self._root = yaml.compose(path.read_text(encoding="utf-8"))
            self.content = None if self._root is None else yaml.constructor.construct_document(self._root)
        except OSError as error:
            raise UserError(f"{path} can't be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path.name} is not valid UTF-8 text: {error}") from error
        except (YAMLError, RecursionError, ValueError) as error:  # ValueError: an impossible date
            marked = isinstance(error, MarkedYAMLError) and error.problem_mark
            where, problem = (f", line {error.problem_mark.line + 1}", error.problem) if marked else ("", error)
            raise UserError(
                f"{path.name}{where}: not valid YAML: {problem}. (The error may be in an earlier line. Quote texts "
                'with a colon, a # or another special character: "like this".)'
            ) from error

    def check(self, model: type[Model]) -> Model:
        """The content as a model; a UserError names the line of a value that does not fit."""
        try:
            return model.model_validate(self.content)
        except pydantic.ValidationError as error:
            raise self.error(*describe(error)) from error

    def error(self, place: Iterable[Any], text: str) -> UserError:
        """An error about the value at a place: keys and numbers that lead to it."""
        node, line = self._root, self._root.start_mark.line + 1 if self._root else 1
        for part in place:
            if isinstance(node, MappingNode):
                found = [(key, value) for key, value in node.value if key.value == str(part)]
            else:
                found = [(item, item) for item in node.value[part : part + 1]] if isinstance(node, SequenceNode) else []
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        return UserError(f"{self.path.name}, line {line}: {text}")
