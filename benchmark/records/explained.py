"""How much of what counts for a model's answers lies where faces move: measured of a cell on a twin, kept beside its
record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.record import Record

EXPLAINED = "explained.json"


@dataclass(frozen=True)
class Explained:
    """Means over samples."""

    key: str
    """Of the cell that was measured."""
    method: str
    samples: int
    inside: float
    """Share of the relevance of the last frame on the pixels that the expression moves."""
    chance: float
    """The share of the picture that they are."""
    middle: float
    """Share of a bell in the middle of the picture on them."""
    times_chance: tuple[float, float]
    """95% interval of inside over chance, over samples."""
    alike: float
    """Correlation of the maps with those of the same model with weights drawn anew."""

    @property
    def of_chance(self) -> float:
        return self.inside / self.chance

    @property
    def middle_of_chance(self) -> float:
        return self.middle / self.chance

    def __str__(self) -> str:
        low, high = self.times_chance
        return (
            f"{self.method}: {self.inside:.3f} of the relevance lies on the pixels that the expression moves, "
            f"{self.of_chance:.2f} [{low:.2f}, {high:.2f}] times chance ({self.chance:.3f}); a bell in the middle has "
            f"{self.middle:.3f} there; {self.samples} samples; correlation with the maps of random weights "
            f"{self.alike:.2f}"
        )


def write_explained(folder: Path, explained: Explained) -> None:
    """Keeps it in the folder of the cell's record."""
    with drafted(folder / EXPLAINED) as draft:
        draft.write_text(json.dumps(asdict(explained), indent=1) + "\n", encoding="utf-8")


def read_explained(record: Record) -> Explained | None:
    """What was measured of this very cell; None where nothing was, where it was of another version, or is damaged."""
    try:
        data = json.loads((record.path / EXPLAINED).read_text(encoding="utf-8"))
        found = Explained(**{**data, "times_chance": tuple(data["times_chance"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if found.key == record.data["key"] else None
