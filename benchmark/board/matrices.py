"""Models on data sets that they were not trained on: a matrix for each architecture."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import numpy as np

from ferbench.benchmark.board.markdown import NOTHING, escape, figure, table
from ferbench.benchmark.board.memory import key_of, remembered
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.measures.resampling import score
from ferbench.benchmark.measures.statistics import paired_bootstrap
from ferbench.benchmark.records.transfers import IN_DOMAIN

HOW_TO_READ = (
    "Each cell: ABAW over the classes that both data sets have, with its 95% interval; below, the same architecture "
    "trained on the tested data set itself, on the same samples and classes, and the paired difference with its 95% "
    "interval. Of a source with folds the model of fold 0 is tested; of a tested data set the official test part, or "
    "all samples where there are folds."
)


def is_transfer(section: Section) -> bool:
    """Whether the models of a section were trained on other data than they are tested on."""
    return all("transfer" in record.data for record in section.records)


def matrices(section: Section) -> str:
    """A table for each architecture: trained on in rows, tested on in columns."""
    parts = []
    for row in sorted(section.architectures, key=lambda row: row.title):
        cells = {}
        for data in section.tables:
            own = data.row(row.architecture)
            if own is not None and own.score is not None:
                pair = own.finished[0].data["transfer"]
                cells[pair["from"], pair["to"]] = (data, own)
        parts.append(_matrix(row, cells))
    return "\n\n".join([*parts, HOW_TO_READ])


def _matrix(row: Row, cells: dict[tuple[str, str], tuple[DataTable, Row]]) -> str:
    sources = sorted({source for source, _ in cells})
    targets = sorted({target for _, target in cells})
    compared = {pair: difference_in_domain(own) for pair, (_, own) in cells.items()}
    lines = []
    for source in sources:
        line = [escape(source)]
        for target in targets:
            found = cells.get((source, target))
            line.append(NOTHING if found is None else _cell(*found, compared[source, target]))
        lines.append(line)
    scores = [own.score for _, own in cells.values() if own.score is not None]
    known = [each["value"] for each in compared.values() if each]
    said = f"**{escape(row.title)}**: mean off the diagonal {figure(fmean(scores))}"
    said += f", {fmean(known):+.3f} against the same architecture trained on the data itself." if known else "."
    return f"{said}\n\n{table(['trained on', *map(escape, targets)], lines, ['trained on', *map(escape, targets)])}"


def _cell(data: DataTable, row: Row, compared: dict[str, Any] | None) -> str:
    interval = data.comparison.intervals[row.architecture]
    shown = f"{figure(row.score)} [{figure(interval.low)}, {figure(interval.high)}]"
    if not compared:
        return shown
    change = f"{compared['value']:+.3f} [{compared['low']:+.3f}, {compared['high']:+.3f}]"
    return f"{shown}<br>in-domain {figure(compared['in_domain'])}<br>{change}"


def difference_in_domain(row: Row) -> dict[str, Any] | None:
    """How much better a row is than the same architecture trained on the tested data, on the samples that both answer;
    None where there are none."""
    found = remembered(key_of("in domain", row.digest), lambda: _difference_in_domain(row))
    return dict(found) if found else None


def _difference_in_domain(row: Row) -> dict[str, float] | None:
    read = [record.opened().read(["sample", "label", "predicted", IN_DOMAIN]).to_pydict() for record in row.finished]
    samples = row.samples
    if samples is None or any(each["sample"] != read[0]["sample"] for each in read):
        return None
    own = np.array([each[IN_DOMAIN] for each in read])
    there = (own >= 0).all(axis=0)
    if not there.any():
        return None
    place = {name: i for i, name in enumerate(samples.names.tolist())}
    clusters = samples.clusters
    if clusters is not None:
        clusters = clusters[[place[name] for name in read[0]["sample"]]][there]
    labels = np.array(read[0]["label"])[there]
    said = np.array([each["predicted"] for each in read])[:, there]
    change = paired_bootstrap(labels, own[:, there], said, clusters, row.num_classes, unit=samples.unit)
    return {
        "value": change.value,
        "low": change.interval.low,
        "high": change.interval.high,
        "in_domain": float(score(labels, own[:, there], row.num_classes).mean()),
    }
