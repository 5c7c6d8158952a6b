"""Networks that run encrypted: architectures, training in the clear, measures and export, on PyTorch (README.md).

    trained = sotto.nn.load("models/resnet20-cifar10.onnx")     # or the model.pt of a training
    model   = sotto.compile(trained.net, calibrate=images, mean=trained.meta.mean, std=trained.meta.std)

`python -m sotto.nn --help` is its command line. It needs the extra `nn` of the package.
"""
from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as e:
    raise ImportError("sotto.nn needs PyTorch; install the extra nn of this package (pip install '.[nn]')",
                      name=__name__) from e

from .activation import Activation
from .checkpoint import Trained
from .config import Config
from .data import Data, Meta, Split
from .errors import TrainError
from .export import export
from .exported import load
from .models import build
from .trainer import Trainer

__all__ = ["Activation", "Config", "Data", "Meta", "Split", "TrainError", "Trained", "Trainer", "build", "export", "load"]
