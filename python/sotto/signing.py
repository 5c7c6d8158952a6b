"""Keys that sign: the results of a server, or what someone encrypts with a public key. It works with either half."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Union

from ._errors import UsageError
from ._files import Path, Query, Unpicklable, _native, existing
from ._words import wrong_type

if TYPE_CHECKING:
    from . import _server

__all__ = ["SigningKey"]


class SigningKey(Unpicklable):
    """A key that signs, and can do nothing else. Owners of images need none: theirs follows from their SecretKey."""
    _instead = ("a pickle would put it, readable for all, into files and messages; use .save(), which writes what only you "
                "can read, and .load()")

    def __init__(self) -> None:
        raise TypeError("use SigningKey.generate() or SigningKey.load(path)")

    @classmethod
    def _of(cls, key: _server.SigningKey) -> SigningKey:
        made = cls.__new__(cls)
        made._key = key
        return made

    _key: _server.SigningKey

    @classmethod
    def generate(cls) -> SigningKey:
        """A fresh key from the operating system's generator."""
        return cls._of(_native().SigningKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Reads a file. Raises BadInputError for what is no signing key."""
        return cls._of(_native().SigningKey.read(existing(path)))

    def save(self, path: Path) -> None:
        """Writes a file that only you can read. Raises UsageError if anything is there."""
        self._key.write(os.fspath(path))

    @property
    def verification_key(self) -> str:
        """The public half, 64 hexadecimal digits: what tells others that this key signed."""
        return self._key.verification_key

    def __repr__(self) -> str:
        return f"<sotto.SigningKey, verification key {self.verification_key}>"


Signer = Union[SigningKey, str, None]


def digits_of(signer: Signer) -> str:
    """A verification key as the extension modules take it; empty for none."""
    if isinstance(signer, SigningKey):
        return signer.verification_key
    if signer is None or isinstance(signer, str):
        return signer or ""
    raise wrong_type("a verification key is expected (64 hexadecimal digits or a sotto.SigningKey)", signer)


def native_key(given: SigningKey | Path | None) -> _server.SigningKey | None:
    """Of an object or a path; None for none."""
    if given is None:
        return None
    if isinstance(given, SigningKey):
        return given._key
    if isinstance(given, (str, os.PathLike)):
        return SigningKey.load(given)._key
    raise wrong_type("a signing key is expected (a sotto.SigningKey or a path)", given)


def id_of(query: Query | str | None) -> str:
    """Of the query that a reply must be to; empty for any."""
    if query is None or isinstance(query, str):
        return query or ""
    if not isinstance(query, Query):
        raise wrong_type("a query is expected (a sotto.Query or its input_id)", query)
    if query.input_id is None:
        raise UsageError("this query was not made here, so its name is not known: keep the input_id of Client.encrypt",
                         "query=")
    return query.input_id
