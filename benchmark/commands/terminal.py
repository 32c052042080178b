"""What is printed, whatever the terminal can show."""

from __future__ import annotations

import io
import sys


def say_aside(text: str) -> None:
    """Says what is going on on standard error, out of the way of what is printed."""
    print(text, file=sys.stderr)


def show_any_text() -> None:
    """From here on what the terminal cannot show is replaced: a name that is not ASCII ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
