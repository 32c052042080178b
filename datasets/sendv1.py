"""SENDv1: people tell of their lives before a camera, and observers rate how they feel, every half second.

Ong, Wu, Zhi-Xuan, Reddan, Kahhale, Mattek, Zaki: "Modeling emotion in complex stories: the Stanford Emotional
Narratives Dataset", IEEE Transactions on Affective Computing 12(3), 2021 (arXiv 1912.05008). Layout:

    ratings/{Train,Valid,Test}/observer_EWE/results_112_1.csv      time,evaluatorWeightedEstimate,SDofEWE   (0..100)
    ratings/{Train,Valid,Test}/target/target_112_1_normal.csv      time, rating                             (0..1)
    videos/{Train,Valid,Test}/ID112_vid1_*.mp4                     or flat in videos/, or beside ratings/

`112_1` and `ID112_vid1` are one clip: subject 112, video 1. `Videos` is read like `videos`. 193 clips are rated, and
the videos of 112 of them may be shared: a rating without its video is counted in a note and not scored.

Protocol: official parts, disjoint in subjects; Valid is the validation part. Who rates is the option `rating`: the
observers' evaluator weighted estimate (EWE), which the official score is taken against, or the target's own rating.
Valence is x / 50 - 1 of an EWE x, 2x - 1 of the target's x. A sample is half a second, [t, t + 0.5): its valence is
the mean of the ratings nearest to t, its frames those of that time. Ratings are joined with frames by time alone; they
are neither smoothed nor shifted (observers answer late by a second or more; nothing corrects for it). A rating past
the end of its video has no frame and is left out, with a note. Frames are taken `rate` times a second, by time stamp.

Three tasks read the same folder. `sendv1`: valence in three classes of the same width, negative below -1/3, positive
from 1/3 on. `sendv1_fine`: nine, cut at -7/9, -5/9, ..., 7/9, three to each of the former. `sendv1_valence`: the value
itself, scored by the mean over videos of the concordance correlation coefficient (CCC). The cuts are this project's.
A value on a cut belongs to the class above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.containment import refuse_link_outside
from ferbench.datasets.corpus import Corpus, DataError, keep_present_classes
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.spelling import csv_rows
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.expressions import add_blinks, add_speech, expression_units
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.video import frame_name, read_duration, sample_times

CLASSES = ("Negative", "Neutral", "Positive")
PARTS = {"Train": "train", "Valid": "validation", "Test": "test"}
"""Official part -> what the harness calls it."""
STEP = 0.5
"""Seconds of a sample."""
OBSERVER, TARGET = "observer", "target"
CLIPS = {"Train": 114, "Valid": 40, "Test": 39}
SHARED = {"Train": 54, "Valid": 27, "Test": 31}
"""Clips whose video may be shared."""
SUBJECTS = {"Train": 29, "Valid": 10, "Test": 10}
LAYOUTS = ("parts", "flat")


class Clip(NamedTuple):
    """A story: who tells it, and which of theirs it is."""

    subject: int
    video: int

    def __str__(self) -> str:
        return f"ID{self.subject}_vid{self.video}"


@dataclass(frozen=True)
class Scale:
    """A kind of rating file: its columns, and what its numbers lie between."""

    pattern: str
    name: re.Pattern[str]
    column: str
    top: float


SCALES = {
    OBSERVER: Scale("observer_EWE/*.csv", re.compile(r"results_(\d+)_(\d+)\.csv"), "evaluatorWeightedEstimate", 100),
    TARGET: Scale("target/*.csv", re.compile(r"target_(\d+)_(\d+)_normal\.csv"), "rating", 1),
}
VIDEO = re.compile(r"ID(\d+)_vid(\d+)(?:_.*)?\.mp4", re.IGNORECASE)


@dataclass(frozen=True)
class Story:
    """A clip with its video and the samples that have frames."""

    clip: Clip
    part: str
    video: str
    """Below the root."""
    times: NDArray[np.float64]
    """Of its frames, in seconds."""
    steps: NDArray[np.int64]
    """Which half second each sample is."""
    valence: NDArray[np.float64]
    """Of each sample, -1 to 1."""
    past_the_end: int
    """Rated half seconds without a frame."""
    fault: str = ""
    """Why the frames of the whole clip are asked for, though its video does not have them."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens it as three classes of valence; see `open_stories` for what it raises."""
    return classified(root, protocol, "sendv1", CLASSES)


def classified(root: Path, protocol: Protocol, name: str, classes: tuple[str, ...]) -> Corpus:
    """The corpus with valence cut into classes of the same width, the lowest first, the middle one neutral."""
    corpus = open_stories(root, protocol, name)
    assert corpus.target is not None
    label = np.minimum(((corpus.target + 1) / 2 * len(classes) + 1e-9).astype(np.int64), len(classes) - 1)
    return keep_present_classes(
        replace(corpus, classes=classes, label=label, target=None, neutral_class=len(classes) // 2)
    )


def open_stories(root: Path, protocol: Protocol, name: str) -> Corpus:
    """Opens ratings and videos; `target` is valence, and there is one class.

    Raises:
        DataError: no ratings, or no video of any; a file that cannot be used; two files for one clip.
    """
    rate = protocol.options["rate"]
    if rate * STEP < 1:
        raise DataError(f"{name}: protocol rate must be at least {1 / STEP:g} frames a second, not {rate}")
    ratings, videos = find_ratings(root, protocol.options["rating"]), find_videos(root)
    if not ratings.keys() & videos.keys():
        raise DataError(f"{root}: {len(ratings)} rated clips and {len(videos)} videos, but no clip has both: put "
                        "ID###_vid#_*.mp4 into videos/, or into videos/Train, Valid and Test")  # fmt: skip
    scale = SCALES[protocol.options["rating"]]
    stories, skipped = [], Skipped("rated clips")
    for clip, (part, file) in sorted(ratings.items()):
        if clip in videos:
            try:
                stories.append(open_story(root, clip, part, file, videos[clip], scale, rate))
            except ItemError as error:
                skipped.add(error)
    left_out = skipped.notes(len(stories), root)
    return corpus_of(root, name, stories, (*notes_of(stories, ratings, videos), *left_out))


def find_ratings(root: Path, rating: str) -> dict[Clip, tuple[str, Path]]:
    """The part and the file of each clip that is rated.

    Raises:
        DataError: there are none, or a clip is rated in two files.
    """
    scale = SCALES[rating]
    found: dict[Clip, tuple[str, Path]] = {}
    for part in PARTS:
        for file in sorted((root / "ratings" / part).glob(scale.pattern)):
            match = scale.name.fullmatch(file.name)
            if match is None or not file.is_file():
                continue
            refuse_link_outside(root, file)
            clip = Clip(*map(int, match.groups()))
            if clip in found:
                raise DataError(f"{found[clip][1]} and {file} both rate {clip}: remove one of them")
            found[clip] = part, file
    if not found:
        raise DataError(f"{root}: no ratings of SENDv1: expected ratings/Train/{scale.pattern.replace('*', '...')}")
    return found


def find_videos(root: Path) -> dict[Clip, Path]:
    """The video of each clip, in any of the accepted places.

    Raises:
        DataError: two videos claim to be one clip; a link leads out of the folder.
    """
    found: dict[Clip, Path] = {}
    for top in (root, *sorted(root.glob("[Vv]ideos"))):
        for folder in (top, *(top / part for part in PARTS)):
            for file in sorted(folder.glob("*.[mM][pP]4")):
                match = VIDEO.fullmatch(file.name)
                if match is None or not file.is_file():
                    continue
                refuse_link_outside(root, file)
                clip = Clip(*map(int, match.groups()))
                if clip in found:
                    raise DataError(f"{found[clip]} and {file} both claim to be {clip}: remove one of them")
                found[clip] = file
    return found


def open_story(root: Path, clip: Clip, part: str, ratings: Path, video: Path, scale: Scale, rate: int) -> Story:
    """Joins a clip's ratings with the frames of its video, on time.

    Of a video that is cut short or cannot be decoded all that is rated is asked for: what is lost is counted then.

    Raises:
        DataError: the video lies in another part than its ratings.
    """
    if video.parent.name in PARTS and video.parent.name != part:
        raise DataError(f"{video}: its ratings are in {part}: move the video there")
    steps, valence = read_ratings(ratings, scale)
    end, fault = (steps[-1] + 1) * STEP, ""
    try:
        times = sample_times(read_duration(video), rate)
    except DataError as error:
        times, fault = sample_times(0, rate), str(error).replace(f"{root}/", "")
    seen = np.searchsorted(times, (steps + 1) * STEP - 1e-6) > np.searchsorted(times, steps * STEP - 1e-6)
    if seen.sum() <= len(steps) / 2:
        fault = (
            fault
            or f"{video.relative_to(root)}: it ends at {times[-1]:.1f} s and its ratings at {end:.1f} s: copy it again"
        )
        times, seen = sample_times(end, rate), np.ones_like(seen)
    name = video.relative_to(root).as_posix()
    return Story(clip, PARTS[part], name, times, steps[seen], valence[seen], int((~seen).sum()), fault)


def read_ratings(file: Path, scale: Scale) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The half seconds that are rated, ascending, and the valence (-1 to 1) of each.

    Raises:
        DataError: not a CSV file of this kind, a number that cannot be, or a time that comes twice.
    """
    rows = list(csv_numbers(file, scale))
    if not rows:
        raise ItemError(f"{file}: no rating in it: copy it again")
    time, value = np.array(rows).T
    if (np.diff(time) <= 0).any():
        line = int(np.flatnonzero(np.diff(time) <= 0)[0]) + 3
        raise ItemError(f"{file}, line {line}: its time is not after that of the line before: each is rated once")
    step, place = np.unique(np.floor(time / STEP + 0.5).astype(np.int64), return_inverse=True)
    mean = np.bincount(place, weights=value) / np.bincount(place)
    return step, mean / scale.top * 2 - 1


def csv_numbers(file: Path, scale: Scale) -> Iterator[tuple[float, float]]:
    """Time and rating of each line. Names of columns may begin with a space, as those of the release do."""
    for line, row in csv_rows(file, ("time", scale.column)):
        try:
            time, value = float(row["time"]), float(row[scale.column.lower()])
        except (ValueError, KeyError):
            raise ItemError(f"{file}, line {line}: a number cannot be read: copy it again") from None
        if not (0 <= value <= scale.top and 0 <= time < np.inf):
            raise ItemError(f"{file}, line {line}: time {time:g} and rating {value:g} are out of range: times begin at "
                            f"0, ratings are 0 to {scale.top:g}")  # fmt: skip
        yield time, value


def notes_of(stories: list[Story], ratings: dict[Clip, tuple[str, Path]], videos: dict[Clip, Path]) -> Iterator[str]:
    """What a reader of the board must know: clips that lack a video or a rating, ratings past the end."""
    absent, unrated = sorted(ratings.keys() - videos.keys()), sorted(videos.keys() - ratings.keys())
    if absent:
        yield f"{len(absent)} of {len(ratings)} rated clips have no video ({absent[0]} first): not scored"
    if unrated:
        yield f"{len(unrated)} videos have no rating ({unrated[0]} first): left out"
    faults = [story.fault for story in stories if story.fault]
    if faults:
        yield f"{len(faults)} videos are cut short or cannot be decoded ({faults[0]})"
    past = [story for story in stories if story.past_the_end]
    if past:
        worst = max(past, key=lambda story: story.past_the_end)
        yield (f"{sum(story.past_the_end for story in past)} ratings of {len(past)} clips lie past the end of their "
               f"video ({worst.clip}: {worst.past_the_end * STEP:g} s): left out")  # fmt: skip


def corpus_of(root: Path, name: str, stories: list[Story], notes: tuple[str, ...]) -> Corpus:
    """One track a story; frames that no rating belongs to are there for the context."""
    begin = np.cumsum([0, *(len(story.times) for story in stories)])
    start, stop = (
        np.concatenate([
            first + np.searchsorted(story.times, (story.steps + shift) * STEP - 1e-6)
            for first, story in zip(begin, stories, strict=False)
        ])
        for shift in (0, 1)
    )  # fmt: skip
    return Corpus(
        dataset=name,
        root=root,
        classes=("valence",),
        frames=tuple(frame_name(story.video, time) for story in stories for time in story.times.tolist()),
        track_start=begin.astype(np.int64),
        track_subject=tuple(f"ID{story.clip.subject}" for story in stories),
        sample_id=tuple(f"{story.clip}@{step * STEP:.1f}" for story in stories for step in story.steps.tolist()),
        track=np.repeat(np.arange(len(stories)), [len(story.steps) for story in stories]),
        start=start.astype(np.int64),
        stop=stop.astype(np.int64),
        label=np.zeros(len(start), dtype=np.int64),
        part=tuple(story.part for story in stories for _ in story.steps),
        target=np.concatenate([story.valence for story in stories]),
        notes=notes,
    )


@dataclass(frozen=True)
class Telling:
    """A clip of the twin: what was felt, and when each picture was taken."""

    clip: Clip
    part: str
    times: NDArray[np.float64]
    """(T,) seconds."""
    valence: NDArray[np.float64]
    """(T,) -1 to 1."""
    noise: int
    """Number that the raters' errors are drawn from."""


def film(scale: float, seed: int, protocol: Protocol, layout: str, test_scale: float | None = None) -> Film:
    """The twin: `scale` x the clips, of all subjects if there are as many clips, stories of 18 to 32 seconds, the first
    of each part recorded at a variable frame rate."""
    shots, tellings = [], []
    for number, part in enumerate(PARTS, start=1):
        share = test_scale if part == "Test" and test_scale is not None else scale
        clips = max(2, round(CLIPS[part] * share))
        people = min(clips, SUBJECTS[part])
        for i in range(clips):
            clip = Clip(100 * number + 1 + i % people, 1 + i // people)
            names = ("sendv1", seed, part, i)
            rng = np.random.default_rng(number_of("story", *names))
            times = picture_times(rng, variable=i == 0)
            valence = valence_over_time(times, rng)
            folder = "videos" if layout == "flat" else f"videos/{part}"
            tellings.append(Telling(clip, part, times, valence, number_of("raters", *names)))
            shots.append(
                Shot(
                    identity=number_of("twin", "sendv1", seed, clip.subject),
                    units=told(valence, rng),
                    scene=number_of("scene", *names),
                    files=tuple(frame_name(f"{folder}/{clip}_twin.mp4", time) for time in times.tolist()),
                    style="talk",
                )
            )
    return Film(
        "sendv1", scale, seed, tuple(shots), annotate=lambda root: write_ratings(root, tellings), test_scale=test_scale
    )


def picture_times(rng: np.random.Generator, variable: bool) -> NDArray[np.float64]:
    """(T,) seconds at which pictures are taken: 8 a second, or at intervals from a twelfth to a third of a second."""
    duration = rng.uniform(18, 32)
    if not variable:
        return np.arange(round(duration * 8)) / 8
    gaps = rng.choice([1 / 12, 1 / 8, 1 / 6, 1 / 3], size=round(duration * 12), p=[0.4, 0.3, 0.2, 0.1])
    times = np.concatenate([[0.0], np.cumsum(gaps)]).round(3)
    return np.asarray(times[times < duration])


def valence_over_time(times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(T,) valence: from 0 at the start to where the story leads, in turns of about four seconds."""
    turns = np.arange(0, times[-1] + 8, 4.0)
    level = np.clip(rng.normal(rng.normal(0, 0.3), 0.5, len(turns)), -0.95, 0.95)
    level[0] = 0
    place = times / 4
    before = place.astype(np.int64)
    ease = (1 - np.cos(np.pi * (place - before))) / 2
    return np.asarray(level[before] * (1 - ease) + level[before + 1] * ease)


def told(valence: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """(T,A) units of somebody who feels so and talks all the while."""
    glad = expression_units("Happiness", rng, strength=rng.uniform(0.75, 1.0))
    low = expression_units(("Sadness", "Anger", "Disgust")[rng.integers(3)], rng, strength=rng.uniform(0.75, 1.0))
    amount = np.minimum(1.2 * np.abs(valence), 1)[:, None]
    units = amount * np.where(valence[:, None] > 0, glad, low)
    return add_blinks(add_speech(units, rng, rng.uniform(0.3, 0.6)), rng, 0.04).astype(np.float32)


def write_ratings(root: Path, tellings: list[Telling]) -> None:
    """Rating files of the release; they end up to a second before or after the video does."""
    for telling in tellings:
        rng = np.random.default_rng(telling.noise)
        end = telling.times[-1] + rng.uniform(-1, 1)
        time = np.arange(0, end, STEP)
        felt = np.interp(time, telling.times, telling.valence)
        wander = np.convolve(rng.normal(0, 0.12, len(time) + 4), np.ones(5) / 5, mode="valid")
        observed = np.clip(felt + wander, -1, 1) * 50 + 50
        own = np.clip(0.5 + felt * rng.uniform(0.35, 0.65) + rng.normal(0, 0.05), 0, 1)
        spread = rng.uniform(5, 20, len(time))
        names = f"{telling.clip.subject}_{telling.clip.video}"
        folder = root / "ratings" / telling.part
        write_csv(folder / "observer_EWE" / f"results_{names}.csv", "time,evaluatorWeightedEstimate,SDofEWE",
                  np.stack([time, observed, spread], axis=1))  # fmt: skip
        write_csv(folder / "target" / f"target_{names}_normal.csv", "time, rating", np.stack([time, own], axis=1))


def write_csv(file: Path, header: str, rows: NDArray[np.float64]) -> None:
    """Numbers with a header, as the release writes them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(file, rows, fmt="%.6g", delimiter=",", header=header, comments="")


PROTOCOL = Protocol(folds=1, image_frames=2, neutral="first_frame", context=12, options={"rating": OBSERVER, "rate": 4})
"""A clip sees 12 frames, three seconds; an image the two of its half second. A story has no neutral picture: that with
which it begins stands in for one."""

DATASET = DataSet(
    name="sendv1",
    title="SENDv1",
    source="Ong et al., IEEE Transactions on Affective Computing 12(3), 2021 (arXiv 1912.05008)",
    licence="on request from the Stanford Social Neuroscience Laboratory; research only",
    classes=CLASSES,
    protocol=PROTOCOL,
    options={"rating": (OBSERVER, TARGET)},
    official_counts={f"{PARTS[part]} tracks": count for part, count in SHARED.items()},
    marks=("ratings",),
    layouts=LAYOUTS,
    official_test=True,
    read=read,
    film=film,
)
