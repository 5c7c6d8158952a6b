"""What changes during training, as functions of the progress from 0 to 1; nothing of it needs saving."""
from __future__ import annotations

import math

from .activation import Activation


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


def one_cycle(progress: float, peak: float, warmup: float) -> tuple[float, float]:
    """Learning rate and momentum (Smith, arXiv:1708.07120).

    The rate rises from peak/20 to peak and falls to peak/2000, momentum falls from 0.95 to 0.85 and rises again.
    """
    if progress < warmup:
        t = progress / warmup
        return _cosine(peak / 20, peak, t), _cosine(0.95, 0.85, t)
    t = (progress - warmup) / (1 - warmup)
    return _cosine(peak, peak / 2000, t), _cosine(0.85, 0.95, t)


def activation_limit(progress: float, steps: list[tuple[float, float]]) -> float:
    """The limit of the quadratic: that of the first step whose fraction lies ahead, none after the last."""
    return next((limit for limit, until in steps if progress < until), Activation.NO_LIMIT)
