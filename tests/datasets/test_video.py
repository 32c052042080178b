"""Pictures of a video come by their time stamps; what cannot be decoded is None, and never something else."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets import video as module
from ferbench.datasets.corpus import DataError
from ferbench.datasets.video import frame_name, is_video, read_duration, read_frames, sample_times, write_video


def grey(levels: list[int] | NDArray[np.int64], side: int = 32) -> NDArray[np.uint8]:
    """(N,side,side,3) pictures of one grey each, which a codec keeps within a level or two."""
    return np.broadcast_to(np.array(levels, dtype=np.uint8)[:, None, None, None], (len(levels), side, side, 3)).copy()


def levels_at(file: Path, seconds: list[float] | NDArray[np.float64]) -> list[int | None]:
    """Grey level of the picture that answers each time, to the nearest ten."""
    found = read_frames(file, np.asarray(seconds, dtype=np.float64))
    return [None if p is None else int(round(float(p.mean()) / 10) * 10) for p in found]


@pytest.fixture
def steady(tmp_path: Path) -> Path:
    """Ten pictures, half a second each: grey 0, 20, ..., 180."""
    file = tmp_path / "steady.mp4"
    write_video(file, grey(list(range(0, 200, 20))), np.arange(10) / 2)
    return file


def test_the_nearest_frame_answers_and_the_earlier_of_two_that_are_as_near(steady: Path) -> None:
    assert levels_at(steady, [0, 0.2, 0.25, 0.3, 0.5, 0.5, 4.4, 4.9]) == [0, 0, 0, 20, 20, 20, 180, 180]
    assert read_duration(steady) == pytest.approx(5.0, abs=0.01)


def test_a_variable_frame_rate_is_read_by_time_and_not_by_count(tmp_path: Path) -> None:
    file = tmp_path / "variable.mp4"
    write_video(file, grey([0, 50, 100, 150, 200]), np.array([0.0, 0.1, 0.2, 3.0, 3.1]))
    assert levels_at(file, [0.0, 0.2, 1.0, 2.0, 3.0, 3.1]) == [0, 100, 100, 150, 150, 200]


def test_a_picture_is_rgb_and_a_repeated_time_gives_it_again(tmp_path: Path) -> None:
    file = tmp_path / "red.mp4"
    write_video(file, np.full((2, 32, 48, 3), (200, 30, 40), dtype=np.uint8), np.array([0.0, 1.0]))
    one, again = read_frames(file, np.array([0.1, 0.1]))
    assert one is not None
    assert one.shape == (32, 48, 3)
    assert one.dtype == np.uint8
    assert np.abs(one.mean(axis=(0, 1)) - (200, 30, 40)).max() < 6
    assert again is one


def test_a_far_jump_is_a_seek_and_gives_the_same_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "long.mp4"
    levels = np.arange(1200) % 12 * 20
    write_video(file, grey(levels, side=16), np.arange(1200) / 10)
    times = [0.0, 7.3, 55.5, 55.6, 119.9]
    with_seeks = levels_at(file, times)
    assert with_seeks == [int(levels[round(t * 10)]) for t in times]
    monkeypatch.setattr(module, "SEEK_AFTER", 1e9)
    assert levels_at(file, times) == with_seeks


def test_the_last_picture_is_held_for_a_second_and_no_longer(steady: Path) -> None:
    assert levels_at(steady, [4.9, 5.9, 6.1, 60.0]) == [180, 180, None, None]


@pytest.mark.parametrize("extension", [".avi", ".mov", ".mkv"])
def test_other_containers_are_read(tmp_path: Path, extension: str) -> None:
    file = tmp_path / f"film{extension}"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for picture in grey([0, 60, 120, 180]):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    assert read_duration(file) == pytest.approx(1.0, abs=0.05)
    assert levels_at(file, [0, 0.25, 0.5, 0.75]) == [0, 60, 120, 180]


def test_a_recording_without_a_length_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "browser.webm"  # as a browser records from a web camera
    with av.open(str(file), "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for picture in grey([100] * 25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(file)) as container:
        assert container.duration is None
    assert read_duration(file) == pytest.approx(2.5, abs=0.15)


def test_a_video_of_a_telephone_held_upright_is_turned(tmp_path: Path) -> None:
    file = tmp_path / "telephone.mp4"
    picture = np.zeros((1, 32, 64, 3), dtype=np.uint8)
    picture[:, :, :16] = 255  # white on the left; turned clockwise it is on top
    write_video(file, picture, np.zeros(1))
    content = bytearray(file.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", content[matrix : matrix + 36])[0] == 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    file.write_bytes(content)
    (upright,) = read_frames(file, np.zeros(1))
    assert upright is not None
    assert upright.shape == (64, 32, 3)
    assert upright[:12].mean() > 200 > 50 > upright[20:].mean()


def test_a_video_that_was_cut_off_gives_none_from_there_on(tmp_path: Path) -> None:
    file = tmp_path / "cut.mkv"
    rng = np.random.default_rng(0)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 64, 64, "yuv420p", 5
        for picture in rng.integers(0, 255, (100, 64, 64, 3), dtype=np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    found = [picture is not None for picture in read_frames(file, np.arange(0, 10, 0.5))]
    assert found[:8] == [True] * 8
    assert found[-6:] == [False] * 6


def test_what_damage_has_taken_is_not_filled_from_beyond_the_gap(tmp_path: Path) -> None:
    file = tmp_path / "damaged.avi"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("png", rate=2)  # each frame stands alone, and damage in one is seen
        stream.height, stream.width, stream.pix_fmt = 16, 16, "rgb24"
        for picture in grey([0, 50, 100, 150, 200], side=16):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    content = bytearray(file.read_bytes())
    places = [i for i in range(len(content)) if content[i : i + 8] == b"\x89PNG\r\n\x1a\n"]
    for place in places[1:4]:
        content[place + 16 : place + 24] = bytes(8)  # width and height
    file.write_bytes(content)
    assert levels_at(file, [0.0, 0.5, 1.0, 1.5, 2.0]) == [0, 0, None, 200, 200]


def write_nothing(file: Path) -> None:
    file.touch()


def write_text(file: Path) -> None:
    file.write_text("this is no video\n" * 100)


def write_photograph(file: Path) -> None:
    Image.new("RGB", (32, 32)).save(file, "JPEG")


def write_playlist(file: Path) -> None:
    file.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/hostname\n#EXT-X-ENDLIST\n")


def write_sound(file: Path) -> None:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_no_index(file: Path) -> None:
    write_video(file, grey([0, 100]), np.array([0.0, 1.0]))
    content = file.read_bytes()
    file.write_bytes(content[: content.index(b"moov")])


def write_no_picture(file: Path) -> None:
    write_video(file, grey([0, 100, 200]), np.array([0.0, 1.0, 2.0]))
    content = bytearray(file.read_bytes())
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    content[begin:end] = bytes(end - begin)
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_nothing, r"bad\.mp4: not a video that can be read \(0 bytes\): copy it again, or remove it"),
        (write_text, r"bad\.mp4: not a video that can be read \(1700 bytes\)"),
        (write_photograph, r"bad\.mp4: not a video that can be read"),
        (write_playlist, r"bad\.mp4: not a video that can be read"),
        (write_sound, r"bad\.mp4: there are no pictures in it: convert it to H\.264, or remove it"),
        (write_no_index, r"bad\.mp4: not a video that can be read"),
        (write_no_picture, r"bad\.mp4: no frame of this video can be decoded \(\d+ bytes\): copy it again"),
    ],
)
def test_what_is_no_video_is_named_and_gives_no_picture(tmp_path: Path, write: object, message: str) -> None:
    file = tmp_path / "bad.mp4"
    write(file)  # type: ignore[operator]
    with pytest.raises(DataError, match=message) as caught:
        read_duration(file)
    assert "\n" not in str(caught.value)
    assert list(read_frames(file, np.array([0.0, 1.0]))) == [None, None]


def test_a_video_that_is_not_there_gives_no_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.mp4: the video cannot be read: No such file"):
        read_duration(tmp_path / "absent.mp4")
    assert list(read_frames(tmp_path / "absent.mp4", np.zeros(1))) == [None]


def test_times_that_descend_are_a_fault_of_the_caller(steady: Path) -> None:
    with pytest.raises(ValueError, match="times must not descend"):
        next(read_frames(steady, np.array([1.0, 0.5])))


def test_times_names_and_extensions() -> None:
    assert sample_times(1.0, 4).tolist() == [0, 0.25, 0.5, 0.75]
    assert sample_times(1.0003, 4).tolist() == [0, 0.25, 0.5, 0.75]
    assert sample_times(1.01, 4).tolist() == [0, 0.25, 0.5, 0.75, 1.0]
    assert sample_times(0.0, 4).tolist() == [0]
    assert frame_name("a/b.mp4", 1 / 3) == "a/b.mp4#t=0.333"
    assert is_video("A.MP4")
    assert not is_video("a.jpg")


def test_the_same_pictures_give_the_same_file(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), dtype=np.uint8)
    contents = set()
    for _ in range(4):  # with another video written and read in between, so that memory is not as it was
        write_video(tmp_path / "other.mp4", grey(np.arange(300) % 12 * 20, side=16), np.arange(300) / 10)
        assert levels_at(tmp_path / "other.mp4", [0.0, 7.3, 29.9]) == [0, 20, 220]
        write_video(tmp_path / "same.mp4", pictures, np.arange(20) / 8)
        contents.add((tmp_path / "same.mp4").read_bytes())
    assert len(contents) == 1
