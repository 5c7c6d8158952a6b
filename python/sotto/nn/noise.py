"""Predicts how often labels agree between a network and its encrypted evaluation, from a float simulation of the noise.

An encrypted layer computes on squares: t = (x + B/2A)^2, so that an activation A x^2 + B x is y = A t - B^2/4A and
the next layer's weights multiply t, not y. An error n of a weight w (in units of the weights for y) therefore adds
n (y + B^2/4A). Gaussian errors, as in docs/adr/0004-one-prime-per-layer.md: weights by `weight_error` units of the
scale 2^weight_bits, relative to the layer's largest weight after batch normalisation is folded in; activations by
2^-activation_bits.
"""
from __future__ import annotations

import copy
import dataclasses

import torch
from torch import nn

from .activation import A, B, Activation
from .augment import normalise
from .data import Meta, Split
from .errors import TrainError

SHIFT = B * B / (4 * A)


@dataclasses.dataclass
class Noise:
    """Sizes of the errors. weight_error is the standard deviation of a masked weight's error, in units of its scale."""

    weight_bits: float = 11.5
    weight_error: float = 3.3
    activation_bits: float = 13.0


@dataclasses.dataclass
class Prediction:
    """What the simulation gives: shares of images, and the root of the mean squared error of scores.

    overflows counts images without finite scores; they agree with nothing and have no part in the error.
    """

    images: int
    label_agreement: float
    accuracy: float
    noisy_accuracy: float
    rms_logit_error: float
    overflows: int


def _folded_factor(norm: nn.Module | None, outputs: int) -> torch.Tensor:
    """What batch normalisation multiplies each output channel by."""
    if norm is None:
        return torch.ones(outputs)
    return norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)


def _disturb_weights(layer: nn.Module, norm: nn.Module | None, first: bool, relative: float) -> None:
    """Adds errors to a layer's weights, and to its outputs what they make of SHIFT."""
    weight = layer.weight.data
    factor = _folded_factor(norm, len(weight)).abs().clamp_min(1e-12).view(-1, *[1] * (weight.ndim - 1))
    error = torch.randn_like(weight) * (relative * (weight * factor).abs().max()) / factor
    layer.weight.data = weight + error
    if first:
        return

    def add_shift(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        constant = torch.full_like(inputs[0][:1], SHIFT)
        if isinstance(module, nn.Conv2d):
            return output + nn.functional.conv2d(constant, error, None, module.stride, module.padding)
        return output + nn.functional.linear(constant, error)

    layer.register_forward_hook(add_shift)


def disturbed(net: nn.Module, noise: Noise) -> nn.Module:
    """A copy of a network in evaluation mode with the errors of `noise` drawn from PyTorch's generator."""
    twin = copy.deepcopy(net)
    modules = list(twin.modules())
    if not any(isinstance(m, Activation) and m.kind == "quadratic" for m in modules):
        raise TrainError("the noise simulation needs a network with quadratic activations")
    relative, first = noise.weight_error / 2**noise.weight_bits, True
    for k, module in enumerate(modules):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            norm = next((m.norm for m in modules[k:] if isinstance(m, Activation)), None)
            _disturb_weights(module, norm, first, relative)
            first = False
        elif isinstance(module, Activation):
            module.register_forward_hook(
                lambda m, i, output: output + torch.randn_like(output) * 2**-noise.activation_bits)
    return twin


def simulate(net: nn.Module, split: Split, meta: Meta, noise: Noise, trials: int, seed: int) -> Prediction:
    """Runs the images of a split through the network and `trials` disturbed copies of it."""
    torch.manual_seed(seed)
    agreeing = right = noisy_right = finite = 0
    squares = 0.0
    with torch.no_grad():
        for _ in range(trials):
            twin = disturbed(net, noise)
            for i in range(0, len(split), 250):
                x, labels = normalise(split.images[i:i + 250], meta), split.labels[i:i + 250]
                exact, noisy = net(x), twin(x)
                valid = torch.isfinite(exact).all(1) & torch.isfinite(noisy).all(1)
                exact, noisy, labels = exact[valid], noisy[valid], labels[valid]
                best, noisy_best = exact.argmax(1), noisy.argmax(1)
                finite += len(labels)
                agreeing += int((best == noisy_best).sum())
                right += int((best == labels).sum())
                noisy_right += int((noisy_best == labels).sum())
                squares += (exact - noisy).square().mean(1).sum().item()
    n = trials * len(split)
    error = (squares / max(finite, 1)) ** 0.5
    return Prediction(len(split), agreeing / n, right / n, noisy_right / n, error, n - finite)
