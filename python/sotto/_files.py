"""Base of the objects that stand for a file of Sotto: bytes in memory, or a path."""
from __future__ import annotations

import importlib
import os
import pathlib
import shutil
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, Union

from ._errors import MissingFileError
from ._words import wrong_type

if TYPE_CHECKING:
    from ._server import Buffer

Path = Union[str, "os.PathLike[str]"]
BytesLike = Union[bytes, bytearray, memoryview]
F = TypeVar("F", bound="File")


Source = Union[str, "Buffer"]  # what the extension modules read from


def _native() -> Any:
    # Both halves have Buffer. The server's is tried first: whoever computes must never load the client's.
    for name in ("sotto._server", "sotto._client"):
        if sys.modules.get(name) is not None:
            return sys.modules[name]
    try:
        return importlib.import_module("sotto._server")
    except ImportError:
        return importlib.import_module("sotto._client")


def buffer_of(data: BytesLike) -> Buffer:
    """A copy of bytes, for the C++ library."""
    made: Buffer = _native().Buffer(data)
    return made


def existing(path: Path) -> str:
    """The path as text. Raises MissingFileError if nothing is there."""
    text = os.fspath(path)
    if not os.path.exists(text):
        raise MissingFileError(f"there is no file {text}")
    return text


class Unpicklable:
    """Refuses pickle and copy."""
    _instead = "use .save() and .load()"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled; {self._instead}")


class File(Unpicklable):
    """Contents of a file of Sotto: bytes in memory, or a path that is read when it is needed.

    What lies at a path must not change while the object lives. Contents in memory are shared by all who use the object
    and never copied, except by `tobytes`; `view` looks at them without a copy.
    """
    _kind = "file"

    def __init__(self, contents: BytesLike) -> None:
        """contents: what `tobytes` gave or a file holds; they are copied once, and checked when they are used: damaged
        ones raise BadInputError then. For a path use `load`."""
        if isinstance(contents, (str, os.PathLike)):
            raise TypeError(f"{type(self).__name__}(...) takes bytes; {type(self).__name__}.load(path) takes a path")
        self._source: Source = buffer_of(contents)

    @classmethod
    def _of(cls: type[F], source: Source) -> F:
        made = cls.__new__(cls)
        made._source = source
        return made

    @classmethod
    def load(cls: type[F], path: Path) -> F:
        """The file at a path, which stays where it is and is read, and checked, when it is needed."""
        return cls._of(existing(path))

    @property
    def path(self) -> pathlib.Path | None:
        """Where it lies; None if it is in memory."""
        return pathlib.Path(self._source) if isinstance(self._source, str) else None

    def save(self, path: Path) -> None:
        """Writes it to a file, which is there as a whole or not at all."""
        target = pathlib.Path(path)
        if isinstance(self._source, str) and target.exists() and target.samefile(self._source):
            return
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            if isinstance(self._source, str):
                shutil.copyfile(self._source, partial)
            else:
                with open(partial, "wb") as file:
                    file.write(memoryview(self._source))
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def tobytes(self) -> bytes:
        """A copy of the contents."""
        if isinstance(self._source, str):
            return pathlib.Path(self._source).read_bytes()
        return bytes(memoryview(self._source))

    def __len__(self) -> int:
        """Bytes."""
        return os.path.getsize(self._source) if isinstance(self._source, str) else len(self._source)

    def __bool__(self) -> bool:
        return True

    def view(self) -> memoryview:
        """The contents without a copy. Raises ValueError for a file at a path."""
        if isinstance(self._source, str):
            raise ValueError(f"this {self._kind} lies at {self._source}; read it from there, or use tobytes()")
        return memoryview(self._source)

    def __repr__(self) -> str:
        place = f"at {self._source!r}" if isinstance(self._source, str) else "in memory"
        return f"<sotto.{type(self).__name__}: {len(self):,} bytes {place}>"


class Query(File):
    """Encrypted images, from `Client.encrypt`, for `Server.infer`; with labels, from `TrainingClient.encrypt`, for
    `Trainer.train`."""
    _kind = "query"
    input_id: str | None = None
    """Its name, which the results have too; None where it was not encrypted in this process."""


class Reply(File):
    """Encrypted scores, from `Server.infer`, for `Client.decrypt`; or weights and losses, from `Trainer.train`, for
    `TrainingClient.decrypt`."""
    _kind = "reply"


class EvaluationKeys(File):
    """The public keys with which a server computes on what one client encrypts: 0.1 to several GB.

    A server keeps them open from call to call as long as this object lives.
    """
    _kind = "file of evaluation keys"


class PublicKey(File):
    """What lets others encrypt for its owner, from `Client.public_key`, for `Encryptor`: 0.1 to some 10 MB.

    It is public, but whoever encrypts must have it from the owner: who put another one in its place could read the
    images.
    """
    _kind = "public key"


def source_of(given: object, kind: type[F]) -> Source:
    """What the extension modules read: of an object, a path or bytes."""
    if isinstance(given, kind):
        if isinstance(given._source, str):
            existing(given._source)
        return given._source
    if isinstance(given, (str, os.PathLike)):
        return existing(given)
    if isinstance(given, (bytes, bytearray, memoryview)):
        return buffer_of(given)
    raise wrong_type(f"a {kind._kind} is expected (sotto.{kind.__name__}, a path or bytes)", given)
