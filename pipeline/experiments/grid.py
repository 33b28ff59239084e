"""The grid of the experiments: a YAML file of claims, variants and seeds, and its runs."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from coursework import files
from pipeline.errors import UserError
from pipeline.parameters import NOTEBOOKS_FOLDER, YamlReader, check_parameters

EXPERIMENT = NOTEBOOKS_FOLDER / "experiment.ipynb"
GRID_FILE = files.ROOT / "experiments.yaml"
BASELINE = "baseline"
RESERVED = ("profile", "seed")
METRICS, DIRECTIONS = ("f1", "overfitting"), ("lower", "higher")


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: a variant with a seed, at the budget of the sweep ("reduced") or at iteration 2's own ("full")."""

    claim: str
    variant: str
    budget: str
    seed: int
    parameters: dict[str, Any] = dataclasses.field(hash=False)
    """All parameters of the notebook except `profile`."""

    @property
    def name(self) -> str:
        return f"{self.variant}, seed {self.seed}{', full budget' if self.budget == 'full' else ''}"

    @property
    def cost(self) -> float:
        """Passes over the whole training set, in proportion to the duration."""
        return self.parameters["epochs"] * self.parameters["share"]


def read_grid(path: Path = GRID_FILE) -> list[Run]:
    """The runs of a grid, seed by seed, so that an unfinished sweep has compared all variants.

    Raises:
        UserError: the grid is invalid; the message names the line.
    """
    reader = YamlReader(path, f"a grid such as {GRID_FILE.name}")
    reader.refuse_others((), ("seeds", "baseline", "full_budget", "claims"))
    common = _parameters(reader, ("baseline",), {})
    seeds = _seeds(reader, ("seeds",))
    variants: dict[str, tuple[str, dict[str, Any]]] = {BASELINE: (BASELINE, common)}
    claim_names = []
    for number in range(len(reader.get(("claims",), list, "a list of claims"))):
        place = ("claims", number)
        name = _claim(reader, place)
        if name in claim_names:
            raise reader.error((*place, "name"), f"the name {name!r} is a duplicate")
        claim_names.append(name)
        for variant in reader.get((*place, "variants"), dict, "lines of `name: {parameter: value}`"):
            spot = (*place, "variants", variant)
            if not isinstance(variant, str) or not variant.strip():
                raise reader.error(spot, f"the variant's name is {variant!r}: expected text")
            parameters = _parameters(reader, spot, common)
            for other, (_, others) in variants.items():
                if variant == other or parameters == others:
                    what = "name" if variant == other else "parameters"
                    raise reader.error(spot, f"the variant {variant!r} is a duplicate: it has the {what} of {other!r}")
            variants[variant] = (name, parameters)
    runs = [
        Run(claim, variant, "reduced", seed, parameters | {"seed": seed})
        for seed in seeds
        for variant, (claim, parameters) in variants.items()
    ]
    return runs + _full_budget(reader, variants)


def _claim(reader: YamlReader, place: tuple) -> str:
    """Check the lines of a claim and return its name."""
    reader.get(place, dict, "a claim with its name, claim, expect and variants")
    reader.refuse_others(place, ("name", "claim", "expect", "variants"))
    reader.get((*place, "claim"), str, "the claim in a sentence")
    expected = reader.get((*place, "expect"), dict, "{f1: lower}, for example")
    for metric, direction in expected.items():
        if metric not in METRICS or direction not in DIRECTIONS:
            raise reader.error(
                (*place, "expect"),
                f"expect is {{{metric}: {direction}}}: expected {' or '.join(METRICS)}, {' or '.join(DIRECTIONS)}",
            )
    return reader.get((*place, "name"), str, "a short name")


def _full_budget(reader: YamlReader, variants: dict[str, tuple[str, dict[str, Any]]]) -> list[Run]:
    if "full_budget" not in reader.content:
        return []
    place = ("full_budget",)
    reader.refuse_others(place, ("parameters", "seeds", "variants"))
    budget = _own_parameters(reader, (*place, "parameters"))
    seeds = _seeds(reader, (*place, "seeds"))
    chosen = reader.get((*place, "variants"), list, "a list of variants")
    for number, variant in enumerate(chosen):
        spot = (*place, "variants", number)
        if not isinstance(variant, str) or variant not in variants:
            raise reader.error(spot, f"no claim has a variant {variant!r}")
        if variant in chosen[:number]:
            raise reader.error(spot, f"the variant {variant!r} is a duplicate")
        for name in budget:
            if variants[variant][1][name] != variants[BASELINE][1][name]:
                raise reader.error(
                    (*place, "parameters", name),
                    f"the variant {variant!r} changes {name}, so the full budget can't set it",
                )
        same = [other for other, (_, parameters) in variants.items() if parameters == variants[variant][1] | budget]
        if same:
            raise reader.error(spot, f"{variant!r} at the full budget has the same parameters as {same[0]!r}")
    return [
        Run(variants[variant][0], variant, "full", seed, variants[variant][1] | budget | {"seed": seed})
        for seed in seeds
        for variant in chosen
    ]


def _seeds(reader: YamlReader, place: tuple) -> list[int]:
    seeds = reader.get(place, list, "a list of at least one seed")
    for number, seed in enumerate(seeds):
        _checked(reader, (*place, number), {"seed": seed})
        if seed in seeds[:number]:
            raise reader.error((*place, number), f"the seed {seed} is a duplicate")
    return seeds


def _parameters(reader: YamlReader, place: tuple, common: dict[str, Any]) -> dict[str, Any]:
    """All parameters of a run except its seed: those at a place override `common`, which overrides the notebook's."""
    own = _own_parameters(reader, place)
    return {name: value for name, value in check_parameters(EXPERIMENT, common | own).items() if name not in RESERVED}


def _own_parameters(reader: YamlReader, place: tuple) -> dict[str, Any]:
    """The parameters at a place, checked."""
    own = reader.get(place, dict, "lines of `parameter: value`", default={})
    if place not in reader.lines:
        raise reader.error(place, f"{place[-1]} is missing: the claims are compared with it")
    for name in own:
        if name in RESERVED:
            raise reader.error((*place, name), f"{name} is reserved: the sweep sets it")
        _checked(reader, (*place, name), {name: own[name]})
    return {name: float(value) if name in _floats() else value for name, value in own.items()}  # 5 equals 5.0


@functools.cache
def _floats() -> set[str]:
    import papermill  # which takes a second

    declared = papermill.inspect_notebook(EXPERIMENT)
    return {name for name, declaration in declared.items() if declaration["inferred_type_name"] == "float"}


def _checked(reader: YamlReader, place: tuple, values: dict[str, Any]) -> None:
    try:
        check_parameters(EXPERIMENT, values)
    except UserError as error:
        raise reader.error(place, str(error)) from error
