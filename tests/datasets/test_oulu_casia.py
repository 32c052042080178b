"""The twin is written in the official layouts and read back by the official reader."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.oulu_casia import CLASSES, DATASET, LIGHTS, MODALITIES, film, found_files, read
from ferbench.datasets.splits import split
from ferbench.datasets.synthetic.film import Film
from ferbench.datasets.synthetic.writer import write_film
from ferbench.datasets.views import instances

PROTOCOL = DATASET.protocol


def lit(modality: str = "VL", light: str = "Strong", **changes: object) -> dict[str, object]:
    return {"modality": modality, "light": light, **changes}


def protocol(changes: dict[str, object]) -> Protocol:
    return DATASET.changed_protocol(changes, "test")


def made(root: Path, subjects: int = 2, frames: int = 4, light: str = "VL_Acropped/Strong") -> Path:
    """Cropped trees of some subjects, with empty files."""
    for subject in range(1, subjects + 1):
        for emotion in CLASSES:
            folder = root / "PreProcess_Img" / light / f"P{subject:03d}" / emotion
            folder.mkdir(parents=True)
            for i in range(frames):
                (folder / f"{i:03d}.jpeg").touch()
    return root


def small_film(layout: str, modality: str = "VL") -> Film:
    """Two subjects, two frames of each sequence."""
    whole = film(0.01, 7, DATASET.changed_protocol(lit(modality), "test"), layout)
    return replace(whole, shots=tuple(replace(s, units=s.units[:2], files=s.files[:2]) for s in whole.shots))


@pytest.fixture(scope="module")
def cropped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two modalities of two subjects, in one tree."""
    folder, infrared = tmp_path_factory.mktemp("cropped") / "VL", tmp_path_factory.mktemp("cropped") / "NI"
    write_film(small_film("cropped"), folder)
    write_film(small_film("cropped", "NI"), infrared)
    (infrared / "PreProcess_Img" / "NI_Acropped").rename(folder / "PreProcess_Img" / "NI_Acropped")
    return folder


def assert_is_the_small_film(corpus: Corpus, layout: str) -> None:
    assert corpus.name == "oulu_casia-twin"
    assert corpus.classes == CLASSES
    assert corpus.sample_id == tuple(f"{subject}/{emotion}" for subject in ("P001", "P002") for emotion in CLASSES)
    assert corpus.subject == ["P001"] * 6 + ["P002"] * 6
    assert corpus.label.tolist() == [*range(6), *range(6)]
    assert (corpus.stop - corpus.start).tolist() == [2] * 12
    files = [file for shot in small_film(layout).shots for file in shot.files]
    assert [Path(frame).parts[-3:] for frame in corpus.frames] == [Path(file).parts[-3:] for file in files]
    assert all((corpus.root / frame).is_file() for frame in corpus.frames)


def test_the_cropped_tree_is_read_back(cropped: Path) -> None:
    corpus = read(cropped, PROTOCOL)
    assert_is_the_small_film(corpus, "cropped")
    assert corpus.frames[0] == "PreProcess_Img/VL_Acropped/Strong/P001/Anger/000.jpeg"


@pytest.mark.parametrize("top", ["PreProcessImg", "PreProcess"])
def test_the_other_spellings_of_the_top_folder_are_read(cropped: Path, tmp_path: Path, top: str) -> None:
    shutil.copytree(cropped / "PreProcess_Img", tmp_path / top)
    shutil.copy(cropped / "twin.json", tmp_path)
    assert_is_the_small_film(read(tmp_path, PROTOCOL), "cropped")


def test_a_mirror_without_the_top_folder_is_read(cropped: Path, tmp_path: Path) -> None:
    shutil.copytree(cropped / "PreProcess_Img" / "VL_Acropped", tmp_path / "VL")
    shutil.copy(cropped / "twin.json", tmp_path)
    corpus = read(tmp_path, PROTOCOL)
    assert_is_the_small_film(corpus, "cropped")
    assert corpus.frames[0] == "VL/Strong/P001/Anger/000.jpeg"


def test_the_original_tree_is_read_back_and_crops_come_before_it(cropped: Path, tmp_path: Path) -> None:
    write_film(small_film("original"), tmp_path / "twin")
    corpus = read(tmp_path / "twin", PROTOCOL)
    assert_is_the_small_film(corpus, "original")
    assert corpus.frames[0] == "OriginalImg/VL/Strong/P001/Anger/000.jpeg"
    assert {Image.open(corpus.root / frame).size for frame in corpus.frames} == {(320, 240)}
    shutil.copytree(cropped / "PreProcess_Img", tmp_path / "twin" / "PreProcess_Img")
    assert read(tmp_path / "twin", PROTOCOL).frames[0].startswith("PreProcess_Img/")


def test_near_infrared_is_monochrome_and_visible_light_is_not(cropped: Path) -> None:
    def colour(modality: str) -> float:
        corpus = read(cropped, DATASET.changed_protocol(lit(modality), "test"))
        pictures = np.stack([np.asarray(Image.open(cropped / frame), dtype=float) for frame in corpus.frames])
        return float(np.ptp(pictures, axis=-1).mean())

    assert colour("NI") < 1
    assert colour("VL") > 10


def test_both_modalities_of_a_subject_show_one_performance() -> None:
    visible, infrared = small_film("cropped"), small_film("cropped", "NI")
    for one, other in zip(visible.shots, infrared.shots, strict=True):
        assert one.identity == other.identity
        assert np.array_equal(one.units, other.units)
        assert one.scene != other.scene


def test_a_subject_is_in_the_same_part_in_every_modality(cropped: Path) -> None:
    folds = DATASET.changed_protocol({"folds": 2, "validation": 0.5}, "test")
    one, other = (
        read(cropped, replace(folds, options={**folds.options, **lit(modality)})) for modality in ("VL", "NI")
    )
    four = ("P001", "P002", "P003", "P004") * 3  # two subjects are too few for three parts
    one, other = (replace(corpus, track_subject=four) for corpus in (one, other))
    content = np.arange(1, 25, dtype=np.uint64)
    for fold in range(2):
        for a, b in zip(*(split(c, folds, fold, content).parts.values() for c in (one, other)), strict=True):
            assert a.tolist() == b.tolist()


@pytest.mark.parametrize(("modality", "light"), [(m, k) for m in MODALITIES for k in LIGHTS])
def test_a_subject_has_the_same_fold_in_every_modality_and_light(tmp_path: Path, modality: str, light: str) -> None:
    corpus = read(made(tmp_path, subjects=23, light=f"{modality}_Acropped/{light}"), protocol(lit(modality, light)))
    content = np.arange(1, len(corpus.frames) + 1, dtype=np.uint64)
    subject = np.array(corpus.subject)
    for fold in range(10):
        test = split(corpus, PROTOCOL, fold, content).test
        assert set(subject[test].tolist()) == {f"P{number:03d}" for number in range(fold + 1, 24, 10)}


def test_a_subject_that_is_missing_in_between_would_move_the_folds_and_is_refused(tmp_path: Path) -> None:
    shutil.rmtree(made(tmp_path, subjects=4) / "PreProcess_Img" / "VL_Acropped" / "Strong" / "P002")
    with pytest.raises(DataError, match=r"P002: this subject is missing but P004 is there: .* incomplete; copy it"):
        read(tmp_path, PROTOCOL)


def test_the_last_three_frames_may_be_samples_of_their_own(tmp_path: Path) -> None:
    corpus = read(made(tmp_path, frames=5), protocol({"sample": "last_3"}))
    assert len(corpus) == 2 * 6 * 3
    assert corpus.sample_id[:4] == ("P001/Anger/002", "P001/Anger/003", "P001/Anger/004", "P001/Disgust/002")
    assert corpus.start[:4].tolist() == [2, 3, 4, 7]
    assert (corpus.stop - corpus.start == 1).all()
    seen = instances("image", corpus, PROTOCOL, np.arange(4), 1, np.arange(4)).frames
    assert seen.ravel().tolist() == [2, 3, 4, 7]


def test_at_scale_1_the_last_three_frames_are_the_1440_images_of_the_field() -> None:
    lengths = [len(shot.files) for shot in film(1.0, 0, PROTOCOL, "cropped").shots]
    assert sum(min(3, length) for length in lengths) == 1440


@pytest.mark.parametrize(("sample", "a_sequence"), [("sequence", 1), ("last_3", 3)])
def test_first_frames_may_be_a_seventh_class(tmp_path: Path, sample: str, a_sequence: int) -> None:
    chosen = protocol({"classes": "six+neutral", "sample": sample, "neutral": "enrolment_frame"})
    corpus = read(made(tmp_path, frames=5), chosen)
    assert corpus.classes == (*CLASSES, "Neutral")
    assert corpus.neutral_class == 6
    neutral = corpus.label == 6
    assert corpus.start[neutral].tolist() == corpus.track_start[:-1].tolist()
    assert np.bincount(corpus.label).tolist() == [2 * a_sequence] * 6 + [12]
    shown = np.concatenate([np.arange(a, b) for a, b in zip(corpus.start, corpus.stop, strict=True)])
    assert len(set(shown.tolist())) == len(shown)  # no frame has two labels
    pairs = instances("pair", corpus, chosen, np.arange(len(corpus)), 1, np.arange(len(corpus)))
    assert (pairs.frames[:, 0] != pairs.frames[:, 1]).all()
    subject = np.repeat(np.array(corpus.track_subject), np.diff(corpus.track_start))
    assert (subject[pairs.frames[:, 0]] == subject[pairs.frames[:, 1]]).all()


def test_a_neutral_sample_is_not_its_own_reference(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="would be its own reference: set neutral to enrolment_frame"):
        read(made(tmp_path), protocol({"classes": "six+neutral"}))


def test_the_film_at_scale_1_has_the_counts_of_the_release() -> None:
    whole = film(1.0, 0, PROTOCOL, "cropped")
    lengths = [len(shot.files) for shot in whole.shots]
    assert len(whole.shots) == 480
    assert len({shot.identity for shot in whole.shots}) == 80
    assert min(lengths) >= 9
    assert max(lengths) <= 72
    assert np.median(lengths) == pytest.approx(21, abs=1)
    assert len({shot.scene for shot in whole.shots}) == 480
    assert all(shot.units.shape[0] == len(shot.files) for shot in whole.shots)


def test_a_film_is_drawn_from_its_seed_and_a_smaller_one_is_its_beginning() -> None:
    whole, part, other = film(0.1, 0, PROTOCOL, "cropped"), film(0.05, 0, PROTOCOL, "cropped"), film(0.05, 1, PROTOCOL, "cropped")  # fmt: skip # noqa: E501
    for one, again in zip(whole.shots, part.shots, strict=False):
        assert one.identity == again.identity
        assert np.array_equal(one.units, again.units)
    assert not {shot.identity for shot in whole.shots} & {shot.identity for shot in other.shots}


def test_a_frame_that_is_missing_in_between_keeps_its_place(tmp_path: Path) -> None:
    for name in ("000.jpeg", "003.jpeg", "Thumbs.db"):
        (tmp_path / name).touch()
    files = found_files(tmp_path.parent, tmp_path.parent, tmp_path.name)
    assert [file.rpartition("/")[2] for file in files] == ["000.jpeg", "001.jpeg", "002.jpeg", "003.jpeg"]


def test_a_sequence_that_is_missing_is_counted_and_many_are_refused(tmp_path: Path) -> None:
    tree = made(tmp_path, subjects=3) / "PreProcess_Img" / "VL_Acropped" / "Strong"
    shutil.rmtree(tree / "P002" / "Fear")
    corpus = read(tmp_path, PROTOCOL)
    assert len(corpus) == 17
    assert corpus.notes[0].startswith("1 sequences cannot be used and are left out: PreProcess_Img/VL_Acropped/Strong/")
    enrolled = read(tmp_path, protocol({"classes": "six+neutral", "neutral": "enrolment_frame"}))
    assert enrolled.track_neutral is not None
    assert {enrolled.track_subject[np.searchsorted(enrolled.track_start, f, "right") - 1] for f in
            enrolled.track_neutral[6:11].tolist()} == {"P002"}  # fmt: skip
    for emotion in ("Anger", "Disgust", "Surprise"):
        shutil.rmtree(tree / "P002" / emotion)
    with pytest.raises(DataError, match=r"P002/Anger: no frames of this sequence: .*4 of 18 sequences cannot be used"):
        read(tmp_path, PROTOCOL)


def test_a_light_that_is_not_there_is_an_error_that_says_what_is_expected(cropped: Path) -> None:
    with pytest.raises(DataError, match="no Oulu-CASIA tree for VL/Dark: expected PreProcess_Img/VL_Acropped"):
        read(cropped, DATASET.changed_protocol(lit(light="Dark"), "test"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"light": "Bright"}, "x: light must be one of Strong, Weak, Dark, not 'Bright'"),
        (
            {"lights": "Dark"},
            "x: unknown protocol key 'lights': use one of classes, context, .*light, missing, modality",
        ),
        ({"folds": "ten"}, "x: protocol key 'folds' takes a int, not 'ten'"),
        ({"folds": 0}, "x: folds must be 1 to 10000, not 0"),
        ({"folds": 10**8}, "x: folds must be 1 to 10000, not 100000000"),
        ({"context": 10**9}, "x: context must be 0 .the sample alone. or a number of frames up to 10000"),
        ({"validation": 1.0}, "x: validation must be a share between 0 and 1"),
        (
            {"neutral": "last_frame"},
            "x: neutral must be one of first_frame, training_neutral, enrolment_frame, not 'last_frame'",
        ),
        ({"missing": "drop"}, "x: missing must be"),
    ],
)
def test_a_wrong_protocol_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        DATASET.changed_protocol(changes, "x")
