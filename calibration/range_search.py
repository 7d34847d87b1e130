"""Which range to quantize an activation over: searches on its histogram."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STEPS: Final = 255
"""Between the values of 8 bits."""
CANDIDATES: Final = 128
"""Ends of a range that are tried on either side."""
REFERENCE_BINS: Final = 2048
"""Of the distribution that entropy is measured on (Migacz 2017)."""

ROUNDS: Final = 8
"""In which the two ends of a range are searched in turn, at most."""

Array = NDArray[np.float64]


def least_squares(
    counts: NDArray[Any], edges: NDArray[Any], low: float, high: float, *, symmetric: bool
) -> tuple[float, float]:
    """The range (low, high) with the least mean squared error of rounding and clipping.

    Rounding errs by the value itself below half a step, and beyond is taken as uniform noise (a twelfth of the step
    squared); what is clipped errs by its distance to the end.

    Args:
        counts: of values other than zero, in bins.
        edges: where the bins begin and end; one more than ``counts``.
        low: the smallest value, or 0.
        high: the largest value, or 0.
        symmetric: whether low must be -high.
    """
    centers = (edges[1:] + edges[:-1]) / 2
    everything = _Tail(counts, np.abs(centers))
    highs = np.linspace(0, max(high, -low) if symmetric else high, CANDIDATES + 1)[1:]
    if symmetric:
        error = everything.clipping(highs) + everything.rounding(2 * highs / (STEPS - 1), everything.beyond(highs))
        best = float(highs[int(error.argmin())])
        return -best, best
    lows = np.linspace(0, low, CANDIDATES + 1)[1:]
    above = _Tail(np.where(centers > 0, counts, 0), centers)
    below = _Tail(np.where(centers < 0, counts, 0), -centers)
    clipping = above.clipping(highs)[:, None] + below.clipping(-lows)
    clipped = above.beyond(highs)[:, None] + below.beyond(-lows)
    error = clipping + everything.rounding((highs[:, None] - lows) / STEPS, clipped)
    i, j = np.unravel_index(int(error.argmin()), error.shape)
    return float(lows[j]), float(highs[i])


class _Tail:
    """Sums over all magnitudes beyond any place.

    Args:
        counts: of values, in bins.
        magnitudes: of the bins' centers.
    """

    def __init__(self, counts: NDArray[Any], magnitudes: Array) -> None:
        order = np.argsort(magnitudes, kind="stable")
        self._magnitudes = magnitudes[order]
        weights = counts[order].astype(np.float64)
        # Of 1, x and x^2.
        self._sums = [np.append(np.cumsum((weights * self._magnitudes**n)[::-1])[::-1], 0.0) for n in range(3)]

    def beyond(self, ends: Array) -> Array:
        """How many values there are."""
        return np.asarray(self._sums[0][np.searchsorted(self._magnitudes, ends)])

    def clipping(self, ends: Array) -> Array:
        """Sum of squared errors if they are clipped to ``ends``."""
        place = np.searchsorted(self._magnitudes, ends)
        number, total, squares = (sums[place] for sums in self._sums)
        return np.asarray(np.maximum(squares - 2 * ends * total + ends**2 * number, 0))

    def rounding(self, steps: Array, clipped: Array) -> Array:
        """Sum of squared errors of rounding all but the ``clipped`` outermost values to multiples of ``steps``."""
        place = np.searchsorted(self._magnitudes, steps / 2)
        number, _, squares = (sums[place] for sums in self._sums)
        return np.asarray(self._sums[2][0] - squares + np.maximum(number - clipped, 0) * steps**2 / 12)


def least_divergent(
    counts: NDArray[Any], edges: NDArray[Any], low: float, high: float, *, symmetric: bool
) -> tuple[float, float]:
    """The range (low, high) whose quantized distribution diverges least from the true one (Kullback-Leibler).

    Migacz 2017, "8-bit Inference with TensorRT", has one threshold for both signs. Where they may differ (what a
    LeakyReLU gives out reaches five times further above zero than below), the two ends are searched in turn, each with
    the other one held, until neither moves.

    Args: as of ``least_squares``.
    """
    centers = np.clip((edges[1:] + edges[:-1]) / 2, low, high)
    if symmetric:
        folded, bounds = np.histogram(np.abs(centers), bins=REFERENCE_BINS, range=(0, max(high, -low)), weights=counts)
        end = _best_end(folded, 0, STEPS // 2 + 1, STEPS // 2 + 1)
        return -float(bounds[end]), float(bounds[end])
    reference, bounds = np.histogram(centers, bins=REFERENCE_BINS, range=(low, high), weights=counts)
    zero = int(np.searchsorted(bounds, 0.0))
    start, end = 0, REFERENCE_BINS
    for _ in range(ROUNDS):
        before = start, end
        if high:
            end = _best_end(reference, start, max(zero + 1, start + STEPS + 1), STEPS + 1)
        if low:  # the same in the mirror
            there = REFERENCE_BINS - end
            place = _best_end(reference[::-1], there, max(REFERENCE_BINS - zero + 1, there + STEPS + 1), STEPS + 1)
            start = REFERENCE_BINS - place
        if before == (start, end):
            break
    return min(float(bounds[start]), 0.0), max(float(bounds[end]), 0.0)


def _best_end(reference: Array, start: int, least: int, levels: int) -> int:
    """Where from ``least`` on a range from ``start`` should end to diverge least; of equals the furthest."""
    last = len(reference)
    places = np.unique(np.linspace(min(least, last), last, CANDIDATES).round().astype(int))[::-1]
    divergences = [_divergence(reference, start, int(place), levels) for place in places]
    return int(places[int(np.argmin(divergences))])


def _divergence(reference: Array, start: int, end: int, levels: int) -> float:
    """Of bins ``start`` to ``end``, the rest clipped to their ends, from themselves in ``levels`` steps."""
    inside = reference[start:end]
    true = inside.copy()
    true[0] += reference[:start].sum()
    true[-1] += reference[end:].sum()
    level = np.arange(inside.size) * levels // inside.size
    sums = np.bincount(level, weights=inside, minlength=levels)
    filled = np.bincount(level, weights=inside > 0, minlength=levels)
    # A step's values are spread over those of its bins that had any.
    spread = np.where(inside > 0, (sums / np.maximum(filled, 1))[level], 0.0)
    present = true > 0
    true, spread = true[present] / true.sum(), spread[present] / max(spread.sum(), 1.0)
    return float(np.sum(true * np.log(true / np.maximum(spread, 1e-12))))
