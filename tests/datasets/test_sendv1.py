"""SENDv1 is joined on time: videos, rating files and their faults."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferbench.benchmark.measures.floors import baseline_scores, shown_units, truth_rows
from ferbench.datasets import sendv1_fine, sendv1_valence
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.sendv1 import (
    CLASSES,
    CLIPS,
    DATASET,
    OBSERVER,
    SCALES,
    SUBJECTS,
    TARGET,
    Clip,
    film,
    picture_times,
    read,
    read_ratings,
)
from ferbench.datasets.splits import split
from ferbench.datasets.synthetic.film import Film
from ferbench.datasets.synthetic.writer import write_film
from ferbench.datasets.video import read_frames, write_video

PROTOCOL = DATASET.protocol
OBSERVED = "time,evaluatorWeightedEstimate,SDofEWE\n"


def short_film(layout: str) -> Film:
    """Two clips a part of which only the first pictures are rendered: three seconds, with ratings of twenty."""
    whole = film(0.01, 3, PROTOCOL, layout)
    return replace(whole, shots=tuple(replace(s, units=s.units[:24], files=s.files[:24]) for s in whole.shots))


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The short film with ratings as short."""
    folder = tmp_path_factory.mktemp("sendv1") / "twin"
    write_film(short_film("parts"), folder)
    for file in folder.glob("ratings/*/*/*.csv"):
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:8]))  # 0 to 3 s
    return folder


def make(
    root: Path, part: str, clip: str, ratings: dict[float, float], seconds: int = 4, folder: str = "videos"
) -> Path:
    """A clip with these ratings and a video of one picture every eighth of a second."""
    subject, video = clip.split("_")
    file = root / "ratings" / part / "observer_EWE" / f"results_{clip}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(OBSERVED + "".join(f"{time},{value},9.5\n" for time, value in ratings.items()))
    pictures = np.full((seconds * 8, 16, 16, 3), 10 * int(video), dtype=np.uint8)
    path = root / folder / f"ID{subject}_vid{video}_talks.mp4"
    write_video(path, pictures, np.arange(seconds * 8) / 8)
    return path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A clip of four seconds in each part, rated 0, 20, 40, ... at each half second."""
    for subject, part in enumerate(("Train", "Valid", "Test"), start=1):
        make(tmp_path, part, f"{subject}_1", {k / 2: min(20.0 * k, 100) for k in range(8)})
    return tmp_path


def refused(root: Path, message: str, **options: object) -> None:
    """Reading fails with one line."""
    with pytest.raises(DataError, match=message) as caught:
        read(root, DATASET.changed_protocol(options, "test"))
    assert "\n" not in str(caught.value)


# What is read


def test_a_sample_is_half_a_second_and_its_frames_are_those_of_that_time(release: Path) -> None:
    corpus = read(release, PROTOCOL)
    assert corpus.sample_id[:3] == ("ID1_vid1@0.0", "ID1_vid1@0.5", "ID1_vid1@1.0")
    assert Counter(corpus.part) == {"train": 8, "validation": 8, "test": 8}
    assert corpus.track_subject == ("ID1", "ID2", "ID3")
    frames = [corpus.frames[i] for i in range(corpus.start[2], corpus.stop[2])]
    assert frames == ["videos/ID1_vid1_talks.mp4#t=1.000", "videos/ID1_vid1_talks.mp4#t=1.250"]
    assert (corpus.stop - corpus.start == 2).all()
    assert np.diff(corpus.track_start).tolist() == [16, 16, 16]


def test_three_classes_nine_classes_and_the_value_are_one_rating(release: Path) -> None:
    three, nine, value = (m.read(release, PROTOCOL) for m in (DATASET, sendv1_fine.DATASET, sendv1_valence.DATASET))
    assert value.target is not None
    assert value.target[:8] == pytest.approx([-1, -0.6, -0.2, 0.2, 0.6, 1, 1, 1])
    assert value.classes == ("valence",)
    assert set(value.label.tolist()) == {0}
    assert three.target is None
    assert [three.classes[c] for c in three.label[:6]] == [
        "Negative",
        "Negative",
        "Neutral",
        "Neutral",
        "Positive",
        "Positive",
    ]
    assert [nine.classes[c] for c in nine.label[:6]] == [
        "Negative 4",
        "Negative 3",
        "Negative 1",
        "Positive 1",
        "Positive 3",
        "Positive 4",
    ]
    assert nine.absent_classes == ("Negative 2", "Neutral", "Positive 2")
    assert [c.dataset for c in (three, nine, value)] == ["sendv1", "sendv1_fine", "sendv1_valence"]
    assert len({c.sample_id for c in (three, nine, value)}) == 1
    assert three.neutral_class == CLASSES.index("Neutral")


@pytest.mark.parametrize(
    ("ewe", "three", "nine"),
    [(0, 0, 0), (33.3, 0, 2), (33.4, 1, 3), (50, 1, 4), (66.6, 1, 5), (66.7, 2, 6), (100, 2, 8)],
)
def test_the_cuts_are_those_that_are_stated(tmp_path: Path, ewe: float, three: int, nine: int) -> None:
    make(tmp_path, "Train", "1_1", {0.0: ewe}, seconds=1)
    assert read(tmp_path, PROTOCOL).classes == (CLASSES[three],)
    assert sendv1_fine.read(tmp_path, PROTOCOL).classes == (sendv1_fine.CLASSES[nine],)


def test_the_rate_changes_the_frames_and_not_the_samples(release: Path) -> None:
    slow, fast = (read(release, DATASET.changed_protocol({"rate": rate}, "test")) for rate in (2, 10))
    assert slow.sample_id == fast.sample_id
    assert slow.label.tolist() == fast.label.tolist()
    assert set((slow.stop - slow.start).tolist()) == {1}
    assert set((fast.stop - fast.start).tolist()) == {5}
    uneven = read(release, DATASET.changed_protocol({"rate": 3}, "test"))
    assert (uneven.stop - uneven.start)[:4].tolist() == [2, 1, 2, 1]


def test_times_that_wander_and_ratings_that_are_denser_are_joined_with_the_nearest_half_second(tmp_path: Path) -> None:
    file = tmp_path / "ratings.csv"
    file.write_text(OBSERVED + "0.01,50,1\n0.498,60,1\n1.02,70,1\n2.9,0,1\n3.1,100,1\n")
    step, valence = read_ratings(file, SCALES[OBSERVER])
    assert step.tolist() == [0, 1, 2, 6]
    assert valence == pytest.approx([0, 0.2, 0.4, 0.0])


def test_the_targets_own_rating_has_a_column_that_begins_with_a_space(release: Path) -> None:
    for subject, part in enumerate(("Train", "Valid", "Test"), start=1):
        file = release / "ratings" / part / "target" / f"target_{subject}_1_normal.csv"
        file.parent.mkdir()
        file.write_text("time, rating\n" + "".join(f"{k / 2}, {k / 7}\n" for k in range(8)))
    own = sendv1_valence.read(release, DATASET.changed_protocol({"rating": TARGET}, "test"))
    assert own.target is not None
    assert own.target[:8] == pytest.approx(np.linspace(-1, 1, 8))
    observed = sendv1_valence.read(release, PROTOCOL)  # where both are there, the observers count
    assert observed.target is not None
    assert observed.target[1] == pytest.approx(-0.6)


@pytest.mark.parametrize(
    "places", [("videos",) * 3, ("videos/Train", "videos/Valid", "videos/Test"), ("Videos",) * 3, (".",) * 3]
)
def test_videos_are_found_in_the_accepted_places(release: Path, places: tuple[str, ...]) -> None:
    expected = read(release, PROTOCOL)
    (release / "videos").rename(release / "elsewhere")
    for subject, place in enumerate(places, start=1):
        (release / place).mkdir(parents=True, exist_ok=True)
        shutil.move(release / "elsewhere" / f"ID{subject}_vid1_talks.mp4", release / place / f"ID{subject}_vid1.MP4")
    corpus = read(release, PROTOCOL)
    assert corpus.sample_id == expected.sample_id
    assert all((release / frame.partition("#t=")[0]).is_file() for frame in corpus.frames)
    assert corpus.notes == ()


# What does not fit together


def test_a_rating_without_its_video_is_counted_and_not_scored(release: Path) -> None:
    (release / "videos" / "ID1_vid1_talks.mp4").unlink()
    corpus = read(release, PROTOCOL)
    assert set(corpus.subject) == {"ID2", "ID3"}
    assert corpus.notes == ("1 of 3 rated clips have no video (ID1_vid1 first): not scored",)


def test_a_video_without_a_rating_is_counted_and_left_out(release: Path) -> None:
    shutil.copy(release / "videos" / "ID1_vid1_talks.mp4", release / "videos" / "ID9_vid2_talks.mp4")
    corpus = read(release, PROTOCOL)
    assert "ID9" not in corpus.subject
    assert corpus.notes == ("1 videos have no rating (ID9_vid2 first): left out",)


def test_ratings_past_the_end_of_the_video_are_counted_and_left_out(tmp_path: Path) -> None:
    make(tmp_path, "Train", "1_1", {k / 2: 10.0 * k for k in range(10)}, seconds=4)
    corpus = read(tmp_path, PROTOCOL)
    assert corpus.sample_id[-1] == "ID1_vid1@3.5"
    assert corpus.stop[-1] == len(corpus.frames) == 16
    assert corpus.notes == ("2 ratings of 1 clips lie past the end of their video (ID1_vid1: 1 s): left out",)


def test_frames_past_the_last_rating_belong_to_no_sample(tmp_path: Path) -> None:
    make(tmp_path, "Train", "1_1", {0.0: 10, 0.5: 20}, seconds=3)
    corpus = read(tmp_path, PROTOCOL)
    assert (len(corpus), int(corpus.stop.max()), len(corpus.frames)) == (2, 4, 12)


@pytest.mark.parametrize("damage", ["cut short", "no video"])
def test_a_video_that_is_damaged_costs_no_other_and_what_is_rated_is_asked_for(tmp_path: Path, damage: str) -> None:
    make(tmp_path, "Train", "1_1", {k / 2: 50 for k in range(40)}, seconds=4)
    make(tmp_path, "Train", "2_1", {0.0: 10, 0.5: 20}, seconds=3)
    if damage == "no video":
        next((tmp_path / "videos").rglob("ID1_*.mp4")).write_bytes(b"no video")
    corpus = read(tmp_path, PROTOCOL)
    assert [sample.partition("@")[0] for sample in corpus.sample_id] == ["ID1_vid1"] * 40 + ["ID2_vid1"] * 2
    assert int(corpus.stop[39]) == 80
    (note,) = corpus.notes
    assert {"cut short": "it ends at 3.8 s and its ratings at 20.0 s: copy it", "no video": "not a video"}[
        damage
    ] in note
    assert str(tmp_path) not in note
    video = tmp_path / corpus.frames[0].partition("#")[0]
    shown = [picture is not None for picture in read_frames(video, np.arange(40) / 2)]
    assert sum(shown) == (11 if damage == "cut short" else 0)  # the last picture is held for a second


def test_no_video_at_all_says_where_they_are_expected(release: Path) -> None:
    shutil.rmtree(release / "videos")
    refused(release, r"3 rated clips and 0 videos, but no clip has both: put ID###_vid#_\*\.mp4 into videos/")


def test_no_ratings_say_what_is_expected(tmp_path: Path) -> None:
    refused(tmp_path, r"no ratings of SENDv1: expected ratings/Train/observer_EWE/\.\.\.\.csv")


# Files that are wrong


def test_two_videos_that_claim_one_clip_are_refused(release: Path) -> None:
    shutil.copy(release / "videos" / "ID1_vid1_talks.mp4", release / "videos" / "ID1_vid1_again.mp4")
    refused(release, r"ID1_vid1_again\.mp4 and .*ID1_vid1_talks\.mp4 both claim to be ID1_vid1: remove one of them")


def test_a_clip_that_is_rated_in_two_parts_is_refused(release: Path) -> None:
    folder = release / "ratings"
    shutil.copy(folder / "Train" / "observer_EWE" / "results_1_1.csv", folder / "Test" / "observer_EWE")
    refused(release, r"Train/.*results_1_1\.csv and .*Test/.*results_1_1\.csv both rate ID1_vid1: remove one of them")


def test_a_video_in_the_folder_of_another_part_is_refused(release: Path) -> None:
    (release / "videos" / "Test").mkdir()
    shutil.move(release / "videos" / "ID1_vid1_talks.mp4", release / "videos" / "Test")
    refused(release, r"Test/ID1_vid1_talks\.mp4: its ratings are in Train: move the video there")


def test_a_video_with_another_extension_is_none_of_the_release(release: Path) -> None:
    video = release / "videos" / "ID1_vid1_talks.mp4"
    video.rename(video.with_suffix(".txt"))
    assert read(release, PROTOCOL).notes == ("1 of 3 rated clips have no video (ID1_vid1 first): not scored",)


@pytest.mark.parametrize("kind", ["videos", "ratings"])
def test_a_link_that_leads_out_of_the_folder_is_refused(
    release: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    file = next(iter(sorted(release.glob(f"{kind}/**/*1_*1*.*"))))
    outside = tmp_path_factory.mktemp("outside") / file.name
    shutil.move(file, outside)
    file.symlink_to(outside)
    refused(release, rf"{file.name}: the link leads out of the data folder")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"time,evaluatorWeightedEstimate\n0.0,\xff\xfe\n", "not a text file in UTF-8: copy it again"),
        (b"time,rating\n0.0,1\n", "no column 'evaluatorWeightedEstimate' in its first line"),
        (b"time,evaluatorWeightedEstimate\n0.0,many\n", "line 2: a number cannot be read: copy it again"),
        (b"time,evaluatorWeightedEstimate\n0.0\n", "line 2: a number cannot be read: copy it again"),
        (b"time,evaluatorWeightedEstimate\n0.0,50\n0.5,101\n", r"line 3: time 0\.5 and rating 101 are out of range"),
        (b"time,evaluatorWeightedEstimate\n-1,50\n", "line 2: time -1 and rating 50 are out of range"),
        (b"time,evaluatorWeightedEstimate\n0.0,nan\n", "line 2: time 0 and rating nan are out of range"),
        (b"time,evaluatorWeightedEstimate\n0.0,50\n0.0,60\n", "line 3: its time is not after that of the line before"),
        (b"time,evaluatorWeightedEstimate\n", "no rating in it: copy it again"),
        (b"", "no column 'time' in its first line"),
    ],
)  # fmt: skip
def test_a_rating_file_that_cannot_be_used_is_named(release: Path, content: bytes, message: str) -> None:
    file = release / "ratings" / "Train" / "observer_EWE" / "results_1_1.csv"
    file.write_bytes(content)
    if content.startswith(b"time,evaluator") and b"\xff" not in content:  # one clip of several: it is left out
        (note,) = [note for note in read(release, PROTOCOL).notes if "cannot be used" in note]
        assert re.search(rf"1 rated clips cannot be used and are left out: .*results_1_1\.csv[:,] {message}", note)
    else:  # a file of another kind
        refused(release, rf"results_1_1\.csv[:,] {message}")


def test_a_rate_that_would_leave_half_seconds_without_a_frame_is_refused(release: Path) -> None:
    refused(release, "protocol rate must be at least 2 frames a second, not 1", rate=1)
    refused_rating = pytest.raises(DataError, match="rating must be one of observer, target, not 'mean'")
    with refused_rating:
        DATASET.changed_protocol({"rating": "mean"}, "test")


# The twin


def test_the_twin_is_read_back(twin: Path) -> None:
    corpus = read(twin, PROTOCOL)
    assert corpus.name == "sendv1-twin"
    assert corpus.track_subject == ("ID101", "ID102", "ID201", "ID202", "ID301", "ID302")
    assert set(corpus.part) == {"train", "validation", "test"}
    assert (twin / "ratings" / "Train" / "target" / "target_101_1_normal.csv").read_text().startswith("time, rating\n")


def test_the_oracle_sees_the_picture_that_is_decoded(twin: Path) -> None:
    corpus = read(twin, PROTOCOL)
    with np.load(twin / "truth.npz") as truth:
        files = truth["files"].tolist()
    rows = truth_rows(files, corpus.frames)
    assert (rows >= 0).all()
    shown = [
        (files[row].partition("#t="), frame.partition("#t=")) for row, frame in zip(rows, corpus.frames, strict=True)
    ]
    assert all(a[0] == b[0] for a, b in shown)
    assert max(abs(float(a[2]) - float(b[2])) for a, b in shown) < 0.26  # a third of a second apart at most
    assert truth_rows(["v#t=0.000", "v#t=1.000"], ["v#t=0.500", "v#t=0.501", "w#t=0.000"]).tolist() == [0, 1, -1]


def test_floors_and_oracle_of_a_value_are_the_mean_a_draw_and_what_the_units_tell(twin: Path) -> None:
    corpus = sendv1_valence.read(twin, PROTOCOL)
    assert corpus.target is not None
    parts = split(corpus, PROTOCOL, 0, np.arange(1, len(corpus.frames) + 1, dtype=np.uint64))
    mean, drawn, seen = (baseline_scores(n, corpus, PROTOCOL, parts, seed=0) for n in ("majority", "random", "oracle"))
    assert mean == pytest.approx(np.full((len(parts.test), 1), corpus.target[parts.train].mean()))
    assert drawn.shape == seen.shape == mean.shape
    assert set(drawn[:, 0]) <= set(corpus.target[parts.train])
    assert len(set(seen[:, 0])) > 2


def test_what_the_oracle_sees_stays_within_the_track(twin: Path) -> None:
    corpus = read(twin, PROTOCOL)
    seen = shown_units(corpus, PROTOCOL, twin / "truth.npz")
    alone = first_track(corpus)
    assert np.array_equal(shown_units(alone, PROTOCOL, twin / "truth.npz"), seen[corpus.track == 0])


def first_track(corpus: Corpus) -> Corpus:
    """The corpus with its first track alone."""
    rows, end = np.flatnonzero(corpus.track == 0), int(corpus.track_start[1])
    return replace(
        corpus, frames=corpus.frames[:end], track_start=corpus.track_start[:2], track_subject=corpus.track_subject[:1],
        sample_id=tuple(corpus.sample_id[i] for i in rows), track=corpus.track[rows], start=corpus.start[rows],
        stop=corpus.stop[rows], label=corpus.label[rows], part=tuple(corpus.part[i] for i in rows),
    )  # fmt: skip


def test_the_film_at_scale_1_has_the_clips_and_subjects_of_the_release(tmp_path: Path) -> None:
    whole = film(1.0, 0, PROTOCOL, "parts")
    assert len(whole.shots) == sum(CLIPS.values()) == 193
    assert len({shot.identity for shot in whole.shots}) == sum(SUBJECTS.values()) == 49
    whole.annotate(tmp_path)
    for part, count in CLIPS.items():
        files = list((tmp_path / "ratings" / part / "observer_EWE").iterdir())
        assert len(files) == count
        assert len({file.name.split("_")[1] for file in files}) == SUBJECTS[part]
    over = []
    for shot in whole.shots:
        assert len(shot.units) == len(shot.files)
        video, _, last = shot.files[-1].partition("#t=")
        clip = Clip(*(int(word.strip("IDv")) for word in Path(video).stem.replace("vid", "").split("_")[:2]))
        (ratings,) = tmp_path.glob(f"ratings/*/observer_EWE/results_{clip.subject}_{clip.video}.csv")
        step, valence = read_ratings(ratings, SCALES[OBSERVER])
        assert step.tolist() == list(range(len(step)))
        assert np.abs(valence).max() <= 1
        over.append((len(step) - 1) / 2 - float(last))
    assert -1.6 < min(over) < -0.5 < 0.5 < max(over) < 1.0


def test_a_variable_recording_has_gaps_of_different_length_and_a_steady_one_has_not() -> None:
    steady, variable = (np.diff(picture_times(np.random.default_rng(0), v)).round(2) for v in (False, True))
    assert set(steady) == {0.12}  # an eighth, rounded
    assert len(set(variable)) > 3
    shots = film(0.05, 0, PROTOCOL, "flat").shots
    assert {Path(shot.files[0]).parent.as_posix() for shot in shots} == {"videos"}
