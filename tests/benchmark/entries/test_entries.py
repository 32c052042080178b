"""Answers of others: what a test part asks, what is refused, and what an entry scores."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.board.sections import sections
from ferbench.benchmark.commands.score import check_format, check_submissions, entries_in, score_file
from ferbench.benchmark.commands.template import write_template
from ferbench.benchmark.entries import cards
from ferbench.benchmark.entries.answers import Answers, format_of, read_answers
from ferbench.benchmark.entries.cards import Card, read_card
from ferbench.benchmark.entries.classes import SYNONYMS, matched, meaning
from ferbench.benchmark.entries.order import better_order
from ferbench.benchmark.entries.questions import GIVEN, Question, question_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import rewrite_predictions, write_cell

CLASSES = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
CARD: dict[str, Any] = {
    "name": "our-net", "title": "Our net", "authors": "A. Person", "organisation": "A University",
    "code": "https://example.org/code", "code_licence": "MIT", "weights": "unknown", "weights_digest": "unknown",
    "weights_licence": "unknown", "backbone": "ResNet-18", "pretraining_data": "MS-Celeb-1M",
    "training_data": "RAF-DB", "seen": {"affectnet_small": "none"}, "input_size": "224 x 224", "detector": "unknown",
    "views": 1, "ensemble_size": 1, "chosen": "own validation", "parameters": 11_000_000, "relationship": "self",
    "date": "2026-11-26",
}  # fmt: skip


@pytest.fixture(scope="module")
def question(twins: Path) -> Question:
    """The test part of the small twin of AffectNet, eight classes."""
    return question_of("affectnet_small", "smoke", twins, lambda text: None)


@pytest.fixture(scope="module")
def template(question: Question) -> pd.DataFrame:
    return question.template()


def truth(question: Question) -> np.ndarray:
    return question.corpus.label[np.concatenate(list(question.samples.values()))]


def table(question: Question, accuracy: float = 0.7, seed: int = 0) -> pd.DataFrame:
    """Probabilities that are right so often."""
    labels, rng = truth(question), np.random.default_rng(seed)
    said = np.where(rng.random(len(labels)) < accuracy, labels, rng.integers(len(CLASSES), size=len(labels)))
    scores = np.full((len(labels), len(CLASSES)), 0.05)
    scores[np.arange(len(labels)), said] = 0.65
    ids = question.template()["sample"]
    return pd.DataFrame({"sample": ids, **{name: scores[:, c] for c, name in enumerate(CLASSES)}})


def read(tmp_path: Path, question: Question, frame: pd.DataFrame, name: str = "a.csv") -> Answers:
    file = tmp_path / name
    if name.endswith(".csv"):
        frame.to_csv(file, index=False)
    elif name.endswith(".parquet"):
        frame.to_parquet(file, index=False)
    else:
        frame.to_json(file, orient="records", lines=True)
    return read_answers(file, question)


# Templates


def test_a_template_asks_everything_and_tells_no_label(question: Question, template: pd.DataFrame) -> None:
    tested = question.parts[0].test
    assert sorted(template["sample"]) == sorted(question.corpus.sample_id[i] for i in tested)
    assert list(template) == ["sample", "fold", "split", *GIVEN[2:6], *CLASSES]
    assert template[list(CLASSES)].isna().all().all()
    assert set(template["split"]) == {question.fingerprint}
    labels = truth(question)
    assert (np.diff(labels) != 0).sum() > len(labels) / 2  # in an order that does not follow the classes
    neutral = {frame: question.corpus.label[i] for i, frame in enumerate(question.corpus.frames)}
    assert {neutral[name] for name in template["neutral_frame"]} == {0}


def test_another_test_part_has_another_fingerprint(question: Question) -> None:
    parts = {0: replace(question.parts[0], test=question.parts[0].test[:-1])}
    assert replace(question, parts=parts).fingerprint != question.fingerprint


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_template_that_comes_back_filled_in_is_scored(
    question: Question, twins: Path, tmp_path: Path, name: str
) -> None:
    write_template("affectnet_small", "smoke", twins, tmp_path / name)
    file = tmp_path / name
    frame = pd.read_csv(file) if name == "a.csv" else pd.read_parquet(file)
    filled = table(question).set_index("sample").loc[frame["sample"]]
    for column in CLASSES:
        frame[column] = filled[column].to_numpy()
    assert read(tmp_path, question, frame, name).coverage == 1


def test_a_template_of_a_wrong_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"t\.txt: name it \.csv or \.parquet"):
        write_template("affectnet_small", "smoke", None, tmp_path / "t.txt")


# Answers


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
def test_answers_are_matched_by_name_whatever_their_order(tmp_path: Path, question: Question, name: str) -> None:
    frame = table(question)
    expected = frame[list(CLASSES)].to_numpy()
    named = {"Happiness": "Happy", "Anger": " angry", "Sadness": "score_sad", "Fear": "FEARFUL"}
    shuffled = frame.rename(columns=named)[["Contempt", "sample", *[named.get(c, c) for c in CLASSES[:-1]][::-1]]]
    found = read(tmp_path, question, shuffled.sample(frac=1, random_state=0), name)
    assert np.allclose(found.scores, expected)
    assert (found.kind, found.coverage, found.dropped) == ("probabilities", 1.0, ())


def test_logits_percentages_and_names_of_classes_are_read(tmp_path: Path, question: Question) -> None:
    frame = table(question)
    scores = frame[list(CLASSES)]
    for kind, changed in (("percentages", scores * 100), ("logits", np.log(scores)), ("logits", scores * 20 + 3)):
        found = read(tmp_path, question, pd.concat([frame[["sample"]], changed], axis=1))
        assert found.kind == kind
        assert np.array_equal(found.scores.argmax(1), scores.to_numpy().argmax(1))
    named = frame[["sample"]].assign(predicted=[f" {CLASSES[c].upper()}" for c in scores.to_numpy().argmax(1)])
    found = read(tmp_path, question, named)
    assert found.kind == "classes"
    assert np.array_equal(found.scores.argmax(1), scores.to_numpy().argmax(1))


def test_a_row_that_is_left_out_or_left_empty_is_no_answer(tmp_path: Path, question: Question) -> None:
    frame = table(question)
    frame.loc[3, list(CLASSES)] = np.nan
    found = read(tmp_path, question, frame.drop(index=[5]))
    assert np.flatnonzero(~found.answered).tolist() == [3, 5]
    assert found.coverage == 1 - 2 / len(frame)


def test_of_eight_classes_contempt_is_dropped_where_there_are_seven() -> None:
    columns, dropped = matched(["contempt", *CLASSES[:-1]], CLASSES[:-1], "a.csv")
    assert (columns, dropped) == (list(CLASSES[:-1]), ("contempt",))


def changed(change: Callable[[pd.DataFrame], object]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def apply(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(dict.fromkeys(CLASSES, float))
        result = change(frame)
        return result if isinstance(result, pd.DataFrame) else frame

    return apply


BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "an id that is not there": (
        changed(lambda f: f.assign(sample=["x", *f["sample"][1:]])), "sample 'x' is not in the test part",
    ),
    "an id twice": (changed(lambda f: pd.concat([f, f.head(1)])), "is answered twice: remove one of the rows"),
    "no ids": (changed(lambda f: f.drop(columns="sample")), "there is no column 'sample'"),
    "another split": (changed(lambda f: f.assign(split="0123")), "it was made for another test part (split"),
    "a class that is lacking": (changed(lambda f: f.drop(columns="Fear")), "there is no column for Fear"),
    "a class twice": (
        changed(lambda f: f.assign(happy=f["Happiness"])), "the columns 'Happiness' and 'happy' are one class",
    ),
    "an unknown class": (changed(lambda f: f.rename(columns={"Fear": "Feer"})), "did you mean 'Fear'?"),
    "a class of nobody": (
        changed(lambda f: f.assign(zzz=0.0)), "the column 'zzz' is no class of this data set: the classes",
    ),
    "labels": (changed(lambda f: f.assign(Label=0)), "it has a column 'Label': answers hold no labels"),
    "NaN": (changed(lambda f: f.__setitem__("Fear", [np.nan, *f["Fear"][1:]])), "is missing or not finite"),
    "infinity": (changed(lambda f: f.__setitem__("Fear", [np.inf, *f["Fear"][1:]])), "is missing or not finite"),
    "all zero": (changed(lambda f: f.__setitem__(list(CLASSES), 0.0)), "sum to 0.000: give probabilities"),
    "neither": (changed(lambda f: f.__setitem__("Fear", f["Fear"] + 0.2)), "sum to 1.2"),
    "words": (changed(lambda f: f.assign(Fear="much")), "the column 'Fear' holds something that is no number"),
    "nothing": (changed(lambda f: f.assign(**dict.fromkeys(CLASSES, np.nan))), "it answers nothing"),
    "a class that is unknown": (
        changed(lambda f: f[["sample"]].assign(predicted="grumpy")), "'grumpy' is no class of this data set",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_bad_answers_are_refused_in_one_line(tmp_path: Path, question: Question, case: str, name: str) -> None:
    spoil, message = BAD[case]
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        read(tmp_path, question, spoil(table(question)), name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b"sample\n", b"{]"])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, question: Question, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError) as caught:
        read_answers(tmp_path / name, question)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_synonyms_mean_one_class_each() -> None:
    words = [word for name, own in SYNONYMS.items() for word in (name, *own)]
    assert len(words) == len(set(words))
    assert {meaning(name) for name in (*CLASSES, "Other")} == set(SYNONYMS)


# Cards


def write_card(folder: Path, **changes: Any) -> Path:
    file = folder / "card.yaml"
    content = {key: value for key, value in {**CARD, **changes}.items() if value is not None}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def test_the_schema_in_the_repository_is_that_of_the_card() -> None:
    file = Path(cards.__file__).with_name("card.schema.json")
    assert json.loads(file.read_text(encoding="utf-8")) == Card.model_json_schema()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"authors": None}, "the key 'authors' is missing: write unknown where it is not known"),
        ({"autors": "x"}, "unknown key 'autors': use name, title"),
        ({"title": "<b>best</b>"}, "title: plain text of one line, without < and >"),
        ({"code": "javascript:alert(1)"}, "code: a web address that begins with https://, or unknown"),
        ({"backbone": "x" * 10_000}, "backbone: String should have at most 500 characters"),
        ({"name": "../up"}, "name: String should match pattern"),
        ({"seen": {"raf_db": "none"}}, "seen must say which part of affectnet_small"),
        ({"seen": {"affectnet_small": "a little"}}, "seen: Input should be 'none', 'train', 'test' or 'unknown'"),
        ({"views": 0}, "views"),
        ({"date": "yesterday"}, "date: String should match pattern"),
    ],
)
def test_a_card_that_is_wrong_is_told(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        read_card(write_card(tmp_path, **changes), "affectnet_small")
    assert "\n" not in str(caught.value)


# Scores


def scored(tmp_path: Path, question: Question, twins: Path, frame: pd.DataFrame, **changes: Any) -> Path:
    file = tmp_path / "answers.csv"
    frame.to_csv(file, index=False)
    results = tmp_path / "results"
    score_file(file, "affectnet_small", write_card(tmp_path, **changes), "smoke", twins, results)
    return results


def test_an_entry_is_scored_as_a_cell_is(
    tmp_path: Path, question: Question, twins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table(question)
    results = scored(tmp_path, question, twins, frame)
    (record,) = read_records(results)
    right = frame[list(CLASSES)].to_numpy().argmax(1) == truth(question)
    assert record.data["metrics"]["accuracy"] == pytest.approx(right.mean())
    assert record.path == results / "entries" / question.location.name / "our-net" / "seed0-fold0"
    assert json.loads((record.path.parent / "card.json").read_text())["authors"] == "A. Person"
    out = capsys.readouterr().out
    assert f"Our net on {question.location.name}: ABAW {record.data['metrics']['abaw']:.3f} [" in out
    assert "coverage 100.0%, read as probabilities" in out


def test_entries_are_listed_with_what_they_have_seen(tmp_path: Path, question: Question, twins: Path) -> None:
    results = scored(tmp_path, question, twins, table(question))
    (row,) = entries_in(results)
    assert (row["name"], row["seen"], row["authors"]) == ("our-net", "affectnet_small: none", "A. Person")
    (results / "entries" / question.location.name / "our-net" / "card.json").write_text("{}")
    with pytest.raises(RequestError, match=r"card\.json: not a card \(ValidationError\): score the entry again"):
        entries_in(results)


def test_a_missing_answer_is_a_wrong_one(tmp_path: Path, question: Question, twins: Path) -> None:
    frame = table(question, accuracy=1.0)
    results = scored(tmp_path, question, twins, frame.iloc[: len(frame) // 2])
    (record,) = read_records(results)
    assert record.data["metrics"]["accuracy"] == pytest.approx(len(frame) // 2 / len(frame))
    assert record.data["counts"]["answered_samples"] == len(frame) // 2
    assert any(note.startswith("coverage 5") for note in record.data["notes"])


def test_what_must_be_known_of_an_entry_stands_beside_it(tmp_path: Path, question: Question, twins: Path) -> None:
    frame = table(question, accuracy=0.9)
    results = scored(tmp_path, question, twins, frame, seen={"affectnet_small": "train"}, views=10)
    notes = "; ".join(read_records(results)[0].data["notes"])
    assert "has seen of this data set: train" in notes
    assert "views at test time: 10" in notes


def neighbours(results: Path, question: Question) -> None:
    """A trained row that answers the same question, for the entry to stand beside."""
    (entry,) = read_records(results)
    same = {key: entry.data[key] for key in ("dataset", "classes", "subjects_known", "protocol", "fold", "source")}
    parts = {name: entry.data["key_parts"][name] for name in ("data", "protocol")}
    folder = write_cell(results, "c3d", suite="smoke", key_parts=parts, **same)
    frame = entry.predictions()
    rewrite_predictions(folder, frame.assign(predicted=(frame["label"] + 1) % 8))


def test_an_entry_is_ranked_beside_the_rows_of_its_test_part(tmp_path: Path, question: Question, twins: Path) -> None:
    results = scored(tmp_path, question, twins, table(question))
    neighbours(results, question)
    (section,) = sections(read_records(results))
    (data,) = section.tables
    assert (section.suite, data.ranks) == ("smoke", {"our-net": 1, "c3d": 2})
    render(results, tmp_path / "leaderboard.md")
    text = (results / "smoke" / f"{question.location.name}.md").read_text()
    assert re.search(r"\| 1 +\| a .*Our net.*scored here", text)
    assert re.search(r"\| 2 +\| b .*c3d.*trained here", text)


def test_an_entry_that_has_seen_the_test_part_has_no_rank(tmp_path: Path, question: Question, twins: Path) -> None:
    results = scored(tmp_path, question, twins, table(question), seen={"affectnet_small": "test"})
    neighbours(results, question)
    ((data,),) = (section.tables for section in sections(read_records(results)))
    assert data.ranks == {"c3d": 1}
    assert {row.architecture: row.kind for row in data.rows}["our-net"] == "entry that has seen the test part"


def test_an_entry_of_another_test_part_stands_alone(tmp_path: Path, question: Question, twins: Path) -> None:
    results = scored(tmp_path, question, twins, table(question))
    write_cell(results, "c3d", suite="smoke", dataset=question.location.name)
    assert sorted(section.suite for section in sections(read_records(results))) == ["entries", "smoke"]


# Order


@pytest.mark.parametrize("accuracy", [0.4, 0.9])
@pytest.mark.parametrize(("samples", "classes"), [(500, 7), (500, 8), (3068, 8)])
def test_a_swapped_pair_is_found_and_a_right_order_is_left_alone(accuracy: float, samples: int, classes: int) -> None:
    found = alarms = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        labels = rng.integers(classes, size=samples)
        said = np.where(rng.random(samples) < accuracy, labels, rng.integers(classes, size=samples))
        order = np.arange(classes)
        one, other = rng.choice(classes, 2, replace=False)
        order[[one, other]] = other, one
        swapped = better_order(labels, order[said], classes)
        found += swapped is not None and swapped.meant == tuple(order)
        alarms += better_order(labels, said, classes) is not None
    assert found >= 28
    assert not alarms


def test_an_order_is_told_in_words() -> None:
    labels = np.repeat(np.arange(3), 50)
    order = better_order(labels, np.array([1, 0, 2])[labels], 3)
    assert order is not None
    assert order.in_words(("Anger", "Fear", "Joy")) == (
        "its classes seem to be in another order (Anger where Fear is meant, Fear where Anger is meant): accuracy "
        "0.333 would be 1.000"
    )


def test_an_answer_that_is_always_the_same_has_no_other_order() -> None:
    labels = np.arange(70) % 7
    assert better_order(labels, np.zeros(70, dtype=np.int64), 7) is None
    assert better_order(labels[:3], labels[:3], 7) is None


# Hashed names, formats, submissions


def test_hashed_names_are_answered_as_names_are(tmp_path: Path, question: Question, twins: Path) -> None:
    write_template("affectnet_small", "smoke", twins, tmp_path / "t.csv", hash_ids=True)
    asked = pd.read_csv(tmp_path / "t.csv")
    assert list(asked) == ["sample", "fold", "split", *CLASSES]
    assert asked["sample"].is_monotonic_increasing  # so that the order tells nothing
    assert not set(asked["sample"]) & set(question.corpus.sample_id)
    frame = table(question)
    hashed = frame.assign(sample=[question.hashed(name) for name in frame["sample"]])
    found = read(tmp_path, question, hashed.sample(frac=1, random_state=1))
    assert np.array_equal(found.scores, read(tmp_path, question, frame).scores)
    mixed = hashed.copy()
    mixed.loc[1, "sample"] = frame["sample"][1]
    with pytest.raises(RequestError, match="is not in the test part"):
        read(tmp_path, question, mixed)


def submission(folder: Path, question: Question, frame: pd.DataFrame, **changes: Any) -> Path:
    place = folder / "affectnet_small" / "our-net"
    place.mkdir(parents=True)
    frame.assign(split=question.fingerprint).to_csv(place / "answers.csv", index=False)
    write_card(place, **changes)
    return place


def test_a_submission_is_checked_without_the_data(
    tmp_path: Path, question: Question, capsys: pytest.CaptureFixture[str]
) -> None:
    submission(tmp_path, question, table(question).iloc[:10])
    check_submissions(tmp_path)
    out = capsys.readouterr().out
    assert "answers to 10 samples, read as probabilities; 100.0% of them answered" in out
    assert f"split {question.fingerprint}; card of our-net" in out
    assert out.endswith("1 entries, all well\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: (p / "run.py").write_text("import os"), "it must hold card.yaml and one of answers.csv"),
        (lambda p: (p / "card.yaml").unlink(), "it must hold card.yaml"),
        (lambda p: p.rename(p.with_name("other")), "its card is of 'our-net': give the folder that name"),
        (lambda p: (p / "answers.csv").write_text("sample,predicted\na,happy\na,sad\n"), "is answered twice"),
        (lambda p: (p / "answers.csv").write_text("sample,predicted\na,grumpy\n"), "'grumpy' is no class"),
        (lambda p: (p / "answers.csv").write_text("sample,label,predicted\na,1,happy\n"), "answers hold no labels"),
        (
            lambda p: (p / "answers.csv").write_text("sample,split,predicted\na,1,sad\nb,2,sad\n"),
            "more than one test part",
        ),
        (lambda p: (p / "answers.csv").write_text("who,predicted\na,sad\n"), "there is no column 'sample'"),
        (lambda p: ((p / "answers.csv").unlink(), (p / "answers.csv").symlink_to("/etc/hosts")), "it holds a link"),
    ],
)  # fmt: skip
def test_a_submission_that_is_wrong_is_told(
    tmp_path: Path, question: Question, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], said: str
) -> None:
    spoil(submission(tmp_path, question, table(question)))
    with pytest.raises(RequestError, match="1 of 1 entries cannot be taken"):
        check_submissions(tmp_path)
    assert said in capsys.readouterr().out


def test_a_data_set_whose_classes_only_the_data_tell_has_no_format(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sample,predicted\na,happy\n")
    with pytest.raises(RequestError, match="folder: only the data tell its classes"):
        check_format(tmp_path / "a.csv", "folder", None)


def test_an_answer_that_means_none_of_the_classes_is_a_wrong_one(tmp_path: Path, question: Question) -> None:
    five = question_of("affectnet_small", "smoke", question.location.root.parent, lambda text: None, CLASSES[:5])
    names = five.template()["sample"]
    frame = pd.DataFrame({"sample": names, **dict.fromkeys(CLASSES, 0.0)})
    frame["Neutral"], frame.loc[2, ["Neutral", "Contempt"]] = 1.0, [0.0, 1.0]
    found = read(tmp_path, five, frame)
    assert found.dropped == ("Disgust", "Anger", "Contempt")
    assert np.flatnonzero(~found.answered).tolist() == [2]


def test_a_large_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "large.csv").open("w") as out:
        out.write("sample,file,predicted\n")
        out.writelines(f"{i},{'x' * 4000},happy\n" for i in range(25_000))
    assert (tmp_path / "large.csv").stat().st_size > 1e8
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    asked = format_of(tmp_path / "large.csv", CLASSES)
    assert read_answers(tmp_path / "large.csv", asked).coverage == 1
    assert pool.max_memory() - before < 4e7


def test_a_frame_that_is_missing_is_asked_by_what_stands_in_for_it(tmp_path: Path) -> None:
    whole = question_of("aff_wild2", "smoke", None, lambda text: None)
    own = shutil.copytree(whole.location.root, tmp_path / "aff_wild2")
    asked = whole.template().set_index("sample")
    sample = next(name for name in asked.index if not asked.loc[name, "last_frame"].endswith("00001.jpg"))
    lost = str(asked.loc[sample, "last_frame"])
    (own / lost).unlink()
    again = question_of("aff_wild2", "smoke", tmp_path, lambda text: None).template().set_index("sample")
    assert again.loc[sample, "last_frame"] < lost
    assert all((own / name).is_file() for name in again["last_frame"])
