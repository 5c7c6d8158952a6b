"""Activations: batch normalisation, then ReLU or the quadratic 0.2 x^2 + 0.5 x.

0.2 and 0.5 are the degree-2 Hermite coefficients of ReLU (0.199, 0.5; AESPA, arXiv:2201.06699); the constant belongs to
the next layer. Batch normalisation's scale and shift and the next layer's weights make every other quadratic of it.

Plain quadratics diverge when trained from scratch. Two measures hold them (compare Boundary Loss, arXiv:2505.11589, and
PAPER, arXiv:2509.22857): outside [-limit, limit] training continues the activation by its tangent, and the penalty
mean((|x| - 3)+^2) of every pre-activation x is added to the loss, by its gradient in the backward pass.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import nn

from . import native

A, B = 0.2, 0.5
PENALTY_START = 3.0


def quadratic_reference(x: torch.Tensor, limit: float) -> torch.Tensor:
    """A x^2 + B x inside [-limit, limit], its tangent outside, in float32, rounded to the type of x."""
    v = x.float()
    c = v.clamp(-limit, limit)
    return (c * (A * c + B) + (2 * A * c + B) * (v - c)).to(x.dtype)


def quadratic_gradient_reference(x: torch.Tensor, dy: torch.Tensor, limit: float, k: float) -> torch.Tensor:
    """Gradient of `quadratic_reference` plus that of (k/2) sum((|x| - PENALTY_START)+^2)."""
    v = x.float()
    slope = 2 * A * v.clamp(-limit, limit) + B
    return (dy.float() * slope + k * (v - v.clamp(-PENALTY_START, PENALTY_START))).to(x.dtype)


class QuadraticFunction(torch.autograd.Function):
    """The training form of the quadratic; native kernels where they apply, the same numbers without."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, limit: float, penalty: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.limit, ctx.k = limit, 2 * penalty / x.numel()
        return native.forward(x, A, B, limit) if native.usable(x) else quadratic_reference(x, limit)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (x,) = ctx.saved_tensors
        if native.usable(x):
            like = torch.empty_like(x)
            dy = dy if dy.dtype == x.dtype and dy.stride() == like.stride() else like.copy_(dy)
            return native.backward(x, dy, A, B, ctx.limit, PENALTY_START, ctx.k), None, None
        return quadratic_gradient_reference(x, dy, ctx.limit, ctx.k), None, None


class Activation(nn.Module):
    """BatchNorm and a nonlinearity for [n, c, h, w] or (flat) [n, c]. In evaluation the quadratic has no limit.

    limit and penalty (weight of the range penalty) are set by the trainer and used while training only.
    """

    NO_LIMIT = 1e4

    def __init__(self, kind: str, channels: int, flat: bool = False):
        super().__init__()
        self.kind = kind
        self.norm = nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)
        self.limit, self.penalty = self.NO_LIMIT, 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        if self.kind == "relu":
            return torch.relu(x)
        if self.training:
            return QuadraticFunction.apply(x, self.limit, self.penalty)
        return x * (A * x + B)


def activations(net: nn.Module) -> list[Activation]:
    """All activations of a network in the order of its modules."""
    return [m for m in net.modules() if isinstance(m, Activation)]
