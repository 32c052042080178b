"""Pictures of a video at given times, decoded with PyAV: by time stamps, never by counting frames.

A frame of a video is named `path/to/video.mp4#t=SECONDS` wherever a path of an image may stand. Seconds count from the
start of the recording; the frame that is read is the one whose time stamp lies nearest, so a variable frame rate is
right. What cannot be decoded is None, and never a neighbour from the far side of a gap that damage has left.

Only the containers of `EXTENSIONS` are opened, and only as local files: a playlist that calls itself `.mp4` is not
followed to where it points.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ferbench.datasets.corpus import DataError

EXTENSIONS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")
_OPTIONS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm", "protocol_whitelist": "file"}
SEEK_AFTER = 20.0
"""Seconds to the next wanted frame from which on a seek is tried: about two usual distances between key frames."""
HELD = 1.0
"""Seconds that the last picture may stand for after its own end, as where the sound is longer."""
_AT = "#t="


def frame_name(video: str, seconds: float) -> str:
    """Name of the frame of a video at a time, to the millisecond."""
    return f"{video}{_AT}{seconds:.3f}"


def is_video(file: str | Path) -> bool:
    """Whether a file is called as a video is."""
    return Path(file).suffix.lower() in EXTENSIONS


def sample_times(duration: float, rate: float) -> NDArray[np.float64]:
    """Times at `rate` a second from 0 to before the end of a video of `duration` seconds: at least one.

    A hundredth of a step is no step: files state their length to some fraction of a millisecond.
    """
    return np.arange(max(1, int(np.ceil(duration * rate - 0.01)))) / rate


def read_duration(file: Path) -> float:
    """Seconds from the first picture's start to the last one's end; decodes the first picture to see that it can.

    Raises:
        DataError: it is no video of a known container, or nothing in it can be decoded.
    """
    try:
        state = file.stat()
    except OSError as error:
        raise DataError(f"{file}: the video cannot be read: {error.strerror or error}") from None
    return _duration(file, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1 << 16)  # a worker opens the same corpus for many cells
def _duration(file: Path, size: int, changed: int) -> float:
    with _opened(file) as video:
        if next(video.frames(), None) is None:
            raise DataError(f"{file}: no frame of this video can be decoded ({size} bytes): copy it again")
        return video.duration()


def read_frames(file: Path, seconds: NDArray[np.float64]) -> Iterator[NDArray[np.uint8] | None]:
    """The pictures nearest to the times, (H,W,3) uint8 RGB, upright; None where nothing can be decoded.

    One pass through the file: times must not descend. Between two frames the nearer one answers, the earlier in a tie.
    An unreadable file gives None for every time. Memory is that of two pictures.
    """
    if len(seconds) and (np.diff(seconds) < 0).any():
        raise ValueError("times must not descend: sort them")
    given = 0
    try:
        with _opened(file) as video:
            shown, pixels = None, None
            for frame in _nearest(video, seconds):
                if frame is not shown:
                    shown, pixels = frame, None if frame is None else _pixels(frame)
                given += 1
                yield pixels
    except DataError:
        for _ in range(given, len(seconds)):
            yield None


def write_video(file: Path, pictures: NDArray[np.uint8], seconds: NDArray[np.float64]) -> None:
    """Writes (N,H,W,3) RGB pictures as H.264, each with its own time stamp; the same pictures give the same bytes.

    H and W are even. The time stamps ascend and may be irregular.

    Raises:
        DataError: this build of PyAV cannot write H.264.
    """
    if "libx264" not in av.codecs_available:
        raise DataError(f"{file}: PyAV was built without libx264, so no video can be written: install it from a wheel")
    file.parent.mkdir(parents=True, exist_ok=True)
    tick = Fraction(1, 1000)
    with av.open(str(file), "w") as container:
        period = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
        stream = container.add_stream("libx264", rate=Fraction(1 / period).limit_denominator(1000))
        # A constant quantiser: with x264's rate control the bytes of small pictures depend on what memory held before
        # (seen at 32x32: another file at each call; never with this).
        stream.options = {"qp": "20", "preset": "fast", "threads": "1"}
        stream.height, stream.width, stream.pix_fmt = pictures.shape[1], pictures.shape[2], "yuv420p"
        stream.codec_context.time_base = tick
        for picture, second in zip(pictures, seconds, strict=True):
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(second * 1000), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@dataclass(frozen=True)
class _Shown:
    """A decoded frame: when it appears, until when it stands, and whether something before it was lost."""

    frame: VideoFrame
    start: float
    stop: float
    after_loss: bool


class _Video:
    """An open video: its frames in the order of presentation."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.container, self.stream = container, stream
        stream.codec_context.thread_count = 1  # many videos are decoded side by side
        self.origin = (container.start_time or 0) / av.time_base
        self.tick = stream.time_base or Fraction(1, av.time_base)
        self.period = float(1 / stream.average_rate) if stream.average_rate else 0.04

    def duration(self) -> float:
        """Seconds to the end of the last picture, as the file says; counted where it does not say."""
        stream = self.stream
        if stream.duration is not None:
            return float(((stream.start_time or 0) + stream.duration) * self.tick) - self.origin
        if self.container.duration is not None:
            return self.container.duration / av.time_base
        times = [float(packet.pts * self.tick) for packet in self._packets() if packet.pts is not None]
        return max(times, default=self.origin) - self.origin + self.period

    def frames(self, lost: bool = False) -> Iterator[_Shown]:
        """Frames from where the file stands; `lost` says that something before the first one was passed over."""
        last = -self.period
        for frame in self._decoded():
            if frame is None or frame.is_corrupt:
                lost = True
                continue
            start = last + self.period if frame.pts is None else float(frame.pts * self.tick) - self.origin
            own = float((frame.duration or 0) * self.tick) or self.period
            last = start
            yield _Shown(frame, start, start + own, lost)
            lost = False

    def frames_near(self, second: float) -> Iterator[_Shown]:
        """Frames from the key frame before a time on, or from here on where the file cannot be searched."""
        try:
            self.container.seek(int((second + self.origin) * av.time_base))
        except av.FFmpegError:
            return self.frames()
        return self.frames(lost=True)

    def _decoded(self) -> Iterator[VideoFrame | None]:
        """Frames as the decoder gives them; None where a packet is damaged."""
        for packet in self._packets():
            try:
                yield from self.stream.codec_context.decode(packet)
            except av.FFmpegError:
                yield None
        try:
            yield from self.stream.codec_context.decode(None)
        except av.FFmpegError:
            yield None

    def _packets(self) -> Iterator[av.Packet]:
        """Packets up to the end, or to where a file that was cut off can be read no further."""
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    yield packet
        except av.FFmpegError:
            return


@contextmanager
def _opened(file: Path) -> Iterator[_Video]:
    try:
        container = av.open(str(file), options=_OPTIONS, metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        size = file.stat().st_size if file.is_file() else 0
        raise DataError(f"{file}: not a video that can be read ({size} bytes): copy it again, or remove it "
                        f"({error.strerror if isinstance(error, OSError) else error})") from None  # fmt: skip
    with container:
        streams = container.streams.video
        if not streams or streams[0].codec_context is None:
            what = "its codec is not known" if streams else "there are no pictures in it"
            raise DataError(f"{file}: {what}: convert it to H.264, or remove it")
        yield _Video(container, streams[0])


def _nearest(video: _Video, seconds: NDArray[np.float64]) -> Iterator[VideoFrame | None]:
    """For each time the frame nearest to it; None where that would be across a loss or past the end."""
    frames = video.frames()
    before: _Shown | None = None
    after = next(frames, None)
    for second in seconds.tolist():
        if after is not None and second - after.start > SEEK_AFTER:
            frames = video.frames_near(second)
            before, after = after, next(frames, None)
        while after is not None and after.start < second:
            before, after = after, next(frames, None)
        yield _answer(video.period, before, after, second)


def _answer(period: float, before: _Shown | None, after: _Shown | None, second: float) -> VideoFrame | None:
    """The frame that stands for a time that lies between two, either of which may not be there."""
    if after is None:
        return before.frame if before is not None and second <= before.stop + HELD else None
    if before is None or after.start - second < second - before.start:
        nearer, distance = after, after.start - second
    else:
        nearer, distance = before, second - before.start
    return None if after.after_loss and distance > 1.5 * period else nearer.frame


def _pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    """(H,W,3) RGB, turned as the recording says that it was held."""
    picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
