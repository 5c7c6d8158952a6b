"""Trained weights in modules of PyTorch."""
from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._errors import BadInputError
from ._export import Scopes, evaluating, example_for, export, module_of, scopes_of
from ._network import PREFIX

if TYPE_CHECKING:
    import torch

Values = npt.NDArray[np.float64]
Weights = Iterable[tuple[str, bool, Values]]
"""Node, whether these are biases, values."""
_TOLERANCE = 1e-4  # of the largest weight of a layer: float32, through batch normalisation


@dataclasses.dataclass
class _Part:
    """What is new in one part of a module."""
    weights: Values | None = None
    biases: Values | None = None

    @property
    def largest(self) -> float:
        """Magnitude."""
        return max(float(np.abs(v).max(initial=0)) for v in (self.weights, self.biases) if v is not None)


def _path_of(node: str, scopes: Scopes) -> str | None:
    """Of the part that made a node; that of the module itself is empty."""
    return "" if node.rpartition("/")[0] == "" else module_of(node, scopes)


def parts_of(module: torch.nn.Module, scopes: Scopes, weights: Weights, *,
             other_head: bool = False) -> dict[str, _Part]:
    """The parts of a module that have the weights of these nodes.

    other_head: a dense layer may have another number of outputs. Raises BadInputError for a node whose weights no part
    has for itself.
    """
    import torch

    found: dict[str, _Part] = {}
    owners: dict[int, str] = {}
    for node, bias, values in weights:
        path = _path_of(node, scopes)
        own = {} if path is None else dict(module.get_submodule(path).named_parameters(recurse=False))
        if path is None or not own:
            raise BadInputError(f"{type(module).__name__} has no part of its own for the node '{node}' (a parameter "
                                "that is used without one, or a layer that is used twice)")
        layer = isinstance(module.get_submodule(path), (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Linear))
        old = own.get("bias" if bias else "weight")
        fits = layer and bias if old is None else (
            old.numel() == values.size and old.shape[0] == len(values)
            or other_head and isinstance(module.get_submodule(path), torch.nn.Linear))
        if not fits:
            raise BadInputError(f"{type(module).__name__} has no {'biases' if bias else 'weights'} of shape "
                                f"{tuple(values.shape)} for the node '{node}'", module=path or None)
        if old is not None and owners.setdefault(id(old), path) != path:
            raise BadInputError(f"{owners[id(old)]} and {path} of {type(module).__name__} share their weights",
                                module=path)
        part = found.setdefault(path, _Part())
        if bias:
            part.biases = values
        else:
            part.weights = values
    return found


def _norms_behind(module: torch.nn.Module, shape: Sequence[int]) -> tuple[dict[str, list[Any]], set[int]]:
    """The batch normalisations that follow each convolution at once, and so become a part of it in ONNX; and which
    parts of the module run once only."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    behind: dict[str, list[Any]] = {}
    makers: dict[int, tuple[str | None, int]] = {}  # of a value, and how often that was changed by then
    kept, runs = [], dict.fromkeys(map(id, module.modules()), 0)

    def entering(part: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        runs[id(part)] += 1
        if isinstance(part, _BatchNorm) and inputs:
            maker, version = makers.get(inputs[0].data_ptr(), (None, -1))
            if maker is not None and version == inputs[0]._version:
                behind[maker].append(part)

    def leaving(path: str, part: torch.nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        maker: str | None = path
        if isinstance(part, _BatchNorm):
            maker = next((p for p, parts in behind.items() if parts and parts[-1] is part), None)
        else:
            behind[path] = []
        makers[output.data_ptr()] = maker, output._version
        kept.append(output)  # so that no other value gets its place in memory

    with evaluating(module), contextlib.ExitStack() as hooks, torch.no_grad():
        for path, part in module.named_modules():
            if isinstance(part, (torch.nn.Conv1d, torch.nn.Conv2d, _BatchNorm)):
                hooks.callback(part.register_forward_pre_hook(entering).remove)
                hooks.callback(part.register_forward_hook(lambda *given, path=path: leaving(path, *given)).remove)
        module(example_for(module, shape))
    return behind, {part for part, count in runs.items() if count == 1}


def _float64(values: torch.Tensor) -> Values:
    numbers: Values = values.detach().cpu().double().numpy()
    return numbers


def _factor(norm: Any) -> Values:
    """What a batch normalisation multiplies channels by."""
    weight = 1.0 if norm.weight is None else _float64(norm.weight)
    factor: Values = weight / np.sqrt(_float64(norm.running_var) + norm.eps)
    return factor


def _through(norms: Iterable[Any], values: Values) -> Values:
    """Of a value by channel, what batch normalisations make of it."""
    for norm in norms:
        shift = 0.0 if norm.bias is None else _float64(norm.bias)
        values = _factor(norm) * (values - _float64(norm.running_mean)) + shift
    return values


class _Change:
    """Parameters that get other values, and how they were."""

    def __init__(self) -> None:
        self._before: list[tuple[torch.nn.Parameter, torch.Tensor]] = []
        self._without_bias: list[torch.nn.Module] = []

    def set(self, parameter: torch.nn.Parameter, values: Values) -> None:
        import torch

        self._before.append((parameter, parameter.detach().clone()))
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)).reshape(parameter.shape))

    def set_bias(self, layer: Any, values: Values) -> None:
        """A layer without biases gets some."""
        import torch

        if layer.bias is None:
            self._without_bias.append(layer)
            weight = layer.weight
            layer.bias = torch.nn.Parameter(torch.zeros(len(values), device=weight.device, dtype=weight.dtype),
                                            requires_grad=weight.requires_grad)
        self.set(layer.bias, values)

    def undo(self) -> None:
        import torch

        with torch.no_grad():
            for parameter, values in reversed(self._before):
                parameter.copy_(values)
        for layer in self._without_bias:
            layer.bias = None


def _put(change: _Change, layer: Any, part: _Part, norms: list[Any], once: set[int]) -> None:
    """Weights, such that with the batch normalisations behind the layer they are the new ones."""
    if not norms:
        if part.weights is not None:
            change.set(layer.weight, part.weights)
        if part.biases is not None:
            change.set_bias(layer, part.biases)
        return
    channels = len(_float64(norms[0].running_mean))
    old = np.zeros(channels) if layer.bias is None else _float64(layer.bias)
    biases = _through(norms, old) if part.biases is None else part.biases
    for norm in norms:  # what is multiplied by 0 could not be trained
        if norm.weight is not None and id(norm) in once and not _float64(norm.weight).all():
            change.set(norm.weight, np.where(_float64(norm.weight) == 0, 1, _float64(norm.weight)))
    factor = np.prod([_factor(norm) for norm in norms], axis=0)
    if not factor.all():
        raise BadInputError("the batch normalisation behind this layer multiplies by 0")
    if part.weights is not None:
        change.set(layer.weight, part.weights / factor.reshape(-1, *[1] * (part.weights.ndim - 1)))
    if norms[-1].bias is not None and id(norms[-1]) in once:
        change.set(norms[-1].bias, _float64(norms[-1].bias) + biases - _through(norms, old))
    else:
        change.set_bias(layer, (biases - _through(norms, np.zeros(channels))) / factor)


@contextlib.contextmanager
def _exported(module: torch.nn.Module, shape: Sequence[int]) -> Iterator[tuple[str, Scopes]]:
    """A module as an ONNX file, for the time of the block."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        target = pathlib.Path(folder) / f"{type(module).__name__}.onnx"
        yield str(target), export(module, shape, target)


def _check(module: torch.nn.Module, shape: Sequence[int], parts: dict[str, _Part],
           read: Callable[[str], Weights]) -> None:
    """Raises BadInputError unless the network that a module stands for has the weights that its parts got."""
    sums: dict[tuple[str | None, bool], Values] = {}
    with _exported(module, shape) as (path, scopes):
        for node, bias, values in read(path):
            key = _path_of(node, scopes), bias
            there = sums.get(key)
            sums[key] = values if there is None or there.shape != values.shape else there + values
    for name, part in parts.items():
        for bias, wanted in ((False, part.weights), (True, part.biases)):
            found = sums.get((name, bias))
            if wanted is not None and (found is None or found.size != wanted.size or not np.allclose(
                    found.ravel(), wanted.ravel(), rtol=0, atol=_TOLERANCE * part.largest)):
                raise BadInputError(f"{type(module).__name__} does more with its weights than what a convolution and the "
                                    "batch normalisation behind it do, so that the trained ones cannot be put into it; "
                                    "write the network with save()", module=name or None)


def put_weights(module: torch.nn.Module, shape: Sequence[int], weights: Weights,
                read: Callable[[str], Weights]) -> None:
    """Puts weights, or biases, of nodes into the parts of a module that made these nodes: into all or none.

    read: of the path of an ONNX file, all weights of its network. Raises BadInputError if a part is not there or has
    other weights, or if what comes of it would not be the network that was trained.
    """
    parts = parts_of(module, scopes_of(module, shape), weights)
    behind, once = _norms_behind(module, shape)
    change = _Change()
    try:
        for path, part in parts.items():
            try:
                _put(change, module.get_submodule(path), part, behind.get(path, []), once)
            except BadInputError as e:
                e.module = path or None
                raise
        _check(module, shape, parts, read)
    except BaseException:
        change.undo()
        raise
