"""Datasets as uint8 images in memory, [n, height, width, channels], with labels, class names and normalisation."""
from __future__ import annotations

import dataclasses
import gzip
import pathlib
import struct

import numpy as np
import numpy.typing as npt
import torch

from .errors import TrainError

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm"}


@dataclasses.dataclass
class Split:
    """Images uint8 [n, h, w, c] and labels int64 [n]."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """The first images; all of them for 0."""
        return Split(self.images[:count], self.labels[:count]) if count else self


@dataclasses.dataclass
class Meta:
    """What a network must know of its data; mean and std are per channel, in units of pixel / 255."""

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: list[str]


@dataclasses.dataclass
class Data:
    """A dataset: what to train on, what to test on, and its description."""

    train: Split
    test: Split
    meta: Meta


def _read_bytes(path: pathlib.Path) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as f:
                return f.read()
        return path.read_bytes()
    except (OSError, EOFError) as e:
        raise TrainError(f"{path}: cannot read: {getattr(e, 'strerror', None) or e}") from None


def _find(folder: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise TrainError(f"{folder}: there is no {names[0]}; pass the folder of the dataset's files with --data")


def _cifar_file(path: pathlib.Path, label_bytes: int, classes: int) -> Split:
    raw, record = np.frombuffer(_read_bytes(path), np.uint8), label_bytes + 3072
    if len(raw) == 0 or len(raw) % record:
        raise TrainError(f"{path}: {len(raw)} bytes are not a multiple of {record}: truncated or not a CIFAR file")
    raw = raw.reshape(-1, record)
    labels = raw[:, label_bytes - 1].astype(np.int64)
    if labels.max() >= classes:
        raise TrainError(f"{path}: label {labels.max()} is not below {classes}: damaged or not this dataset")
    images = raw[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Split(torch.from_numpy(images.copy()), torch.from_numpy(labels))


def _joined(parts: list[Split]) -> Split:
    return Split(torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts]))


def _cifar10(folder: pathlib.Path) -> Data:
    def part(name: str) -> Split:
        return _cifar_file(_find(folder, name, f"cifar-10-batches-bin/{name}"), 1, 10)
    train = _joined([part(f"data_batch_{i}.bin") for i in range(1, 6)])
    meta = Meta(3, 32, 32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), CIFAR10_CLASSES)
    return Data(train, part("test_batch.bin"), meta)


def _cifar100(folder: pathlib.Path) -> Data:
    def path(name: str) -> pathlib.Path:
        return _find(folder, name, f"cifar-100-binary/{name}")
    names = _read_bytes(path("fine_label_names.txt")).decode("utf-8", "replace").split()
    if len(names) != 100:
        raise TrainError(f"{path('fine_label_names.txt')}: {len(names)} names instead of 100")
    meta = Meta(3, 32, 32, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), names)
    return Data(_cifar_file(path("train.bin"), 2, 100), _cifar_file(path("test.bin"), 2, 100), meta)


def _idx(path: pathlib.Path, dims: int) -> npt.NDArray[np.uint8]:
    raw = _read_bytes(path)
    if len(raw) < 4 + 4 * dims or raw[:4] != bytes([0, 0, 8, dims]):
        raise TrainError(f"{path}: not an IDX file of bytes with {dims} dimensions")
    shape = struct.unpack(f">{dims}I", raw[4:4 + 4 * dims])
    size = int(np.prod(shape, dtype=object))
    if len(raw) - 4 - 4 * dims != size or size == 0:
        raise TrainError(f"{path}: {len(raw) - 4 - 4 * dims} bytes of data instead of {size}: truncated or damaged")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


def _mnist(folder: pathlib.Path) -> Data:
    def part(name: str) -> Split:
        def find(kind: str) -> pathlib.Path:
            return _find(folder, f"{name}-{kind}", f"{name}-{kind}.gz", f"{name}-{kind.replace('-idx', '.idx')}")
        images, labels = _idx(find("images-idx3-ubyte"), 3), _idx(find("labels-idx1-ubyte"), 1)
        if len(images) != len(labels):
            raise TrainError(f"{folder}: {name} has {len(images)} images but {len(labels)} labels")
        return Split(torch.from_numpy(images[..., None].copy()), torch.from_numpy(labels.astype(np.int64)))
    train, test = part("train"), part("t10k")
    classes = int(max(train.labels.max(), test.labels.max())) + 1
    height, width = train.images.shape[1:3]
    if test.images.shape[1:3] != (height, width):
        raise TrainError(f"{folder}: training and test images differ in size")
    return Data(train, test, Meta(1, height, width, *_statistics(train.images), [str(k) for k in range(classes)]))


def _statistics(images: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, four digits, from at most 10,000 images."""
    flat = images[:: max(1, len(images) // 10000)].flatten(0, 2).float() / 255
    std = flat.std(0).clamp_min(0.01)
    return tuple(round(v, 4) for v in flat.mean(0).tolist()), tuple(round(v, 4) for v in std.tolist())


def _class_folders(folder: pathlib.Path, classes: list[str], size: int) -> Split:
    try:
        from PIL import Image
    except ImportError:
        raise TrainError("reading image folders needs the package pillow") from None
    images, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted(p for p in (folder / name).glob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
            try:
                with Image.open(path) as image:
                    images.append(np.asarray(image.convert("RGB").resize((size, size), Image.BILINEAR)))
            except (OSError, ValueError, Image.DecompressionBombError):
                raise TrainError(f"{path}: not a readable image") from None
            labels.append(label)
    if not images:
        raise TrainError(f"{folder}: no images in its class folders")
    return Split(torch.from_numpy(np.stack(images)), torch.tensor(labels))


def _folder(folder: pathlib.Path, size: int, seed: int) -> Data:
    """train/CLASS/* and test/CLASS/*; without these two folders CLASS/*, one image in ten (seeded) for the test."""
    root = folder / "train" if (folder / "train").is_dir() else folder
    classes = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    if len(classes) < 2:
        raise TrainError(f"{root}: needs at least two folders, one per class")
    if any("," in name for name in classes):
        raise TrainError(f"{root}: names of class folders must not contain commas")
    train = _class_folders(root, classes, size)
    if root != folder:
        test = _class_folders(folder / "test", classes, size)
    else:
        train, test = hold_out(train, max(1, len(train) // 10), seed)
    return Data(train, test, Meta(3, size, size, *_statistics(train.images), classes))


def hold_out(train: Split, count: int, seed: int) -> tuple[Split, Split]:
    """A seeded choice of `count` images out of a training set: (the rest, the choice)."""
    if count >= len(train):
        raise TrainError(f"cannot hold out {count} of {len(train)} training images")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    rest, held = order[count:].sort().values, order[:count].sort().values
    return Split(train.images[rest], train.labels[rest]), Split(train.images[held], train.labels[held])


def load(dataset: str, folder: str, size: int, seed: int) -> Data:
    """Reads a dataset; TrainError names the file that is missing or damaged."""
    if not folder:
        raise TrainError("--data is missing: the folder of the dataset's files")
    path = pathlib.Path(folder)
    if dataset == "folder":
        return _folder(path, size, seed)
    readers = {"cifar10": _cifar10, "cifar100": _cifar100, "mnist": _mnist}
    if dataset not in readers:
        raise TrainError(f"unknown dataset '{dataset}'; one of {', '.join([*readers, 'folder'])}")
    return readers[dataset](path)
