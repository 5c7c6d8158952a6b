"""Images of callers, as the C++ library takes them."""
from __future__ import annotations

import contextlib
import os
import sys
import warnings
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import BadInputError, SottoWarning
from ._files import Path, existing

Array = npt.NDArray[Any]
# Preprocessed pixels rarely go beyond 10; pixels of 0 .. 255 as floats nearly always do.
MOST_PREPROCESSED = 30
HWC = "images.transpose(0, 3, 1, 2)"


def _of_file(path: Path) -> Array:
    """The images of a NumPy file; of an .npz the array `images` or `x`, or the only one beside labels."""
    file = existing(path)
    kind = os.path.splitext(file)[1].lower()
    if kind not in (".npy", ".npz"):
        raise BadInputError(f"{file}: of files only .npy and .npz can be given as images; turn pictures into an array, or "
                            "encrypt them with the program sotto")
    try:
        with contextlib.ExitStack() as opened:
            found = np.load(file, allow_pickle=False)
            if kind == ".npy":
                return np.asarray(found)
            opened.enter_context(found)
            named = [name for name in found.files if name in ("images", "x")]
            others = [name for name in found.files if name not in ("labels", "y")]
            names = named or others
            if len(names) != 1:
                raise BadInputError(f"{file} has {len(names)} arrays that may be the images; call those 'images' (and "
                                    "their labels 'labels')")
            return np.asarray(found[names[0]])
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as e:
        if isinstance(e, BadInputError):
            raise
        raise BadInputError(f"{file} is no NumPy file of numbers that can be read: {e}") from e


def numpy_of(images: object) -> Array:
    """An array of a numpy array, a tensor of PyTorch on any device, nested lists, or the path of a NumPy file; uint8,
    float32 or float64."""
    if isinstance(images, (str, os.PathLike)):
        images = _of_file(images)
    if isinstance(images, (list, tuple)) and images and isinstance(images[0], (str, os.PathLike)):
        raise BadInputError("a list of paths; give one .npy or .npz file, or an array with the pixels of all")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(images, torch.Tensor):
        tensor = images.detach().cpu()
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        images = tensor.numpy()
    array = np.asarray(images)
    if array.dtype == object:
        raise TypeError("images are an array or tensor of numbers, or the path of an .npy or .npz file, not "
                        f"{type(images).__name__}")
    native = array.dtype.newbyteorder("=")
    if native == np.float16:
        return array.astype(np.float32)
    if native in (np.uint8, np.float32, np.float64):
        return array.astype(native, copy=False)
    raise BadInputError(f"images of type {array.dtype}: uint8 are pixels (0 to 255), floats are taken as already "
                        "preprocessed; convert them with .astype")


def labels_of(labels: object, count: int) -> npt.NDArray[np.int32]:
    """Classes of `count` images, from 0, of an array, a tensor or a list of integers."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(labels, torch.Tensor):
        labels = labels.detach().cpu().numpy()
    array = np.asarray(labels)
    if array.shape != (count,) or not np.issubdtype(array.dtype, np.integer):
        raise BadInputError(f"labels of shape {array.shape} and type {array.dtype}; {count} images have labels [{count}], "
                            "integers from 0")
    if array.size and not 0 <= array.min() <= array.max() < 2**31:
        raise BadInputError(f"labels from {array.min()} to {array.max()}; they count from 0")
    return np.ascontiguousarray(array, np.int32)


def _warn_of_pixels(array: Array) -> None:
    if array.dtype != np.uint8 and array.size and MOST_PREPROCESSED < array.max() <= 255 and array.min() >= 0:
        warnings.warn("the images are floats from 0 to 255; floats are taken as already preprocessed. If these are "
                      "pixels, give them as uint8", SottoWarning, stacklevel=4)


def _by_axes(array: Array) -> Array:
    """[image, channel, row, column] of an array with fewer axes."""
    if array.ndim == 4:
        return array
    if array.ndim == 3:  # one channel
        return array[:, None]
    if array.ndim == 2:  # flat
        return array[:, :, None, None]
    raise BadInputError(f"images of shape {array.shape}: the axes are image, channel, row, column "
                        "(image, feature for flat networks)")


def for_calibration(images: object) -> Array:
    """[image, channel, row, column], dense, for a network of unknown shape."""
    array = numpy_of(images)
    by_axes = _by_axes(array)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[0] < array.shape[1] == array.shape[2]:
        raise BadInputError(f"images of shape {array.shape} look like one image; give many, [image, channel, row, "
                            "column]", "images[None]")
    _warn_of_pixels(array)
    return np.ascontiguousarray(by_axes)


def with_shape(calibrate: object, input_shape: tuple[int, ...] | None) -> tuple[tuple[int, ...] | None, Array | None]:
    """The shape of an image, as a module takes it, and the images for calibration; either may be None."""
    if calibrate is None:
        return input_shape, None
    if input_shape is not None:
        c, h, w = (*input_shape, 1, 1)[:3]
        return input_shape, for_network(calibrate, (c, h, w))
    array = numpy_of(calibrate)
    images = for_calibration(array)
    return images.shape[1:2] if array.ndim == 2 else images.shape[1:], images


def looks_like_hwc(array: Array) -> bool:
    """Whether the last axis is rather that of channels; only a guess."""
    return array.ndim == 4 and array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4)


def for_network(images: object, shape: tuple[int, int, int]) -> Array:
    """[image, channel, row, column], dense, of images of `shape` (channels, rows, columns).

    Raises BadInputError for other shapes and types, and says so if axes are in another order or one is missing.
    """
    array = numpy_of(images)
    channels, rows, columns = shape
    flat = rows == columns == 1
    what = f"images of shape {array.shape}"
    wanted = "the network takes [image, channel, row, column] of " + "x".join(map(str, shape))
    if array.shape == shape and channels > 1:
        raise BadInputError(f"one image of shape {array.shape}; {wanted}", "images[None]")
    if flat and array.shape == (channels,):
        raise BadInputError(f"one row of {channels} features; the network takes [image, feature]", "images[None]")
    if (array.ndim == 3 and channels > 1) or (array.ndim == 2 and not flat):
        raise BadInputError(f"{what}; {wanted}")
    by_axes = _by_axes(array)
    if by_axes.shape[1:] != shape and by_axes.shape[1:] == (rows, columns, channels):
        raise BadInputError(f"{what}, which is image, row, column, channel; {wanted}", HWC)
    if by_axes.shape[1:] != shape:
        raise BadInputError(f"{what}; {wanted}")
    if len(array) == 0:
        raise BadInputError("there are no images")
    _warn_of_pixels(array)
    return np.ascontiguousarray(by_axes)
