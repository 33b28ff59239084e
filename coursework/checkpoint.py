"""Checkpoints of a training: what identifies a training, and exact resume."""

from __future__ import annotations

import hashlib
import json
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coursework.files import content_hash, display_path, replace_when_complete

if TYPE_CHECKING:
    import keras

COMPUTING_MODULES = ("training", "augmentation", "optimizers", "metrics")
"""The modules whose code a training's result depends on."""


def training_code_sha256() -> str:
    """SHA-256 of the source of `COMPUTING_MODULES` as it is on disk now."""
    sources = [Path(__file__).with_name(f"{name}.py").read_bytes() for name in COMPUTING_MODULES]
    return hashlib.sha256(b"\n".join(sources)).hexdigest()


CODE_SHA256 = training_code_sha256()
"""The same when this module was imported: what this process trains with, whatever is edited meanwhile."""


def training_identity(model: keras.Model, data: Iterable[np.ndarray], settings: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of all that determines a training's result: trainings with equal hashes end with the same weights.

    Args:
        model: compiled, without `custom_code`, which these hashes do not cover.
        data: the arrays that it is trained and validated on.
        settings: the arguments of the training, as values that JSON can hold.
    """
    import keras
    import tensorflow as tf

    return {
        "layers": _hash_of(_without_counts({"class_name": type(model).__name__, "config": model.get_config()})),
        "initial weights": _hash_of_arrays(variable.numpy() for variable in model.variables),
        "optimiser, loss and metrics": _hash_of(_without_counts(model.get_compile_config())),
        "data": _hash_of_arrays(data),
        "settings": _hash_of(settings),
        "versions": _hash_of([keras.__version__, tf.__version__, np.__version__]),
        "training code": CODE_SHA256,
    }


def _hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _hash_of_arrays(arrays: Iterable[np.ndarray]) -> str:
    return content_hash({f"{number:04d}": array for number, array in enumerate(arrays)})


def custom_code(model: keras.Model) -> list[str]:
    """Names of the model's parts whose code belongs neither to Keras or TensorFlow nor to this package.

    The configuration of a model names its classes and functions. It does not hold their code, and the code of a lambda
    in it is neither stable nor complete. So a checkpoint cannot tell whether such a part has changed since it was
    written.
    """
    if not _is_known(type(model).__module__):
        return [type(model).__name__]
    try:
        configurations = [model.get_config(), model.get_compile_config()]
    except (NotImplementedError, TypeError) as error:  # of an object without `get_config`
        return [f"a part that Keras cannot serialize ({str(error).strip().splitlines()[0]})"]
    return list(dict.fromkeys([*_custom_parts(configurations), *_custom_functions(model)]))


def _is_known(module: str | None) -> bool:
    return module is not None and module.split(".")[0] in ("keras", "tensorflow", "coursework")


def _mappings_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """The mappings in a nested configuration, the outer ones first."""
    if isinstance(value, Mapping):
        yield value
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for part in value:
            yield from _mappings_in(part)


def _custom_parts(configurations: list[dict[str, Any]]) -> Iterator[str]:
    import keras

    libraries = (keras.activations, keras.losses, keras.metrics, keras.ops)
    for part in _mappings_in(configurations):
        kind = part.get("class_name")
        if kind == "__lambda__":
            yield "a lambda"
        elif kind == "function":
            if not any(hasattr(library, str(part.get("config"))) for library in libraries):
                yield str(part.get("config"))
        elif "module" in part and kind is not None and not _is_known(part["module"]):
            yield str(kind)


def _custom_functions(model: keras.Model) -> Iterator[str]:
    """Names of functions of the layers and of the loss: in the configuration, they may look like one of Keras's."""
    import keras

    waiting, seen = [model], set()
    while waiting:
        layer = waiting.pop(0)
        if id(layer) not in seen:
            seen.add(id(layer))
            waiting += [value for value in vars(layer).values() if isinstance(value, keras.Layer)]
            waiting += getattr(layer, "layers", [])
            for value in vars(layer).values():
                if isinstance(value, types.FunctionType) and not _is_known(value.__module__):
                    yield "a lambda" if value.__name__ == "<lambda>" else value.__name__


def _without_counts(config: Any) -> Any:
    """A configuration with placeholders for default names such as dense_1, which Keras numbers within a kernel."""
    names: dict[str, str] = {}
    for part in _mappings_in(config):
        kind, own = part.get("class_name"), part.get("config")
        name = own.get("name") if isinstance(own, Mapping) else None
        if isinstance(name, str) and re.sub(r"_\d+$", "", name).replace("_", "") == str(kind).lower():
            names.setdefault(name, f"number {len(names)}")

    def rename(value: Any, named: bool) -> Any:
        if isinstance(value, Mapping):
            return {key: rename(part, key == "name") for key, part in value.items()}
        if isinstance(value, list | tuple):  # of connections between layers, among others
            return [rename(part, True) for part in value]
        return names.get(value, value) if named and isinstance(value, str) else value

    return rename(config, False)


def save(
    path: Path,
    identity: Mapping[str, str],
    model: keras.Model,
    history: list[dict[str, float]],
    best_weights: list[np.ndarray],
) -> None:
    """Write a checkpoint: weights, optimiser and dropout generators, best weights and history.

    The checkpoint of the epoch before is kept beside it, in case the newest is damaged.
    """
    state = {
        f"state_{number:04d}": variable.numpy()
        for number, variable in enumerate([*model.variables, *model.optimizer.variables])
    }
    best = {f"best_{number:04d}": array for number, array in enumerate(best_weights)}
    content = content_sha256(history, state.values(), best.values())
    about = json.dumps({"identity": identity, "history": history, "content": content})
    with replace_when_complete(path) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, about=about, **state, **best)
        if path.exists():
            path.replace(previous_path(path))


def previous_path(path: Path) -> Path:
    """The path of the checkpoint of the epoch before."""
    return path.with_suffix(f".before{path.suffix}")


def restore(
    path: Path, identity: Mapping[str, str], model: keras.Model, say: Callable[[str], None] = print
) -> tuple[list[dict[str, float]], list[np.ndarray] | None]:
    """Restore a model and its optimiser from the last checkpoint of this training, and say so.

    A checkpoint with another identity is not used. A damaged one is reported, and the one before it is used.

    Returns:
        The history until then and the best weights; an empty list and None without a checkpoint of this training.
    """
    for candidate in (path, previous_path(path)):
        if not candidate.exists():
            continue
        try:
            about, state, best_weights = read(candidate)
            saved, history = about["identity"], about["history"]
            others = [name for name in identity if saved.get(name) != identity[name]]
            if not others and about["content"] != content_sha256(history, state, best_weights):
                raise ValueError("its content does not have the hash that was stored with it")
        except Exception as error:  # each way in which such a file can be damaged raises another kind
            say(f"{display_path(candidate)} is damaged and not used ({error!r})")
            continue
        if others:
            say(
                f"{display_path(candidate)} is of a training with other {' and '.join(others)}: "
                "training starts from scratch"
            )
            break
        for variable, value in zip([*model.variables, *model.optimizer.variables], state, strict=True):
            variable.assign(value)
        say(f"resuming after epoch {len(history)}, from {display_path(candidate)}")
        return history, best_weights
    return [], None


def read(path: Path) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]]:
    """Read what `save` wrote: identity and history, the state of the model and its optimiser, the best weights."""
    with np.load(path, allow_pickle=False) as file:
        parts = [[file[name] for name in sorted(file) if name.startswith(prefix)] for prefix in ("state_", "best_")]
        return json.loads(str(file["about"])), *parts


def content_sha256(
    history: list[dict[str, float]], state: Iterable[np.ndarray], best_weights: Iterable[np.ndarray]
) -> str:
    """SHA-256 of a checkpoint's content: the zip file's checksums miss an array whose header claims a smaller size."""
    parts = [("state", state), ("best", best_weights)]
    arrays = {f"{name}_{number:04d}": array for name, part in parts for number, array in enumerate(part)}
    return content_hash(arrays | {"history": np.frombuffer(json.dumps(history).encode(), np.uint8)})
