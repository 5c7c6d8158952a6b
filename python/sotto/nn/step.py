"""Loss and gradients of a network for one batch: operation by operation, or on a GPU as one recorded CUDA graph."""
from __future__ import annotations

import dataclasses
from typing import Callable

import torch
from torch import nn

from .activation import activations
from .config import Config
from .loss import training_loss

UNRECORDED = 3  # first calls, in which the libraries choose their kernels


@dataclasses.dataclass
class Result:
    """Mean loss and number of right answers, both scalars, and one gradient per parameter, all on the device."""

    loss: torch.Tensor
    right: torch.Tensor
    gradients: tuple[torch.Tensor, ...]


Step = Callable[[torch.Tensor, torch.Tensor, "torch.Tensor | None"], Result]


class EagerStep:
    """The training loss as `Config` says, for images [n, c, h, w], labels [n] and teacher scores [n, classes]."""

    def __init__(self, net: nn.Module, config: Config):
        self.net, self.config = net, config
        self.parameters = list(net.parameters())

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor | None) -> Result:
        c = self.config
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=c.precision == "bf16"):
            scores = self.net(images).float()
        loss = training_loss(scores, labels, c.smoothing, teacher, c.temperature, c.teacher_weight)
        gradients = torch.autograd.grad(loss, self.parameters)
        return Result(loss.detach(), (scores.argmax(1) == labels).sum(), gradients)


class GraphStep:
    """The same on a GPU, where starting hundreds of small kernels one by one takes longer than they run.

    A CUDA graph starts them at once. It fixes the shapes and what the activations are told, and is recorded anew when
    that changes. Results are overwritten by the next call.
    """

    def __init__(self, net: nn.Module, config: Config):
        self._eager = EagerStep(net, config)
        self._activations = activations(net)
        self._calls = 0
        self._key: tuple[object, ...] | None = None
        self._graph: torch.cuda.CUDAGraph
        self._inputs: list[torch.Tensor | None] = []
        self._result: Result

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor | None) -> Result:
        self._calls += 1
        if self._calls <= UNRECORDED:
            return self._eager(images, labels, teacher)
        inputs = [images, labels, teacher]
        key = (images.shape, teacher is None, *((a.limit, a.penalty) for a in self._activations))
        if key != self._key:
            self._record(inputs)
            self._key = key
        for mine, given in zip(self._inputs, inputs):
            if mine is not None:
                mine.copy_(given)
        self._graph.replay()
        return self._result

    def _record(self, inputs: list[torch.Tensor | None]) -> None:
        self._inputs = [None if t is None else t.clone() for t in inputs]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = self._eager(*self._inputs)


def make_step(net: nn.Module, config: Config, device: torch.device) -> Step:
    """The step that suits the device."""
    if device.type != "cuda":
        return EagerStep(net, config)
    torch.backends.cudnn.benchmark = True
    return GraphStep(net, config)
