"""Networks of callers as ONNX files: modules of PyTorch are exported, metadata are written in front."""
from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Union

from ._errors import BadInputError, Error, UsageError, node_names
from ._export import Scopes, export, module_of
from ._files import Path, existing
from ._images import HWC, Array, looks_like_hwc
from ._words import in_python

if TYPE_CHECKING:
    import torch

PREFIX = "sotto-"  # of temporary folders
Numbers = Union[float, Sequence[float], None]


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _metadata(mean: Numbers, std: Numbers, classes: Sequence[str] | None) -> bytes:
    """Entries metadata_props (field 14) of a ModelProto. In front of a file they come before those in it, and the
    importer takes the first; so nothing has to read and write the model."""
    def text(numbers: Any) -> str:
        values = [numbers] if not hasattr(numbers, "__iter__") else list(numbers)
        return ",".join(repr(float(v)) for v in values)

    if classes is not None and any("," in c for c in classes):
        raise UsageError("names of classes have no commas", "classes=")
    entries = {"sotto.mean": None if mean is None else text(mean), "sotto.std": None if std is None else text(std),
               "sotto.classes": None if classes is None else ",".join(classes)}
    return b"".join(_field(14, _field(1, key.encode()) + _field(2, value.encode()))
                    for key, value in entries.items() if value is not None)


def _beside(model: pathlib.Path, contents: bytes) -> list[pathlib.Path]:
    """Files with weights beside a model: those whose names are in it."""
    return [f for f in model.parent.iterdir() if f != model and f.name.encode() in contents and f.is_file()]


def without_folder(text: str) -> str:
    """A message about a file in a temporary folder of `given_network`."""
    return re.sub(re.escape(os.path.join(tempfile.gettempdir(), PREFIX)) + r"[^/]*/", "", text)


@contextlib.contextmanager
def _explained(scopes: Scopes, by_argument: Collection[str], images: Array | None) -> Iterator[None]:
    """Errors name no temporary folder, but the part of the module, arguments, and what may be wrong with images."""
    try:
        yield
    except Error as e:
        e.message = in_python(without_folder(e.message), by_argument)
        e.args = (e.message,)
        e.module = next(filter(None, (module_of(node, scopes) for node in node_names(e.message))), None)
        if images is not None and e.hint is None and "the network takes" in e.message and looks_like_hwc(images):
            e.hint = HWC
        raise


@contextlib.contextmanager
def given_network(model: Union[Path, torch.nn.Module], shape: Sequence[int] | None, *, mean: Numbers,
                  std: Numbers, classes: Sequence[str] | None, name: str | None, images: Array | None) -> Iterator[str]:
    """Path of an ONNX file for the time of the block. shape: of an image, as a module takes it."""
    torch = sys.modules.get("torch")
    module = model if torch is not None and isinstance(model, torch.nn.Module) else None
    metadata, scopes = _metadata(mean, std, classes), Scopes()
    by_argument = [key for key, value in (("mean", mean), ("std", std), ("classes", classes)) if value is not None]
    if module is None:
        if not isinstance(model, (str, os.PathLike)):
            raise TypeError(f"a network is a torch.nn.Module or the path of an ONNX file, not {type(model).__name__}")
        given = pathlib.Path(existing(model))
        if not metadata and name is None:
            with _explained({}, (), images):
                yield str(given)
            return
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        own_name = given.stem if module is None else type(module).__name__
        target = pathlib.Path(folder) / f"{name or own_name}.onnx"
        if module is not None:
            if shape is None:
                raise UsageError("the shape of images must be known to export a module", "input_shape=, calibrate=")
            try:
                scopes = export(module, shape, target)
            except BadInputError as e:
                e.hint = HWC if images is not None and looks_like_hwc(images) else None
                raise
            contents = target.read_bytes()
        else:
            contents = given.read_bytes()
            for file in _beside(given, contents):
                shutil.copyfile(file, target.with_name(file.name))
        target.write_bytes(metadata + contents)
        del contents
        with _explained(scopes, by_argument, images):
            yield str(target)
