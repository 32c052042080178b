"""Nothing is read from outside the data folder: not through `..`, not through a link, whoever wrote the path."""

from __future__ import annotations

from pathlib import Path

from ferbench.datasets.corpus import DataError


def path_inside(root: Path, written: str, where: str) -> str:
    """A path that an annotation names, below `root`, with forward slashes; the file need not be there.

    Args:
        where: file and line in which the path is written, for the error.

    Raises:
        DataError: the path is absolute, climbs out with `..`, or leads out through a link.
    """
    path = Path(written.replace("\\", "/"))
    try:
        inside = (root / path).resolve().is_relative_to(root.resolve())
    except (ValueError, RuntimeError, OSError) as error:  # a NUL, links in circles, too long a name
        raise DataError(f"{where}: {written[:80]!r} is no path of a file ({error}): correct it") from None
    if path.is_absolute() or ".." in path.parts or not inside:
        raise DataError(f"{where}: {written!r} leads out of the data folder: name a file below {root}")
    return path.as_posix()


def refuse_link_outside(root: Path, found: Path) -> None:
    """Raises DataError where a file or folder that was found below `root` is a link to somewhere else.

    The data folder itself may be a link.
    """
    try:
        outside = found.is_symlink() and not found.resolve().is_relative_to(root.resolve())
    except (RuntimeError, OSError):
        raise DataError(f"{found}: the link leads in circles: remove it") from None
    if outside:
        raise DataError(f"{found}: the link leads out of the data folder: put the file itself there")
