"""Residual networks made deeper: blocks are added that pass their input on, and training goes on from there.

A block ends in an activation after its sum, so with quadratics none can be the identity. But the residual branch, which
is quadratic itself, can straighten that activation. For the input x of a channel an added block computes

    s = x + c2 (A u^2 + B u), u = g1 x,    then    A y^2 + B y, y = g2 s = slope x + curve x^2,

with slope and curve such that y comes closest to the root of A y^2 + B y = scale x: the output is the input times a
number per channel, which the next layers undo. The smaller it is, the closer the root is to a quadratic. Zero stays
zero, hence borders stay what they are. (Growing networks that keep their function: Net2Net, arXiv:1511.05641.)
"""
from __future__ import annotations

import torch
from torch import nn

from .activation import A, B, Activation
from .augment import normalise
from .data import Meta
from .errors import TrainError
from .exported import restore_statistics
from .hooks import attached
from .models import Block, ResNet

LEAST = -B * B / (4 * A)  # value of the quadratic
MARGIN = 1.25  # of the range of a channel over what the images show
BEND, BENDS = 1.5, 4.0  # 4 A scale x / B^2 at the end of the range: how far the root of 1 + that is followed; in all
REACH = 1.0  # u at the end of the range
POINTS = 257  # of the fit


def _stages(net: nn.Module) -> list[list[Block]]:
    """The blocks of a quadratic residual network, by width; TrainError for other networks."""
    if not isinstance(net, ResNet) or net.act.kind != "quadratic":
        raise TrainError("only residual networks with quadratic activations can be made deeper")
    stages: list[list[Block]] = [[]]
    for block in net.blocks:
        if isinstance(block.shortcut, nn.Conv2d):
            stages.append([])
        stages[-1].append(block)
    return stages


def _shapes(stages: list[list[Block]]) -> list[torch.Size]:
    return [stage[0].conv1.weight.shape for stage in stages]


def _set_norm(act: Activation, factor: torch.Tensor, shift: torch.Tensor) -> None:
    """Makes the batch normalisation x -> factor x + shift, with statistics 0 and 1."""
    norm = act.norm
    norm.running_mean.zero_()
    norm.running_var.fill_(1)
    norm.weight.copy_(factor * (1 + norm.eps) ** 0.5)
    norm.bias.copy_(shift)


def _set_diagonal(conv: nn.Conv2d, values: torch.Tensor) -> None:
    """Makes the 3x3 convolution a factor per channel."""
    conv.weight.zero_()
    index = torch.arange(len(values))
    conv.weight[index, index, 1, 1] = values


def _pass_on(block: Block, values: torch.Tensor, goals: torch.Tensor, bend: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Makes the block a function of each channel that takes `values` closest to a multiple of `goals`, both [n, c].

    Returns what it makes of the values, and the multiples [c]. Blocks in a row are given the same goals, so that each
    also mends what the one before left over.
    """
    scale = bend * B * B / (4 * A * goals.amax(0))
    y = (torch.sqrt(B * B + 4 * A * scale * goals) - B) / (2 * A)
    v2, v3, v4 = ((values**k).sum(0) for k in (2, 3, 4))
    vy, v2y = (values * y).sum(0), (values**2 * y).sum(0)
    determinant = v2 * v4 - v3 * v3
    slope, curve = (vy * v4 - v2y * v3) / determinant, (v2 * v2y - v3 * vy) / determinant
    g1 = REACH / values.amax(0)
    c2_g2 = curve / (A * g1 * g1)
    g2 = slope - c2_g2 * B * g1
    _set_diagonal(block.conv1, torch.ones_like(g1))
    _set_norm(block.act1, g1, torch.zeros_like(g1))
    _set_diagonal(block.conv2, c2_g2 / g2)
    _set_norm(block.act2, g2, torch.zeros_like(g2))
    y = slope * values + curve * values**2
    return A * y * y + B * y, scale


def deepen(net: nn.Module, deeper: nn.Module, images: torch.Tensor, meta: Meta) -> None:
    """Gives `deeper` weights with which it computes nearly what `net` computes on uint8 images [n, h, w, c].

    Both are residual networks with quadratics, of the same widths, in evaluation mode; blocks are added at the end of
    each stage. TrainError for others.
    """
    old, new = _stages(net), _stages(deeper)
    if _shapes(old) != _shapes(new) or any(len(a) > len(b) for a, b in zip(old, new)):
        raise TrainError("a network can only be made deeper: more blocks of the same widths")
    ends: list[torch.Tensor] = []
    hooks = [s[-1].register_forward_hook(lambda _block, _x, y: ends.append(y.amax((0, 2, 3)).clamp_min(1)))
             for s in old]
    with torch.no_grad():
        with attached(hooks):
            net(normalise(images, meta))
        if not all(end.isfinite().all() for end in ends):
            raise TrainError("its values are not finite on some images")
        scale = _copy(net, deeper, [MARGIN * end for end in ends])
        deeper.fc.weight.copy_(net.fc.weight / scale)
        deeper.fc.bias.copy_(net.fc.bias)
    restore_statistics(deeper, images, meta)


def _copy(net: ResNet, deeper: ResNet, ends: list[torch.Tensor]) -> torch.Tensor:
    """All but the last layer, for channels up to `ends` at the end of each stage; returns the factors of the output."""
    deeper.conv.load_state_dict(net.conv.state_dict())
    deeper.act.load_state_dict(net.act.state_dict())
    scale = torch.ones(net.conv.out_channels)
    for before, after, end in zip(_stages(net), _stages(deeper), ends):
        for block, twin in zip(before, after):
            twin.load_state_dict(block.state_dict())
        for first in (after[0].conv1, after[0].shortcut):
            if isinstance(first, nn.Conv2d):
                first.weight.div_(scale[:, None, None])
        scale = torch.ones(after[0].conv2.out_channels)
        goals = LEAST + torch.linspace(0, 1, POINTS)[:, None] ** 2 * (end - LEAST)
        values, added = goals, after[len(before):]
        for block in added:
            values, scale = _pass_on(block, values, goals, min(BEND, BENDS / len(added)))
    return scale
