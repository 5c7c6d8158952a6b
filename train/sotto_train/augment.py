"""Random crops, flips and erased squares: one gather per batch out of images padded once."""
from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F

from .config import Config
from .data import Meta, Split


@dataclasses.dataclass
class Draw:
    """The random choices for a batch of n images: all that a batch depends on."""

    index: torch.Tensor  # [n], which images
    dy: torch.Tensor  # [n, 1], first row of the crop
    dx: torch.Tensor  # [n, 1], first column
    flip: torch.Tensor  # [n, 1], whether mirrored
    hole: torch.Tensor  # [n, 2], centre of the erased square

    def part(self, k: int, parts: int) -> "Draw":
        """The k-th of equal parts."""
        return Draw(*(getattr(self, f.name).chunk(parts)[k] for f in dataclasses.fields(self)))


def normalise(images: torch.Tensor, meta: Meta) -> torch.Tensor:
    """uint8 [n, h, w, c] to float32 [n, c, h, w], channels last in memory, mean 0 and deviation 1."""
    mean, std = (torch.tensor(v, device=images.device) for v in (meta.mean, meta.std))
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


class Augmenter:
    """Makes training batches. `draw` uses the generator; `batch` is a function of its arguments."""

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

    def draw(self, index: torch.Tensor, generator: torch.Generator) -> Draw:
        """Random choices for the images `index`."""
        n, span, m = len(index), 2 * self.config.pad + 1, self.meta

        def integers(high: int) -> torch.Tensor:
            return torch.randint(0, high, (n, 1), generator=generator)
        flip = torch.rand(n, 1, generator=generator) < (0.5 if self.config.flip else 0.0)
        return Draw(index, integers(span), integers(span), flip, torch.cat([integers(m.height), integers(m.width)], 1))

    def batch(self, d: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """Images float32 [n, c, h, w] (channels last) and labels [n]."""
        m, device = self.meta, self.images.device
        y, x = torch.arange(m.height).view(1, -1), torch.arange(m.width).view(1, -1)
        rows, columns = d.dy + y, d.dx + torch.where(d.flip, m.width - 1 - x, x)
        index, rows, columns = (v.to(device) for v in (d.index, rows, columns))
        images = normalise(self.images[index[:, None, None], rows[:, :, None], columns[:, None, :]], m)
        if self.config.erase:
            half = self.config.erase / 2
            inside_y, inside_x = (d.hole[:, :1] - y).abs() < half, (d.hole[:, 1:] - x).abs() < half
            hole = (inside_y[:, None, :, None] & inside_x[:, None, None, :]).to(device)
            images = images.masked_fill(hole, 0.0)
        return images, self.labels[index]
