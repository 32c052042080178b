"""Every reader on damaged files: each is read, or refused in one line, and nothing else happens."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.suite import SUITES, cells_of, load_suite
from ferbench.benchmark.records.record import PREDICTIONS, RECORD, read_records
from ferbench.datasets.affectnet_small import npy_code
from ferbench.datasets.corpus import DataError
from ferbench.datasets.decoding import read_frame
from ferbench.datasets.folder import DATASET as FOLDER
from ferbench.datasets.spelling import csv_rows
from ferbench.datasets.video import FEWEST_BYTES, LONG, read_duration, read_frames, sample_times
from ferbench.models.official_files import WeightsError, read_tensors
from tests.benchmark.written_cells import write_cell
from tests.faults.mutations import altered, mutants


def one_line(error: BaseException) -> None:
    """What is told of a damaged file is a line that a person can read."""
    text = str(error)
    assert 10 < len(text) < 1000, text
    assert "\n" not in text


PIXELS = np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8)


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "gif", "webp", "tiff"])
@pytest.mark.filterwarnings("ignore")
def test_pictures(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    Image.fromarray(PIXELS).save(file)
    seen = 0
    for damaged in mutants(file.read_bytes(), 60):
        file.write_bytes(damaged)
        face = read_frame(file, 8)
        assert face is None or (face.shape, face.dtype) == ((8, 8, 3), np.uint8)
        seen += face is None
    assert seen  # some of them are refused


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_videos(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(12):
            frame = av.VideoFrame.from_ndarray(np.roll(PIXELS[:16, :16], i, axis=0).repeat(2, 0).repeat(2, 1))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    refused = 0
    for damaged in mutants(file.read_bytes(), 50):
        file.write_bytes(damaged)
        try:
            length = read_duration(file)
        except DataError as error:
            one_line(error)
            refused += 1
            length = 1.0
        assert 0 < length <= max(LONG, len(damaged) / FEWEST_BYTES)
        times = sample_times(min(length, 5.0), 8)
        pictures = list(read_frames(file, times))
        assert len(pictures) == len(times)
        assert all(picture is None or picture.dtype == np.uint8 for picture in pictures)
    assert refused


def test_annotations(tmp_path: Path) -> None:
    for value in (np.array("3"), np.array(3), np.array(3.0), np.array(b"3")):
        file = tmp_path / "a_exp.npy"
        np.save(file, value)
        for damaged in mutants(file.read_bytes(), 60):
            file.write_bytes(damaged)
            try:
                assert 0 <= npy_code(str(file)) <= 10
            except DataError as error:
                one_line(error)


def weights(kind: str, file: Path) -> None:
    tensors = {"conv.weight": torch.arange(12.0).view(3, 4), "conv.bias": torch.ones(3)}
    if kind == "safetensors":
        save_file(tensors, file)
    elif kind == "pickle":
        file.write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in tensors.items()}, 2))
    else:
        torch.save(tensors, file, _use_new_zipfile_serialization=kind == "zip")


@pytest.mark.parametrize("kind", ["safetensors", "pickle", "zip", "old"])
def test_weights(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.bin"
    weights(kind, file)
    refused = 0
    for damaged in mutants(file.read_bytes(), 60):
        file.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert all(isinstance(tensor, torch.Tensor) for tensor in read_tensors(file).values())
        except WeightsError as error:
            one_line(error)
            refused += 1
    assert refused


@pytest.mark.parametrize("suite", ["smoke", "ablation"])
def test_suites(tmp_path: Path, suite: str) -> None:
    file = tmp_path / "own.yaml"
    for damaged in mutants((SUITES / f"{suite}.yaml").read_bytes(), 60):
        file.write_bytes(damaged)
        try:
            assert cells_of(*load_suite(str(file)))
        except RequestError as error:
            one_line(error)


def test_tables(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("happy", "sad"):
            (tmp_path / part / label).mkdir(parents=True)
            Image.fromarray(PIXELS).save(tmp_path / part / label / "a.jpg")
    file = tmp_path / "subjects.csv"
    table = b'path,subject\ntrain/happy,Anna\ntrain/sad,Bert\ntest,"Carla, who"\n'
    read = 0
    for damaged in mutants(table, 150):
        file.write_bytes(damaged)
        try:
            corpus = FOLDER.read(tmp_path, FOLDER.protocol)
            assert len(corpus) == 4
            read += 1
        except DataError as error:
            one_line(error)
        try:
            list(csv_rows(file, ["path"]))
        except DataError as error:
            one_line(error)
    assert read


def attempt(work: Callable[[], object]) -> bool:
    """Whether it went well; a refusal is one line."""
    try:
        work()
    except RequestError as error:
        one_line(error)
        return False
    return True


def test_records(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for seed in (0, 1):
        folder = write_cell(results, "c3d", seed=seed)
    content = json.loads((folder / RECORD).read_text())
    shown = 0
    for other in altered(content, 40):
        (folder / RECORD).write_text(json.dumps(other))
        shown += attempt(lambda: render(results, tmp_path / "board" / "leaderboard.md"))
    assert shown  # what is altered may be a word that nothing depends on


def test_records_whose_bytes_are_damaged(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, "c3d")
    whole = (folder / RECORD).read_bytes()
    for damaged in mutants(whole, 150):
        (folder / RECORD).write_bytes(damaged)
        attempt(lambda: read_records(tmp_path))


def test_predictions(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, "c3d")
    whole = (folder / PREDICTIONS).read_bytes()
    for damaged in mutants(whole, 150):
        (folder / PREDICTIONS).write_bytes(damaged)
        (record,) = read_records(tmp_path)
        assert attempt(record.opened) == (damaged == whole)
