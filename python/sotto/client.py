"""The side of the owner of images: secret key, encryption, decryption. It needs the half `client` of the package."""
from __future__ import annotations

import dataclasses
import enum
import os
import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

try:
    from . import _client
except ImportError as e:
    raise ImportError("this installation of sotto lacks the half of clients (SOTTO_PYTHON_HALVES=server), or it "
                      f"cannot be loaded: {e}", name="sotto._client") from e

from ._errors import DoubtfulResults
from ._files import BytesLike, Path, PublicKey, Query, Reply, Unpicklable, source_of
from ._images import for_network
from ._owner import Owner, SecretKey
from ._progress import Progress, reporting
from ._spec import ClientSpec, native_spec
from ._training_client import TrainingClient
from .signing import Signer, SigningKey, digits_of, id_of, native_key

if TYPE_CHECKING:
    from ._client import Client as NativeClient

__all__ = ["Client", "Doubt", "Encryptor", "Publication", "Results", "SecretKey", "TrainingClient"]


class Doubt(enum.IntEnum):
    """Why the label of an image may be wrong, from none to worst."""
    NONE = 0
    """no reason is known"""
    ERROR = 1
    """its best scores lie so close that errors of encryption may exchange them"""
    NEIGHBOUR = 2
    """an image beside it in the ciphertexts left the range"""
    SCORE = 3
    """a score far beyond those of all calibration images"""
    RANGE = 4
    """its own values left the range"""
    SPOILED = 5
    """an image of the batch spoiled the results of all: there are no scores"""
    DAMAGED = 6
    """the results of the batch are damaged: there are no scores"""


@dataclasses.dataclass(frozen=True)
class Results:
    """What comes out of a decryption of n images."""
    scores: npt.NDArray[np.float64]
    """[n, classes]; rows of NaN where a batch is lost"""
    labels: npt.NDArray[np.int32]
    """[n]: the class with the largest score, -1 without scores"""
    doubts: list[Doubt]
    """by image"""
    classes: list[str]
    """names of the classes; empty if the model has none"""
    input_id: str
    """name of the query, as in `Query.input_id`"""
    input_signer: str
    """verification key of who signed the query: the owner, or whoever encrypted with the public key; "" if nobody did"""
    summary: str
    """one line that names the doubtful images; empty if there are none"""

    @property
    def names(self) -> list[str]:
        """Labels by image in words; numbers if the model has no names, "" without scores."""
        return ["" if k < 0 else self.classes[k] if self.classes else str(k) for k in self.labels]

    @property
    def doubtful(self) -> npt.NDArray[np.intp]:
        """Numbers of the images that have a doubt, from 0."""
        return np.flatnonzero(np.array(self.doubts) != Doubt.NONE)


@dataclasses.dataclass(frozen=True)
class Publication:
    """Results of n images that may be given away."""
    labels: npt.NDArray[np.int32]
    """[n]: the class with the largest score, -1 where withheld"""
    scores: npt.NDArray[np.float64] | None
    """[n, classes], flooded and rounded; rows of NaN where withheld; None for labels"""
    deviation: float
    """of the Gaussian noise, in units of scores"""
    margin: float
    """by which the best score leads, noise included, where there is a label"""
    step: float
    """scores are multiples of it; 0 for labels"""
    key_bits: float
    """that recovering the key costs, with all releases under it"""
    statistical_bits: float
    """statistical security with all of them; negative: none"""
    again: bool
    """whether they were published before"""
    summary: str
    """one line that names the doubtful images, for their owner only; empty if there are none"""


def _encrypt(party: _client.Client | _client.Encryptor, spec: ClientSpec, images: object, path: Path | None,
             progress: Progress) -> Query:
    array = for_network(images, spec.input_shape)
    to = None if path is None else os.fspath(path)
    with reporting(progress) as report:
        made, input_id = party.encrypt(array, to, report)
    query = Query._of(made if to is None else to)
    query.input_id = input_id
    return query


class Encryptor(Unpicklable):
    """Encrypts images for the owner of a public key. Holds no secret: it cannot decrypt, not even what it encrypted.

    The public key must be the owner's: who put another one in its place could read the images. Compare `key_id` with
    what the owner tells. Scores must not come
    back to whoever encrypted (SECURITY.md).
    """
    _instead = "make it again from the model's client_spec and the public key"

    def __init__(self, spec: ClientSpec | Path | BytesLike, public_key: PublicKey | Path | BytesLike,
                 signing_key: SigningKey | Path | None = None) -> None:
        """signing_key: signs queries, so that the owner can tell whose they are.

        Raises WrongKeyError for a key of another ring than the model's or with too few levels, or one that its owner did
        not sign.
        """
        self._spec = ClientSpec._of(native_spec(spec))
        self._encryptor = _client.Encryptor(self._spec._spec, source_of(public_key, PublicKey),
                                            native_key(signing_key))

    @property
    def spec(self) -> ClientSpec:
        """The public part of the model."""
        return self._spec

    @property
    def key_id(self) -> str:
        """`SecretKey.id` of the owner, who signed the public key."""
        return self._encryptor.key_id

    def encrypt(self, images: object, path: Path | None = None, progress: Progress = None) -> Query:
        """As `Client.encrypt`; the query has twice as many bytes."""
        return _encrypt(self._encryptor, self._spec, images, path, progress)

    def __repr__(self) -> str:
        return f"<sotto.Encryptor of {self._spec.network}, for the key {self.key_id}>"


class Client(Owner):
    """Keys, encryption and decryption for one model."""
    _client: NativeClient

    def __init__(self, spec: ClientSpec | Path | BytesLike, key: SecretKey) -> None:
        """Raises BadInputError for a model whose keys would be weak (below 128 bits); UsageError for a training, which
        takes a TrainingClient."""
        self._spec = ClientSpec._of(native_spec(spec))
        self._client = _client.Client(self._spec._spec, key._key)
        super().__init__(key)

    @classmethod
    def create(cls, spec: ClientSpec | Path | BytesLike, key: SecretKey | None = None) -> Client:
        """A client of a model, given its `client_spec` (an object, a path or bytes).

        key: a secret key that you have, for example `other.key` of another client; without it a fresh one is made.
        """
        return cls(spec, SecretKey.generate() if key is None else key)

    @classmethod
    def load(cls, folder: Path, spec: ClientSpec | Path | BytesLike | None = None) -> Client:
        """What `save` wrote. spec: of another model, for which the secret key in the folder serves, too."""
        own, key = cls._in(folder)
        return cls(own if spec is None else spec, key)

    @property
    def spec(self) -> ClientSpec:
        """The public part of the model."""
        return self._spec

    @property
    def public_key(self) -> PublicKey:
        """A key with which others encrypt for you (`sotto.Encryptor`); `.save(path)` writes it. Every one is new, and all
        serve, also for other models that work in the same ring and need no more levels."""
        return PublicKey._of(self._client.write_public_key(None))

    def encrypt(self, images: object, path: Path | None = None, progress: Progress = None) -> Query:
        """Encrypts images, in batches of `spec.batch`: the last one costs as much as a full one.

        images: array or tensor [n, channels, rows, columns]; [n, rows, columns] will do for one channel and
        [n, features] for flat networks. uint8 are pixels, 0 to 255, which become (pixel / 255 - mean) / std as the
        model says; floats are taken as already preprocessed. One image needs its axis, too: images[None]. Or the path of
        a NumPy file with such an array: .npy, or .npz, of which the array `images` or `x`, or the only one beside
        `labels` or `y`, is read. Pictures in files are for the program: sotto encrypt --data FOLDER.
        path: a file to write to; without it the query is in memory, some 0.1 to 1 MB per image.

        Raises BadInputError for other shapes, values that are no numbers or beyond 1e6, and files that cannot be used;
        TypeError for what is no array.
        """
        return _encrypt(self._client, self._spec, images, path, progress)

    def decrypt(self, reply: Reply | Path | BytesLike, flood: float = 0, progress: Progress = None,
                query: Query | str | None = None) -> npt.NDArray[np.float64]:
        """Scores [n, classes] of what a server made of a query; rows of NaN where a batch is lost.

        Where results may be wrong there is a warning, DoubtfulResults; `results` tells more. The rest is as there.
        """
        results = self.results(reply, flood, progress, query)
        if results.summary:
            warnings.warn(results.summary, DoubtfulResults, stacklevel=2)
        return results.scores

    def results(self, reply: Reply | Path | BytesLike, flood: float = 0, progress: Progress = None,
                query: Query | str | None = None, signer: Signer = None, input_signer: Signer = None) -> Results:
        """Scores, labels and doubts of what a server made of a query.

        flood: for results that leave your hands (SECURITY.md): noise of this standard deviation, in units of scores,
        is added to every score.
        query: what it must be the reply to, or its `input_id`. Without input_signer it must be your own: with the public
        key anyone can use the same id.
        signer: verification key of who must have signed the reply, also if the model does not promise that
        (`ClientSpec.signer`). input_signer: the same for the query, of someone else who encrypted it.

        Raises WrongKeyError if it belongs to another key or model, comes from elsewhere than it must, or no batch
        decrypts; BadInputError if no batch can be read.
        """
        source = source_of(reply, Reply)
        with reporting(progress) as report:
            scores, labels, doubts, input_id, by, summary = self._client.decrypt(
                source, float(flood), id_of(query), digits_of(signer), digits_of(input_signer), report)
        return Results(scores, labels, [Doubt(d) for d in doubts], self._spec.classes, input_id, by, summary)

    def publish(self, reply: Reply | Path | BytesLike, folder: Path, what: Literal["labels", "scores"] = "labels", *,
                key_bits: float = 100, statistical_bits: float | None = None, releases: int = 1,
                query: Query | str | None = None, signer: Signer = None, input_signer: Signer = None,
                progress: Progress = None) -> Publication:
        """Labels or scores of what a server made of a query, for others, who may talk to the server (SECURITY.md).

        folder: where releases under this key are remembered, in the folder `releases`; always the same for one key, for
        example that of `save`. The same request gives the same results again; any other for the same reply is refused.
        what: "labels" gives the label of every image whose best score leads by a margin, "scores" flooded scores.
        key_bits: bits that recovering the key must still cost with all that is published under it.
        statistical_bits: in place of that, bits of statistical security, which takes far more noise.
        releases: results like these that are to be published under this key.
        query, signer, input_signer: as for `results`.

        Raises UsageError for what was published in another way, or if too little would be left to the key. Others as for
        `results`.
        """
        if what not in ("labels", "scores"):
            raise ValueError(f'what is published is "labels" or "scores", not {what!r}')
        source = source_of(reply, Reply)
        with reporting(progress) as report:
            made = self._client.publish(source, os.fspath(folder), what == "scores", float(key_bits),
                                        None if statistical_bits is None else float(statistical_bits), int(releases),
                                        id_of(query), digits_of(signer), digits_of(input_signer), report)
        return Publication(**made)
