"""Scores and accuracy of networks."""
from __future__ import annotations

from typing import Callable

import torch
from torch import nn

from .augment import normalise
from .data import Meta, Split
from .parallel import Pool


def map_images(images: torch.Tensor, meta: Meta, function: Callable[[torch.Tensor], torch.Tensor], pool: Pool,
               device: torch.device, batch: int = 500) -> torch.Tensor:
    """Applies a function to normalised float32 batches of uint8 images and joins its results."""
    def part(i: int) -> torch.Tensor:
        with torch.no_grad():
            return function(normalise(images[i:i + batch].to(device), meta)).cpu()
    return torch.cat(pool.map(part, range(0, len(images), batch)))


def scores(net: nn.Module, images: torch.Tensor, meta: Meta, pool: Pool, device: torch.device,
           bf16: bool = False) -> torch.Tensor:
    """Class scores, float32 [n, classes], of uint8 images [n, h, w, c]; the network must be in evaluation mode."""
    def run(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            return net(x).float()
    return map_images(images, meta, run, pool, device)


def accuracy(net: nn.Module, split: Split, meta: Meta, pool: Pool, device: torch.device, bf16: bool = False) -> float:
    """Share of images whose largest score is at their label."""
    best = scores(net, split.images, meta, pool, device, bf16).argmax(1)
    return float((best == split.labels).float().mean())
