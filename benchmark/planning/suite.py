"""A suite file -> the cells that it names, each checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from ferbench.benchmark.errors import RequestError, unknown_name
from ferbench.benchmark.planning.official import GivenWeights
from ferbench.benchmark.planning.pairs import dealt
from ferbench.benchmark.planning.recipes import RecipeChanges, with_changes
from ferbench.benchmark.planning.registry import architectures, data_sets, ensembles, is_of_family
from ferbench.benchmark.planning.tuned import Tuned, read_tuned
from ferbench.benchmark.planning.yaml_file import read_yaml
from ferbench.datasets.corpus import DataError
from ferbench.datasets.dataset import Protocol

SUITES = Path(__file__).parent.parent / "suites"
CLASSICAL = ("hog_svm", "linear_features")
"""Floors that look at the pictures (`learning/classical.py`)."""
BASELINES = ("majority", "random", "oracle", *CLASSICAL)
PEOPLE = "people"
"""A baseline of those releases that publish what people saw."""
"""Floors and oracle: rows between which every other is read."""
RESERVED = {
    "published": "the published records are",
    "site": "the web pages are",
    "entries": "the rows that were not trained here are",
    "check": "what the gate keeps is",
    "records": "the records of the gate are",
    "records-*-threads": "the records of the gate are",
    "tuning": "the studies of searches are",
    "*-transfer": "the records of models that were tested on other data sets are",
    "leaderboard.md": "the board is",
    "report.md": "a report of the gate is",
    "junit.xml": "a report of the gate is",
    "latency.json": "a report of the gate is",
    "baseline.json": "the gate's baseline is",
    ".*": "drafts and claims are",
}
"""What the program itself names so beside the folders of suites: patterns of names, in lower case since some file
systems take `Site` for `site`."""
LONE_IMAGE_SIZE = 48
"""Pixels a side of what a classical floor sees, and of the store that others open where no architecture stands beside
them."""


SizeName = Literal["tiny", "small", "full"]
Keep = Literal["best", "all", "none"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
MOST_CELLS = 100_000
"""Of a suite. One of all architectures, data sets and folds with three seeds has some three thousand."""


class Twin(BaseModel):
    """How large the twins are that stand in for data that are not there."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    test_scale: Annotated[float, Field(gt=0, le=1)] | None = None
    """Scale of the test part, of a release that names one; None: as the rest."""
    seed: Seed = 0


UNITS = {"s": 1, "m": 60, "h": 3600}
LONGEST = 30 * 24 * 3600
"""Seconds of one cell."""


def seconds_of(text: object) -> object:
    """A time as it is written, `90s`, `10m` or `1.5h`, in seconds; anything else is left to whoever checks it."""
    written = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smh])", text) if isinstance(text, str) else None
    if isinstance(text, str) and not written:
        raise ValueError("a time such as 90s, 10m or 1h")
    return float(written[1]) * UNITS[written[2]] if written else text


def budget_of(text: str) -> float:
    """The seconds of a budget on the command line.

    Raises:
        RequestError: it is none.
    """
    try:
        return TypeAdapter(Budget).validate_python(text)
    except ValidationError:
        raise RequestError(
            f"--budget {text}: give a time up to {LONGEST // UNITS['h']}h, such as 90s, 10m or 1h"
        ) from None


Budget = Annotated[float, BeforeValidator(seconds_of), Field(gt=0, le=LONGEST)]
Factor = Annotated[float, Field(gt=0, le=1000)]
Folds = Literal["all"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Suite(BaseModel):
    """The content of a suite file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    description: str
    architectures: Literal["all"] | list[str] = "all"
    datasets: Literal["all"] | list[str] = "all"
    pairs: Literal["all", "dealt"] = "all"
    """Which architecture meets which data set: each one `all` of them, or as they are `dealt` to each other, so that
    each architecture has a data set and each data set an architecture of each view (`planning/pairs.py`)."""
    size: SizeName
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]
    folds: Folds | dict[str, Folds] = [0]
    """Of every data set, or by data set: those that are not named have fold 0."""
    epochs: Factor | dict[str, Factor] = 1.0
    """Factor on every stage's epochs, at least one of which remains; of every data set, or by data set: on those that
    are not named the recipes are as they are."""
    budget: Budget | None = None
    """Seconds of training in place of `epochs`: each cell has as many epochs as fit, by the speed that it measures
    before the first one."""
    time_limit: Annotated[int, Field(gt=0, le=LONGEST)] = 3600
    """Seconds that one cell may take; it fails when they are over. At least twice the budget where it is not named."""
    twins: dict[str, Twin] = {}
    """By data set; a further task on the same folder has the same twin."""
    other_twins: Twin = Twin()
    """Of data sets that `twins` does not name, such as a new file in `datasets/` or a third party's."""
    protocols: dict[str, dict[str, bool | int | float | str]] = {}
    """Changes to a data set's protocol, by data set."""
    also: list[str] = []
    """Rows beside `architectures` that `all` leaves out: a family's (`timm:resnet18`), a variant (`tsm@shuffled`)."""
    keep: Keep = "best"
    """Of which rows the trained weights are kept: the best of each data set, all, or none."""
    also_datasets: list[str] = []
    """Data sets beside those that `all` names; where pairs are dealt each of them meets one architecture."""
    transfer: list[str] = []
    """Data sets whose models are tested on all the others of them as well."""
    without: list[str] = []
    """Data sets and architectures that `all` passes over here, such as further tasks on one folder, or rows that are
    another suite's; asked for by name they run."""
    recipes: dict[str, RecipeChanges] = {}
    """Changes to recipes, by row or for all rows (`*`): each is a variant of its row then (`planning/recipes.py`)."""
    tuned: str = ""
    """File of recipes that `tune` has chosen, below the suite's folder: its rows that run here have them, marked so."""

    @model_validator(mode="after")
    def _budget_has_time(self) -> Suite:
        if self.budget is None:
            return self
        if "epochs" in self.model_fields_set:
            raise ValueError("epochs and budget: the epochs follow from the budget: name one of them")
        if "time_limit" not in self.model_fields_set:
            self.time_limit = min(LONGEST, max(self.time_limit, int(2 * self.budget)))
        if self.time_limit <= self.budget:
            raise ValueError(f"time_limit: {self.time_limit} s are over before the budget of {self.budget:.0f} s is")
        return self

    _tuned: Tuned | None = PrivateAttr(None)
    """What that file says."""
    _shipped: bool = PrivateAttr(False)
    """Whether it is one of the project's own: a test holds their names, so that planning need not import a library."""


@dataclass(frozen=True)
class Cell:
    """One (architecture, data set, seed, fold) at one size under one suite."""

    suite: str
    architecture: str
    dataset: str
    """Name of the data set, without `-twin`."""
    seed: int
    fold: int
    size: SizeName
    epochs: float
    time_limit: int
    budget: float | None = field(default=None, kw_only=True)
    """Seconds of training, in place of the epochs."""
    protocol: Protocol
    twin: Twin
    beside: tuple[str, ...] = ()
    """Of a floor or the oracle: the architectures that stand beside it."""
    weights: tuple[GivenWeights, ...] = ()
    """Official weights that the request gives, for whichever architectures."""
    asked: tuple[str, ...] = ()
    """Suite and seeds in the words of the request; empty where it was no `run`."""
    allow_leaks: bool = False
    """Whether it runs where parts share pictures or people; its rows say so."""
    keep: Keep = "none"
    """Whether its trained weights are kept: always, or where no row of its data set that has kept its own is better."""
    chosen: str = ""
    """How its recipe was chosen, of one that `tune` chose; it changes no number."""

    @property
    def kind(self) -> Literal["architecture", "ensemble", "floor", "oracle"]:
        """What the row is: of floors, oracle and ensembles no network is trained."""
        if self.architecture in ensembles.names():
            return "ensemble"
        if self.architecture == PEOPLE:
            return "oracle"
        if self.architecture not in BASELINES:
            return "architecture"
        return "oracle" if self.architecture == "oracle" else "floor"

    @property
    def image_size(self) -> int:
        """Pixels a side of the frame store that it opens.

        Other floors, oracle and ensembles look at no frame, only at which ones are missing or the same: they open the
        smallest store that an architecture beside them (a member of theirs) needs anyway.
        """
        if self.architecture in CLASSICAL:  # whatever stands beside them, they answer the same
            return LONE_IMAGE_SIZE
        if self.kind != "architecture":
            names = ensembles.get(self.architecture).members if self.kind == "ensemble" else self.beside
            known = (architectures.get(name).sizes for name in names)
            return min((sizes[self.size].image_size for sizes in known if self.size in sizes), default=LONE_IMAGE_SIZE)
        sizes = architectures.get(self.architecture).sizes
        if self.size not in sizes:
            raise RequestError(f"architecture {self.architecture!r} has no size {self.size!r}: add it, or leave it out")
        return sizes[self.size].image_size

    def folder(self, results: Path, dataset_name: str) -> Path:
        """Where its record lies; `dataset_name` ends in `-twin` where the data are one."""
        return (
            results
            / self.suite
            / dataset_name
            / self.architecture.replace(":", "-")
            / f"seed{self.seed}-fold{self.fold}"
        )


def suite_names() -> list[str]:
    """Names of the suites that the project ships."""
    return sorted(file.stem for file in SUITES.glob("*.yaml"))


def load_suite(name: str) -> tuple[str, Suite]:
    """Name and content of a shipped suite or of a file.

    Raises:
        RequestError: no such suite; the file is not YAML; a key or a value is wrong.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else SUITES / f"{name}.yaml"
    if not file.is_file():
        if file.parent == SUITES:
            raise unknown_name("suite", name, suite_names())
        raise RequestError(
            f"{file}: no such suite file: name a file that is there, or one of {', '.join(suite_names())}"
        )
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise RequestError(f"{file}: a suite is a mapping of keys such as {', '.join(Suite.model_fields)}")
    _refuse_reserved(file)
    try:
        suite = Suite.model_validate(content)
        suite._shipped = file.parent == SUITES
        suite._tuned = read_tuned(file.parent / suite.tuned, suite.size, str(file)) if suite.tuned else None
        return file.stem, suite
    except ValidationError as error:
        raise RequestError(f"{file}: {_first_fault(error)}") from None


def _refuse_reserved(file: Path) -> None:
    """Raises RequestError where the records of a suite would lie in a folder that is for something else."""
    name = file.stem
    taken = next((use for use in RESERVED if fnmatchcase(name.casefold(), use)), None)
    if taken:
        raise RequestError(
            f"{file}: a suite cannot be named {name!r}, as {RESERVED[taken]} in a folder of results: rename it"
        )


def _first_fault(error: ValidationError) -> str:
    """One line on the first thing that is wrong: the key, the value, what is allowed."""
    fault = error.errors()[0]
    union = ("literal", "list", "constrained", "bool")  # what pydantic calls a choice between types
    if fault["type"] == "value_error":
        said = str(fault["ctx"]["error"])
        return f"{fault['loc'][0]}: {fault['input']!r} is not allowed: it should be {said}" if fault["loc"] else said
    key = ".".join(str(part) for part in fault["loc"] if not str(part).startswith(union))
    if fault["type"] == "extra_forbidden":
        allowed = Twin.model_fields if len(fault["loc"]) > 1 else Suite.model_fields
        return f"unknown key {key!r}: use one of {', '.join(allowed)}"
    if fault["type"] == "missing":
        return f"the key {key!r} is missing"
    allowed_values = "; ".join(
        f["msg"].removeprefix("Input should be ") for f in error.errors() if f["loc"][0] == fault["loc"][0]
    )
    return f"{key}: {repr(fault['input'])[:80]} is not allowed: it should be {allowed_values}"


def cells_of(
    name: str,
    suite: Suite,
    only_architectures: list[str] | None = None,
    only_datasets: list[str] | None = None,
    data: Path | None = None,
) -> list[Cell]:
    """Every cell of a suite, floors and oracle first, data set by data set; who starts from another comes after it.

    An ensemble brings its members along; `all` includes those whose members are all chosen. Floors and oracle are there
    whatever is asked for; who asks for one of them alone gets no more. Of the data sets `all` includes an optional one
    where its folder is below `data`; one that is asked for runs under any suite.

    Raises:
        RequestError: an unknown architecture or data set, a fold that the protocol does not have.
    """
    trained = None if only_architectures is None else [a for a in only_architectures if a not in (*BASELINES, PEOPLE)]
    _refuse_unknown([*(() if suite._shipped else _entries(suite)), *(trained or ())])
    named, asked, fused = _with_members(suite.architectures, trained)
    rows, known = _rows(named, suite, asked)
    chosen = sorted(_chosen(rows, asked, known, "architecture"), key=lambda a: bool(architectures.lenders(a)))
    fused = [e for e in fused if set(ensembles.get(e).members) <= set(chosen)]
    left_out = {d for d in data_sets.names() if d in suite.without or _is_left_out(d, data)}
    own = [d for d in only_datasets or () if d in left_out]
    every = suite.datasets == "all"
    named_data = [d for d in data_sets.names() if d not in left_out] if every else suite.datasets
    named_data = [*named_data, *(d for d in suite.also_datasets if d not in named_data)]
    datasets = _chosen([*named_data, *own], only_datasets, data_sets.names(), "data set")
    if not datasets:
        raise RequestError(f"suite {name}: it names no data set, or is without all that it names: add one to datasets")
    _refuse_unknown_data_sets(name, suite)
    met = _met(suite, rows, _chosen([*named_data, *own], None, data_sets.names(), "data set"),
               trained, only_datasets)  # fmt: skip
    if trained:
        datasets = [d for d in datasets if any(d in met[row] for row in chosen)]
    protocols = {dataset: _protocol(name, suite, dataset) for dataset in datasets}
    most = max(protocol.folds for protocol in protocols.values())
    if isinstance(suite.folds, list) and max(suite.folds) >= most:
        raise RequestError(
            f"suite {name}: no data set has a fold {max(suite.folds)}: the most is {most}, counted from 0"
        )
    rows_met = sum(dataset in met[row] for dataset in protocols for row in (*chosen, *fused))
    folds = max(len(_folds(name, suite, dataset, protocol)) for dataset, protocol in protocols.items())
    if rows_met * folds * len(suite.seeds) > MOST_CELLS:
        raise RequestError(f"suite {name}: up to {rows_met * folds * len(suite.seeds)} cells are too many, more than "
                           f"{MOST_CELLS}: name fewer rows, folds or seeds")  # fmt: skip
    cells = [
        cell
        for dataset, protocol in protocols.items()
        for cell in _cells_on(
            name, suite, dataset, protocol, *([row for row in some if dataset in met[row]] for some in (chosen, fused))
        )
    ]
    return with_changes(cells, suite.recipes, f"suite {name}", suite._tuned)


def _cells_on(
    name: str, suite: Suite, dataset: str, protocol: Protocol, trained: list[str], fused: list[str]
) -> list[Cell]:
    """The cells on one data set; floors and oracle have the first seed alone."""
    epochs = suite.epochs.get(dataset, 1.0) if isinstance(suite.epochs, dict) else suite.epochs
    folds, twin = _folds(name, suite, dataset, protocol), _twin(name, suite, dataset)
    asked = protocol.options.get("truth") == "acted"  # and not what people saw, which would be their own answer
    baselines = (*BASELINES, *([PEOPLE] if asked else []))
    return [
        Cell(
            name, row, dataset, seed, fold, suite.size, epochs, suite.time_limit, protocol, twin,
            budget=suite.budget, beside=tuple(trained) if row in baselines else (),
        )
        for row in (*baselines, *trained, *fused)
        for seed in dict.fromkeys(suite.seeds[:1] if row in baselines else suite.seeds)
        for fold in folds
    ]  # fmt: skip


def _refuse_unknown_data_sets(name: str, suite: Suite) -> None:
    """Raises RequestError where a key that is written by data set names one that there is not."""
    by_data_set: dict[str, Iterable[str]] = {
        "twins": suite.twins,
        "protocols": suite.protocols,
        "without": [entry for entry in suite.without if entry not in architectures.names()],
        "also_datasets": suite.also_datasets,
        "transfer": suite.transfer,
    }
    by_data_set |= {key: value for key in ("folds", "epochs") if isinstance(value := getattr(suite, key), dict)}
    for key, entries in by_data_set.items():
        for dataset in entries:
            if dataset not in data_sets.names():
                raise RequestError(f"suite {name}, {key}: {unknown_name('data set', dataset, data_sets.names())}")


def _with_members(
    named: str | list[str], only: list[str] | None
) -> tuple[str | list[str], list[str] | None, list[str]]:
    """What a suite names and what is asked for, with every ensemble replaced by its members; and the ensembles."""
    known = ensembles.names()
    fused = [e for e in known if (named == "all" or e in named) and (only is None or e in only)]

    def expanded(entries: list[str]) -> list[str]:
        members = [m for e in entries if e in known for m in ensembles.get(e).members]
        return list(dict.fromkeys([*(e for e in entries if e not in known), *members]))

    return (
        named if isinstance(named, str) else expanded(named),
        None if only is None else expanded(only),
        fused,
    )


def _met(
    suite: Suite, rows: list[str], datasets: list[str], only_architectures: list[str] | None,
    only_datasets: list[str] | None,
) -> dict[str, set[str]]:  # fmt: skip
    """Row -> the data sets that it meets; who asks for an architecture and a data set gets that pair."""
    fused = [e for e in ensembles.names() if set(ensembles.get(e).members) <= set(rows)]
    rows = [*rows, *fused]
    if suite.pairs == "all" or (only_architectures and only_datasets):
        return {row: set(datasets) for row in rows}
    once = [dataset for dataset in datasets if dataset in suite.also_datasets]
    further = [dataset for dataset in datasets if dataset not in once]
    return dealt(rows, further, [row for row in only_architectures or rows if row in rows], once)


def _folds(name: str, suite: Suite, dataset: str, protocol: Protocol) -> list[int]:
    """Which folds of a data set run.

    Raises:
        RequestError: the protocol has none of them, or lacks one that is asked of this data set by name.
    """
    by_name = isinstance(suite.folds, dict)
    asked: Folds = suite.folds.get(dataset, [0]) if isinstance(suite.folds, dict) else suite.folds
    if asked == "all":
        return list(range(protocol.folds))
    folds = [fold for fold in dict.fromkeys(asked) if fold < protocol.folds]
    if not folds or (by_name and len(folds) < len(set(asked))):
        raise RequestError(f"suite {name}: {dataset} has {protocol.folds} folds, counted from 0, not {asked}")
    return folds


def _twin(name: str, suite: Suite, dataset: str) -> Twin:
    """How large a data set's twin is: as the suite says of it, of the one whose folder it shares, or of all others.

    Raises:
        RequestError: a test part is to have a scale of its own where the release names none.
    """
    twin = suite.twins.get(dataset) or suite.twins.get(data_sets.get(dataset).folder_name) or suite.other_twins
    if twin.test_scale is not None and not data_sets.get(dataset).official_test:
        raise RequestError(f"suite {name}, twins: {dataset} has no test part of its own to have a test_scale: "
                           "its folds say who is tested")  # fmt: skip
    return twin


def _is_left_out(dataset: str, data: Path | None) -> bool:
    """Whether `all` passes a data set over: a user's own, and there is none."""
    entry = data_sets.get(dataset)
    return entry.optional and not (data is not None and (data / entry.folder_name).is_dir())


def _rows(named: str | list[str], suite: Suite, only: list[str] | None) -> tuple[list[str], list[str]]:
    """Every row that a suite names, and every architecture there is: the registry's and the families' that are named.

    A suite of all also has the rows of families and the variants that the command line asks for.
    """
    asked = only or []
    beyond = [*suite.also, *(row for row in asked if named == "all" and (is_of_family(row) or "@" in row))]
    every = [name for name in architectures.names() if name not in suite.without or name in asked]
    rows = [*(every if isinstance(named, str) else named), *beyond]
    members = dict.fromkeys(row.partition("@")[0] for row in (*rows, *asked) if is_of_family(row))
    return rows, [*architectures.names(), *members]


def _protocol(name: str, suite: Suite, dataset: str) -> Protocol:
    try:
        return data_sets.get(dataset).changed_protocol(suite.protocols.get(dataset, {}), f"suite {name}, {dataset}")
    except DataError as error:
        raise RequestError(str(error)) from None


def _entries(suite: Suite) -> list[str]:
    """What a suite names one by one."""
    return [*(() if isinstance(suite.architectures, str) else suite.architectures), *suite.also]


def _refuse_unknown(rows: list[str]) -> None:
    """Raises RequestError where a library has no such model, or an architecture no such variant; imports them."""
    for row in rows:
        if is_of_family(row) or "@" in row:
            architectures.get(row)


def _with_variants(known: list[str], asked: list[Any]) -> list[str]:
    """The registry's order, each variant that is asked for (`name@variant`) after its base."""
    variants = list(dict.fromkeys(entry for entry in asked if isinstance(entry, str) and "@" in entry))
    return [e for base in known for e in (base, *(v for v in variants if v.partition("@")[0] == base))]


def _chosen(named: str | list[str], only: list[str] | None, known: list[str], kind: str) -> list[str]:
    """The entries that a suite names, cut to those asked for on the command line, in the registry's order."""
    asked: list[Any] = [*(named if isinstance(named, list) else []), *(only or [])]
    known = _with_variants(known, asked) if kind == "architecture" else known
    for entry in asked:
        if entry not in known:
            raise unknown_name(kind, entry, known)
    chosen = [e for e in known if (named == "all" or e in named) and (only is None or e in only)]
    if only and not chosen:
        raise RequestError(f"the suite names none of the {kind}s that are asked for: {', '.join(only)}")
    return chosen
