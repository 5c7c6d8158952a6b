"""Small datasets and settings for the tests."""
from __future__ import annotations

import contextlib
import io
import pathlib
import struct

import numpy as np
import torch

from sotto.nn import models
from sotto.nn.activation import activations
from sotto.nn.config import Config
from sotto.nn.data import Data, Meta, Split


def stripes(n: int, size: int = 8, seed: int = 0) -> Split:
    """Images of noise with a bright half, top or left: two classes that are easy to tell."""
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 120, (n, size, size, 3), generator=g, dtype=torch.uint8)
    labels = torch.randint(0, 2, (n,), generator=g)
    images[labels == 0, : size // 2] += 100
    images[labels == 1, :, : size // 2] += 100
    return Split(images, labels)


def stripes_data(n: int = 64, size: int = 8) -> Data:
    """`stripes` as a dataset."""
    meta = Meta(3, size, size, (0.4, 0.4, 0.4), (0.25, 0.25, 0.25), ["top", "left"])
    return Data(stripes(n, size), stripes(32, size, seed=1), meta)


def config(out: str, **changes) -> Config:
    """Settings for a quick run on `stripes_data`."""
    values = {"arch": "mlp", "out": out, "epochs": 4, "batch": 16, "lr": 0.05, "pad": 1, "flip": False,
              "device": "cpu"} | changes
    return Config(**values).check()


def constructed(kind: str = "quadratic", arch: str = "mlp", size: int = 8, channels: int = 3) -> torch.nn.Module:
    """A network in evaluation mode whose batch normalisation is not the identity."""
    torch.manual_seed(0)
    net = models.build(arch, kind, channels, 2, (size, size)).eval()
    g = torch.Generator().manual_seed(1)
    for act in activations(net):
        for tensor, low in ((act.norm.weight.data, 0.5), (act.norm.bias.data, -0.2), (act.norm.running_var, 0.5),
                            (act.norm.running_mean, -0.2)):
            tensor.copy_(low + torch.rand(len(tensor), generator=g) * 0.5)
    return net


def write_cifar10(folder: pathlib.Path, per_file: int = 4) -> None:
    """Random CIFAR-10 files."""
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        raw = rng.integers(0, 256, (per_file, 3073), dtype=np.uint8)
        raw[:, 0] = np.arange(per_file) % 10
        (folder / name).write_bytes(raw.tobytes())


def write_idx(path: pathlib.Path, array: np.ndarray) -> None:
    """An array of bytes as an IDX file."""
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


def command(*argv: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line."""
    from sotto.nn.cli import main
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(argv))
    return code, out.getvalue(), err.getvalue()
