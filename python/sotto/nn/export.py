"""Export to ONNX (opset 13) in the operators that Sotto imports, with preprocessing and class names in the metadata."""
from __future__ import annotations

import json
import math
import os
import pathlib
from typing import Any

import torch

from .._export import write_onnx
from .augment import normalise
from .checkpoint import Trained
from .errors import TrainError

OPSET = 13
ACCEPTED = {"Conv", "BatchNormalization", "Add", "Mul", "Sub", "Pow", "AveragePool", "GlobalAveragePool", "ReduceMean",
            "Concat", "Flatten", "Reshape", "Gemm", "MatMul", "Identity", "Constant", "Relu"}


def metadata(trained: Trained) -> dict[str, str]:
    """The entries that Sotto reads (models/README.md), and the layout of the input for people."""
    def numbers(values: tuple[float, ...]) -> str:
        return ",".join(f"{v:.4f}" for v in values)
    channels = "R, G, B" if trained.meta.channels == 3 else f"{trained.meta.channels} channel(s)"
    return {"sotto.mean": numbers(trained.meta.mean), "sotto.std": numbers(trained.meta.std),
            "sotto.classes": ",".join(trained.meta.classes),
            "sotto.layout": f"NCHW, {channels}, (pixel / 255 - mean) / std"}


def export(trained: Trained, target: pathlib.Path, relu_ranges: list[float] | None = None) -> float | None:
    """Writes the model, checked; batch normalisation is folded into convolutions it follows directly.

    relu_ranges: the largest magnitude to expect before each ReLU, in the order of the network's activations.
    Returns the largest difference to onnxruntime's scores on grey noise, None where onnxruntime is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise TrainError("the export needs the package onnx") from None
    meta = trained.meta
    net = trained.net.cpu().to(memory_format=torch.contiguous_format).eval()
    example = torch.zeros(1, meta.channels, meta.height, meta.width)
    temporary = target.with_name(target.name + ".tmp")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_onnx(net, example, temporary, opset_version=OPSET, output_names=["logits"])
        model = onnx.load(str(temporary))
        _share_constants(model.graph)
        for key, value in metadata(trained).items():
            model.metadata_props.add(key=key, value=value)
        if relu_ranges is not None:
            model.metadata_props.add(key="sotto.relu_ranges", value=_ranges_by_name(model.graph, relu_ranges))
        onnx.checker.check_model(model)
        strange = sorted({n.op_type for n in model.graph.node} - ACCEPTED)
        if strange:
            raise TrainError(f"the graph holds operators that Sotto does not import: {', '.join(strange)}")
        onnx.save(model, str(temporary))
        difference = _difference(trained, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def _share_constants(graph: Any) -> None:
    """PyTorch writes equal weights once, with an Identity for every further use; here the uses read them directly."""
    constants = {tensor.name for tensor in graph.initializer}
    same = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity" and n.input[0] in constants}
    for node in [n for n in graph.node if n.output[0] in same]:
        graph.node.remove(node)
    for node in graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = same.get(name, name)


def _ranges_by_name(graph: Any, ranges: list[float]) -> str:
    """The metadata entry: a JSON object of the outputs of the ReLU nodes, which run in the order of their modules."""
    names = [n.output[0] for n in graph.node if n.op_type == "Relu"]
    if len(names) != len(ranges):
        raise TrainError(f"{len(ranges)} ranges for {len(names)} ReLUs")
    if not all(r > 0 and math.isfinite(r) for r in ranges):
        raise TrainError("the input of a ReLU is always zero or not finite; see the command ranges")
    return json.dumps({name: float(f"{r:.6g}") for name, r in zip(names, ranges)})


def _difference(trained: Trained, path: pathlib.Path) -> float | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    meta = trained.meta
    images = torch.randint(96, 160, (8, meta.height, meta.width, meta.channels), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(0))
    x = normalise(images, meta).contiguous()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        mine = trained.net(x)
    theirs = torch.from_numpy(session.run(["logits"], {"image": x.numpy()})[0])
    difference = float((mine - theirs).abs().max())
    if not difference <= 1e-3 * max(1.0, mine.abs().max().item()):
        raise TrainError(f"the exported model's scores differ by {difference:g}; it was not written")
    return difference
