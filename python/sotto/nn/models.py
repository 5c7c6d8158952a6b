"""Network architectures, each with ReLU or quadratic activations; only operators that Sotto runs (average pooling).

Modules are registered in the order in which they run: the first activation after a convolution or fully connected
layer is the one it feeds (noise.py uses that).
"""
from __future__ import annotations

from typing import Any, Callable

import torch
from torch import nn

from .activation import Activation
from .errors import TrainError


def _float32(x: torch.Tensor) -> torch.Tensor:
    """x as float32; unlike x.float() no node in an exported graph where it is that already."""
    return x if x.dtype == torch.float32 else x.float()


def _halve() -> nn.Module:
    """Average pooling 2 x 2; PyTorch exports it with a Pad node if it were to count padding."""
    return nn.AvgPool2d(2, count_include_pad=False)


class Block(nn.Module):
    """Residual block: two 3x3 convolutions; the shortcut is a 1x1 convolution where shape changes."""

    def __init__(self, kind: str, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.act1 = Activation(kind, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else nn.Identity()
        self.act2 = Activation(kind, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act2(self.conv2(self.act1(self.conv1(x))) + self.shortcut(x))


class ResNet(nn.Module):
    """Residual network for small images (He et al., arXiv:1512.03385, section 4.2)."""

    def __init__(self, kind: str, channels: int, classes: int, widths: list[int], blocks: list[int]):
        super().__init__()
        self.conv = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.act = Activation(kind, widths[0])
        stack, inputs = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks)):
            for k in range(count):
                stack.append(Block(kind, inputs, width, 2 if stage and k == 0 else 1))
                inputs = width
        self.blocks = nn.Sequential(*stack)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(_float32(self.blocks(self.act(self.conv(x)))).mean((2, 3)))


class LeNet5(nn.Module):
    """LeNet-5 (LeCun et al. 1998) with average pooling; any image of at least 12 x 12."""

    def __init__(self, kind: str, channels: int, classes: int, size: tuple[int, int]):
        super().__init__()
        height, width = ((s // 2 - 4) // 2 for s in size)
        if min(height, width) < 1:
            raise TrainError(f"lenet5 needs images of at least 12 x 12 pixels, not {size[0]} x {size[1]}")
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2, bias=False), Activation(kind, 6), _halve(),
            nn.Conv2d(6, 16, 5, bias=False), Activation(kind, 16), _halve())
        self.head = nn.Sequential(
            nn.Linear(16 * height * width, 120, bias=False), Activation(kind, 120, flat=True),
            nn.Linear(120, 84, bias=False), Activation(kind, 84, flat=True), nn.Linear(84, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _float32(self.head(torch.flatten(self.features(x), 1)))


class CryptoNets(nn.Module):
    """Like the network of CryptoNets (Gilad-Bachrach et al., ICML 2016, section 5.1, merged as its section 4 does): one
    convolution of stride 2 and two fully connected layers."""

    def __init__(self, kind: str, channels: int, classes: int, size: tuple[int, int]):
        super().__init__()
        height, width = ((s - 3) // 2 + 1 for s in size)
        self.conv = nn.Conv2d(channels, 5, 5, stride=2, padding=1, bias=False)
        self.act = Activation(kind, 5)
        self.head = nn.Sequential(nn.Linear(5 * height * width, 100, bias=False), Activation(kind, 100, flat=True),
                                  nn.Linear(100, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _float32(self.head(torch.flatten(self.act(self.conv(x)), 1)))


class Mlp(nn.Module):
    """Two hidden layers of 128 on the pixels."""

    def __init__(self, kind: str, channels: int, classes: int, size: tuple[int, int]):
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(channels * size[0] * size[1], 128, bias=False), Activation(kind, 128, flat=True),
            nn.Linear(128, 128, bias=False), Activation(kind, 128, flat=True), nn.Linear(128, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _float32(self.head(torch.flatten(x, 1)))


VGG11 = [64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0]  # configuration A of arXiv:1409.1556


class Vgg(nn.Module):
    """3x3 convolutions of the widths of `plan`, 0 for average pooling, and one fully connected layer."""

    def __init__(self, kind: str, channels: int, classes: int, plan: list[int]):
        super().__init__()
        layers: list[nn.Module] = []
        for width in plan:
            if width == 0:
                layers.append(_halve())
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), Activation(kind, width)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(_float32(self.features(x)).mean((2, 3)))


class MobileNet(nn.Module):
    """Depthwise separable convolutions (arXiv:1704.04861), narrow and of few strides, for small images."""

    def __init__(self, kind: str, channels: int, classes: int, plan: list[tuple[int, int]]):
        super().__init__()
        width = plan[0][0] // 2
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False), Activation(kind, width)]
        for outputs, stride in plan:
            layers += [nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), Activation(kind, width),
                       nn.Conv2d(width, outputs, 1, bias=False), Activation(kind, outputs)]
            width = outputs
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(_float32(self.features(x)).mean((2, 3)))


class Grow(nn.Module):
    """Puts the `growth` channels of a 3x3 convolution behind those that it reads."""

    def __init__(self, kind: str, inputs: int, growth: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)
        self.act = Activation(kind, growth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.act(self.conv(x))], 1)


class DenseNet(nn.Module):
    """Three dense blocks with 1x1 convolutions and average pooling between them, after arXiv:1608.06993.

    Channels are activated once, where they are made, not again by every layer that reads them: under encryption the
    squares of a layer are then those of its `growth` channels only.
    """

    def __init__(self, kind: str, channels: int, classes: int, growth: int, layers: int):
        super().__init__()
        width = 2 * growth
        stack: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False), Activation(kind, width)]
        for block in range(3):
            if block:
                stack += [nn.Conv2d(width, width // 2, 1, bias=False), Activation(kind, width // 2), _halve()]
                width //= 2
            for _ in range(layers):
                stack.append(Grow(kind, width, growth))
                width += growth
        self.features = nn.Sequential(*stack)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(_float32(self.features(x)).mean((2, 3)))


Make = Callable[[str, int, int, tuple[int, int]], nn.Module]
"""From kind of activation, channels, classes and height and width."""


def _of(network: Callable[..., nn.Module], *arguments: Any, least: int = 1) -> Make:
    """Networks whose weights do not depend on the size of images, of at least so many pixels in height and width."""
    def make(kind: str, channels: int, classes: int, size: tuple[int, int]) -> nn.Module:
        if min(size) < least:
            raise TrainError(f"{network.__name__.lower()} networks need images of at least {least} x {least} pixels, "
                             f"not {size[0]} x {size[1]}")
        return network(kind, channels, classes, *arguments)
    return make


ARCHITECTURES: dict[str, Make] = {
    **{f"resnet{6 * n + 2}": _of(ResNet, [16, 32, 64], [n] * 3) for n in (3, 5, 7, 9, 18)},
    # Wide (arXiv:1605.07146), meant as teachers.
    **{f"resnet20x{k}": _of(ResNet, [16 * k, 32 * k, 64 * k], [3] * 3) for k in (2, 4)},
    "resnet34": _of(ResNet, [16, 32, 64, 128], [3, 4, 6, 3]),
    "cryptonets": CryptoNets,
    "densenet": _of(DenseNet, 12, 4, least=4),
    "lenet5": LeNet5,
    "mlp": Mlp,
    "mobilenet": _of(MobileNet, [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)]),
    "vgg11": _of(Vgg, VGG11, least=32),
}


def build(arch: str, activation: str, channels: int, classes: int, size: tuple[int, int]) -> nn.Module:
    """A network from images [n, channels, *size] to scores [n, classes]."""
    if arch not in ARCHITECTURES:
        raise TrainError(f"unknown architecture '{arch}'; one of {', '.join(ARCHITECTURES)}")
    if activation not in ("relu", "quadratic"):
        raise TrainError(f"unknown activation '{activation}'; relu or quadratic")
    return ARCHITECTURES[arch](activation, channels, classes, size).to(memory_format=torch.channels_last)
