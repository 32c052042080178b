"""Is it slower? Timed samples of base and head -> a verdict. Arrays in, numbers out.

Both sides were measured in one job, in turns (`side_by_side`), so whatever else the machine did fell on both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ferbench.benchmark.gate.verdict import Mark, Verdict

RATIO = 1.10
ALPHA = 0.002


@dataclass(frozen=True)
class Comparison:
    """Head over base, with its 95% interval and the two-sided p of Mann and Whitney."""

    ratio: float
    interval: tuple[float, float]
    p: float


def compare_samples(base: ArrayLike, head: ArrayLike) -> Comparison:
    """The Hodges-Lehmann ratio of two samples of times (N,), (M,), and whether they differ at all.

    The ratio is the median of all N·M ratios of a time of the head to one of the base, the estimate that belongs to the
    test of Mann and Whitney; its interval leaves off as many of the ordered ratios at each end as that test does
    (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3rd ed., 4.3).

    Raises:
        ValueError: fewer than 5 samples on a side, or a time that is not positive and finite.
    """
    from scipy.stats import mannwhitneyu

    before, after = np.asarray(base, dtype=np.float64), np.asarray(head, dtype=np.float64)
    for side in (before, after):
        if len(side) < 5 or not (np.isfinite(side).all() and (side > 0).all()):
            raise ValueError(f"at least 5 positive times a side are needed, not {side.tolist()}")
    ratios = np.sort(np.log(after[:, None] / before).ravel())
    n, m = len(after), len(before)
    outside = round(n * m / 2 - 1.96 * float(np.sqrt(n * m * (n + m + 1) / 12)))
    low, high = np.exp(ratios[[max(0, outside), min(n * m - 1, n * m - 1 - outside)]]).tolist()
    return Comparison(
        float(np.exp(np.median(ratios))),
        (low, high),
        float(mannwhitneyu(after, before, alternative="two-sided").pvalue),
    )


def judge_times(comparison: Comparison, ratio: float = RATIO, alpha: float = ALPHA) -> Mark:
    """A change of speed counts when it is both larger than the ratio and unlikely by chance (p < alpha)."""
    if comparison.p >= alpha or 1 / ratio <= comparison.ratio <= ratio:
        return "same"
    return "worse" if comparison.ratio > ratio else "better"


def compare_times(
    subject: str,
    what: str,
    base: ArrayLike,
    head: ArrayLike,
    again: tuple[ArrayLike, ArrayLike] | None = None,
    ratio: float = RATIO,
    alpha: float = ALPHA,
) -> Verdict:
    """The verdict on one thing that was timed, in seconds a call.

    `again` is a second measurement in new processes. A slowdown counts only when that one shows it too; its figures are
    reported then, since the first were looked at because they were large.
    """
    first = compare_samples(base, head)
    found, mark, reason = first, judge_times(first, ratio, alpha), ""
    if again is not None:
        base, head = again
        found = compare_samples(base, head)
        confirmed = mark == "worse" and judge_times(found, ratio, alpha) == "worse"
        reason = f"{first.ratio:.3f} at first" + (", confirmed" if confirmed else ", not when measured again")
        mark = "worse" if confirmed else "same"
    elif mark == "worse":
        reason = "measured once"
    in_ms = [1e3 * float(np.median(np.asarray(side))) for side in (base, head)]
    return Verdict(
        "latency", subject, f"{what}, ms" if what else "ms", mark, base=in_ms[0], head=in_ms[1],
        change=found.ratio, interval=found.interval, p=found.p, limit=ratio, reason=reason,
    )  # fmt: skip
