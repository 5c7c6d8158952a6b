"""Modules of PyTorch as ONNX files."""
from __future__ import annotations

import inspect
import pathlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def write_onnx(module: torch.nn.Module, example: torch.Tensor, target: pathlib.Path, **options: Any) -> None:
    """Writes a module, in the mode that it is in, with a free number of images. options: more for torch.onnx.export."""
    import torch

    options = {"input_names": ["image"], "output_names": ["scores"]} | options
    options["dynamic_axes"] = {name: {0: "batch"} for name in options["input_names"] + options["output_names"]}
    # Of PyTorch's two exporters the one that names nodes by modules, which messages need, and writes one plain file.
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:  # PyTorch 2.5 and later
        options["dynamo"] = False
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter itself
        torch.onnx.export(module, (example,), str(target), **options)
