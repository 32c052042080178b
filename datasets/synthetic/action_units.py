"""The channels of an action-unit vector.

Names are those of FACS (Ekman, Friesen and Hager, 2002). An intensity is 0 (absent) to 1 (strongest).
`AU26` is the jaw drop and, near 1, the mouth stretch of AU27. `AU18` (lip pucker) serves speech.
`ASYM` is no action unit: -1 to 1, it takes AU12 and AU14 away from one half of the face
(+1: only the half on the right of the picture moves, -1: only the left, 0: both).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ACTION_UNITS: tuple[str, ...] = (
    "AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU9", "AU10", "AU12", "AU14",
    "AU15", "AU17", "AU18", "AU20", "AU23", "AU24", "AU25", "AU26", "AU43", "ASYM",
)  # fmt: skip

MEANINGS: Mapping[str, str] = {
    "AU1": "inner brow raiser",
    "AU2": "outer brow raiser",
    "AU4": "brow lowerer",
    "AU5": "upper lid raiser",
    "AU6": "cheek raiser",
    "AU7": "lid tightener",
    "AU9": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU12": "lip corner puller",
    "AU14": "dimpler",
    "AU15": "lip corner depressor",
    "AU17": "chin raiser",
    "AU18": "lip pucker",
    "AU20": "lip stretcher",
    "AU23": "lip tightener",
    "AU24": "lip pressor",
    "AU25": "lips part",
    "AU26": "jaw drop",
    "AU43": "eyes closed",
    "ASYM": "which half of the face AU12 and AU14 move",
}

_INDEX = {name: channel for channel, name in enumerate(ACTION_UNITS)}


def unit_index(name: str) -> int:
    """Channel of an action unit, as in `unit_index("AU12")`."""
    try:
        return _INDEX[name]
    except KeyError:
        raise KeyError(f"unknown action unit {name!r}; there are {', '.join(ACTION_UNITS)}") from None


def unit_vector(**intensities: float) -> np.ndarray:
    """(A,) float32 vector from named intensities: `unit_vector(AU6=0.5, AU12=1)`."""
    vector = np.zeros(len(ACTION_UNITS), dtype=np.float32)
    for name, intensity in intensities.items():
        vector[unit_index(name)] = intensity
    return vector
