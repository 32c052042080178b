"""Emotions as action units over time: which muscles, how strongly, and in which order.

Combinations follow EMFACS (Friesen and Ekman, 1983); variants and strengths come from the given generator.
No rendering here: numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from ferbench.datasets.synthetic.action_units import ACTION_UNITS, unit_index, unit_vector

EMOTIONS: tuple[str, ...] = (
    "Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt",
)  # fmt: skip

VARIANTS: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "Neutral": ({},),
    "Happiness": (
        {"AU6": 0.8, "AU12": 0.9, "AU25": 0.6},
        {"AU6": 0.9, "AU12": 1.0, "AU25": 0.9, "AU26": 0.3},
        {"AU6": 0.6, "AU12": 0.8},
        {"AU6": 0.7, "AU7": 0.4, "AU12": 0.9, "AU25": 0.4},
    ),
    "Sadness": (
        {"AU1": 0.9, "AU4": 0.5, "AU15": 0.9},
        {"AU1": 0.9, "AU4": 0.6, "AU15": 0.8, "AU17": 0.7},
        {"AU1": 0.7, "AU4": 0.4, "AU15": 0.9, "AU43": 0.3},
        {"AU1": 0.8, "AU4": 0.5, "AU15": 0.6, "AU17": 0.5, "AU43": 0.2},
    ),
    "Surprise": (
        {"AU1": 0.9, "AU2": 0.9, "AU5": 0.8, "AU25": 0.6, "AU26": 0.7},
        {"AU1": 1.0, "AU2": 1.0, "AU5": 0.9, "AU25": 0.7, "AU26": 1.0},
        {"AU1": 0.9, "AU2": 0.9, "AU5": 0.6, "AU25": 0.4, "AU26": 0.45},
    ),
    "Fear": (
        {"AU1": 0.9, "AU2": 0.5, "AU4": 0.6, "AU5": 0.9, "AU20": 0.9, "AU25": 0.6},
        {"AU1": 0.9, "AU2": 0.6, "AU4": 0.6, "AU5": 1.0, "AU7": 0.4, "AU20": 0.8, "AU25": 0.6, "AU26": 0.4},
        {"AU1": 0.9, "AU2": 0.5, "AU4": 0.5, "AU5": 0.9, "AU20": 1.0, "AU25": 0.3},
    ),
    "Disgust": (
        {"AU9": 0.9, "AU10": 0.7, "AU17": 0.5, "AU4": 0.3},
        {"AU9": 0.9, "AU15": 0.5, "AU17": 0.6, "AU4": 0.3, "AU7": 0.4},
        {"AU9": 0.7, "AU10": 0.9, "AU25": 0.6, "AU4": 0.3, "AU7": 0.3},
    ),
    "Anger": (
        {"AU4": 1.0, "AU5": 0.5, "AU7": 0.7, "AU23": 0.7, "AU24": 0.5},
        {"AU4": 0.9, "AU7": 0.8, "AU24": 0.9, "AU17": 0.4},
        {"AU4": 1.0, "AU5": 0.6, "AU7": 0.6, "AU23": 0.6, "AU25": 0.6, "AU10": 0.4, "AU26": 0.2},
    ),
    "Contempt": (
        {"AU12": 0.6, "AU14": 0.7, "ASYM": 1.0},
        {"AU14": 0.9, "ASYM": 1.0},
        {"AU12": 0.7, "AU14": 0.4, "AU7": 0.2, "ASYM": 1.0},
    ),
    "Calm": (
        {"AU12": 0.2, "AU43": 0.25},
        {"AU43": 0.35},
    ),
    "Anxiety": (
        {"AU1": 0.7, "AU4": 0.5, "AU5": 0.4, "AU20": 0.3, "AU24": 0.4},
        {"AU1": 0.6, "AU4": 0.6, "AU7": 0.3, "AU15": 0.3, "AU25": 0.3},
    ),
    "Helplessness": (
        {"AU1": 0.8, "AU4": 0.4, "AU15": 0.5, "AU43": 0.5, "AU25": 0.2},
        {"AU1": 0.7, "AU15": 0.6, "AU17": 0.5, "AU43": 0.4},
    ),
    "Disappointment": (
        {"AU1": 0.4, "AU14": 0.5, "AU15": 0.6, "AU17": 0.3},
        {"AU4": 0.3, "AU15": 0.7, "AU24": 0.4},
    ),
}
"""Of `EMOTIONS`, and of further classes that some releases have; these last lie near others, as they do there."""

# Where an emotion's units start, as a fraction of its onset: classes that share units differ here.
_DELAYS: Mapping[str, Mapping[str, float]] = {
    "Happiness": {"AU6": 0.15, "AU25": 0.20},
    "Sadness": {"AU15": 0.25, "AU17": 0.35},
    "Surprise": {"AU25": 0.10, "AU26": 0.10},
    "Fear": {"AU20": 0.30, "AU25": 0.35, "AU26": 0.35, "AU4": 0.15},
    "Disgust": {"AU15": 0.25, "AU17": 0.30, "AU4": 0.15},
    "Anger": {"AU23": 0.30, "AU24": 0.30, "AU17": 0.35, "AU5": 0.20},
    "Contempt": {"AU14": 0.10},
}


def expression_units(emotion: str, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """(A,) float32: action units of an emotion at its apex, a variant drawn from `rng`.

    `strength` scales all intensities; each varies by a further 20%.
    """
    if emotion not in VARIANTS:
        raise ValueError(f"unknown emotion {emotion!r}; there are {', '.join(VARIANTS)}")
    variants = VARIANTS[emotion]
    units = unit_vector(**variants[int(rng.integers(len(variants)))])
    asym = unit_index("ASYM")
    side = units[asym] * (1.0 if rng.random() < 0.5 else -1.0)
    units = np.clip(units * strength * rng.uniform(0.8, 1.2, len(units)), 0, 1)
    units[asym] = side * rng.uniform(0.8, 1.0)
    return np.asarray(units, dtype=np.float32)


def smoothstep(values: np.ndarray) -> np.ndarray:
    clipped = np.clip(values, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3 - 2 * clipped))


def time_course(
    num_frames: int, rng: np.random.Generator, kind: Literal["onset", "onset_apex_offset"] = "onset"
) -> np.ndarray:
    """(T,) float32 envelope in 0 to 1: neutral to apex, or there and back."""
    if kind not in ("onset", "onset_apex_offset"):
        raise ValueError(f"unknown time course {kind!r}; there are onset, onset_apex_offset")
    if num_frames == 1:
        return np.ones(1, dtype=np.float32)
    time = np.linspace(0.0, 1.0, num_frames)
    if kind == "onset":
        start, stop = rng.uniform(0.0, 0.15), rng.uniform(0.65, 0.95)
        return smoothstep((time - start) / (stop - start)).astype(np.float32)
    start, rise = rng.uniform(0.05, 0.2), rng.uniform(0.15, 0.25)
    stop, fall = rng.uniform(0.6, 0.75), rng.uniform(0.15, 0.25)
    envelope = smoothstep((time - start) / rise) * (1 - smoothstep((time - stop) / fall))
    return np.asarray(envelope, dtype=np.float32)


def sequence_units(
    emotion: str,
    num_frames: int,
    rng: np.random.Generator,
    strength: float = 1.0,
    kind: Literal["onset", "onset_apex_offset"] = "onset",
    blinks: float = 0.03,
    speech: float = 0.0,
) -> np.ndarray:
    """(T, A) float32: an emotion over time, each unit with its own delay, with blinks and speech.

    `blinks` is the chance of a blink to begin at a frame; `speech` (0 to 1) the strength of mouth motion.
    """
    apex = expression_units(emotion, rng, strength)
    envelope = time_course(num_frames, rng, kind)
    delays = np.array([_DELAYS.get(emotion, {}).get(name, 0.0) for name in ACTION_UNITS])
    delays = np.clip(delays + rng.uniform(-0.05, 0.05, len(delays)), 0.0, 0.6)
    late = smoothstep((envelope[:, None] - delays) / (1 - delays)) if num_frames > 1 else np.ones((1, len(apex)))
    units = late * apex
    asym = unit_index("ASYM")
    units[:, asym] = apex[asym]
    if speech > 0:
        units = add_speech(units, rng, speech)
    return add_blinks(units, rng, blinks)


def add_blinks(units: np.ndarray, rng: np.random.Generator, chance: float = 0.03) -> np.ndarray:
    """Units (T, A) with blinks of three frames; none covers the first or the last frame."""
    result = units.astype(np.float32, copy=True)
    num_frames = len(units)
    closed = unit_index("AU43")
    shape = np.array([0.6, 1.0, 0.5], dtype=np.float32)
    for start in np.flatnonzero(rng.random(num_frames) < chance):
        if 0 < start < num_frames - len(shape):
            rows = slice(start, start + len(shape))
            result[rows, closed] = np.maximum(result[rows, closed], shape)
    return result


def add_speech(units: np.ndarray, rng: np.random.Generator, strength: float = 0.6) -> np.ndarray:
    """Units (T, A) with the mouth motion of speech on top (about four syllables in 25 frames)."""
    result = units.astype(np.float32, copy=True)
    time = np.arange(len(units))
    for name, share, low, high in (
        ("AU25", 0.7, 0.12, 0.20), ("AU26", 0.45, 0.12, 0.20), ("AU18", 0.5, 0.05, 0.11), ("AU20", 0.3, 0.05, 0.11),
    ):  # fmt: skip
        wave = np.sin(2 * np.pi * (rng.uniform(low, high) * time + rng.random()))
        pulse = strength * share * np.clip(0.5 + wave, 0, 1) * rng.uniform(0.6, 1.0)
        channel = unit_index(name)
        result[:, channel] = np.clip(result[:, channel] + pulse, 0, 1)
    return result
