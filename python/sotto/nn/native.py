"""Builds and loads the native kernels of the quadratic activation; without a compiler there are none.

The library lies in the user's cache folder under a name made of the source, the flags and the processor's features.
"""
from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import pathlib
import platform
import subprocess
import tempfile

import torch

_SOURCE = pathlib.Path(__file__).with_name("quadratic.cpp")
_KINDS = {torch.bfloat16: "bf16", torch.float32: "f32"}
_FLAGS = ["-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]


def _processor() -> str:
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), platform.machine())


def _cache() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base, "sotto")


def _build(target: pathlib.Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = pathlib.Path(folder, "quadratic.so")
        subprocess.run([os.environ.get("CXX", "g++"), *_FLAGS, str(_SOURCE), "-o", str(made)], check=True,
                       capture_output=True, timeout=120)
        os.replace(made, target)


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL | None:
    """The kernels, built on first use, or None where that fails or SOTTO_NN_NATIVE=0."""
    if os.environ.get("SOTTO_NN_NATIVE") == "0":
        return None
    key = hashlib.sha256(_SOURCE.read_bytes() + repr(_FLAGS).encode() + _processor().encode()).hexdigest()[:16]
    target = _cache() / f"quadratic-{key}.so"
    try:
        if not target.exists():
            _build(target)
        lib = ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError):
        return None
    ptr, f32 = ctypes.c_void_p, ctypes.c_float
    for kind in _KINDS.values():
        function, gradient = getattr(lib, f"forward_{kind}"), getattr(lib, f"backward_{kind}")
        function.argtypes = [ptr, ptr, ctypes.c_long, f32, f32, f32]
        gradient.argtypes = [ptr, ptr, ptr, ctypes.c_long, f32, f32, f32, f32, f32]
        function.restype = gradient.restype = None
    return lib


def usable(x: torch.Tensor) -> bool:
    """Whether the kernels take this tensor: bfloat16 or float32 on the CPU, dense in some memory format."""
    dense = x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))
    return x.dtype in _KINDS and x.device.type == "cpu" and dense and library() is not None


def forward(x: torch.Tensor, a: float, b: float, r: float) -> torch.Tensor:
    """a x^2 + b x with tangents outside [-r, r], for tensors that are `usable`."""
    y = torch.empty_like(x)
    getattr(library(), f"forward_{_KINDS[x.dtype]}")(x.data_ptr(), y.data_ptr(), x.numel(), a, b, r)
    return y


def backward(x: torch.Tensor, dy: torch.Tensor, a: float, b: float, r: float, p: float, k: float) -> torch.Tensor:
    """Gradient for `forward`'s input plus k (x - clamp(x, -p, p)); dy of the type and strides of x."""
    dx = torch.empty_like(x)
    function = getattr(library(), f"backward_{_KINDS[x.dtype]}")
    function(x.data_ptr(), dy.data_ptr(), dx.data_ptr(), x.numel(), a, b, r, p, k)
    return dx
