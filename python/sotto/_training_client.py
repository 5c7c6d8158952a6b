"""The side of the owner of images and labels in a training."""
from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from . import _client
from ._errors import DoubtfulResults
from ._files import BytesLike, Path, Query, Reply, source_of
from ._images import for_network, labels_of
from ._owner import Owner, SecretKey
from ._progress import Progress, reporting
from .signing import Signer, digits_of, id_of
from .training import TrainingClientSpec, TrainingPlan, TrainingResult, native_training, note

if TYPE_CHECKING:
    from ._client import TrainingClient as NativeTrainingClient


class TrainingClient(Owner):
    """Keys, encryption and decryption for one training."""
    _client: NativeTrainingClient

    def __init__(self, spec: TrainingClientSpec | TrainingPlan | Path | BytesLike, key: SecretKey) -> None:
        """Raises BadInputError for a plan whose keys would be weak (below 128 bits), or one that is not for training."""
        self._spec = TrainingClientSpec._of(native_training(spec))
        self._client = _client.TrainingClient(self._spec._plan, key._key)
        super().__init__(key)

    @classmethod
    def create(cls, spec: TrainingClientSpec | TrainingPlan | Path | BytesLike,
               key: SecretKey | None = None) -> TrainingClient:
        """A client of a training, given its plan or the `client_spec` of that (an object, a path or bytes).

        key: a secret key that you have, for example `other.key` of another client, also one for inference; without it a
        fresh one is made.
        """
        return cls(spec, SecretKey.generate() if key is None else key)

    @classmethod
    def load(cls, folder: Path, spec: TrainingClientSpec | TrainingPlan | Path | BytesLike | None = None
             ) -> TrainingClient:
        """What `save` wrote. spec: of another training, for which the secret key in the folder serves, too."""
        own, key = cls._in(folder)
        return cls(own if spec is None else spec, key)

    @property
    def spec(self) -> TrainingClientSpec:
        """What the owner of the images has of the plan."""
        return self._spec

    def encrypt(self, images: object, labels: object, path: Path | None = None, progress: Progress = None) -> Query:
        """Encrypts images with their labels: as many whole batches of `spec.batch` as they make, shuffled by the seed of
        the plan. A SottoWarning says how many are left over.

        images: as for `Client.encrypt`: [n, channels, rows, columns], uint8 pixels or preprocessed floats, or the path
        of a NumPy file.
        labels: [n] integers from 0 to below `spec.scores`, an array, a tensor or a list.
        path: a file to write to; without it the query is in memory.

        Raises BadInputError for other shapes, values that are no numbers, labels out of range, and fewer images than a
        batch takes.
        """
        array = for_network(images, self._spec.input_shape)
        classes = labels_of(labels, len(array))
        to = None if path is None else os.fspath(path)
        with reporting(progress) as report:
            made, input_id = self._client.encrypt(array, classes, to, report, note)
        query = Query._of(made if to is None else to)
        query.input_id = input_id
        return query

    def decrypt(self, reply: Reply | Path | BytesLike, progress: Progress = None, query: Query | str | None = None,
                signer: Signer = None) -> TrainingResult:
        """Weights and losses of what a trainer made of a query.

        If weights left the range of the plan there is a warning, DoubtfulResults; `TrainingResult.overflow` says where.

        query: what it must be the reply to, or its `input_id`. signer: verification key of who must have signed it, also
        if the plan does not promise that (`TrainingClientSpec.signer`).

        Raises WrongKeyError if the reply belongs to another key or plan or comes from elsewhere, BadInputError if it is damaged.
        """
        source = source_of(reply, Reply)
        with reporting(progress) as report:
            result = TrainingResult._of(self._spec._plan, self._client.decrypt(source, id_of(query), digits_of(signer),
                                                                              report))
        if result.summary:
            warnings.warn(result.summary, DoubtfulResults, stacklevel=2)
        return result
