"""Pictures of a video at given times, decoded with PyAV: by time stamps, never by counting frames.

A frame of a video is named `path/to/video.mp4#t=SECONDS` wherever a path of an image may stand. Seconds count from the
start of the recording; the frame that is read is the one whose time stamp lies nearest, so a variable frame rate is
right. What cannot be decoded is None, and never a neighbour from the far side of a gap that damage has left.

Where a container has no times of presentation (AVI), pictures are shown in the order in which the decoder gives them,
at the times of its packets. A recording begins with its first picture and ends with its last: longer sound is no part
of it, nor is what the file says of its length. Sound, subtitles, covers and further videos are passed over.

Only the containers of `EXTENSIONS` are opened, and only as local files: a playlist that calls itself `.mp4` is not
followed to where it points.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ferbench.datasets.corpus import DataError

EXTENSIONS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".flv")
_OPTIONS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,flv", "protocol_whitelist": "file"}
SEEK_AFTER = 20.0
"""Seconds to the next wanted frame from which on a seek is tried: about two usual distances between key frames."""
HELD = 1.0
"""Seconds that the last picture may stand for after its own end, as where the sound is longer."""
MOST_PIXELS = 2**26
"""Of a picture; twice those of 8K. A damaged file may claim any number."""
LONG, FEWEST_BYTES = 60.0, 10
"""Seconds from which on a video must have so many bytes a second: a damaged file may claim any length."""
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
        DataError: it is no video of a known container, nothing in it can be decoded, or it claims to be far longer than
            a file of its size can be.
    """
    try:
        state = file.stat()
    except OSError as error:
        raise DataError(f"{file}: the video cannot be read: {error.strerror or error}") from None
    return _duration(file, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1 << 16)  # a worker opens the same corpus for many cells
def _duration(file: Path, size: int, changed: int) -> float:
    try:
        with _opened(file) as video:
            if next(video.frames(), None) is None:
                raise DataError(f"{file}: no frame of this video can be decoded ({size} bytes): copy it again")
            length = video.duration(size)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes of a library
        raise DataError(f"{file}: not a video that can be read ({size} bytes): {error}: copy it again") from None
    if not is_plausible(length, size):
        raise DataError(f"{file}: {size} bytes cannot be a video of {length:.0f} s, as it says: copy it again")
    return length


def is_plausible(length: float, size: int) -> bool:
    """Whether a video of so many seconds can have so few bytes."""
    return length <= LONG or size >= length * FEWEST_BYTES


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
    except Exception:  # whatever a damaged file makes of a library
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
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        self.tick = stream.time_base or Fraction(1, av.time_base)
        self.period = float(1 / stream.average_rate) if stream.average_rate else 0.04
        began = (container.start_time or 0) / av.time_base
        self.origin = began if stream.start_time is None else float(stream.start_time * self.tick)
        self.by_order = "avi" in container.format.name
        """Whether packets bear the times at which they are decoded alone."""

    def duration(self, size: int) -> float:
        """Seconds to the end of the last picture, or to where the file says that it is: what a copy lacks is missing.

        A claim that a file of this size cannot hold is not believed, and neither is that of a whole file whose sound is
        longer.
        """
        end = self._end([self.stream])
        real = self.period if end is None else max(end - self.origin, self.period)
        if self.stream.duration is not None:
            claimed = float(((self.stream.start_time or 0) + self.stream.duration) * self.tick) - self.origin
        elif self.container.duration is not None:
            whole = self.container.duration / av.time_base  # from 0 on in Matroska, which alone says no more than that
            claimed = real if (self._end(self._with_times()) or 0.0) > whole - HELD else whole - self.origin
        else:
            claimed = real
        # The end of the last picture is known to a picture's length: what the file says of it is as good.
        return claimed if claimed > real - 1.5 * self.period and is_plausible(claimed, size) else real

    def _with_times(self) -> list[Stream]:
        return [stream for stream in self.container.streams if stream.time_base is not None]

    def _end(self, streams: list[Any]) -> float | None:
        """When the last packet of some streams ends: those behind the last key frame are looked at, or else all."""
        for place in (2**62, 0):
            last: float | None = None
            for packet in self._packets(streams) if self._sought(place) else ():
                by_order = self.by_order and packet.stream is self.stream
                begin = packet.dts if by_order or packet.pts is None else packet.pts
                if begin is not None and packet.time_base is not None:
                    own = float((packet.duration or 0) * packet.time_base) or self.period
                    last = max(float(begin * packet.time_base) + own, last or 0.0)
            if last is not None:
                return last
        return None

    def _sought(self, time: int) -> bool:
        """Whether the file now stands at the last key frame up to a time (in ticks)."""
        try:
            self.container.seek(time, stream=self.stream)
        except (av.FFmpegError, OverflowError):
            return False
        return True

    def frames(self, lost: bool = False) -> Iterator[_Shown]:
        """Frames from where the file stands; `lost` says that something before the first one was passed over."""
        last = -self.period
        for frame, ticks in self._decoded():
            if frame is None or frame.is_corrupt:
                lost = True
                continue
            start = last + self.period if ticks is None else float(ticks * self.tick) - self.origin
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

    def _decoded(self) -> Iterator[tuple[VideoFrame | None, int | None]]:
        """Frames as the decoder gives them, with their times in ticks; None where a packet is damaged."""
        # Times of packets, which the frames take in turn where they have none of their own.
        waiting: deque[int] = deque()
        for packet in chain(self._packets(), [None]):
            if packet is not None and packet.dts is not None:
                self.by_order |= packet.pts is None
                waiting.append(packet.dts)
            try:
                for frame in self.stream.codec_context.decode(packet):
                    turn = waiting.popleft() if waiting else None
                    yield frame, turn if self.by_order else frame.pts
            except av.FFmpegError:
                if waiting:
                    waiting.pop()
                yield None, None

    def _packets(self, streams: list[Any] | None = None) -> Iterator[av.Packet]:
        """Packets (of the pictures) up to the end, or to where a file that was cut off can be read no further."""
        try:
            for packet in self.container.demux(streams or [self.stream]):
                if packet.size:
                    yield packet
        except av.FFmpegError:
            return


@contextmanager
def _opened(file: Path) -> Iterator[_Video]:
    try:
        if file.exists() and not file.is_file():
            raise OSError("not a file")  # a pipe would be waited for
        container = av.open(str(file), options=_OPTIONS, metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        size = file.stat().st_size if file.is_file() else 0
        raise DataError(f"{file}: not a video that can be read ({size} bytes): copy it again, or remove it "
                        f"({error.strerror if isinstance(error, OSError) else error})") from None  # fmt: skip
    with container:
        stream = _pictures_of(container)
        if stream is None or stream.codec_context is None:
            what = "there are no pictures in it" if stream is None else "its codec is not known"
            raise DataError(f"{file}: {what}: convert it to H.264, or remove it")
        yield _Video(container, stream)


def _pictures_of(container: InputContainer) -> VideoStream | None:
    """The video that a player shows: the default one, else the first; a cover is none."""
    stills = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & stills]
    return next((stream for stream in streams if stream.disposition & Disposition.default), next(iter(streams), None))


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
    """(H,W,3) RGB, turned and mirrored as the recording says that it is to be shown."""
    picture: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")  # type: ignore[assignment]
    data = frame.side_data.get("DISPLAYMATRIX")
    matrix = None if data is None else np.frombuffer(bytes(data), dtype=np.int32)  # type: ignore[call-overload]
    return picture if matrix is None else _placed(picture, matrix.reshape(3, 3)[:2, :2])


def _placed(picture: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """A picture after a display matrix: (x, y) goes to (x, y) @ matrix. Of other turns the nearest quarter is taken."""
    (a, b), (c, d) = matrix.tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        down, right = d, a
    else:
        picture, down, right = picture.swapaxes(0, 1), b, c
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
