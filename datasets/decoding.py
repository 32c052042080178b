"""From the files of a corpus to faces of one size: pictures one by one, videos each decoded once, in many processes.

Processes and not threads: of small pictures most of the work holds Python's lock (measured on two cores with pictures
of 64 px: two threads 1.0 times as fast as one, two processes 1.8 times). They are plain children of the builder rather
than a pool, because who builds a store may be a worker of a pool itself, which may have no pool of its own. A child
whose parent is gone ends at its next line of progress.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from ferbench.datasets.corpus import divided

Kind = Literal["pixels", "jpeg"]
"""How a store keeps its frames: as they are, or compressed."""
QUALITY = 95
"""JPEG quality of compressed frames; their colour is not subsampled."""
RUN = 256
"""Pictures that are given to one process at a time; also how often progress is told."""
FEWEST_FOR_PROCESSES = 2000
"""Frames below which starting processes costs more than it saves."""


@dataclass(frozen=True)
class Share:
    """What one process decodes into a store that is being built."""

    folder: Path
    kind: Kind
    number: int
    root: Path
    size: int
    rows: NDArray[np.int64]
    """(P,) row of the store of each entry."""
    entries: Sequence[str]
    """(P,) files below `root`, `video#t=SECONDS` or `table#row=LINE`."""
    boxes: NDArray[np.float64] | None
    """(P,4)."""

    @property
    def blob(self) -> Path:
        """Where this share's compressed frames go, one after the other."""
        return self.folder / f"part-{self.number}.bin"

    @property
    def places(self) -> Path:
        """Row, offset and length of each frame in the blob."""
        return self.folder / f"part-{self.number}.npy"


def decode_into(shares: list[Share], tell: Callable[[int], None]) -> None:
    """Decodes every share, each in a process of its own when there are several; `tell` hears of frames done.

    Raises:
        OSError: the store cannot be written.
    """
    if len(shares) == 1:
        for count in work(shares[0]):
            tell(count)
        return
    command = [sys.executable, "-m", "ferbench.datasets.decoding"]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in shares]

    def follow(child: subprocess.Popen[bytes], share: Share) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        with child.stdin as stdin:
            pickle.dump(share, stdin)
        for line in child.stdout:
            if not line.startswith(b"+"):
                raise OSError(line.decode().strip())
            tell(int(line))
        if child.wait() != 0:
            raise OSError(f"a decoding process ended with exit code {child.returncode} (killed, or out of memory)")

    try:
        with ThreadPoolExecutor(len(shares)) as pool:
            followed = [pool.submit(follow, *pair) for pair in zip(children, shares, strict=True)]
            try:
                for future in followed:
                    future.result()
            except BaseException:
                for child in children:
                    child.kill()
                raise
    finally:
        for child in children:
            child.wait()


def main() -> None:
    """A child: reads its share from the standard input, tells progress on the standard output."""
    share: Share = pickle.load(sys.stdin.buffer)
    try:
        for count in work(share):
            print(f"+{count}", flush=True)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        print(error.strerror or error, flush=True)
        sys.exit(1)


def work(share: Share) -> Iterator[int]:
    """Decodes a share into its store; tells how many more frames are done, now and then."""
    content = np.load(share.folder / "content.npy", mmap_mode="r+")
    keep = _keeper(share)
    since = 0
    for place, face in faces(share.root, share.entries, share.boxes, share.size):
        if face is not None:
            keep(int(share.rows[place]), face)
            content[share.rows[place]] = content_hash(face)
        since += 1
        if since == RUN:
            yield since
            since = 0
    keep(-1, None)
    content.flush()
    yield since


def _keeper(share: Share) -> Callable[[int, NDArray[np.uint8] | None], None]:
    """Writes a face to its row; None says that there are no more."""
    if share.kind == "pixels":
        frames = np.load(share.folder / "frames.npy", mmap_mode="r+")

        def keep_pixels(row: int, face: NDArray[np.uint8] | None) -> None:
            if face is None:
                frames.flush()
            else:
                frames[row] = face

        return keep_pixels
    blob = share.blob.open("wb")
    places: list[tuple[int, int, int]] = []

    def keep_compressed(row: int, face: NDArray[np.uint8] | None) -> None:
        if face is None:
            blob.close()
            np.save(share.places, np.array(places, dtype=np.int64).reshape(-1, 3))
        else:
            begin = blob.tell()
            blob.write(compress(face))
            places.append((row, begin, blob.tell() - begin))

    return keep_compressed


def faces(
    root: Path, entries: Sequence[str], boxes: NDArray[np.float64] | None, size: int
) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
    """Place and face of each entry, pictures first, then each video and each table once; None where nothing can be
    read."""
    inside: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for place, entry in enumerate(entries):
        file, within = divided(entry)
        if within:
            mark, _, number = within.partition("=")
            inside.setdefault((file, mark), []).append((float(number), place))
        else:
            yield place, read_frame(root / file, size, None if boxes is None else boxes[place])
    for (file, mark), wanted in inside.items():
        wanted.sort()
        numbers = np.array([number for number, _ in wanted])
        for (_, place), picture in zip(wanted, _pictures_in(root / file, mark, numbers), strict=True):
            box = None if boxes is None else boxes[place]
            yield place, None if picture is None else face_of(Image.fromarray(picture), size, box)


def _pictures_in(file: Path, mark: str, numbers: NDArray[np.float64]) -> Iterator[NDArray[np.uint8] | None]:
    """What a file that holds many pictures shows at these seconds (`#t`) or in these lines (`#row`), ascending."""
    if mark == "#row":
        from ferbench.datasets.pixel_table import read_rows

        return read_rows(file, numbers.astype(np.int64))
    from ferbench.datasets.video import read_frames

    return read_frames(file, numbers)


def shares_of(entries: Sequence[str], number: int) -> list[NDArray[np.int64]]:
    """Places of the entries for each of at most `number` processes: whole videos and runs of pictures, evenly dealt."""
    groups: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        file, within = divided(entry)
        groups.setdefault(file if within else f"pictures {place // RUN}", []).append(place)
    dealt: list[list[int]] = [[] for _ in range(max(1, min(number, len(groups))))]
    for group in sorted(groups.values(), key=len, reverse=True):  # the longest first, to whoever has least
        min(dealt, key=len).extend(group)
    return [np.array(sorted(places), dtype=np.int64) for places in dealt]


def read_frame(file: Path, size: int, box: NDArray[np.float64] | None = None) -> NDArray[np.uint8] | None:
    """One face as (S,S,3) uint8 RGB, or None when the file is missing or damaged."""
    if not file.is_file():  # a pipe would be waited for
        return None
    try:
        with Image.open(file) as image:
            return face_of(shown(image), size, box)
    except Exception:  # a damaged file can raise anything: a bomb's error, a codec's, none with one parent
        return None


def shown(image: Image.Image) -> Image.Image:
    """A picture as a viewer shows it, in 8-bit RGB: its first page, upright, on white where it is transparent.

    Raises:
        ValueError: its numbers have no stated range (32 bits or floating point).
    """
    image.load()
    with suppress(Exception):  # a damaged EXIF block is no part of the picture
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F"):
        if image.format != "PNG":  # whose numbers have 16 bits, even where Pillow keeps them in 32
            raise ValueError(f"mode {image.mode} has no stated range")
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "LAB":
        lab, srgb = (ImageCms.ImageCmsProfile(ImageCms.createProfile(space)) for space in ("LAB", "sRGB"))
        return ImageCms.ImageCmsTransform(lab, srgb, "LAB", "RGB").apply(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def face_of(image: Image.Image, size: int, box: NDArray[np.float64] | None) -> NDArray[np.uint8] | None:
    """The face in a picture (RGB) as (S,S,3) uint8, or None where its box lies outside.

    The face box (x, y, width, height in pixels; NaN: none), or else the largest centred square, is resized with
    Pillow's antialiased bilinear filter. Colour order and filter are part of what makes two numbers comparable.
    """
    if box is None or np.isnan(box[0]):
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        crop = (left, top, left + side, top + side)
    else:
        crop = (
            max(0.0, float(box[0])),
            max(0.0, float(box[1])),
            min(float(image.width), float(box[0] + box[2])),
            min(float(image.height), float(box[1] + box[3])),
        )
        if not (crop[0] < crop[2] and crop[1] < crop[3]):
            return None
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=crop))


def content_hash(image: NDArray[np.uint8]) -> int:
    """64-bit hash of a decoded frame; never 0, which means missing."""
    return int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest(), "little") or 1


def compress(face: NDArray[np.uint8]) -> bytes:
    """A face as JPEG; what is lost is far below the noise of the original's own compression."""
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def decompress(data: bytes | memoryview) -> NDArray[np.uint8]:
    """What `compress` wrote, (S,S,3)."""
    return np.asarray(Image.open(io.BytesIO(data)))


if __name__ == "__main__":
    main()
