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
Distinct = (NOT_EMPTY, AfterValidator(_refuse_duplicates))


class Claim(Settings, Generic[Parameters]):
    """A claim, the directions of change that it expects, and the variants that test it."""

    name: Text
    claim: Text
    expect: Annotated[dict[Literal["f1", "overfitting"], Literal["lower", "higher"]], NOT_EMPTY]
    variants: Annotated[dict[Text, Parameters], NOT_EMPTY]


class FullBudget(Settings, Generic[Parameters, Seed]):
    """Variants that also run with the parameters of iteration 2's own budget."""

    parameters: Parameters
    seeds: Annotated[list[Seed], *Distinct]
    variants: Annotated[list[str], *Distinct]


class Grid(Settings, Generic[Parameters, Seed]):
    """The content of the file."""

    seeds: Annotated[list[Seed], *Distinct]
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
    """The runs of a grid, seed by seed, so that an unfinished sweep has compared all variants.

    Raises:
        UserError: the grid is invalid; the message names the line.
    """
    model = parameters_model(EXPERIMENT, ("profile", "seed"))  # which the sweep sets
    seed = parameters_model(EXPERIMENT).model_fields["seed"]
    file = YamlFile(path)
    grid = file.check(Grid[model, Annotated[seed.annotation, *seed.metadata]])
    common = model().model_dump() | _own(grid.baseline)
    variants: dict[str, tuple[str, dict[str, Any]]] = {BASELINE: (BASELINE, common)}
    for number, claim in enumerate(grid.claims):
        if claim.name in [other.name for other in grid.claims[:number]]:
            raise file.error(("claims", number, "name"), f"the name {claim.name!r} is a duplicate")
        for name, own in claim.variants.items():
            parameters = common | _own(own)
            for other, (_, others) in variants.items():
                if name == other or parameters == others:
                    what = "name" if name == other else "parameters"
                    raise file.error(
                        ("claims", number, "variants", name),
                        f"the variant {name!r} is a duplicate: it has the {what} of {other!r}",
                    )
            variants[name] = (claim.name, parameters)
    runs = [
        Run(claim, variant, "reduced", seed, parameters | {"seed": seed})
        for seed in grid.seeds
        for variant, (claim, parameters) in variants.items()
    ]
    return runs + (_full_budget(file, grid.full_budget, variants) if grid.full_budget else [])


def _full_budget(file: YamlFile, budget: FullBudget, variants: dict[str, tuple[str, dict[str, Any]]]) -> list[Run]:
    changes = _own(budget.parameters)
    for number, variant in enumerate(budget.variants):
        place = ("full_budget", "variants", number)
        if variant not in variants:
            raise file.error(place, f"no claim has a variant {variant!r}")
        for name in changes:
            if variants[variant][1][name] != variants[BASELINE][1][name]:
                raise file.error(
                    ("full_budget", "parameters", name),
                    f"the variant {variant!r} changes {name}, so the full budget can't set it",
                )
        same = [other for other, (_, parameters) in variants.items() if parameters == variants[variant][1] | changes]
        if same:
            raise file.error(place, f"{variant!r} at the full budget has the same parameters as {same[0]!r}")
    return [
        Run(variants[variant][0], variant, "full", seed, variants[variant][1] | changes | {"seed": seed})
        for seed in budget.seeds
        for variant in budget.variants
    ]


def _own(parameters: Settings) -> dict[str, Any]:
    """The parameters that the file sets."""
    return parameters.model_dump(exclude_unset=True)
