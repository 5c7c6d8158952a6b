"""The side that computes: from a network to a model, and on encrypted images. It holds no secret and cannot decrypt.

It needs the half `server` of the package, and never loads the other one.
"""
from __future__ import annotations

import dataclasses
import functools
import os
import warnings
from typing import TYPE_CHECKING, Union

try:
    from . import _server
except ImportError as e:
    raise ImportError("this installation of sotto lacks the half of servers (SOTTO_PYTHON_HALVES=client), or it "
                      f"cannot be loaded: {e}", name="sotto._server") from e

from ._computer import Computer
from ._errors import SottoWarning, UsageError
from ._files import (BytesLike, EvaluationKeys, Path, PublicKey, Query, Reply, Unpicklable, buffer_of, existing,
                     source_of)
from ._images import with_shape
from ._network import given_network, without_folder
from ._progress import Progress, reporting
from ._spec import ClientSpec, security_level
from ._trainer import Trainer, TrainingReport
from ._words import in_python, wrong_type
from .signing import Signer, SigningKey, digits_of, native_key

if TYPE_CHECKING:
    import torch

    from ._server import Server as NativeServer

__all__ = ["InferenceReport", "Layer", "Model", "Server", "Trainer", "TrainingReport", "compile"]

_BAR = 20  # characters, of the longest layer


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of a model, and what it is predicted to take in a run of one batch."""
    name: str
    """of the node in the ONNX file or the module of PyTorch"""
    kind: str
    """what it does with its sum: "sum" (nothing), "square", "product" (of two encrypted values), "polynomial" (Relu and
    the like) or "bootstrap" (refreshes a value, which no layer of the network does)"""
    output: tuple[int, int, int]
    """channels, rows, columns"""
    ciphertexts: int
    """that hold the output of a batch"""
    limbs: int
    """primes of the modulus at work, fewer from layer to layer until a bootstrap"""
    key_switches: int
    """rotations and products of ciphertexts"""
    seconds: float
    """of the time of a run"""
    memory: int
    """bytes in use while it runs, everything included"""


class Model(Unpicklable):
    """A network made ready for encrypted images of one batch size (NAME.plan). It holds the weights: it stays here.

    Made by `sotto.compile`, from bytes by `Model(data)`, or from a file by `Model.load`.
    """
    _plan: _server.Plan

    def __init__(self, contents: BytesLike) -> None:
        self._plan = _server.Plan.read(buffer_of(contents))

    @classmethod
    def _of(cls, plan: _server.Plan) -> Model:
        made = cls.__new__(cls)
        made._plan = plan
        return made

    @classmethod
    def load(cls, path: Path) -> Model:
        """Reads a file. Raises BadInputError for a damaged one, or one of another version."""
        return cls._of(_server.Plan.read(existing(path)))

    def save(self, path: Path) -> None:
        """Writes a file that only you can read."""
        self._plan.write(os.fspath(path))

    def tobytes(self) -> bytes:
        """The contents of the file."""
        contents = self._plan.write(None)
        assert contents is not None
        return bytes(memoryview(contents))

    @property
    def client_spec(self) -> ClientSpec:
        """The public part, for the owner of images."""
        return ClientSpec._of(self._plan.client_spec)

    @property
    def batch(self) -> int:
        """Images that one run holds."""
        return self._plan.batch

    @property
    def predicted_agreement(self) -> float:
        """Part of the labels, 0 to 1, predicted to be those of the float network."""
        return self._plan.predicted_agreement

    @property
    def predicted_score_error(self) -> float:
        """Root mean square error of the scores, as predicted."""
        return self._plan.predicted_score_error

    @property
    def score_spread(self) -> float:
        """What such an error is to be compared with."""
        return self._plan.score_spread

    def seconds(self, threads: int = 0) -> float:
        """Predicted time of a run, in seconds; threads=0: one per hardware thread."""
        return self._plan.seconds(threads)

    @property
    def memory(self) -> int:
        """Predicted peak of a run, in bytes."""
        return self._plan.memory

    @property
    def least_memory(self) -> int:
        """Bytes with which a run is possible."""
        return self._plan.least_memory

    def describe(self) -> str:
        """Some lines of text: what runs, and what that is predicted to take."""
        spec, seconds = self.client_spec, self.seconds()
        error = 100 * self.predicted_score_error / self.score_spread if self.score_spread > 0 else 0.0
        lines = [f"{spec.network} (plan {spec.plan_id})",
                 f"  images      {'x'.join(map(str, spec.input_shape))}, {self.batch} per batch; "
                 f"{spec.scores} scores per image",
                 f"  predicted   {100 * self.predicted_agreement:.2f} % of the labels agree with the float network, "
                 f"scores err by {self.predicted_score_error:.2g} ({error:.2g} % of their spread)",
                 f"  time        {seconds:.3g} s per batch, {seconds / self.batch:.2g} s per image, "
                 f"{os.cpu_count()} threads",
                 f"  memory      {self.memory / 1e9:.2g} GB, {self.least_memory / 1e9:.2g} GB at least"]
        return "\n".join(lines)

    def layers(self, threads: int = 0) -> list[Layer]:
        """What runs, layer by layer; threads=0: one per hardware thread."""
        return [Layer(*layer) for layer in self._plan.layers(threads)]

    def plan(self) -> None:
        """Prints `describe()`, and a table of the layers with a bar for the time of each."""
        layers = self.layers()
        longest = max(layer.seconds for layer in layers)
        print(self.describe())
        print(f"\n  {'layer':<28} {'kind':<10} {'output':>12} {'limbs':>5} {'switches':>8} {'seconds':>8}")
        for layer in layers:
            name = "".join(c if c.isprintable() else "?" for c in layer.name)
            name = name if len(name) <= 28 else "..." + name[-25:]
            bar = "\u2588" * round(_BAR * layer.seconds / longest) if longest > 0 else ""
            line = (f"  {name:<28} {layer.kind:<10} {'x'.join(map(str, layer.output)):>12} {layer.limbs:>5} "
                    f"{layer.key_switches:>8} {layer.seconds:>8.2g} {bar}")
            print(line.rstrip())

    def __repr__(self) -> str:
        return f"<sotto.Model of {self.client_spec.network}, batches of {self.batch}>"


def compile(model: Union[Path, torch.nn.Module], *, batch: int = 1024, calibrate: object = None,
            agreement: float = 0.995, memory: int = 0, precise: bool = False, function_error: float | None = None,
            security: str | int = "128",
            input_shape: tuple[int, ...] | None = None, mean: float | list[float] | None = None,
            std: float | list[float] | None = None, classes: list[str] | None = None, name: str | None = None,
            signer: Signer = None, progress: Progress = None) -> Model:
    """Makes a network ready to run on encrypted images.

    model: an ONNX file, or a module of PyTorch, which is exported in evaluation mode and left as it was.
    batch: images that a run will have, 1 to 65,536; the packing is the fastest for so many (`Model.batch` may be more).
    calibrate: images like those to come (as for `Client.encrypt`; 512 at most are used), to measure ranges, errors and
      labels on; without them made-up ones serve. Networks with Relu and the like want them.
    agreement: part of the labels, 0 to 1, that must be predicted to be the float network's.
    memory: most bytes that a run may use; 0: what this machine has.
    precise: twice the modulus for every square of a network that is bootstrapped: closer to the float network, slower.
    function_error: of polynomials for Relu and the like, over the range of the input.
    security: "128" or "192" bits against classical attacks, or "quantum128", against quantum computers, too. Only at 128
      can deep networks be bootstrapped.
    input_shape: of an image, (channels, rows, columns) or (features,): for a module without `calibrate`.
    mean, std: preprocessing of pixels, (pixel / 255 - mean) / std, one number or one by channel; classes: names. They
      take the place of those in an ONNX file.
    name: of the network, in messages and descriptions.
    signer: the key that must sign replies, or its verification key: clients refuse others.

    Raises BadInputError for a network that cannot run encrypted, naming the node and, for PyTorch, the module;
    NoResourcesError if no packing fits the memory or too few labels are predicted to agree.
    """
    if not 1 <= batch <= 65536:
        raise UsageError(f"batches have 1 to 65,536 images, not {batch}", "batch=")
    level = security_level(security)
    shape, images = with_shape(calibrate, input_shape)

    def note(text: str) -> None:
        warnings.warn(without_folder(in_python(text)), SottoWarning, stacklevel=3)

    with given_network(model, shape, mean=mean, std=std, classes=classes, name=name, images=images) as path:
        with reporting(progress) as report:
            plan = _server.Plan.compile(path, batch, agreement, memory, precise, function_error, images, level,
                                        digits_of(signer), report, note)
    return Model._of(plan)


@dataclasses.dataclass(frozen=True)
class InferenceReport:
    """What an inference took."""
    images: int
    """in all batches"""
    batches: int
    """with those of an earlier run"""
    batches_of_an_earlier_run: int
    """found finished beside the output file, and not done again"""
    read_seconds: float
    """checking and reading the query and the keys"""
    compute_seconds: float
    """the network on ciphertexts"""
    write_seconds: float
    """the encrypted scores"""


class Server(Computer):
    """One model, made ready once, for any number of queries of any number of clients. It computes one at a time."""
    _instead = "save its model and make a new one of it"
    _server: NativeServer

    def __init__(self, model: Model | Path | BytesLike, memory: int = 0, scratch: Path | None = None,
                 signing_key: SigningKey | Path | None = None, owners_only: bool = False) -> None:
        """memory: most bytes; 0: what is free when an inference starts. scratch: folder for what it leaves no room for;
        without one that of the output.
        signing_key: signs replies; a model that promises that (`ClientSpec.signer`) needs it.
        owners_only: refuse queries that someone else encrypted with the public key of the keys' owner. What owners
        encrypt is signed, and refused if it is not theirs, in any case.

        Raises NoResourcesError if the model needs more memory than it may have, UsageError or WrongKeyError if it
        promises signatures and the key for them is missing or another one.
        """
        if isinstance(model, (bytes, bytearray, memoryview)):
            model = Model(model)
        elif isinstance(model, (str, os.PathLike)):
            model = Model.load(model)
        elif not isinstance(model, Model):
            raise wrong_type("a model is expected (a sotto.Model, a path or bytes)", model)
        self.model = model
        self._server = _server.Server(model._plan, memory, "" if scratch is None else os.fspath(scratch),
                                      native_key(signing_key), owners_only)
        super().__init__()
        self.report: InferenceReport | None = None
        """Of the last inference."""

    def infer(self, query: Query | Path | BytesLike, keys: EvaluationKeys | Path | BytesLike, path: Path | None = None,
              progress: Progress = None, public_key: PublicKey | Path | BytesLike | None = None) -> Reply:
        """Runs the network on encrypted images; gives the encrypted scores, in memory or in a file at `path`.

        keys: of the client that made the query. As an object they are kept open from call to call, as long as it lives;
        from a path or bytes they are opened anew.
        public_key: of the same client. With it scores are encrypted anew at the end, so that less of the model shows in
        the reply (SECURITY.md).

        With several batches and a path an interruption keeps the finished ones in PATH.part, from which the same call
        goes on. Raises BadInputError for damaged input, WrongKeyError for what belongs to another key or model,
        NoResourcesError if memory or disk are short.
        """
        renewing = None if public_key is None else source_of(public_key, PublicKey)
        with self._lock:
            work = functools.partial(self._server.infer, public_key=renewing)
            reply, numbers = self._run(work, query, keys, path, progress)
            self.report = InferenceReport(**numbers)
        return reply

    def __repr__(self) -> str:
        return f"<sotto.Server of {self.model.client_spec.network}>"
