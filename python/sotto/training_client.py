"""Training on encrypted images: the side of the owner of images and labels. It needs the half `client` of the package."""
from __future__ import annotations

import os
import threading

from .client import _SECRET, SecretKey  # first: it says what is missing if this half is not there
from . import _client
from ._files import BytesLike, EvaluationKeys, Path, Query, Reply, Unpicklable, source_of
from ._images import for_network
from ._progress import Progress, reporting
from .training import Labels, TrainingPlan, TrainingResult, labels_of

__all__ = ["TrainingClient"]


class TrainingClient(Unpicklable):
    """Keys, encryption and decryption for one training."""
    _instead = _SECRET

    def __init__(self, plan: TrainingPlan | Path | BytesLike, key: SecretKey | None = None) -> None:
        """plan: an object, NAME.client or NAME.plan, or the bytes of one. key: one that you have; without it a fresh one.

        Raises BadInputError for a plan whose keys would be weak (below 128 bits).
        """
        if isinstance(plan, (bytes, bytearray, memoryview)):
            plan = TrainingPlan(plan)
        elif not isinstance(plan, TrainingPlan):
            plan = TrainingPlan.load(plan)
        self._plan, self._key = plan, SecretKey.generate() if key is None else key
        self._client = _client.TrainingClient(plan._plan, self._key._key)
        self._keys: EvaluationKeys | None = None
        self._lock = threading.Lock()  # of _keys

    @property
    def plan(self) -> TrainingPlan:
        """Of the training."""
        return self._plan

    @property
    def key(self) -> SecretKey:
        """The secret key, which may serve for models and other trainings, too."""
        return self._key

    @property
    def evaluation_keys(self) -> EvaluationKeys:
        """The keys for the server, in memory (gigabytes). Made at the first use and kept."""
        with self._lock:
            if self._keys is None:
                self._keys = self.make_evaluation_keys()
            return self._keys

    def make_evaluation_keys(self, path: Path | None = None, progress: Progress = None) -> EvaluationKeys:
        """The keys for the server, in memory or, without need for it, straight in a file. They are not kept here."""
        to = None if path is None else os.fspath(path)
        with reporting(progress) as report:
            made = self._client.write_evaluation_keys(to, report)
        return EvaluationKeys._of(made if to is None else to)

    def encrypt(self, images: object, labels: Labels, path: Path | None = None, progress: Progress = None) -> Query:
        """Encrypts images with their labels, in as many whole batches as they make, shuffled by the spec's seed.

        images: array or tensor, as for `Client.encrypt`; labels: by image, from 0. path: a file to write to.
        Raises BadInputError for other shapes, labels that no score has, or fewer images than a batch takes.
        """
        array = for_network(images, self._plan.client_spec.input_shape)
        to = None if path is None else os.fspath(path)
        with reporting(progress) as report:
            made, input_id = self._client.encrypt(array, labels_of(labels), to, report)
        query = Query._of(made if to is None else to)
        query.input_id = input_id
        return query

    def decrypt(self, reply: Reply | Path | BytesLike, progress: Progress = None) -> TrainingResult:
        """Losses and weights of what a trainer made of a query.

        Raises WrongKeyError if it belongs to another key or plan, BadInputError if it is damaged.
        """
        source = source_of(reply, Reply)
        with reporting(progress) as report:
            return TrainingResult._of(self._plan, self._client.decrypt(source, report))

    def __repr__(self) -> str:
        return f"<sotto.TrainingClient of {self._plan.client_spec.network}, key {self._key.id}>"
