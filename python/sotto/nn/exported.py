"""Networks read back from the models that `export` wrote, with their cards, to go on training or to teach."""
from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import pathlib
from typing import Any, Iterator

import torch
from torch import nn

from . import models
from .activation import Activation, activations
from .augment import normalise
from .checkpoint import Trained, load_network
from .config import Config, from_dict
from .data import Meta
from .errors import TrainError
from .hooks import attached

LAYERS = {"Conv", "Gemm", "MatMul", "BatchNormalization"}


def load(path: str | os.PathLike[str]) -> Trained:
    """A trained network in evaluation mode: of a checkpoint, or of an exported model NAME.onnx with its card."""
    path = pathlib.Path(path)
    return load_exported(path) if path.suffix == ".onnx" else load_network(path)


def load_exported(path: pathlib.Path) -> Trained:
    """The network of an exported model, in evaluation mode, with the settings that its card states.

    Batch normalisation that the export folded into a convolution comes back as one that only adds the bias; see
    `restore_statistics`. TrainError if model or card are missing or damaged, or do not belong together.
    """
    try:
        import onnx.numpy_helper
    except ImportError:
        raise TrainError("reading an ONNX model needs the package onnx") from None
    card_path = path.with_suffix(".json")
    try:
        model, text = path.read_bytes(), card_path.read_text(encoding="utf-8")
    except FileNotFoundError as e:
        raise TrainError(f"{e.filename}: there is no such file; an exported model comes with its card") from None
    try:
        card = json.loads(text)
        settings = {f.name for f in dataclasses.fields(Config)}
        config = from_dict({k: v for k, v in card["training"].items() if k in settings and v is not None})
        shape, preprocessing = card["input"]["shape"], card["preprocessing"]
        channels, height, width = shape[1:]
        meta = Meta(channels, height, width, tuple(preprocessing["mean"]), tuple(preprocessing["std"]), card["classes"])
        net = models.build(config.arch, config.activation, meta.channels, len(meta.classes), (meta.height, meta.width))
        digest = card["sha256"]
    except (AttributeError, KeyError, RuntimeError, TrainError, TypeError, ValueError):
        raise TrainError(f"{card_path}: not the card of a model") from None
    if digest != hashlib.sha256(model).hexdigest():
        raise TrainError(f"{card_path}: the card of another model than {path.name}, or the model is damaged")
    try:
        graph = onnx.load_from_string(model).graph
        constants = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in graph.initializer}
        with torch.no_grad():
            _fill(net, [n for n in graph.node if n.op_type in LAYERS], constants)
    except Exception:  # protobuf raises whatever odd bytes lead to
        raise TrainError(f"{path}: not a model that sotto.nn exported as {config.arch}") from None
    return Trained(net.eval(), config, meta, [])


def _fill(net: nn.Module, nodes: list[Any], constants: dict[str, torch.Tensor]) -> None:
    """Gives the modules, which are registered in the order in which they run, the weights of the nodes.

    Folded weights come back as large as those of a new network, with the factor in the batch normalisation: the scale
    of weights before a normalisation is free, but decides how far a step of the optimiser turns them.
    """
    left: Iterator[Any] = iter(nodes)
    ahead: Any = next(left, None)
    layer: Any = None
    new_norm, bias = 1.0, None
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            weight, *rest = (constants[name] for name in ahead.input[1:])
            weight = weight.t() if ahead.op_type == "MatMul" else weight
            if weight.shape != module.weight.shape:
                raise ValueError("shape")
            layer, new_norm, bias = module, module.weight.norm().item(), rest[0] if rest else None
            module.weight.copy_(weight)
            if module.bias is not None:
                module.bias.copy_(bias)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            if ahead is None or ahead.op_type != "BatchNormalization":
                factor = new_norm / layer.weight.norm().item()
                layer.weight.mul_(factor)
                module.running_mean.zero_()
                module.running_var.fill_(1)
                module.weight.fill_(math.sqrt(1 + module.eps) / factor)
                module.bias.copy_(bias)
                continue
            for target, name in zip((module.weight, module.bias, module.running_mean, module.running_var),
                                    ahead.input[1:], strict=True):
                target.copy_(constants[name])
        else:
            continue
        ahead = next(left, None)
    if ahead is not None:
        raise ValueError("more layers than the architecture has")


def restore_statistics(net: nn.Module, images: torch.Tensor, meta: Meta) -> None:
    """Gives every batch normalisation the statistics of its input on uint8 images [n, h, w, c].

    The function of the network stays what it is: scale and shift make up for the change. Needed before training goes
    on, which normalises by the statistics of each batch.
    """
    def renew(activation: Activation, inputs: tuple[torch.Tensor, ...]) -> None:
        norm, x = activation.norm, inputs[0].float()
        mean, variance = x.transpose(0, 1).flatten(1).mean(1), x.transpose(0, 1).flatten(1).var(1, unbiased=False)
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        norm.bias.add_(factor * (mean - norm.running_mean))
        norm.weight.copy_(factor * torch.sqrt(variance + norm.eps))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    with torch.no_grad(), attached([a.register_forward_pre_hook(renew) for a in activations(net)]):
        net(normalise(images, meta))
