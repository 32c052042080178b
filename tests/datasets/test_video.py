"""Pictures of a video come by their time stamps; what cannot be decoded is None, and never something else."""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.frame import PictureType
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


# Containers that say more than there is, or something else


def film(
    file: Path,
    levels: list[int],
    codec: str = "libx264",
    first: int = 0,
    sound: float = 0.0,
    options: dict[str, str] | None = None,
    cover: bool = False,
    second: bool = False,
) -> Path:
    """Pictures of one grey each, ten a second, the first at `first` seconds, beside whatever else a container holds."""
    with av.open(str(file), "w") as container:
        if cover:
            art = container.add_stream("png", rate=1)
            art.width, art.height, art.pix_fmt = 32, 32, "rgb24"
            art.disposition = Disposition.attached_pic
        if second:
            other = container.add_stream("libx264", rate=10)
            other.width, other.height, other.pix_fmt, other.disposition = 32, 32, "yuv420p", Disposition.comment
        stream = container.add_stream(codec, rate=10, options=options or {"crf": "1"})
        stream.width, stream.height, stream.pix_fmt, stream.disposition = 32, 32, "yuv420p", Disposition.default
        voice = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        if cover:
            container.mux(art.encode(av.VideoFrame.from_ndarray(grey([250])[0], format="rgb24")))
        for i, picture in enumerate(grey(levels)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i + 10 * first, Fraction(1, 10)
            container.mux(stream.encode(frame))
            if second:
                wrong = av.VideoFrame.from_ndarray(grey([250])[0], format="rgb24")
                wrong.pts, wrong.time_base = i, Fraction(1, 10)
                container.mux(other.encode(wrong))
        container.mux(stream.encode(None))
        if second:
            container.mux(other.encode(None))
        for begin in range(0, int(48_000 * sound), 1024):
            assert voice is not None
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 48_000, begin, Fraction(1, 48_000)
            container.mux(voice.encode(heard))
        if voice is not None:
            container.mux(voice.encode(None))
    return file


LEVELS = [10 * (1 + i * 7 % 20) for i in range(20)]
"""Twenty greys, neighbours far apart."""


def assert_read_in_order(file: Path) -> None:
    assert read_duration(file) == pytest.approx(2.0, abs=0.06)
    times = sample_times(read_duration(file), 10)
    assert len(times) == 20
    assert levels_at(file, times) == LEVELS


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.avi"])
def test_longer_sound_is_no_part_of_the_recording(tmp_path: Path, name: str) -> None:
    assert_read_in_order(film(tmp_path / name, LEVELS, sound=5.0))


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("sound", [0.0, 6.0])
def test_a_recording_begins_with_its_first_picture(tmp_path: Path, name: str, sound: float) -> None:
    assert_read_in_order(film(tmp_path / name, LEVELS, first=3, sound=sound))


OUT_OF_ORDER = {
    "libx264": {"crf": "1", "x264-params": "bframes=2:b-adapt=0:scenecut=0:keyint=12"},
    "mpeg4": {"bf": "2", "g": "12", "qmin": "1", "qmax": "1"},
}


@pytest.mark.parametrize("codec", OUT_OF_ORDER)
@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
def test_pictures_that_are_coded_out_of_order_come_in_order(tmp_path: Path, name: str, codec: str) -> None:
    file = film(tmp_path / name, LEVELS, codec, options=OUT_OF_ORDER[codec])
    with av.open(str(file)) as container:
        assert any(frame.pict_type == PictureType.B for frame in container.decode(video=0))
    assert_read_in_order(file)


def test_a_far_jump_in_a_container_without_times_gives_the_same_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = film(tmp_path / "a.avi", LEVELS * 10, options=OUT_OF_ORDER["libx264"])
    times = sample_times(read_duration(file), 10)[::30]
    whole = levels_at(file, times)
    monkeypatch.setattr(module, "SEEK_AFTER", 0.5)
    assert levels_at(file, times) == whole == (LEVELS * 10)[::30]


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_another_video_is_never_taken_for_the_clip(tmp_path: Path, name: str) -> None:
    assert_read_in_order(film(tmp_path / name, LEVELS, second=True))


def test_a_cover_is_never_taken_for_the_clip(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mp4", LEVELS, cover=True)
    with av.open(str(file)) as container:
        assert any(stream.disposition & Disposition.attached_pic for stream in container.streams.video)
    assert_read_in_order(file)


def claims(file: Path, box: bytes, seconds: int) -> None:
    """Writes another length into a box of an MP4 file: the movie's, the track's or the media's header."""
    content = bytearray(file.read_bytes())
    place = content.index(box) + 4
    assert content[place] == 0  # of the version with 32 bits
    if box == b"tkhd":
        content[place + 20 : place + 24] = struct.pack(">I", min(seconds * 1000, 2**32 - 1))
    else:
        (scale,) = struct.unpack(">I", content[place + 12 : place + 16])
        content[place + 16 : place + 20] = struct.pack(">I", min(seconds * scale, 2**32 - 1))
    file.write_bytes(content)


@pytest.mark.parametrize("box", [b"mvhd", b"tkhd", b"mdhd"])
@pytest.mark.parametrize("seconds", [3 * 3600, 10**9])
def test_a_length_that_the_file_cannot_hold_is_not_believed(tmp_path: Path, box: bytes, seconds: int) -> None:
    file = film(tmp_path / "a.mp4", LEVELS)
    claims(file, box, seconds)
    assert_read_in_order(file)


def test_a_length_of_matroska_that_the_file_cannot_hold_is_not_believed(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mkv", LEVELS)
    content = bytearray(file.read_bytes())
    place = content.index(b"\x44\x89\x88") + 3
    content[place : place + 8] = struct.pack(">d", 1e12)
    file.write_bytes(content)
    assert_read_in_order(file)


def test_times_that_the_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.mkv"
    write_video(file, grey([10, 100, 200]), np.array([0.0, 0.1, 10.0**6]))
    with pytest.raises(DataError, match=r"a\.mkv: \d+ bytes cannot be a video of 100000\d s, as it says"):
        read_duration(file)


def test_a_copy_that_was_cut_off_lacks_what_the_file_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "a.mkv"
    write_video(file, rng.integers(0, 255, (40, 64, 64, 3)).astype(np.uint8), np.arange(40) / 10)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    length = read_duration(file)
    assert length == pytest.approx(4.0, abs=0.1)
    found = [picture is not None for picture in read_frames(file, sample_times(length, 10))]
    assert 5 < sum(found) < 35


# Which way up


@pytest.mark.parametrize(
    ("matrix", "corners"),
    [
        ((1, 0, 0, 1), "RGBW"),
        ((-1, 0, 0, 1), "GRWB"),
        ((1, 0, 0, -1), "BWRG"),
        ((-1, 0, 0, -1), "WBGR"),
        ((0, 1, 1, 0), "RBGW"),
        ((0, 1, -1, 0), "BRWG"),
        ((0, -1, 1, 0), "GWRB"),
        ((0, -1, -1, 0), "WGBR"),
    ],
)
def test_every_turn_and_mirror_of_a_recording_is_applied(
    tmp_path: Path, matrix: tuple[int, int, int, int], corners: str
) -> None:
    picture = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    picture[0, :16, :16], picture[0, :16, 16:] = (250, 10, 10), (10, 250, 10)
    picture[0, 16:, :16], picture[0, 16:, 16:] = (10, 10, 250), (240, 240, 240)
    file = tmp_path / "a.mp4"
    write_video(file, picture, np.zeros(1))
    content = bytearray(file.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (number << 16 for number in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    file.write_bytes(content)
    (shown,) = read_frames(file, np.zeros(1))
    assert shown is not None
    colours = [shown[y, x] > 130 for y, x in ((4, 4), (4, -5), (-5, 4), (-5, -5))]
    names = {(True, False, False): "R", (False, True, False): "G", (False, False, True): "B", (True,) * 3: "W"}
    assert "".join(names[tuple(colour.tolist())] for colour in colours) == corners


def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(DataError, match=r"a\.mp4: not a video that can be read"):
        read_duration(tmp_path / "a.mp4")
    assert list(read_frames(tmp_path / "a.mp4", np.zeros(1))) == [None]
