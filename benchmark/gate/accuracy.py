"""Did a cell lose accuracy? Records of two sides -> verdicts, sample by sample.

Two cells are compared when they answer the same **question**: the same data, protocol, seed, fold, size and budget on
the same kind of device. How the **answer** came about (the architecture's code, the training code, the starting
weights, the recipe) may differ, since that is what a change changes; the verdict names what did. Where the question
differs, nothing is compared, and the verdict names what differs in it. Any part of a key that is not known to belong to
the answer belongs to the question.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.gate.chance import Group
from ferbench.benchmark.gate.verdict import Mark, Verdict
from ferbench.benchmark.measures.metrics import Array, regression_scores
from ferbench.benchmark.measures.resampling import RESAMPLES, resampled, resampled_means, score
from ferbench.benchmark.measures.statistics import LOWEST, Unit, as_difference, mcnemar, units_of
from ferbench.benchmark.records.record import Record

MARGIN = 0.02
"""Loss of the headline measure up to which a cell counts as the same, where no reruns say how much chance does."""
ALPHA = 0.01

DataChanges = Mapping[str, Sequence[str]]
NONE_KNOWN: DataChanges = MappingProxyType({})

ANSWER = frozenset({"code", "training_code", "starting_weights", "recipe", "lenders", "members"})
"""Parts of a key that say how a cell is answered; all others say what it asks."""
IN_WORDS = {
    "code": "architecture code",
    "training_code": "training code",
    "starting_weights": "starting weights",
    "lenders": "code of an architecture that it starts from",
    "members": "members of the ensemble",
    "epochs": "budget",
    "device_type": "device",
}
NAMED = 3
"""How many changes of a recipe a verdict names."""


class CellName(NamedTuple):
    """What makes two cells the same one."""

    suite: str
    dataset: str
    architecture: str
    size: str
    seed: int
    fold: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.size} seed {self.seed} fold {self.fold}"


@dataclass(frozen=True)
class Limits:
    """What a loss must exceed."""

    margin: Callable[[CellName], float] = lambda _: MARGIN
    alpha: float = ALPHA
    resamples: int = RESAMPLES


class _Question(ABC):
    """What the samples of a cell ask, and how answers (P, N) to it are scored."""

    headline: ClassVar[str]
    lowest: ClassVar[float]
    """What the measure may be at the least."""

    @property
    @abstractmethod
    def units(self) -> tuple[int, Unit]:
        """How many are drawn, and what they are called."""

    @abstractmethod
    def score(self, answers: NDArray[Any]) -> Array:
        """(P,) of each."""

    @abstractmethod
    def resampled(self, answers: NDArray[Any], resamples: int) -> Array:
        """(R, P) of each, on the same resamples."""

    @abstractmethod
    def of_nobody(self) -> float:
        """The best score of an answer that looks at no sample: the floor."""


@dataclass(frozen=True)
class _Classes(_Question):
    labels: NDArray[Any]
    subjects: NDArray[Any] | None
    num_classes: int
    headline = "ABAW"
    lowest = 0.0

    @property
    def units(self) -> tuple[int, Unit]:
        return units_of(self.labels, self.subjects)

    def score(self, answers: NDArray[Any]) -> Array:
        return score(self.labels, answers, self.num_classes)

    def resampled(self, answers: NDArray[Any], resamples: int) -> Array:
        return resampled(self.labels, answers, self.subjects, self.num_classes, resamples=resamples)

    def of_nobody(self) -> float:
        constant = np.repeat(np.arange(self.num_classes)[:, None], len(self.labels), axis=1)
        drawn = np.random.default_rng(0).choice(self.labels, (20, len(self.labels)))
        return float(max(self.score(constant).max(), self.score(drawn).mean()))


@dataclass(frozen=True)
class _Values(_Question):
    target: NDArray[Any]
    videos: NDArray[Any]
    subjects: NDArray[Any] | None
    headline = "CCC"
    lowest = LOWEST["ccc"]

    @property
    def units(self) -> tuple[int, Unit]:
        return units_of(self._owners, self._owners, "video" if self.subjects is None else "subject")

    @property
    def _owners(self) -> NDArray[Any]:
        """(V,) whom each video is of, in the order of their names."""
        names, first = np.unique(self.videos, return_index=True)
        return names if self.subjects is None else self.subjects[first]

    def _by_video(self, answers: NDArray[Any]) -> Array:
        found = (regression_scores(self.target, answer, self.videos).ccc_per_video for answer in answers)
        return np.array([[each[str(name)] for name in np.unique(self.videos)] for each in found])

    def score(self, answers: NDArray[Any]) -> Array:
        return self._by_video(answers).mean(axis=1)

    def resampled(self, answers: NDArray[Any], resamples: int) -> Array:
        return resampled_means(self._by_video(answers), self._owners, resamples)

    def of_nobody(self) -> float:
        return 0.0


@dataclass(frozen=True)
class _Pair:
    """Two finished cells that answer the same question on the same samples."""

    cell: CellName
    question: _Question
    same_question: bytes
    """Equal where samples and truths are."""
    base: NDArray[Any]
    head: NDArray[Any]


def judge(value: float, p: float, margin: float, alpha: float = ALPHA) -> Mark:
    """A change counts when it is both larger than the margin and unlikely by chance (p < alpha)."""
    if p >= alpha or abs(value) <= margin:
        return "same"
    return "worse" if value < 0 else "better"


def compare_cells(
    head: Sequence[Record], base: Sequence[Record], limits: Limits | None = None, data_changes: DataChanges = NONE_KNOWN
) -> list[Verdict]:
    """Compares every architecture's cell of one side with that of the same name on the other.

    `data_changes` tells for data sets whose content was looked at what changed in it: for one in which nothing did, the
    code that makes or reads it is part of the answer.

    Raises:
        RequestError: predictions cannot be read.
    """
    limits = limits or Limits()
    before, after = by_name(base), by_name(head)
    cells = sorted(before.keys() | after.keys())
    return [_verdict(cell, before.get(cell), after.get(cell), limits, data_changes) for cell in cells]


def compare_groups(
    head: Sequence[Record],
    base: Sequence[Record],
    group_of: Callable[[list[CellName]], Group],
    limits: Limits | None = None,
    data_changes: DataChanges = NONE_KNOWN,
) -> list[Verdict]:
    """Compares the mean over all architectures of a data set: what each loses a little of, they lose together.

    A fault in what all of them share moves every score the same way, while chance moves each its own way, so the mean
    shows losses that are too small for any single cell. `group_of` gives the weights of the mean (they add up to 1) and
    its margin. Groups of one cell are left out.

    Raises:
        RequestError: predictions cannot be read.
    """
    limits = limits or Limits()
    before, after = by_name(base), by_name(head)
    groups: dict[tuple[object, ...], list[_Pair]] = {}
    for cell in sorted(before.keys() & after.keys()):
        pair = None if _apart(before[cell], after[cell], data_changes) else _pair(cell, before[cell], after[cell])
        if pair is not None:
            groups.setdefault((cell.dataset, cell.size, cell.seed, cell.fold, pair.same_question), []).append(pair)
    return [
        _group_verdict(pairs, group_of([pair.cell for pair in pairs]), limits)
        for pairs in groups.values()
        if len(pairs) > 1
    ]


def by_name(records: Sequence[Record]) -> dict[CellName, Record]:
    """Cells that learn, or fuse what did. Floors and the oracle see no image: that they are the same proves nothing."""
    chosen = [record for record in records if record.data["kind"] in ("architecture", "ensemble")]
    return {CellName(*(record.data[axis] for axis in CellName._fields)): record for record in chosen}


def _verdict(
    cell: CellName, before: Record | None, after: Record | None, limits: Limits, data_changes: DataChanges
) -> Verdict:
    if after is None:
        return _bare(cell, "incomparable", "not run here")
    failed = after.data["status"] != "ok"
    if before is not None and failed and before.data["status"] == "ok":
        return _bare(cell, "newly failed", str(after.data["error"] or "no reason given"), base=_score(before))
    if failed:
        where = "not in the base" if before is None else "failed in the base as well"
        return _bare(cell, "incomparable", f"failed here, {where}: {after.data['error']}")
    if not _finite(after):
        return _bare(cell, "worse", "a score is not finite", base=_score(before) if before else None)
    if before is None or before.data["status"] != "ok":
        return _bare(cell, "incomparable", "not in the base" if before is None else "failed in the base, not here")
    apart = _apart(before, after, data_changes)
    pair = None if apart else _pair(cell, before, after)
    if pair is None:
        apart = apart or "other test samples or labels under the same question"
        return _bare(cell, "incomparable", apart, base=_score(before), head=_score(after))
    return _compared(pair, limits, _answer_changes(before, after))


def _bare(cell: CellName, mark: Mark, reason: str, base: float | None = None, head: float | None = None) -> Verdict:
    """A verdict without a comparison."""
    return Verdict("accuracy", cell.architecture, "score", mark, str(cell), base, head, reason=" ".join(reason.split()))


def _compared(pair: _Pair, limits: Limits, changes: str) -> Verdict:
    """Two answers to the same question, sample by sample."""
    question, margin = pair.question, limits.margin(pair.cell)
    both = np.stack([pair.base, pair.head])
    base, head = question.score(both).tolist()
    drawn = question.resampled(both, limits.resamples)
    difference = as_difference(head - base, drawn[:, 1] - drawn[:, 0], *question.units, lowest=question.lowest)
    same = bool((pair.base == pair.head).all())
    second = mcnemar(question.labels, pair.base, pair.head) if isinstance(question, _Classes) else None
    protected = base - question.of_nobody() > margin
    return Verdict(
        "accuracy", pair.cell.architecture, question.headline,
        judge(difference.value, difference.p, margin, limits.alpha), str(pair.cell), base, head, difference.value,
        None if same else (difference.interval.low, difference.interval.high), difference.p, second, margin,
        "; ".join(part for part in (changes, "the same predictions" if same else "") if part),
        protected=protected,
    )  # fmt: skip


def floor_of(record: Record) -> float | None:
    """The best score that an answer to a record's samples has that looks at none of them; None of one that failed."""
    pair = _pair(CellName(*(record.data[axis] for axis in CellName._fields)), record, record)
    return pair.question.of_nobody() if pair else None


def _group_verdict(pairs: list[_Pair], group: Group, limits: Limits) -> Verdict:
    """The mean difference over the architectures, the subjects drawn once for all of them."""
    first, count, weights = pairs[0], len(pairs), np.array(group.weights)
    question = first.question
    both = np.stack([*(pair.base for pair in pairs), *(pair.head for pair in pairs)])
    base, head = (question.score(both).reshape(2, count) @ weights).tolist()
    drawn = question.resampled(both, limits.resamples)
    differences = (drawn[:, count:] - drawn[:, :count]) @ weights
    found = as_difference(head - base, differences, *question.units, lowest=question.lowest)
    same = all((pair.base == pair.head).all() for pair in pairs)
    where = f"{first.cell.dataset} {first.cell.size} seed {first.cell.seed} fold {first.cell.fold}"
    mark, subject = judge(found.value, found.p, group.margin, limits.alpha), f"all {count} architectures"
    return Verdict(
        "accuracy", subject, f"mean {question.headline}", mark, where, base, head, found.value,
        None if same else (found.interval.low, found.interval.high), found.p, limit=group.margin,
        reason="each weighed by one over what chance does to it",
    )  # fmt: skip


def _pair(cell: CellName, before: Record, after: Record) -> _Pair | None:
    """What is compared; None where a side has no predictions, or other samples or labels."""
    if before.data["status"] != "ok" or after.data["status"] != "ok":
        return None
    old, new = (record.predictions().set_index("sample").sort_index() for record in (before, after))
    same_samples = old.index.is_unique and old.index.equals(new.index)
    truth, said = ("target", "value") if "target" in new else ("label", "predicted")
    if not same_samples or truth not in old or not old[truth].equals(new[truth]):
        return None
    known = bool(after.data["subjects_known"]) and not new["subject"].isna().any()
    subjects, truths = new["subject"].to_numpy() if known else None, new[truth].to_numpy()
    question: _Question
    if truth == "target":
        question = _Values(truths, new["track"].to_numpy(), subjects)
    else:
        question = _Classes(truths, subjects, len(after.data["classes"]))
    return _Pair(cell, question, truths.tobytes(), old[said].to_numpy(), new[said].to_numpy())


def _apart(before: Record, after: Record, data_changes: DataChanges) -> str:
    """What differs between the questions of two cells, in words; empty where nothing does."""
    parts = set(_changed_parts(before, after)) - ANSWER
    content = data_changes.get(after.data["dataset"])
    if content is not None:  # what the data hold decides, not how they came about
        parts = parts | {"data"} if content else parts - {"data"}
    if not parts:
        return ""
    old, new = before.data["protocol"], after.data["protocol"]
    rules = [f"{rule} {old.get(rule)!r} -> {new.get(rule)!r}" for rule in sorted(old.keys() | new.keys())
             if old.get(rule) != new.get(rule)]  # fmt: skip
    inside = {"protocol": rules, "data": list(content or ())}
    named = [
        f"{part} ({', '.join(inside[part])})" if inside.get(part) else _in_words(part, before, after)
        for part in sorted(parts)
    ]
    return f"another question: changed {', '.join(named)}"


def _in_words(part: str, before: Record, after: Record) -> str:
    old, new = (record.data["key_parts"].get(part) for record in (before, after))
    word = IN_WORDS.get(part, part)
    is_hash = isinstance(old, str) and len(old) >= 16
    return word if part in ("data", "protocol") or is_hash else f"{word} ({old} -> {new})"


def _answer_changes(before: Record, after: Record) -> str:
    """What changed in how the question is answered, in words; empty where nothing did."""
    recipe = _recipe_changes(before.data["recipe"], after.data["recipe"])
    started = [f"starts from {after.data['started_from']} instead of {before.data['started_from']}"] * (
        before.data["started_from"] != after.data["started_from"]
    )
    words = {"data": "data-set code"}
    parts = [words.get(part) or IN_WORDS.get(part, part) for part in _changed_parts(before, after) if part != "recipe"]
    found = [*parts, *recipe, *started]
    return f"changed: {', '.join(found)}" if found else ""


def _recipe_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = ({key: value for key, value in _flat(each).items() if key != "chosen"} for each in (before, after))
    changes = [f"{name} {old.get(name)!r} -> {new.get(name)!r}" for name in dict.fromkeys([*old, *new])
               if old.get(name) != new.get(name)]  # fmt: skip
    more = [f"{len(changes) - NAMED} more of the recipe"] if len(changes) > NAMED else []
    return [*changes[:NAMED], *more]


def _flat(value: object, name: str = "") -> dict[str, object]:
    """A recipe as one level: `stages.0.lr`."""
    if isinstance(value, Mapping):
        entries = [(str(key), entry) for key, entry in value.items()]
    elif isinstance(value, list):
        entries = [(str(i), entry) for i, entry in enumerate(value)]
    else:
        return {name: value}
    return {key: leaf for below, entry in entries for key, leaf in _flat(entry, f"{name}.{below}".strip(".")).items()}


def _changed_parts(before: Record, after: Record) -> list[str]:
    old, new = before.data["key_parts"], after.data["key_parts"]
    return [part for part in sorted({*old, *new}) if old.get(part) != new.get(part)]


def _score(record: Record) -> float | None:
    return None if record.data["metrics"] is None else record.headline.value


def _finite(record: Record) -> bool:
    """Whether the measures and all class scores are numbers: a model that went to NaN still predicts some class."""
    value = _score(record)
    predictions = record.predictions()
    scored = [name for name in predictions if str(name).startswith("score_") or name == "value"]
    return value is not None and math.isfinite(value) and bool(np.isfinite(predictions[scored].to_numpy()).all())
