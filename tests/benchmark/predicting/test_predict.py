"""Expressions in people's own pictures and videos, from the file to the table, the plot and the overlay."""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ferbench.benchmark.commands.faces import cut_faces
from ferbench.benchmark.commands.predict import Request, predict
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.kept import About, Kept, keep
from ferbench.benchmark.measures.calibration import calibrated
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.predicting.media import media_of, read_picture
from ferbench.benchmark.predicting.timeline import Person, Place, _inputs, answered
from ferbench.benchmark.records.record import WEIGHTS
from ferbench.datasets.augmentation import normalise
from ferbench.datasets.faces.crops import whole
from ferbench.datasets.folder import DATASET
from ferbench.datasets.video import write_video
from tests.benchmark.written_cells import write_cell
from tests.datasets.faces.test_faces import scene

CLASSES = ("Anger", "Happiness", "Neutral")
VIEWS = {"image": "cnn", "pair": "difference_of_embeddings", "clip": "c3d", "sequence": "residual_attention_ed_tcn"}


def kept_as(name: str, file: Path, value: bool = False, temperature: float = 2.0) -> Path:
    torch.manual_seed(0)
    classes = ("valence",) if value else CLASSES
    model = architectures.get(name).sizes["tiny"].build(len(classes)).eval()
    about = About("0.1.0", name, "tiny", "faces", classes, value, {}, "k", 0.5, temperature)
    keep(file, model, about)
    return file


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, eight pictures a second, a face that moves."""
    file = tmp_path_factory.mktemp("video") / "v.mp4"
    write_video(file, np.stack([scene((60 + 4 * i, 60, 140)) for i in range(16)]), np.arange(16) / 8)
    return file


def asked(cell: object, *inputs: Path, **changes: Any) -> Request:
    plain = {"out": None, "faces": "whole", "rate": 8, "window": 2, "plot": None, "overlay": None,
             "results": Path("nowhere")}  # fmt: skip
    return Request(str(cell), tuple(inputs), **{**plain, **changes})


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_answers_every_time(video: Path, tmp_path: Path, view: str) -> None:
    cell = kept_as(VIEWS[view], tmp_path / WEIGHTS)
    predict(asked(cell, video, out=tmp_path / "t.parquet"))
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert table["second"].tolist() == [i / 8 for i in range(16)]
    assert np.allclose(table[list(CLASSES)].sum(axis=1), 1, atol=1e-5)
    assert (table["predicted"] == table[list(CLASSES)].idxmax(axis=1)).all()


def test_a_picture_is_answered_as_the_model_answers_it(tmp_path: Path) -> None:
    picture = scene((100, 60, 200), width=360)
    Image.fromarray(picture).save(tmp_path / "a.png")
    cell = kept_as("cnn", tmp_path / WEIGHTS)
    predict(asked(cell, tmp_path / "a.png", out=tmp_path / "t.csv"))
    torch.manual_seed(0)
    model = architectures.get("cnn").sizes["tiny"].build(3).eval()
    shown = torch.from_numpy(whole(picture).of(picture, 48)[None].copy())
    said = torch.softmax(model(normalise(shown[:, None]).squeeze(1)), 1).detach().double().numpy()
    found = pd.read_csv(tmp_path / "t.csv")[list(CLASSES)].to_numpy()
    assert np.allclose(found, calibrated(said, 2.0), atol=1e-5)


def test_a_value_is_answered_as_it_is(video: Path, tmp_path: Path) -> None:
    cell = kept_as("cnn", tmp_path / WEIGHTS, value=True)
    predict(asked(cell, video, out=tmp_path / "t.csv", plot=tmp_path / "p.png"))
    assert "value" in pd.read_csv(tmp_path / "t.csv")


def test_the_inputs_of_each_view_are_those_of_training() -> None:
    own, times = np.arange(100, 110), np.arange(10) / 8
    rows, places = _inputs("image", 1, own, times, 2)
    assert (rows[:, 0] == own).all()
    assert (places == np.arange(10)).all()
    rows, _ = _inputs("pair", 2, own, times, 2)
    assert (rows[:, 0] == 100).all()
    assert (rows[:, 1] == own).all()
    rows, _ = _inputs("clip", 4, own, times, 1.0)
    assert rows[5].tolist() == [102, 104, 106, 108]
    assert (np.diff(rows, axis=1) >= 0).all()
    rows, places = _inputs("sequence", 4, own, times, 2)
    assert rows.tolist() == [[100, 101, 102, 103], [104, 105, 106, 107], [106, 107, 108, 109]]
    rows, places = _inputs("sequence", 16, own[:3], times[:3], 2)
    assert rows[0].tolist() == [100, 101, 102, *[102] * 13]
    assert set(places.ravel()) == {0, 1, 2}


def test_faces_are_found_and_drawn(finder: object, video: Path, tmp_path: Path) -> None:
    cell = kept_as("cnn", tmp_path / WEIGHTS)
    predict(asked(cell, video, faces="found", out=tmp_path / "t.csv", plot=tmp_path / "p.svg", overlay=tmp_path / "o"))
    table = pd.read_csv(tmp_path / "t.csv")
    assert set(table["face"]) == {1}
    assert len(table) >= 14
    assert table["x"].is_monotonic_increasing or table["x"].corr(table["second"]) > 0.95
    assert (tmp_path / "p.svg").read_bytes().startswith(b"<?xml")
    with av.open(str(tmp_path / "o" / "v.mp4")) as opened:
        frames = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    assert len(frames) == 16
    assert frames[0].shape == (360, 480, 3)


def test_inputs_of_one_name_do_not_overwrite_each_other(video: Path, tmp_path: Path) -> None:
    for folder, name in (("one", "v.mp4"), ("two", "V.mp4"), ("two", "v.jpeg")):
        (tmp_path / folder).mkdir(exist_ok=True)
        if name.endswith("mp4"):
            shutil.copy(video, tmp_path / folder / name)
        else:
            Image.new("RGB", (64, 64)).save(tmp_path / folder / name)
    cell = kept_as("cnn", tmp_path / WEIGHTS)
    predict(asked(cell, tmp_path / "one", tmp_path / "two", plot=tmp_path / "p.png", overlay=tmp_path / "o"))
    assert sorted(file.name for file in (tmp_path / "o").iterdir()) == ["V-2.mp4", "v-3.png", "v.mp4"]
    assert sorted(file.name for file in tmp_path.glob("p*.png")) == ["p-V-2.png", "p-v.png"]


def test_nothing_is_written_that_was_not_asked_for(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = kept_as("cnn", tmp_path / WEIGHTS)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    predict(asked(cell, video))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_video_without_a_face_has_no_answers(
    finder: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_video(tmp_path / "v.mp4", np.stack([scene()] * 8), np.arange(8) / 8)
    predict(asked(kept_as("cnn", tmp_path / WEIGHTS), tmp_path / "v.mp4", faces="found", out=tmp_path / "t.csv",
                  plot=tmp_path / "p.png"))  # fmt: skip
    assert pd.read_csv(tmp_path / "t.csv").empty
    assert "0 faces, 0 answers; 8 of 8 frames show no face" in capsys.readouterr().err


def test_one_frame_is_enough(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", np.stack([scene((60, 60, 140))]), np.zeros(1))
    for name in VIEWS.values():
        predict(asked(kept_as(name, tmp_path / WEIGHTS), tmp_path / "v.mp4", rate=1, out=tmp_path / "t.csv"))
        assert len(pd.read_csv(tmp_path / "t.csv")) == 1


def film(file: Path, codec: str, pixels: str, times: np.ndarray) -> Path:
    """A face that moves, at these seconds, in a file of this kind."""
    with av.open(str(file), "w") as video:
        stream = video.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 480, 360, pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for i, second in enumerate(times.tolist()):
            frame = av.VideoFrame.from_ndarray(scene((60 + 4 * i, 60, 140)), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = round(second * 1000), Fraction(1, 1000)
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return file


def test_a_video_of_ten_bits_a_colour_is_answered_as_one_of_eight(tmp_path: Path) -> None:
    cell, found = kept_as("cnn", tmp_path / WEIGHTS), []
    for name, pixels in (("deep.mkv", "yuv420p10le"), ("plain.mkv", "yuv420p")):
        predict(asked(cell, film(tmp_path / name, "ffv1", pixels, np.arange(16) / 8), out=tmp_path / "t.csv"))
        found.append(pd.read_csv(tmp_path / "t.csv"))
    assert found[0]["second"].tolist() == found[1]["second"].tolist() == [i / 8 for i in range(16)]
    assert np.allclose(found[0][list(CLASSES)], found[1][list(CLASSES)], atol=2e-3)


def test_a_video_that_is_cut_short_is_answered_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = film(tmp_path / "whole.mkv", "ffv1", "yuv420p", np.arange(32) / 8)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    cell = kept_as("cnn", tmp_path / WEIGHTS)
    found = {}
    for name in ("whole", "cut"):
        predict(asked(cell, tmp_path / f"{name}.mkv", out=tmp_path / "t.csv"))
        found[name] = pd.read_csv(tmp_path / "t.csv")
    assert "8 of 32 frames cannot be read" in capsys.readouterr().err
    assert len(found["cut"]) == 24  # the last frame that is there stands for a second
    same = [*CLASSES, "second"]
    pd.testing.assert_frame_equal(found["cut"][same].head(15), found["whole"][same].head(15))


def test_a_hundred_faces_are_numbered_and_answered(finder: object, tmp_path: Path) -> None:
    face = scene((20, 20, 80), width=120, height=120)
    Image.fromarray(np.tile(face, (10, 10, 1))).save(tmp_path / "crowd.png")
    predict(asked(kept_as("cnn", tmp_path / WEIGHTS), tmp_path / "crowd.png", faces="found", out=tmp_path / "t.csv"))
    table = pd.read_csv(tmp_path / "t.csv")
    assert len(table) >= 90
    assert table["face"].tolist() == list(range(1, len(table) + 1))
    assert len(table[["x", "y"]].drop_duplicates()) == len(table)


PICTURES = {
    "palette.png": lambda i: i.quantize(256),
    "cmyk.jpg": lambda i: i.convert("CMYK"),
    "grey.png": lambda i: i.convert("L"),
    "16bit.png": lambda i: Image.fromarray(np.asarray(i.convert("L")).astype(np.uint16) * 257),
    "alpha.png": lambda i: i.convert("RGBA"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_every_kind_are_read(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(scene((100, 60, 200)))
    PICTURES[name](image).save(tmp_path / name)
    found = read_picture(tmp_path / name)
    assert found is not None
    grey = np.asarray(image.convert("L")).astype(int)
    assert np.abs(np.asarray(Image.fromarray(found).convert("L")).astype(int) - grey).mean() < 6


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    image = Image.fromarray(scene((100, 60, 200)))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = read_picture(tmp_path / "a.jpg")
    assert found is not None
    assert found.shape == (360, 480, 3)


def test_a_huge_picture_is_read_smaller(tmp_path: Path) -> None:
    Image.new("L", (20_000, 20_000), 128).save(tmp_path / "huge.png", compress_level=1)
    found = read_picture(tmp_path / "huge.png")
    assert found is not None
    assert max(found.shape) == 4096
    assert read_picture(tmp_path / "nowhere.png") is None


def test_what_is_not_there_or_no_medium_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "bad.mp4").write_bytes(b"x" * 100)
    for place, said in (
        ("nowhere.png", "no such file or folder"), ("empty", "no picture and no video in it"),
        ("a.txt", "neither a picture nor a video"), ("bad.mp4", "bad.mp4"),
    ):  # fmt: skip
        with pytest.raises(RequestError, match=re.escape(said)) as caught:
            media_of([tmp_path / place], 8)
        assert "\n" not in str(caught.value)
    Image.new("RGB", (50, 50)).save(tmp_path / "good.png")
    assert [medium.file.name for medium in media_of([tmp_path], 8)] == ["good.png"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"faces": "some"}, "--faces some: use found or whole"),
        ({"out": Path("t.xlsx")}, "t.xlsx: name it .csv or .parquet"),
        ({"plot": Path("p.gif")}, "p.gif: name it .png or .svg"),
    ],
)
def test_a_wrong_request_is_told(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=re.escape(said)):
        predict(asked("a.safetensors", tmp_path, **changes))


def test_a_cell_without_weights_says_how_to_get_them(video: Path, tmp_path: Path) -> None:
    write_cell(tmp_path, "c3d", asked=["--suite", "default"])
    with pytest.raises(RequestError, match="run it again with python -m benchmark run --suite default --keep all"):
        predict(asked("default/oulu_casia/c3d", video, results=tmp_path))


def test_weights_of_others_are_refused(video: Path, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(RequestError, match="weights without what they are"):
        predict(asked(tmp_path / "a.safetensors", video))


def test_a_folder_that_cannot_be_written_is_told(video: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RequestError, match="cannot be written"):
        predict(asked(kept_as("cnn", tmp_path / WEIGHTS), video, out=tmp_path / "file" / "t.csv"))
    with pytest.raises(RequestError, match="cannot be written"):
        predict(asked(kept_as("cnn", tmp_path / WEIGHTS), video, overlay=tmp_path / "file" / "o"))


def test_a_long_face_costs_no_memory(video: Path, tmp_path: Path) -> None:
    """What is cut out lies on disk."""
    medium = media_of([video], 8)[0]
    kept = Kept(torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
                About("0", "cnn", "tiny", "x", CLASSES, False, {}, "k", 0.5, 1.0))  # fmt: skip
    frame = next(iter(medium.frames()))
    assert frame is not None
    person = Person(1, [Place(i % 16, whole(frame), None) for i in range(16)])
    assert len(answered(kept, medium, [person], 2.0, lambda text: None)) == 16


# Faces as a data set


def test_faces_are_cut_into_the_layout_of_a_folder(
    finder: object,
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for part in ("train", "test"):
        for name in ("happy", "sad"):
            (tmp_path / "in" / part / name).mkdir(parents=True)
            Image.fromarray(scene((100, 60, 200))).save(tmp_path / "in" / part / name / "a.png")
    (tmp_path / "in" / "train" / "sad" / "v.mp4").write_bytes(video.read_bytes())
    Image.fromarray(scene()).save(tmp_path / "in" / "train" / "sad" / "none.png")
    Image.fromarray(scene((20, 40, 90), (200, 100, 200))).save(tmp_path / "in" / "train" / "sad" / "two.png")
    cut_faces(tmp_path / "in", tmp_path / "out", 96, 8)
    said = capsys.readouterr().out
    assert "the faces of 6 of 7 inputs by MTCNN" in said
    assert "1 show more than one" in said
    assert "1 show none (train/sad/none.png first)" in said
    corpus = DATASET.read(tmp_path / "out", DATASET.protocol)
    assert len(corpus) == 6
    table = pd.read_csv(tmp_path / "out" / "faces.csv")
    assert table[table["input"] == "train/sad/none.png"]["face"].isna().all()
    assert table[table["input"] == "train/sad/two.png"]["written"].notna().sum() == 1
    assert all((tmp_path / "out" / name).is_file() for name in table["written"].dropna())
    assert Image.open(tmp_path / "out" / "train" / "happy" / "a.jpg").size == (96, 96)


@pytest.mark.parametrize(("out", "said"), [("in", "it is there already"), ("in/faces", "it lies in the folder")])
def test_a_place_that_is_taken_is_refused(tmp_path: Path, out: str, said: str) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (50, 50)).save(tmp_path / "in" / "a.png")
    with pytest.raises(RequestError, match=said):
        cut_faces(tmp_path / "in", tmp_path / out, 96, 8)
