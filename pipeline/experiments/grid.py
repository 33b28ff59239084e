"""The grid of the experiments: a YAML file of claims, variants and seeds, and its runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from coursework import files
from pipeline.parameters import NOTEBOOKS_FOLDER, parameters_model
from pipeline.settings import Settings, YamlFile

EXPERIMENT = NOTEBOOKS_FOLDER / "experiment.ipynb"
GRID_FILE = files.ROOT / "experiments.yaml"
BASELINE = "baseline"


def _refuse_duplicates(values: list[Any]) -> list[Any]:
    if duplicates := [value for number, value in enumerate(values) if value in values[:number]]:
        raise PydanticCustomError("duplicate", "{value} is a duplicate", {"value": repr(duplicates[0])})
    return values


Parameters, Seed = TypeVar("Parameters", bound=Settings), TypeVar("Seed")
NOT_EMPTY = Field(min_length=1)
Text = Annotated[str, NOT_EMPTY]
DISTINCT = (NOT_EMPTY, AfterValidator(_refuse_duplicates))


class Claim(Settings, Generic[Parameters]):
    """A claim, the directions of change that it expects, and the variants that test it."""

    name: Text
    claim: Text
    expect: Annotated[dict[Literal["f1", "overfitting"], Literal["lower", "higher"]], NOT_EMPTY]
    variants: Annotated[dict[Text, Parameters], NOT_EMPTY]


class FullBudget(Settings, Generic[Parameters, Seed]):
    """Variants that also run with the parameters of iteration 2's own budget."""

    parameters: Parameters
    seeds: Annotated[list[Seed], *DISTINCT]
    variants: Annotated[list[str], NOT_EMPTY]


class Grid(Settings, Generic[Parameters, Seed]):
    """The content of the file."""

    seeds: Annotated[list[Seed], *DISTINCT]
    baseline: Parameters
    full_budget: FullBudget[Parameters, Seed] | None = None
    claims: Annotated[list[Claim[Parameters]], NOT_EMPTY]


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
    """The runs of a grid, seed by seed, so that an unfinished sweep has compared all variants."""
    model = parameters_model(EXPERIMENT, ("profile", "seed"))  # which the sweep sets
    seed = parameters_model(EXPERIMENT).model_fields["seed"]
    file = YamlFile(path)
    grid = file.check(Grid[model, Annotated[seed.annotation, *seed.metadata]])
    common = model().model_dump() | _own(grid.baseline)
    variants = {(BASELINE, "reduced"): (BASELINE, common)}

    def add(place: tuple, claim: str, variant: str, budget: str, parameters: dict[str, Any]) -> None:
        if (variant, budget) in variants:
            raise file.error(place, f"the name of the variant {variant!r} is a duplicate")
        if same := [other for (other, _), (_, others) in variants.items() if others == parameters]:
            raise file.error(place, f"the variant {variant!r} has the same parameters as {same[0]!r}")
        variants[variant, budget] = claim, parameters

    for number, claim in enumerate(grid.claims):
        if claim.name in [other.name for other in grid.claims[:number]]:
            raise file.error(("claims", number, "name"), f"the name {claim.name!r} is a duplicate")
        for name, own in claim.variants.items():
            add(("claims", number, "variants", name), claim.name, name, "reduced", common | _own(own))
    changes = _own(grid.full_budget.parameters) if grid.full_budget else {}
    for number, name in enumerate(grid.full_budget.variants if grid.full_budget else []):
        place = ("full_budget", "variants", number)
        if (name, "reduced") not in variants:
            raise file.error(place, f"no claim has a variant {name!r}")
        claim_name, parameters = variants[name, "reduced"]
        if lost := [change for change in changes if parameters[change] != common[change]]:
            raise file.error(place, f"the variant {name!r} changes {lost[0]}, so the full budget can't set it")
        add(place, claim_name, name, "full", parameters | changes)
    return [
        Run(claim_name, variant, budget, seed, parameters | {"seed": seed})
        for budget, seeds in (("reduced", grid.seeds), ("full", grid.full_budget.seeds if grid.full_budget else []))
        for seed in seeds
        for (variant, its_budget), (claim_name, parameters) in variants.items()
        if its_budget == budget
    ]


def _own(parameters: Settings) -> dict[str, Any]:
    """The parameters that the file sets."""
    return parameters.model_dump(exclude_unset=True)
