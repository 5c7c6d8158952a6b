"""Whoever owns images: the secret key, and what clients of all kinds have."""
from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import _client
from ._errors import UsageError
from ._files import BytesLike, EvaluationKeys, Path, Unpicklable, existing
from ._progress import Progress, reporting
from ._spec import ClientSpec, native_spec

if TYPE_CHECKING:
    from ._client import Client as NativeClient
    from ._client import TrainingClient as NativeTrainingClient
    from .training import TrainingClientSpec, TrainingPlan

_SECRET = ("it holds a secret key, and a pickle would put that, readable for all, into files and messages; use "
           ".save(), which writes what only you can read, and .load()")


class SecretKey(Unpicklable):
    """The secret key of an owner of images. One serves all models and batch sizes. Its memory is wiped at the end."""
    _instead = _SECRET

    def __init__(self) -> None:
        raise TypeError("use SecretKey.generate() or SecretKey.load(path)")

    @classmethod
    def _of(cls, key: _client.SecretKey) -> SecretKey:
        made = cls.__new__(cls)
        made._key = key
        return made

    _key: _client.SecretKey

    @classmethod
    def generate(cls) -> SecretKey:
        """A fresh key from the operating system's generator."""
        return cls._of(_client.SecretKey.generate())

    @classmethod
    def load(cls, path: Path) -> SecretKey:
        """Reads a file, or secret.key in a folder. Raises BadInputError for what is no secret key."""
        return cls._of(_client.SecretKey.read(existing(path)))

    def save(self, path: Path, replace: bool = False) -> None:
        """Writes a file that only you can read, or secret.key into a folder.

        Raises UsageError if a key is there and `replace` is not set: what was encrypted under the old one could never
        be decrypted again.
        """
        self._key.write(os.fspath(path), replace)

    def make_evaluation_keys(self, specs: Sequence[ClientSpec | TrainingClientSpec | TrainingPlan | Path | BytesLike],
                             path: Path | None = None, progress: Progress = None) -> EvaluationKeys:
        """The keys with which servers of several models (at least one) compute on what is encrypted under this key.

        specs: of models and trainings. Keys that they have in common are there once, so that it is smaller than those
        of each together.
        path: a file to write to; without it they are in memory.
        """
        to = None if path is None else os.fspath(path)
        with reporting(progress) as report:
            made = self._key.write_evaluation_keys([native_spec(s) for s in specs], to, report)
        return EvaluationKeys._of(made if to is None else to)

    @property
    def id(self) -> str:
        """32 hexadecimal digits that identify the key and reveal nothing of it. Evaluation keys, public keys and queries of
        its owner are signed, and whoever has this id can tell: readers refuse what names it and is not signed so."""
        return self._key.id

    def __repr__(self) -> str:
        return f"<sotto.SecretKey {self.id}>"


class Owner(Unpicklable):
    """What clients of all kinds have: a description, a secret key and evaluation keys."""
    _instead = _SECRET
    _KEY, _SPEC = "secret.key", "plan.client"  # names in a folder
    _client: NativeClient | NativeTrainingClient

    @property
    def spec(self) -> ClientSpec | TrainingClientSpec:
        """What the client has of the plan."""
        raise NotImplementedError

    def __init__(self, key: SecretKey) -> None:
        self._key = key
        self._keys: EvaluationKeys | None = None
        self._lock = threading.Lock()  # of _keys

    @classmethod
    def _in(cls, folder: Path) -> tuple[pathlib.Path, SecretKey]:
        """What `save` wrote: the path of the description, and the key."""
        place = pathlib.Path(existing(folder))
        return place / cls._SPEC, SecretKey.load(place / cls._KEY)

    def save(self, folder: Path, replace: bool = False) -> None:
        """Writes secret.key, which only you can read, and plan.client (public) into a folder, which is made if need be.

        Evaluation keys are not among them, as they can be made again: `client.evaluation_keys.save(path)`. Raises
        UsageError if the folder belongs to another key or model and `replace` is not set.
        """
        folder = pathlib.Path(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, spec = folder / self._KEY, folder / self._SPEC
        if spec.exists() and not replace and ClientSpec.load(spec).plan_id != self.spec.plan_id:
            raise UsageError(f"{spec} is of another model; choose another folder (the same secret key may lie in both)",
                             "replace=True")
        if not (key.exists() and not replace and SecretKey.load(key).id == self._key.id):
            self._key.save(key, replace)
        self.spec.save(spec)

    @property
    def key(self) -> SecretKey:
        """The secret key, which may serve for other models, too."""
        return self._key

    @property
    def evaluation_keys(self) -> EvaluationKeys:
        """The keys for the server, in memory. Made at the first use, which takes seconds to minutes, and kept."""
        with self._lock:
            if self._keys is None:
                self._keys = self.make_evaluation_keys()
            return self._keys

    def make_evaluation_keys(self, path: Path | None = None, progress: Progress = None) -> EvaluationKeys:
        """The keys for the server, in memory or, without need for it, straight in a file. They are not kept here.

        `client.key.make_evaluation_keys` makes those of several models in one.
        """
        to = None if path is None else os.fspath(path)
        with reporting(progress) as report:
            made = self._client.write_evaluation_keys(to, report)
        return EvaluationKeys._of(made if to is None else to)

    def __repr__(self) -> str:
        return f"<sotto.{type(self).__name__} of {self.spec.network}, key {self._key.id}>"
