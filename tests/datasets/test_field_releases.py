"""The data sets that the field publishes on: their twins in the official layouts, read back by the official readers."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ferbench.benchmark.commands.data import verify
from ferbench.benchmark.measures.floors import truth_rows
from ferbench.benchmark.planning.registry import data_sets
from ferbench.datasets import dfew, fer2013, ferplus, mafw, raf_db
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.decoding import faces
from ferbench.datasets.frames import open_store
from ferbench.datasets.splits import split
from ferbench.datasets.synthetic.writer import write_film

SCALES = {
    "affectnet_7": 0.001, "ck_plus": 0.05, "crema_d": 0.001, "dfew": 0.0005, "fer2013": 0.002, "ferplus": 0.002,
    "ferv39k": 0.0003, "jaffe": 0.3, "mafw": 0.0005, "raf_db": 0.002, "ravdess": 0.001,
}  # fmt: skip
LAYOUTS = [(name, layout) for name in SCALES for layout in data_sets.get(name).layouts]
FOLDED = ("ck_plus", "crema_d", "dfew", "jaffe", "mafw", "ravdess")
Twin = Callable[[str], Path]


def protocol(name: str, **changes: Any) -> Protocol:
    return data_sets.get(name).changed_protocol(changes, "test")


def read(name: str, root: Path, **changes: Any) -> Corpus:
    return data_sets.get(name).read(root, protocol(name, **changes))


def write(name: str, root: Path, layout: str = "", **changes: Any) -> Path:
    data_set = data_sets.get(name)
    film = data_set.film(SCALES[name], 1, protocol(name, **changes), layout or data_set.layouts[0])
    if changes.get("form") != "16f":  # a few frames of each clip are enough
        film = replace(film, shots=tuple(replace(s, units=s.units[:3], files=s.files[:3]) for s in film.shots))
    write_film(film, root)
    return root


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """The twin of a data set in its first layout, rendered once; not to be changed."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = write(name, tmp_path_factory.mktemp("twins") / name)
        return made[name]

    return of


@pytest.fixture
def copy(twin: Twin, tmp_path: Path) -> Twin:
    """A twin that a test may change."""

    def of(name: str) -> Path:
        return Path(shutil.copytree(twin(name), tmp_path / name))

    return of


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines(keepends=True)


@pytest.mark.parametrize(("name", "layout"), LAYOUTS)
def test_the_twin_is_read_back(name: str, layout: str, tmp_path: Path) -> None:
    changes = {"parts": "training file", "folds": 5} if layout == "competition" else {}
    corpus = read(name, write(name, tmp_path / "twin", layout), **changes)
    data_set = data_sets.get(name)
    assert corpus.name == f"{name}-twin"
    assert set(corpus.classes) | set(corpus.absent_classes) == set(data_set.classes)
    assert len(corpus.absent_classes) <= 1
    seen = dict(faces(corpus.root, list(corpus.frames), corpus.boxes, 32))
    assert sum(face is not None for face in seen.values()) == len(corpus.frames)
    with np.load(corpus.root / "truth.npz") as truth:
        assert (truth_rows(truth["files"].tolist(), corpus.frames) >= 0).all()  # what the oracle sees


@pytest.mark.parametrize("name", SCALES)
def test_parts_share_no_subject_and_no_picture(name: str, twin: Twin, tmp_path: Path) -> None:
    corpus, rule = read(name, twin(name)), protocol(name)
    store = open_store(corpus, 32, tmp_path, "test")
    tested: Counter[int] = Counter()
    for fold in range(rule.folds):
        parts = split(corpus, rule, fold, store.content)
        tested.update(parts.test.tolist())
        for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
            a, b = parts.parts[one], parts.parts[other]
            pictures = [
                {store.content[f] for i in rows for f in range(corpus.start[i], corpus.stop[i])} for rows in (a, b)
            ]
            assert not pictures[0] & pictures[1]
            assert not {corpus.subject[i] for i in a} & {corpus.subject[i] for i in b} - {None}
    whole = range(len(corpus)) if name in FOLDED else np.flatnonzero(np.array(corpus.part) == "test")
    assert set(tested) == set(whole)
    assert set(tested.values()) == {1}


@pytest.mark.parametrize("name", ["ck_plus", "jaffe", "ravdess", "crema_d", "raf_db", "fer2013"])
def test_the_whole_twin_has_the_counts_of_the_release(name: str) -> None:
    data_set = data_sets.get(name)
    film = data_set.film(1.0, 0, data_set.protocol, "folders" if name == "fer2013" else data_set.layouts[0])
    counts = data_set.official_counts
    shots = len(film.shots)
    if name == "ck_plus":
        shots = len([s for i, s in enumerate(film.shots) if s.units[-1].max() > 0.3])  # the others have no label
        assert shots == pytest.approx(counts["samples"], rel=0.1)
        return
    assert shots == counts.get("samples", sum(counts[key] for key in counts if key.endswith("samples")))
    if "subjects" in counts:
        assert len({shot.identity for shot in film.shots}) == counts["subjects"]


@pytest.mark.parametrize("name", SCALES)
def test_a_folder_that_is_something_else_says_what_is_expected(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"expected|put fer2013new.csv"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", SCALES)
def test_a_picture_or_video_that_is_damaged_costs_no_more_than_itself(name: str, copy: Twin, tmp_path: Path) -> None:
    root = copy(name)
    corpus = read(name, root)
    file = root / corpus.frames[0].partition("#")[0]
    if file.suffix == ".csv":
        rows = lines(file)
        place = int(corpus.frames[0].rpartition("=")[2]) - 1
        rows[place] = rows[place].partition(",")[0] + ",1 2 3 4 5,Training\n"
        file.write_text("".join(rows), encoding="utf-8")
    else:
        file.write_bytes(file.read_bytes()[:20])
    again = read(name, root)
    assert again.sample_id == corpus.sample_id
    store = open_store(again, 32, tmp_path / "cache", "test")
    assert 0 < store.missing.sum() <= max(1, int(again.track_start[1]))


# RAF-DB


def test_raf_db_is_read_by_name_of_code_and_by_part_of_file_name(copy: Twin) -> None:
    root = copy("raf_db")
    corpus = read("raf_db", root)
    written = dict(line.split() for line in lines(root / "basic" / "EmoLabel" / raf_db.LISTS[0]))
    assert {f"{name}.jpg": raf_db.CLASSES[int(code) - 1] for name, code in
            zip(corpus.sample_id, (corpus.label + 1).tolist(), strict=True)} == {
        name: raf_db.CLASSES[int(code) - 1] for name, code in written.items()
    }  # fmt: skip
    assert all(name.startswith(part) for name, part in zip(corpus.sample_id, corpus.part, strict=True))


def test_raf_db_under_noise_changes_training_alone_and_a_subset_tests_on_fewer(twin: Twin) -> None:
    plain, noisy, hard = (
        read("raf_db", twin("raf_db"), **c) for c in ({}, {"labels": "noise30"}, {"subset": "pose30"})
    )
    changed = {name for name, a, b in zip(plain.sample_id, plain.label, noisy.label, strict=True) if a != b}
    assert changed
    assert all(name.startswith("train") for name in changed)
    assert 0 < hard.part.count("test") < plain.part.count("test")
    assert hard.part.count("train") == plain.part.count("train")


def test_raf_db_reads_the_boxes_of_original_photographs(tmp_path: Path) -> None:
    root = write("raf_db", tmp_path / "twin", form="original")
    corpus = read("raf_db", root, form="original")
    assert corpus.boxes is not None
    assert corpus.boxes[0].tolist() == [40, 30, 100, 100]
    (root / "basic" / "Annotation" / "boundingbox" / f"{corpus.sample_id[0]}_boundingbox.txt").unlink()
    again = read("raf_db", root, form="original")
    assert again.boxes is not None
    assert np.isnan(again.boxes[0]).all()
    assert any("1 photographs have no face box" in note for note in again.notes)
    with pytest.raises(DataError, match="no aligned pictures of RAF-DB"):
        read("raf_db", root)


# FER2013 and FERPlus


def test_fer2013_takes_folders_by_name_and_tells_test_parts_apart(tmp_path: Path) -> None:
    root = write("fer2013", tmp_path / "twin", "folders")
    assert set(read("fer2013", root).part) == {"train", "validation", "test"}
    (root / "PublicTest").rename(root / "away")
    (root / "PrivateTest").rename(root / "test")
    with pytest.raises(DataError, match="PublicTest and PrivateTest are not told apart in its test/"):
        read("fer2013", root)
    assert set(read("fer2013", root, test="both").part) == {"train", "test"}
    (root / "train" / "happy").rename(root / "train" / "cheerful")
    with pytest.raises(DataError, match="'cheerful' is no class: use one of angry"):
        read("fer2013", root, test="both")


def test_the_competitions_test_part_has_no_labels(tmp_path: Path) -> None:
    root = write("fer2013", tmp_path / "twin", "competition")
    with pytest.raises(DataError, match=r"the test part of the competition has no labels: put fer2013.csv"):
        read("fer2013", root)
    with pytest.raises(DataError, match="set the protocol's folds to 10"):
        read("fer2013", root, parts="training file")


def test_copies_are_dropped_from_training_and_counted(twin: Twin, tmp_path: Path) -> None:
    """Copies of test pictures in training, as the release has them."""
    rows = lines(twin("fer2013") / "fer2013.csv")
    test = [row for row in rows if "PrivateTest" in row]
    first, second = (row.replace("PrivateTest", "Training") for row in test[:2])
    other = str((int(second[0]) + 1) % 7)
    (tmp_path / "copy").mkdir()
    file = tmp_path / "copy" / "fer2013.csv"
    file.write_text("".join([*rows, first, other + second[1:]]), encoding="utf-8")
    corpus = read("fer2013", file.parent)
    content = open_store(corpus, 32, tmp_path / "cache", "test").content
    added = {len(corpus) - 2, len(corpus) - 1}
    sizes = {}
    for rule in ("refuse", "drop from training", "keep one"):
        parts = split(corpus, protocol("fer2013", copies=rule), 0, content)
        sizes[rule] = {name: len(rows) for name, rows in parts.parts.items()}
        assert (added <= set(parts.dropped.tolist())) == (rule != "refuse")
        assert sum(sizes[rule].values()) + len(parts.dropped) == len(corpus)
    assert sizes["drop from training"]["test"] == sizes["refuse"]["test"]
    assert sizes["keep one"]["test"] <= sizes["refuse"]["test"]
    verified = verify("fer2013", file.parent)
    last = 1 + len(rows) + 1  # of two rows; the header is line 1 of as many
    groups = {name for group in verified.duplicates for name in group}
    assert {f"fer2013.csv#row={last - 1}", f"fer2013.csv#row={last}"} <= groups
    assert len(verified.two_classes) == 1
    assert verified.official
    assert not verify("fer2013", file.parent, ["copies=keep one"]).official


@pytest.mark.parametrize(
    ("votes", "majority", "first", "unique"),
    [
        ((8, 1, 1, 0, 0, 0, 0, 0, 0, 0), 0, 0, 0),
        ((5, 5, 0, 0, 0, 0, 0, 0, 0, 0), None, 0, None),  # a tie
        ((4, 3, 2, 1, 0, 0, 0, 0, 0, 0), None, 0, 0),  # no majority
        ((3, 2, 1, 1, 1, 1, 1, 0, 0, 0), 0, 0, 0),  # one without the single votes
        ((0, 0, 0, 0, 0, 0, 0, 2, 8, 0), None, None, None),  # nobody knows
        ((0, 1, 0, 0, 0, 0, 0, 0, 0, 9), None, None, None),  # no face
    ],
)
def test_the_rules_of_ferplus(votes: tuple[int, ...], majority: object, first: object, unique: object) -> None:
    assert [ferplus.winner(votes, rule) for rule in ("majority", "first", "unique")] == [majority, first, unique]


def test_ferplus_keeps_the_votes_and_the_rows_of_fer2013(copy: Twin) -> None:
    root = copy("ferplus")
    corpus = read("ferplus", root)
    assert corpus.votes is not None
    assert corpus.votes.shape == (len(corpus), len(corpus.classes))
    assert np.allclose(corpus.votes.sum(axis=1)[corpus.votes.sum(axis=1) > 0], 1, atol=0.2)
    assert all(
        int(f.rpartition("=")[2]) == int(n[3:]) + 2 for f, n in zip(corpus.frames, corpus.sample_id, strict=True)
    )
    rows = lines(root / ferplus.VOTES)
    (root / ferplus.VOTES).write_text("".join([rows[0], *rows[2:]]), encoding="utf-8")  # a row is gone: all are shifted
    with pytest.raises(DataError, match=r"rows of votes cannot be used: too many"):
        read("ferplus", root)
    (root / "fer2013.csv").unlink()
    with pytest.raises(DataError, match=r"and no fer2013.csv: put the pictures beside the votes"):
        read("ferplus", root)


def test_ferplus_as_the_official_script_writes_it(tmp_path: Path) -> None:
    for part in ferplus.FOLDERS:
        (tmp_path / part).mkdir()
        name = f"fer{list(ferplus.FOLDERS).index(part):07d}.png"
        Image.new("L", (48, 48), 99).save(tmp_path / part / name)
        row = f'{name},"(0, 0, 48, 48)",9,0,0,1,0,0,0,0,0,0\n'
        (tmp_path / part / "label.csv").write_text(row, encoding="utf-8")
    corpus = read("ferplus", tmp_path)
    assert sorted(corpus.part) == ["test", "train", "validation"]
    assert corpus.classes == ("Neutral",)


# Clips


@pytest.mark.parametrize("name", ["dfew", "mafw"])
def test_a_clip_that_is_tested_twice_is_refused(name: str, copy: Twin) -> None:
    root = copy(name)
    files = {
        "dfew": [root / dfew.SPLITS[0].format(part="test", fold=fold) for fold in (1, 2)],
        "mafw": [root / mafw.LISTS / f"set_{fold}" / "test.txt" for fold in (1, 2)],
    }[name]
    with files[1].open("a", encoding="utf-8") as more:
        more.write(lines(files[0])[1])
    with pytest.raises(DataError, match=r"is tested in folds 0 and 1: each clip is tested once"):
        read(name, root)
    files[0].unlink()
    with pytest.raises(DataError, match=r"not there: .* is scored in all of its five folds"):
        read(name, root)


def test_a_training_list_that_holds_what_is_tested_is_refused(copy: Twin) -> None:
    root = copy("dfew")
    tested = lines(root / dfew.SPLITS[0].format(part="test", fold=1))[1]
    with (root / dfew.SPLITS[0].format(part="train", fold=1)).open("a", encoding="utf-8") as more:
        more.write(tested)
    with pytest.raises(DataError, match=r"set_1.csv: clip \d+ is tested in this fold \(1 in all\)"):
        read("dfew", root)


@pytest.mark.parametrize(("name", "form"), [("dfew", "original"), ("dfew", "16f"), ("mafw", "clips")])
def test_other_forms_of_clips_are_other_protocols(name: str, form: str, twin: Twin, tmp_path: Path) -> None:
    corpus = read(name, write(name, tmp_path / "twin", form=form), form=form)
    assert len(corpus) == len(read(name, twin(name)))
    if form == "16f":
        assert set(np.diff(corpus.track_start).tolist()) == {16}
    with pytest.raises(DataError, match=r"no such form of DFEW|no clips/ of MAFW"):
        read(name, twin(name), form=form)


def test_short_clips_are_counted(twin: Twin) -> None:
    corpus = read("ferv39k", twin("ferv39k"))
    short = int((np.diff(corpus.track_start) <= 16).sum())
    assert any(note.startswith(f"{short} of {len(corpus)} clips have at most 16 frames") for note in corpus.notes)
    assert set(corpus.attributes["scene"]) <= set(data_sets.get("ferv39k").read.__globals__["SCENES"])


def test_a_listed_clip_that_is_not_there_is_asked_for_all_the_same(copy: Twin, tmp_path: Path) -> None:
    root = copy("ferv39k")
    corpus = read("ferv39k", root)
    shutil.rmtree(root / "2_ClipsforFaceCrop" / corpus.sample_id[0])
    again = read("ferv39k", root)
    assert again.sample_id == corpus.sample_id
    assert open_store(again, 32, tmp_path / "cache", "test").missing.sum() == 1


@pytest.mark.parametrize(
    ("name", "file", "row"),
    [
        ("raf_db", "basic/EmoLabel/list_patition_label.txt", "train_00001.jpg 9\n"),
        ("ferv39k", "4_setups/All_scenes/train_All.csv", "Action/Happy/0001 Cheerful\n"),
        ("mafw", "split/single/no_caption/set_1/test.txt", "00001.mp4 joy\n"),
        ("dfew", "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", "1,9\n"),
        ("dfew", "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", "one,1\n"),
        ("fer2013", "fer2013.csv", "9,1 2 3 4,Training\n"),
        ("fer2013", "fer2013.csv", "3,1 2 3 4,Later\n"),
        ("fer2013", "fer2013.csv", "3,,Training\n"),
        ("ferplus", "fer2013new.csv", "Training,,a,0,0,0,0,0,0,0,0,0\n"),
    ],
)
def test_bad_rows_are_named_and_counted_and_many_are_refused(name: str, file: str, row: str, copy: Twin) -> None:
    root = copy(name)
    before = len(read(name, root))
    with (root / file).open("a", encoding="utf-8") as more:
        more.write(row)
    corpus = read(name, root)
    assert len(corpus) == before
    (note,) = [note for note in corpus.notes if "cannot be used and are left out" in note]
    assert note.startswith("1 ")
    assert Path(file).name in note
    with (root / file).open("a", encoding="utf-8") as more:
        more.write(row * 200)
    with pytest.raises(DataError, match=r"cannot be used: too many to go on"):
        read(name, root)


# Actors


def test_ravdess_counts_a_take_with_and_without_sound_once(copy: Twin) -> None:
    root = copy("ravdess")
    corpus = read("ravdess", root)
    video = root / corpus.frames[0].partition("#")[0]
    shutil.copy(video, video.with_name(f"01{video.name[2:]}"))
    (video.with_name(f"02-02{video.name[5:]}")).write_bytes(b"a song")
    again = read("ravdess", root)
    assert again.sample_id == corpus.sample_id
    assert any("1 takes are there with and without sound: counted once" in note for note in again.notes)
    assert Counter(again.attributes["sex"])["male"] == len(again) / 2


def test_crema_d_has_two_truths_and_the_votes_behind_one(copy: Twin) -> None:
    root = copy("crema_d")
    acted, seen = read("crema_d", root), read("crema_d", root, truth="face votes")
    assert acted.votes is not None
    assert seen.votes is not None
    known = {name: acted.classes[label] for name, label in zip(acted.sample_id, acted.label, strict=True)}
    agree = np.mean([known[n] == seen.classes[label] for n, label in zip(seen.sample_id, seen.label, strict=True)])
    assert 0.5 < agree < 0.85  # of the release 0.66
    assert (seen.votes.argmax(axis=1) == seen.label).all()
    assert any("have no one emotion that most saw: left out" in note for note in seen.notes)
    assert set(acted.attributes) == {"sex", "age", "race", "level"}
    assert Counter(acted.fold.tolist() if acted.fold is not None else []) == {0: 108, 1: 108, 2: 108, 3: 108, 4: 114}
    (root / "processedResults" / "summaryTable.csv").unlink()
    (root / "VideoDemographics.csv").unlink()
    assert set(read("crema_d", root).attributes["sex"]) == {""}
    with pytest.raises(DataError, match=r"summaryTable.csv: the protocol's truth is face votes: copy this table"):
        read("crema_d", root, truth="face votes")


def test_ck_plus_under_its_other_protocols(twin: Twin) -> None:
    root = twin("ck_plus")
    whole, last = read("ck_plus", root), read("ck_plus", root, sample="last_3")
    assert len(last) == 3 * len(whole)
    assert "Contempt" not in read("ck_plus", root, classes="six").classes
    neutral = read("ck_plus", root, classes="six+neutral", neutral="enrolment_frame")
    assert neutral.track_neutral is not None
    alone = Counter(neutral.track_subject)
    several = [i for i, t in enumerate(neutral.track.tolist()) if alone[neutral.track_subject[t]] > 1]
    assert all(neutral.track_neutral[neutral.track[i]] != neutral.start[i] for i in several)
    with pytest.raises(DataError, match="a neutral sample would be its own reference"):
        read("ck_plus", root, classes="six+neutral")


def test_the_seven_classes_of_affectnet_are_the_eight_without_contempt(twin: Twin) -> None:
    root = twin("affectnet_7")
    eight, seven = data_sets.get("affectnet_small").read(root, protocol("affectnet_small")), read("affectnet_7", root)
    kept = {
        name for name, label in zip(eight.sample_id, eight.label, strict=True) if eight.classes[label] != "Contempt"
    }
    assert set(seven.sample_id) == kept
    assert seven.classes == tuple(name for name in eight.classes if name != "Contempt")


def test_the_default_of_fer2013_is_the_rule_that_keeps_the_test_part_whole() -> None:
    assert fer2013.DATASET.protocol.copies == ferplus.DATASET.protocol.copies == "drop from training"


LINKED = {
    "affectnet_7": "train_set/images", "ck_plus": "Emotion/S005", "crema_d": "VideoDemographics.csv",
    "dfew": "EmoLabel_DataSplit/test(single-labeled)", "fer2013": "fer2013.csv", "ferplus": "fer2013new.csv",
    "ferv39k": "4_setups", "jaffe": "KA.AN1.1.tiff", "mafw": "split/single", "raf_db": "basic/EmoLabel",
    "ravdess": "Video_Speech_Actor_01",
}  # fmt: skip


@pytest.mark.parametrize("name", LINKED)
def test_a_link_that_leads_out_of_the_data_folder_is_refused(name: str, copy: Twin, tmp_path: Path) -> None:
    root = copy(name)
    place = root / LINKED[name]
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="leads out of the data folder"):
        read(name, root)


@pytest.mark.parametrize("name", ["dfew", "ferv39k", "mafw", "ck_plus"])
def test_a_folder_of_frames_that_is_a_link_to_elsewhere_is_refused(name: str, copy: Twin, tmp_path: Path) -> None:
    root = copy(name)
    place = (root / read(name, root).frames[0]).parent
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="leads out of the data folder"):
        read(name, root)


@pytest.mark.parametrize(("name", "pattern"), [("ravdess", "*.mp4"), ("crema_d", "*.flv")])
def test_a_video_under_another_name_is_named_and_counted(twin: Twin, tmp_path: Path, name: str, pattern: str) -> None:
    shutil.copytree(twin(name), tmp_path / name)
    videos = sorted((tmp_path / name).rglob(pattern))
    videos[3].rename(videos[3].with_name(f"take{videos[3].suffix}"))
    corpus = read(name, tmp_path / name)
    assert len(corpus) == len(videos) - 1
    note = next(note for note in corpus.notes if note.startswith("1 videos cannot be used"))
    assert f"take{videos[3].suffix}: no name of a video of" in note
    for video in videos[4:12]:
        video.rename(video.with_name(f"x{video.name}"))
    with pytest.raises(DataError, match=r"videos cannot be used: too many to go on"):
        read(name, tmp_path / name)
