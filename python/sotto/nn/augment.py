"""Random crops, flips and erased squares: one gather per batch out of images padded once."""
from __future__ import annotations

import dataclasses
import functools
from typing import Callable

import torch
import torch.nn.functional as F

from .config import MAX_VIEWS, Config
from .data import Meta, Split


MAX_GAIN = 32.0  # leaves two values per channel of most images


@dataclasses.dataclass
class Draw:
    """The random choices for a batch of n images: all that a batch depends on."""

    index: torch.Tensor  # [n], which images
    dy: torch.Tensor  # [n, 1], first row of the crop
    dx: torch.Tensor  # [n, 1], first column
    flip: torch.Tensor  # [n, 1], whether mirrored
    hole: torch.Tensor  # [n, 2], centre of the erased square
    gain: torch.Tensor  # [n, 1], factor of the contrast, 1 for most images
    pivot: torch.Tensor  # [n, c], what the contrast is raised around, in units of pixel / 255
    noise: torch.Tensor  # [n, 1], int64: what `disturb` makes of the image; -1: nothing

    def part(self, k: int, parts: int) -> "Draw":
        """The k-th of equal parts."""
        return self._map(lambda values: values.chunk(parts)[k])

    def take(self, rows: torch.Tensor) -> "Draw":
        """The choices for some of the images."""
        return self._map(lambda values: values[rows])

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Draw":
        return Draw(*(function(getattr(self, f.name)) for f in dataclasses.fields(self)))


def normalise(images: torch.Tensor, meta: Meta) -> torch.Tensor:
    """uint8 [n, h, w, c] to float32 [n, c, h, w], channels last in memory, mean 0 and deviation 1."""
    return _normalise(images.float() / 255, meta)


@functools.lru_cache(maxsize=None)
def _constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Copied to the device only once: a GPU would have to be idle for it."""
    return torch.tensor(values, device=device)


def _normalise(pixels: torch.Tensor, meta: Meta) -> torch.Tensor:
    mean, std = (_constant(v, pixels.device) for v in (meta.mean, meta.std))
    return ((pixels - mean) / std).permute(0, 3, 1, 2)


def raise_contrast(pixels: torch.Tensor, gain: torch.Tensor, pivot: torch.Tensor) -> torch.Tensor:
    """Pixels [n, h, w, c] within 0 to 1, moved away from pivot [n, c] by the factor gain [n, 1]; clamped to 0 to 1."""
    pivot = pivot[:, None, None, :]
    return (pivot + gain[:, None, None, :] * (pixels - pivot)).clamp(0, 1)


_WORD = 0xFFFFFFFF


def _uniform(seeds: torch.Tensor, count: int) -> torch.Tensor:
    """Numbers [n, count] between 0 and 1 that follow from seeds [n, 1], int64 below 2^32, alone."""
    x = (seeds + torch.arange(1, count + 1, device=seeds.device) * 0x9E3779B1) & _WORD
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):  # an integer hash with full avalanche
        x = ((x ^ (x >> shift)) * factor) & _WORD
    return (x ^ (x >> 15)).float() / 2.0**32


def disturb(pixels: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Pixels [n, h, w, c] within 0 to 1 as no camera takes them: noise in their place or over them, checkerboards.

    What becomes of an image follows from its seed, [n, 1], int64 from 0 to 2^32 - 1: a quarter each of noise between 0
    and 1, noise of 0 and 1 alone, the image under noise of up to its own contrast, and boards of two colours with sides of
    1 to 8 pixels. Half of all noise is grey.
    """
    n, height, width, channels = pixels.shape
    choice = _uniform(seeds, 3 + 2 * channels)
    kind, grey, size = ((choice[:, k] * m).long() for k, m in enumerate((4, 2, 8)))
    noise = _uniform((seeds * 0x85EBCA6B + 1) & _WORD, height * width * channels).view(pixels.shape)
    noise = torch.where(grey.view(-1, 1, 1, 1) == 1, noise[..., :1], noise)
    colours = choice[:, 3:].view(n, 2, 1, 1, channels).round()
    side = 1 + size.view(-1, 1, 1)
    y, x = torch.arange(height, device=pixels.device).view(-1, 1), torch.arange(width, device=pixels.device)
    board = ((y // side + x // side) % 2).unsqueeze(3)
    kinds = torch.stack([noise, noise.round(), (pixels + choice[:, 2].view(-1, 1, 1, 1) * (2 * noise - 1)).clamp(0, 1),
                         torch.where(board == 1, colours[:, 0], colours[:, 1])])
    return kinds[kind, torch.arange(n, device=pixels.device)]


def high_contrast(images: torch.Tensor, seed: int) -> torch.Tensor:
    """uint8 images [n, h, w, c] with the contrast raised by MAX_GAIN around seeded values: far out, yet possible."""
    n, channels = len(images), images.shape[3]
    pivot = 0.25 + 0.5 * torch.rand(n, channels, generator=torch.Generator().manual_seed(seed))
    gain = torch.full((n, 1), MAX_GAIN)
    return torch.cat([(raise_contrast(images[i:i + 500].float() / 255, gain[i:i + 500], pivot[i:i + 500]) * 255).round()
                      .to(torch.uint8) for i in range(0, n, 500)])


def all_disturbed(images: torch.Tensor) -> torch.Tensor:
    """uint8 images [n, h, w, c] as `disturb` makes them, with their numbers for seeds."""
    seeds = torch.arange(len(images)).view(-1, 1)
    return torch.cat([(disturb(images[i:i + 500].float() / 255, seeds[i:i + 500]) * 255).round().to(torch.uint8)
                      for i in range(0, len(images), 500)])


class Augmenter:
    """Makes training batches. `draw` uses the generator; `view` and `batch` are functions of their arguments."""

    def __init__(self, split: Split, meta: Meta, config: Config, device: torch.device):
        self.meta, self.config = meta, config
        pad = config.pad
        self.labels = split.labels.to(device)
        images = split.images
        if pad:
            planes = images.permute(0, 3, 1, 2)
            padded = torch.empty(*planes.shape[:2], meta.height + 2 * pad, meta.width + 2 * pad, dtype=torch.uint8)
            for i in range(0, len(images), 4096):  # reflection works on floats, which take four times the memory
                padded[i:i + 4096] = F.pad(planes[i:i + 4096].float(), (pad,) * 4, mode="reflect").to(torch.uint8)
            images = padded.permute(0, 2, 3, 1).contiguous()
        self.images = images.to(device)
        self._view: tuple[int, Draw] | None = None

    def view(self, index: torch.Tensor, number: int) -> Draw:
        """The choices that belong to the images `index` and this number, the same whenever they are asked for."""
        if self._view is None or self._view[0] != number:
            seed = self.config.seed * (MAX_VIEWS + 1) + number + 1
            everything = torch.arange(len(self.labels))
            self._view = number, self.draw(everything, torch.Generator().manual_seed(seed))
        return self._view[1].take(index)

    def draw(self, index: torch.Tensor, generator: torch.Generator) -> Draw:
        """Random choices for the images `index`."""
        n, span, m = len(index), 2 * self.config.pad + 1, self.meta

        def integers(high: int) -> torch.Tensor:
            return torch.randint(0, high, (n, 1), generator=generator)
        flip = torch.rand(n, 1, generator=generator) < (0.5 if self.config.flip else 0.0)
        hole = torch.cat([integers(m.height), integers(m.width)], 1)
        uniform = torch.rand(n, 2 + m.channels, generator=generator)
        gain = torch.where(uniform[:, :1] < self.config.stress, MAX_GAIN ** uniform[:, 1:2], torch.ones(n, 1))
        draw = Draw(index, integers(span), integers(span), flip, hole, gain, 0.25 + 0.5 * uniform[:, 2:],
                    torch.full((n, 1), -1))
        if self.config.noise:
            seeds, chosen = integers(1 << 32), torch.rand(n, 1, generator=generator) < self.config.noise
            draw.noise = torch.where(chosen, seeds, draw.noise)
        return draw

    def batch(self, d: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """Images float32 [n, c, h, w] (channels last) and labels [n]."""
        m, device = self.meta, self.images.device

        def there(values: torch.Tensor) -> torch.Tensor:
            return values.to(device, non_blocking=True)
        y, x = torch.arange(m.height).view(1, -1), torch.arange(m.width).view(1, -1)
        rows, columns = there(d.dy + y), there(d.dx + torch.where(d.flip, m.width - 1 - x, x))
        index = there(d.index)
        pixels = self.images[index[:, None, None], rows[:, :, None], columns[:, None, :]].float() / 255
        if self.config.stress:
            pixels = raise_contrast(pixels, there(d.gain), there(d.pivot))
        if self.config.noise:
            rows = torch.nonzero(d.noise[:, 0] >= 0)[:, 0]
            pixels[there(rows)] = disturb(pixels[there(rows)], there(d.noise[rows]))
        images = _normalise(pixels, m)
        if self.config.erase:
            half = self.config.erase / 2
            inside_y, inside_x = (d.hole[:, :1] - y).abs() < half, (d.hole[:, 1:] - x).abs() < half
            images = images.masked_fill(there(inside_y)[:, None, :, None] & there(inside_x)[:, None, None, :], 0.0)
        return images, self.labels[index]
