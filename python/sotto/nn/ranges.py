"""Range report: how large pre-activations and scores get, layer by layer, and how far that is from an overflow.

Squares feed squares: a pre-activation a few times larger than usual can end in infinity a few layers later, and one
image that overflows spoils all images that share its ciphertexts. So the report also looks at images of extreme
contrast, noise and checkerboards.
"""
from __future__ import annotations

import dataclasses
import math
import threading
from typing import Callable

import torch
from torch import nn

from .activation import Activation
from .augment import all_disturbed, high_contrast
from .data import Meta, Split
from .evaluation import map_images
from .hooks import attached
from .parallel import Pool

# A square (x + 1.25)^2 has the scale 2^21.5 and at least one limb of 48 bits, so |x| may reach 2^12
# (docs/adr/0004-one-prime-per-layer.md); scores below 2^9 always decrypt.
PRE_ACTIVATION_LIMIT = 2.0**12
SCORE_LIMIT = 2.0**9
_BINS, _BIN = 8192, 1 / 64


@dataclasses.dataclass
class LayerRange:
    """Magnitudes of one layer's pre-activations; tail is exceeded by one in 10,000."""

    name: str
    largest: float
    tail: float


@dataclasses.dataclass
class Ranges:
    """Magnitudes over a set of images. Margins say how often the largest fits below its limit; 0 if not finite."""

    name: str
    images: int
    beyond: int  # images with a pre-activation or a score beyond its limit, or not finite
    layers: list[LayerRange]
    largest_score: float
    limit: float

    @property
    def largest(self) -> float:
        """The largest pre-activation of all layers."""
        return max((layer.largest for layer in self.layers), default=0.0)

    def margin(self) -> float:
        """The limit over the largest pre-activation."""
        return self.limit / max(self.largest, 1e-30)

    def score_margin(self) -> float:
        """SCORE_LIMIT over the largest score."""
        return SCORE_LIMIT / max(self.largest_score, 1e-30)


class _Meter:
    """Largest magnitude and histogram of what a module gives; the last bin holds everything beyond.

    Adds the largest magnitude of each image to the list `current.images` of the thread.
    """

    def __init__(self, module: nn.Module, current: threading.local):
        self.largest, self.counts = 0.0, torch.zeros(_BINS, dtype=torch.float64)
        self._current, self._lock = current, threading.Lock()
        self.handle = module.register_forward_hook(self._observe)

    def _observe(self, module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        del module, inputs
        magnitude = output.detach().abs().float().nan_to_num(math.inf, math.inf)
        each = magnitude.flatten(1).max(1).values
        counts = torch.histc(magnitude.clamp_max(_BINS * _BIN), _BINS, 0, _BINS * _BIN).cpu()
        self._current.images.append(each)
        with self._lock:
            self.largest, self.counts = max(self.largest, each.max().item()), self.counts + counts

    def tail(self, share: float) -> float:
        """A magnitude (upper edge of its bin) that at most this share exceeds."""
        above = self.counts.flip(0).cumsum(0).flip(0) / max(self.counts.sum().item(), 1)
        index = int((above > share).sum().item())
        return min(index * _BIN, self.largest)


def measure(name: str, net: nn.Module, split: Split, meta: Meta, pool: Pool, device: torch.device,
            limit: float = PRE_ACTIVATION_LIMIT) -> Ranges:
    """The ranges of a network in evaluation mode over the images of a split."""
    current = threading.local()
    meters = {name: _Meter(m.norm, current) for name, m in net.named_modules() if isinstance(m, Activation)}

    def run(x: torch.Tensor) -> torch.Tensor:
        current.images = []
        score = net(x).abs().max(1).values.nan_to_num(math.inf, math.inf)
        return torch.stack([score, torch.stack(current.images).max(0).values], 1)

    with attached([meter.handle for meter in meters.values()]):
        worst = map_images(split.images, meta, run, pool, device)
    beyond = int(((worst[:, 0] > SCORE_LIMIT) | (worst[:, 1] > limit)).sum().item())
    layers = [LayerRange(layer, meter.largest, meter.tail(1e-4)) for layer, meter in meters.items()]
    return Ranges(name, len(split), beyond, layers, worst[:, 0].max().item(), limit)


def report(net: nn.Module, train: Split, test: Split, meta: Meta, pool: Pool, device: torch.device,
           limit: float = PRE_ACTIVATION_LIMIT) -> list[Ranges]:
    """Ranges on training images, test images, and test images of extreme contrast and disturbed ones."""
    sets = {"training": train.images, "test": test.images, "contrast": high_contrast(test.images, 0),
            "noise": all_disturbed(test.images)}
    return [measure(name, net, Split(images, train.labels if name == "training" else test.labels), meta, pool, device,
                    limit) for name, images in sets.items()]


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 1e5 else f"{value:.0e}"


def table(sets: list[Ranges]) -> list[str]:
    """The report as lines of text."""
    lines = [f"{'largest and 99.99 % of':<22}" + "".join(f"{s.name:>22}" for s in sets)]
    for k, layer in enumerate(sets[0].layers):
        cells = (f"{_number(s.layers[k].largest):>13}{_number(s.layers[k].tail):>9}" for s in sets)
        lines.append(f"{layer.name:<22}" + "".join(cells))
    rows: dict[str, Callable[[Ranges], str]] = {
        "largest score": lambda s: _number(s.largest_score), "margin": lambda s: f"{s.margin():.1f} x",
        "margin of scores": lambda s: f"{s.score_margin():.1f} x", "images": lambda s: f"{s.images}",
        "images beyond limits": lambda s: f"{s.beyond}"}
    for title, cell in rows.items():
        lines.append(f"{title:<22}" + "".join(f"{cell(s):>22}" for s in sets))
    lines.append(f"limits: {sets[0].limit:g} for pre-activations, {SCORE_LIMIT:g} for scores")
    return lines
