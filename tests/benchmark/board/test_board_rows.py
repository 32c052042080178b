"""What may be averaged, ranked and shown beside each other, and what must not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ferbench.benchmark.board import breakdowns, tables
from ferbench.benchmark.board.comparison import difference
from ferbench.benchmark.board.costs import pareto
from ferbench.benchmark.board.literature import CHOSEN, Literature, numbers
from ferbench.benchmark.board.markdown import escape
from ferbench.benchmark.board.sections import DataTable, Section, across, sections
from ferbench.benchmark.board.site import tables as site_tables
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.measures.metrics import concordance
from ferbench.benchmark.measures.resampling import NOT_PREDICTED
from ferbench.benchmark.measures.statistics import paired_bootstrap
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import rewrite_predictions, write_cell

AFFECTNET = ["Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt"]


def section_of(results: Path) -> Section:
    return sections(read_records(results))[0]


def table_of(results: Path) -> DataTable:
    return section_of(results).tables[0]


def test_cells_of_two_versions_are_never_averaged(tmp_path: Path) -> None:
    """The newest version makes the row; the others are left out and counted."""
    for seed, code in ((0, "old"), (1, "old"), (2, "new")):
        created = {"created": f"2026-03-0{1 + seed}T10:00:00+00:00"}
        write_cell(tmp_path, "c3d", 0.5, seed=seed, key_parts={"training_code": code}, environment=created)
    write_cell(tmp_path, "tsm", 0.4, seed=2, key_parts={"training_code": "new"})
    table = table_of(tmp_path)
    row = table.row("c3d")
    assert row is not None
    assert (row.seeds, len(row.outdated)) == ((2,), 2)
    assert "without 2 cells of an earlier version" in tables.scores(table, None, Literature())


def test_rows_of_another_version_of_the_training_code_are_marked(tmp_path: Path) -> None:
    for name, code in (("a", "t1"), ("b", "t1"), ("c", "t2")):
        write_cell(tmp_path, name, 0.5, key_parts={"training_code": code})
    text = tables.scores(table_of(tmp_path), None, Literature())
    assert "trained with version t2, most rows t1: compare with care" in text
    assert text.count("most rows") == 1


TUNED = "tuned: 30 trials on each of ctbc-twin, oulu_casia-twin"


def recipe(chosen: str) -> dict[str, Any]:
    return {"stages": [], "chosen": chosen}


def test_where_a_search_chose_all_recipes_it_is_said_once(tmp_path: Path) -> None:
    write_cell(tmp_path, "majority", 0.2, kind="floor")
    for name in ("c3d", "tsm"):
        write_cell(tmp_path, name, 0.5, recipe=recipe(TUNED))
        write_cell(tmp_path, name, 0.5, dataset="sendv1-twin", recipe=recipe(f"{TUNED}, another data set"))
    section = section_of(tmp_path)
    for table in section.tables:
        text = tables.scores(table, None, Literature())
        assert f"Recipes of all rows {escape(TUNED)}." in text
        assert "| recipe" not in text
    assert tables.all_datasets(section).count("tuned: 30 trials") == 1


def test_rows_with_recipes_by_hand_are_never_beside_others_without_a_mark(tmp_path: Path) -> None:
    for name, chosen in (("c3d", TUNED), ("tsm", "by hand")):
        write_cell(tmp_path, name, 0.5, recipe=recipe(chosen))
        write_cell(tmp_path, name, 0.5, dataset="sendv1-twin", recipe=recipe(chosen))
    section = section_of(tmp_path)
    text = tables.scores(section.tables[0], None, Literature())
    assert "| recipe" in text
    assert "Recipes of all rows" not in text
    one, other = (next(line for line in text.splitlines() if f"| {name}" in line) for name in ("c3d", "tsm"))
    assert "| by search<sup>a</sup>" in one
    assert "| by hand " in other
    assert f"<sup>a</sup> recipe {escape(TUNED)}" in text
    assert "recipe tuned: 30 trials" in tables.all_datasets(section)


def test_rows_of_other_hardware_are_marked(tmp_path: Path) -> None:
    for name, device in (("a", "CPU"), ("b", "CPU"), ("c", "GPU")):
        write_cell(tmp_path, name, 0.5, environment={"device": device})
    text = tables.scores(table_of(tmp_path), None, Literature())
    assert "ran on GPU, 1 thread, float32, torch 2.15.0, most rows CPU" in text


def test_pareto_front_keeps_latencies_of_two_machines_apart(tmp_path: Path) -> None:
    for name, skill, macs, latency, device in (
        ("small", 0.4, 1e6, 1.0, "CPU"),
        ("large", 0.8, 1e9, 9.0, "CPU"),
        ("wasteful", 0.2, 1e10, 20.0, "CPU"),
        ("elsewhere", 0.1, 1e11, 30.0, "GPU"),
    ):
        cost = {"macs": macs, "params": macs, "latency_ms_p50": latency}
        write_cell(tmp_path, name, skill, cost=cost, environment={"device": device}, subjects=20)
    assert pareto(table_of(tmp_path)) == {
        "large": ["params", "macs", "latency_ms_p50"],
        "small": ["params", "macs", "latency_ms_p50"],
        "wasteful": [],
        "elsewhere": ["latency_ms_p50"],
    }


def test_equal_rows_share_a_group_and_a_better_one_does_not(tmp_path: Path) -> None:
    for name, skill in (("best", 0.9), ("one", 0.4), ("other", 0.42)):
        write_cell(tmp_path, name, skill, subjects=30)
    compared = table_of(tmp_path).comparison
    assert compared.letters("best") == "a"
    assert compared.letters("one") == compared.letters("other") == "b"
    assert compared.unit == "subject"
    assert compared.seeds == "one"


def test_a_difference_on_the_board_is_the_paired_bootstrap(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_cell(tmp_path, "a", 0.5, seed=seed)
        write_cell(tmp_path, "b", 0.7, seed=seed)
    table = table_of(tmp_path)
    a, b = table.row("a"), table.row("b")
    assert a is not None
    assert b is not None
    assert a.samples is not None
    assert b.samples is not None
    found = difference(a, b)
    expected = paired_bootstrap(a.samples.labels, a.samples.predicted, b.samples.predicted, a.samples.clusters, 6)
    assert found == expected
    assert table.comparison.p[0, 1] == pytest.approx(expected.p, rel=1e-9)  # one pair: nothing to correct


def test_spreads_over_seeds_and_folds_have_columns_of_their_own(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        for fold in (0, 1):
            write_cell(tmp_path, "c3d", 0.5, seed=seed, fold=fold)
    row = table_of(tmp_path).rows[0]
    each = {}
    for record in row.finished:
        each[record.data["seed"], record.data["fold"]] = record.data["metrics"]["abaw"]
    assert row.fold_scores == pytest.approx([np.mean([each[s, f] for s in range(3)]) for f in (0, 1)])
    assert len(row.seed_scores) == 3
    text = tables.scores(table_of(tmp_path), None, Literature())
    assert f"{row.seed_scores.std(ddof=1):.3f} " in text
    assert f"{row.fold_scores.std(ddof=1):.3f} " in text


@pytest.mark.parametrize(("subjects_known", "tracks", "unit"), [(True, True, "subject"), (False, True, "video"),
                                                                (False, False, "sample")])  # fmt: skip
def test_the_board_says_what_was_resampled(tmp_path: Path, subjects_known: bool, tracks: bool, unit: str) -> None:
    write_cell(tmp_path, "c3d", subjects_known=subjects_known, tracks=tracks)
    table = table_of(tmp_path)
    assert table.comparison.unit == unit
    assert f"ABAW [95% over {unit}s]" in tables.scores(table, None, Literature())


def test_breakdowns_are_there_where_the_predictions_name_them(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, "c3d", tracks=True)
    write_cell(tmp_path, "unknown", subjects_known=False, dataset="ctbc-twin")
    with_names, without = section_of(tmp_path).tables[1], section_of(tmp_path).tables[0]
    frame = pd.read_parquet(folder / "predictions.parquet")
    right = (frame["label"] == frame["predicted"]).groupby(frame["subject"]).mean()
    assert with_names.rows[0].figures.by_subject == pytest.approx(right.to_dict())
    assert len(with_names.rows[0].figures.by_video) == 16
    assert breakdowns.units(without, "subject") == breakdowns.units(without, "video") == ""
    assert right.idxmin() in breakdowns.units(with_names, "subject")


def write_regression(results: Path, architecture: str, noise: float, seed: int = 0) -> pd.DataFrame:
    """A cell of SENDv1's valence: three subjects with two videos each."""
    folder = write_cell(results, architecture, dataset="sendv1_valence-twin", classes=["valence"], seed=seed)
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(6), 30)
    target = np.sin(np.arange(180) / 7)
    frame = pd.DataFrame({
        "sample": [f"{index:04d}" for index in range(180)],
        "subject": [f"ID{index // 2}" for index in who],
        "track": [f"vid{index}" for index in who],
        "target": target,
        "value": target + noise * rng.normal(size=180),
    })  # fmt: skip
    rewrite_predictions(folder, frame)
    return frame


def test_a_regression_is_ranked_by_its_own_measure(tmp_path: Path) -> None:
    frame = write_regression(tmp_path, "good", 0.2)
    write_regression(tmp_path, "bad", 2.0)
    table = table_of(tmp_path)
    videos = [concordance(part["target"], part["value"]) for _, part in frame.groupby("track")]
    best = table.rows[0]
    assert (best.architecture, best.score) == ("good", pytest.approx(np.mean(videos)))
    interval = table.comparison.intervals["good"]
    assert (interval.low < best.score < interval.high, interval.unit) == (True, "subject")
    text = tables.scores(table, None, Literature())
    assert "CCC [95% over subjects]" in text
    assert "accuracy" not in text


def test_what_a_seed_of_a_regression_lacks_is_no_perfect_score(tmp_path: Path) -> None:
    frame, other = write_regression(tmp_path, "c3d", 2.0), write_regression(tmp_path, "c3d", 2.0, seed=1)
    kept = other[other["track"].isin(["vid0", "vid3"]) | (other.index % 2 == 0) & (other["track"] == "vid5")]
    rewrite_predictions(tmp_path / "default/sendv1_valence-twin/c3d/seed1-fold0", kept, index=False)
    whole, half = (
        [concordance(part["target"], part["value"]) for _, part in each.groupby("track")] for each in (frame, kept)
    )
    assert (len(whole), len(half)) == (6, 3)
    row = table_of(tmp_path).rows[0]
    assert row.seed_scores == pytest.approx([np.mean(whole), np.mean(half)])
    assert row.score == pytest.approx(np.mean([np.mean(whole), np.mean(half)]))
    assert row.figures.by_video["vid1"] == pytest.approx(whole[1])
    interval = table_of(tmp_path).comparison.intervals["c3d"]
    assert -0.2 < interval.low < row.score < interval.high < 0.9


def test_samples_are_pooled_whatever_way_they_are_stored(tmp_path: Path) -> None:
    """Seeds of one fold in the same bytes, in another order, in another compression, with other samples."""
    folders = [write_cell(tmp_path, seed=seed) for seed in range(5)]
    frames = [pd.read_parquet(folder / "predictions.parquet").iloc[:40] for folder in folders]
    frames[2] = frames[2].iloc[::-1]
    frames[3] = frames[3].iloc[5:]
    for folder, frame, compression in zip(folders, frames, ("zstd", "zstd", "zstd", "zstd", None), strict=True):
        rewrite_predictions(folder, frame, index=False, compression=compression, row_group_size=25)
    first = read_records(tmp_path)[0].opened()
    first.read(["sample", "label"])
    alike = [record.opened().begins_as(first, ["sample", "label"]) for record in read_records(tmp_path)]
    assert alike[0]
    assert not any(alike[2:])
    samples = table_of(tmp_path).rows[0].samples
    assert samples is not None
    for frame, found in zip(frames, samples.predicted, strict=True):
        own = frame.set_index("sample")["predicted"]
        assert [own.get(name, NOT_PREDICTED) for name in samples.names] == found.tolist()


def test_an_ablation_shows_paired_differences(tmp_path: Path) -> None:
    base = "difference_of_embeddings"
    write_cell(tmp_path, base, 0.8, subjects=20)
    write_cell(tmp_path, f"{base}@uses=target", 0.4, subjects=20)
    write_cell(tmp_path, f"{base}@uses=difference", 0.8, subjects=20)
    table = table_of(tmp_path)
    assert table.ranks == {base: 1}, "a variant is no competitor of its own architecture"
    change = table.comparison.changes[f"{base}@uses=target"]
    assert change.interval.high < 0
    text = breakdowns.ablation(table)
    assert breakdowns.ONE_SEED in text
    assert "| uses: target" in text
    assert f"{change.value:+.3f} [{change.interval.low:+.3f}, {change.interval.high:+.3f}]" in text
    assert "@" not in tables.scores(table, None, Literature())


def test_the_spread_of_trainings_is_that_of_all_trained_rows_of_the_same_samples(tmp_path: Path) -> None:
    """Three seeds that agree are not steadier than the table; floors and rows that lack samples say nothing of it."""

    def p_and_seeds(folder: Path) -> tuple[float, str]:
        compared = table_of(folder).comparison
        return compared.changes["c3d@shuffled"].p, compared.seeds

    for name, skill in (("c3d", 0.7), ("c3d@shuffled", 0.5)):
        write_cell(tmp_path / "one", name, skill, subjects=20)
    alone = p_and_seeds(tmp_path / "one")
    assert alone[1] == "one"
    for seed in (0, 1):  # a floor, and a row of which one seed lacks a fold
        write_cell(tmp_path / "one", "random", 0.1 + 0.6 * seed, subjects=20, seed=seed)
        write_cell(tmp_path / "one", "tsm", 0.1 + 0.8 * seed, subjects=20, seed=seed)
    write_cell(tmp_path / "one", "tsm", 0.9, subjects=20, seed=1, fold=1)
    assert p_and_seeds(tmp_path / "one") == alone
    write_cell(tmp_path / "one", "vit_se", 0.4, subjects=20)
    write_cell(tmp_path / "one", "vit_se", 0.8, subjects=20, seed=1)
    wider, seeds = p_and_seeds(tmp_path / "one")
    assert seeds == "some"
    assert wider > 2 * alone[0]
    shutil.rmtree(tmp_path / "one" / "default" / "oulu_casia-twin" / "tsm")
    assert "For rows with one seed it is taken from the others" in tables.caveats(table_of(tmp_path / "one"))[0]
    assert breakdowns.ONE_SEED not in breakdowns.ablation(table_of(tmp_path / "one"))


def published(results: Path, **changes: Any) -> str:
    notes = ["10% of each training class of the folder"]
    real = {"dataset": "affectnet_small", "source": "real", "classes": AFFECTNET, "notes": notes}
    write_cell(results, "vit_se", 0.4, title="ViT_SE", subjects_known=False, **{**real, **changes})
    table = table_of(results)
    literature = Literature()
    return tables.scores(table, None, literature) + literature.words(table)


def test_a_published_number_stands_beside_ours_where_the_protocol_matches(tmp_path: Path) -> None:
    text = published(tmp_path)
    assert "| accuracy 0.347 (chosen: unknown) " in text
    assert "published by README of github.com/jerry940100/Facial-Expression-Recognition" in text
    assert "0.3804" not in text, "Disentangled Difference of Embeddings has no row here"


@pytest.mark.parametrize("changes", [{"notes": ["100% of each training class of the folder"]},
                                     {"classes": AFFECTNET[:7]}])  # fmt: skip
def test_another_protocol_is_said_in_words(tmp_path: Path, changes: dict[str, Any]) -> None:
    text = published(tmp_path, **changes)
    assert "| accuracy 0.347 " not in text
    assert "other protocols, not to be compared with these rows" in text
    assert "ViT_SE accuracy 0.347 (chosen: unknown)" in text
    assert "EmotiEffNet-B2 accuracy 0.63125 (chosen on test)" in text
    (said,) = site_tables.other_protocols(section_of(tmp_path), Literature()).values()
    assert any("DAN accuracy 0.6209 (chosen on test) (README of github.com/yaoing/DAN)" in line for line in said)


def test_no_published_number_stands_beside_a_twin(tmp_path: Path) -> None:
    text = published(tmp_path, dataset="affectnet_small-twin", source="twin")
    assert "0.347" not in text
    assert "They say nothing about a twin" in text


def test_every_published_number_has_a_source_and_a_protocol() -> None:
    entries = Literature().entries
    assert all(entry.source and entry.protocol and entry.results for entry in entries)
    assert all(set(entry.beside) <= set(entry.results) for entry in entries)
    assert all(each.measures for entry in entries for each in entry.results.values())
    assert all(-1 <= v <= 1 for entry in entries for each in entry.results.values() for v in each.measures.values())


def literature_of(folder: Path, result: str) -> Literature:
    """A list of published numbers with one result, as YAML."""
    file = folder / "published.yaml"
    file.write_text(f"- {{dataset: x, source: a paper, protocol: as here, results: {{DAN: {result}}}}}")
    return Literature(file)


@pytest.mark.parametrize("chosen", CHOSEN)
def test_each_way_of_choosing_stands_beside_its_number(tmp_path: Path, chosen: str) -> None:
    (entry,) = literature_of(tmp_path, f"{{accuracy: 0.6, chosen: {chosen}}}").entries
    assert numbers(entry.results["DAN"]) == f"accuracy 0.6 ({CHOSEN[chosen]})"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("{accuracy: 0.6}", "DAN has no `chosen`: write one of own validation, test, best of n, unknown"),
        ("{accuracy: 0.6, chosen: validation}", "DAN has `chosen: validation`: write one of own validation, test"),
        ("{accuracy: 0.6, chosen: [test]}", "DAN has `chosen: .'test'.`: write one of own validation"),
        (
            "{acuracy: 0.6, chosen: test}",
            "DAN has the measure acuracy: write one of accuracy, f1_macro, abaw, uar, ccc",
        ),
        ("0.6", "not a list of published numbers"),
    ],
)
def test_a_published_number_that_lacks_something_is_told(tmp_path: Path, result: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as error:
        literature_of(tmp_path, result)
    assert str(tmp_path / "published.yaml") in str(error.value)


@pytest.mark.parametrize("content", ["- {dataset: x}", "dataset: x", "- dataset: [", ""])
def test_a_damaged_list_of_published_numbers_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "published.yaml").write_text(content)
    with pytest.raises(RequestError, match="not a list of published numbers"):
        Literature(tmp_path / "published.yaml")


def test_mean_ranks_need_every_data_set(tmp_path: Path) -> None:
    for dataset in ("one-twin", "two-twin"):
        write_cell(tmp_path, "a", 0.9, dataset=dataset)
        write_cell(tmp_path, "b", 0.2, dataset=dataset)
    write_cell(tmp_path, "only_here", 0.5, dataset="one-twin")
    section = section_of(tmp_path)
    assert section.across is not None
    assert section.across.mean_rank == {"a": 1, "b": 2}
    assert "2 data sets cannot decide which of 2 architectures is better in general" in tables.across(section)


def test_data_sets_that_share_their_faces_count_once() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    found = across(["a", "b"], scores, ["sendv1", "sendv1", "ctbc"])
    assert found.test.data_sets == 2
    assert found.mean_rank == {"a": 1.5, "b": 1.5}


def test_many_data_sets_decide(tmp_path: Path) -> None:
    scores = np.linspace(0.9, 0.1, 4) + np.zeros((12, 1))
    found = across(list("abcd"), scores, [str(index) for index in range(12)])
    assert found.test.decides
    assert ("a", "d") not in [group for group in found.groups if {"a", "d"} <= set(group)]
