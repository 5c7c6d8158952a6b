"""The public part of a model."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ._files import BytesLike, Path, Unpicklable, _native, buffer_of, existing
from ._words import wrong_type

if TYPE_CHECKING:
    from . import _server


class Described(Unpicklable):
    """What is public of a plan, whether it infers or trains."""

    _spec: _server.ClientSpec  # of whichever extension module is loaded

    @property
    def network(self) -> str:
        """Name of the network."""
        return self._spec.network

    @property
    def plan_id(self) -> str:
        """Names the plan in all files that belong to it."""
        return self._spec.plan_id

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of an image: channels, rows, columns. Flat networks have (features, 1, 1)."""
        return self._spec.channels, self._spec.height, self._spec.width

    @property
    def scores(self) -> int:
        """Scores of an image."""
        return self._spec.scores

    @property
    def security(self) -> str:
        """Of keys and images under it: "128" or "192" bits, or "quantum128" against quantum computers, too."""
        return self._spec.security

    @property
    def signer(self) -> str:
        """Verification key, 64 hexadecimal digits, of whoever must sign replies: others are refused. "": nobody must."""
        return self._spec.signer

    @property
    def classes(self) -> list[str]:
        """Names of the classes; empty if the model has none."""
        return self._spec.classes

    @property
    def mean(self) -> list[float]:
        """By channel, in units of pixel / 255."""
        return self._spec.mean

    @property
    def std(self) -> list[float]:
        """By channel, in units of pixel / 255."""
        return self._spec.std


class ClientSpec(Described):
    """What an owner of images needs to make keys, encrypt and decrypt. It is public and holds no weights.

    Made by `sotto.compile(...).client_spec`, from bytes by `ClientSpec(data)`, or from a file by `ClientSpec.load`.
    """

    def __init__(self, contents: BytesLike) -> None:
        self._spec = _native().ClientSpec.read(buffer_of(contents))

    @classmethod
    def _of(cls, spec: _server.ClientSpec) -> ClientSpec:
        made = cls.__new__(cls)
        made._spec = spec
        return made

    @classmethod
    def load(cls, path: Path) -> ClientSpec:
        """Reads a file (NAME.client). Raises BadInputError for a damaged one."""
        return cls._of(_native().ClientSpec.read(existing(path)))

    def save(self, path: Path) -> None:
        """Writes it to a file."""
        self._spec.write(os.fspath(path))

    def tobytes(self) -> bytes:
        """The contents of the file."""
        contents = self._spec.write(None)
        assert contents is not None
        return bytes(memoryview(contents))

    @property
    def batch(self) -> int:
        """Images that one run of the server holds."""
        return self._spec.batch

    def __repr__(self) -> str:
        return (f"<sotto.ClientSpec of {self.network}: images of {'x'.join(map(str, self.input_shape))}, "
                f"{self.scores} scores, batches of {self.batch}>")


def security_level(given: object) -> str:
    """Its name; 128 and 192 may be numbers."""
    if str(given) not in ("128", "192", "quantum128"):
        raise ValueError(f'the security is "128", "192" or "quantum128", not {given!r}')
    return str(given)


def native_spec(given: object) -> _server.ClientSpec:
    """Of an object (a ClientSpec, or a plan or description of a training), a path or bytes."""
    spec = getattr(given, "_spec", None)
    if isinstance(spec, _native().ClientSpec):
        found: _server.ClientSpec = spec
        return found
    if isinstance(given, (bytes, bytearray, memoryview)):
        return ClientSpec(given)._spec
    if isinstance(given, (str, os.PathLike)):
        return ClientSpec.load(given)._spec
    raise wrong_type("the public part of a model is expected (model.client_spec, a path or bytes)", given)
