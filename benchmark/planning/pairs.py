"""Which architectures meet which data sets under a suite that need not run every pair.

Each architecture has one data set at least, and each data set an architecture of each view: enough to show that all of
it works. Who is new is dealt a place like everybody else; nobody has to be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from ferbench.benchmark.planning.registry import architectures, ensembles, is_of_family


def dealt(
    rows: list[str], datasets: list[str], wanted: list[str] | None = None, once: Sequence[str] = ()
) -> dict[str, set[str]]:
    """Row -> the data sets that it meets: within each view rows and data sets are dealt to each other in turn.

    In turn means that the longer of the two lists is gone through once, and the shorter one as often as that takes. A
    library's model (`timm:resnet18`) and an ensemble meet one data set each; a variant (`tsm@shuffled`) meets those of
    its base. An ensemble brings its members along.

    Args:
        rows: all of the suite; the deal is the same whichever of them are wanted.
        wanted: those to tell of; all when None.
        once: data sets that meet one architecture each, whatever its view.
    """
    deal: dict[str, set[str]] = {}
    for view, own in _by_view(list(dict.fromkeys(row.partition("@")[0] for row in rows))).items():
        for i in range(max(len(own), len(datasets) if view else 0)):
            deal.setdefault(own[i % len(own)], set()).add(datasets[i % len(datasets)])
    for row, dataset in zip(cycle(_in_turn(rows)), once):
        deal.setdefault(row, set()).add(dataset)
    met = {row: set(deal[row.partition("@")[0]]) for row in (rows if wanted is None else wanted)}
    for ensemble in met.keys() & set(ensembles.names()):
        for member in ensembles.get(ensemble).members:
            met[member] = met.get(member, set()) | met[ensemble]
    return met


def _in_turn(rows: list[str]) -> list[str]:
    """The architectures, one of each view after the other."""
    views = [own for view, own in _by_view(list(dict.fromkeys(row.partition("@")[0] for row in rows))).items() if view]
    return [own[i] for i in range(max(map(len, views), default=0)) for own in views if i < len(own)]


def _by_view(rows: list[str]) -> dict[str, list[str]]:
    """Rows by their view; under "" ensembles, which have none, and libraries' models, which are not imported for it."""
    views: dict[str, list[str]] = {}
    for row in rows:
        viewless = is_of_family(row) or row in ensembles.names()
        views.setdefault("" if viewless else architectures.stated(row, "view"), []).append(row)
    return views
