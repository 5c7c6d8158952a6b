"""Test images and labels, and the text files in which the suite hands them on."""

import gzip
import pathlib
import struct

import numpy as np


class DataError(Exception):
    """What is wrong with a data source, in one line."""


def find(folder, *names):
    """The bytes of the first file that exists, plain or with .gz."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                data = path.read_bytes()
                return gzip.decompress(data) if path.suffix == ".gz" else data
    raise DataError(f"{folder} holds no {names[0]}")


def cifar10(folder):
    """The binary files of CIFAR-10."""
    data = np.frombuffer(find(folder, "test_batch.bin", "cifar-10-batches-bin/test_batch.bin"), np.uint8)
    if data.size == 0 or data.size % 3073:
        raise DataError(f"{folder}/test_batch.bin does not hold records of 3073 bytes")
    records = data.reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def idx(data, dimensions):
    """An IDX file of bytes."""
    if len(data) < 4 or data[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError("not an IDX file of bytes with so many dimensions")
    shape = struct.unpack(f">{dimensions}I", data[4:4 + 4 * dimensions])
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape):
        raise DataError("an IDX file of another length than it says")
    return values.reshape(shape)


def mnist(folder):
    """The IDX files of MNIST."""
    images = idx(find(folder, "t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"), 3)
    return images[:, None], idx(find(folder, "t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"), 1)


READERS = {"cifar10": cifar10, "mnist": mnist}


def load(source):
    """Name of the data set, test images uint8 [n][channels][rows][columns] and labels of `cifar10:DIR` or `mnist:DIR`."""
    name, _, folder = source.partition(":")
    if name not in READERS or not folder:
        raise DataError(f"{source}: name cifar10:DIR or mnist:DIR")
    images, labels = READERS[name](pathlib.Path(folder))
    if len(images) != len(labels):
        raise DataError(f"{source}: {len(images)} images and {len(labels)} labels")
    return name, images, labels


def choose(total, count, seed, repeat):
    """Numbers of the images of a run: a random choice, in order if it is all, with `repeat` several times if there are fewer."""
    if count > total:
        if not repeat or total == 0:
            raise DataError(f"{count} images are asked for, the data set holds {total}; choose other --sizes, or take images again "
                            "(--repeat)")
        return np.arange(count) % total
    return np.arange(total) if count == total else np.random.default_rng(seed).permutation(total)[:count]


def write_text(layout, images, labels):
    """Pixels as lines of values from 0 to 1 with six decimals, and labels, as the suite's generate_input writes them."""
    layout.pixels.parent.mkdir(parents=True, exist_ok=True)
    words = np.array([f"{value / 255:.6f}" for value in range(256)], dtype=object)
    for path, lines in ((layout.pixels, (" ".join(words[image.reshape(-1)]) for image in images)), (layout.labels, map(str, labels))):
        temporary = path.with_name(path.name + ".tmp")
        with open(temporary, "w") as file:
            file.writelines(f"{line}\n" for line in lines)
        temporary.replace(path)
