"""Pictures for the scripts of this folder: smooth random ones, CIFAR's, extreme ones. All are uint8 [image][channel][row][column]."""

import pathlib

import numpy as np
from PIL import Image


def smooth(count, shape, seed):
    """Soft blobs with some noise, of any brightness and contrast, as photos are; for a flat shape, such values in a row."""
    rng = np.random.default_rng(seed)
    if len(shape) == 1:
        return smooth(count, (1, 1, *shape), seed).reshape(count, *shape)
    channels, height, width = shape
    coarse = rng.normal(size=(count, channels, min(5, height), min(5, width)))
    values = enlarge(enlarge(coarse, height, 2), width, 3)
    values = 0.7 * values + 0.5 * values.mean(1, keepdims=True) + 0.1 * rng.normal(size=values.shape)
    contrast, level = rng.uniform(30, 80, (count, 1, 1, 1)), rng.uniform(70, 185, (count, 1, 1, 1))
    return (level + contrast * values).clip(0, 255).astype(np.uint8)


def enlarge(values, size, axis):
    """Linear interpolation along an axis."""
    at = np.linspace(0, values.shape[axis] - 1, size)
    low = np.minimum(at.astype(int), max(values.shape[axis] - 2, 0))
    share = (at - low).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    above = np.minimum(low + 1, values.shape[axis] - 1)
    return values.take(low, axis) * (1 - share) + values.take(above, axis) * share


def save_folder(pictures, folder):
    """PNG files, which `sotto --calibrate` reads."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for k, p in enumerate(pictures):
        Image.fromarray(p[0] if len(p) == 1 else p.transpose(1, 2, 0)).save(folder / f"{k:04}.png")
    return folder


def cifar(source, train=False):
    """All test (or training) pictures of cifar10:DIR or cifar100:DIR, binary version."""
    kind, _, folder = source.partition(":")
    folder = pathlib.Path(folder)
    names, labels = {"cifar10": (["data_batch_*.bin"] if train else ["test_batch.bin"], 1),
                     "cifar100": (["train.bin"] if train else ["test.bin"], 2)}[kind]
    files = sorted(f for name in names for f in folder.rglob(name))
    if not files:
        raise SystemExit(f"no binary files of {source}")
    data = np.concatenate([np.fromfile(f, np.uint8) for f in files]).reshape(-1, labels + 3072)
    return data[:, labels:].reshape(-1, 3, 32, 32)


def extreme(base, seed):
    """(kind, picture) of pictures that nobody calibrates for. Those made of a picture come once for each of `base`."""
    rng = np.random.default_rng(seed)
    channels, height, width = base.shape[1:]
    y, x = np.mgrid[:height, :width]
    kinds = [("white", np.full(base.shape[1:], 255, np.uint8)), ("black", np.zeros(base.shape[1:], np.uint8))]
    for size in (1, 2, 4):
        for phase in (0, 1):
            for colours in range(1, 1 << channels):  # which channels are white where the others are black
                board = (y // size + x // size + phase) % 2
                flip = np.array([colours >> c & 1 for c in range(channels)]).reshape(-1, 1, 1)
                kinds.append((f"checkerboard {size}", ((board ^ flip ^ 1) * 255).astype(np.uint8)))
    for b in base:
        kinds.append(("saturated noise", (rng.integers(0, 2, b.shape) * 255).astype(np.uint8)))
        kinds.append(("saturated grey noise", np.repeat(rng.integers(0, 2, (1, height, width)) * 255, channels, 0).astype(np.uint8)))
        kinds.append(("inverted", 255 - b))
        kinds.append(("contrast x3", (3 * (b.astype(int) - 128) + 128).clip(0, 255).astype(np.uint8)))
    return kinds
