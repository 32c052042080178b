"""Random streams: each belongs to the names that it is called by, and to nothing else.

So adding an architecture, a data set or a fold to a run never changes another's numbers.
"""

from __future__ import annotations

import hashlib


def number_of(*names: object) -> int:
    """A 63-bit number of these names: the seed of whatever they stand for.

    Two lists of names give different numbers, so that identities made for two purposes never meet.
    """
    text = "\0".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
