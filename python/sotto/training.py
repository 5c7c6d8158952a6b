"""Training on encrypted images: what both sides share. `sotto.training_client` is the owner's, `sotto.trainer` the server's."""
from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt

from ._errors import BadInputError, UsageError
from ._files import BytesLike, Path, Unpicklable, _native, buffer_of, existing
from ._images import for_network
from ._progress import Progress, reporting
from ._spec import ClientSpec

if TYPE_CHECKING:
    from . import _server

__all__ = ["TrainingPlan", "TrainingResult"]

Labels = Union[Sequence[int], npt.ArrayLike]


def labels_of(labels: Labels) -> list[int]:
    """Whole numbers in one axis. Raises BadInputError for others."""
    array = np.asarray(labels)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise BadInputError("labels are whole numbers, one for each image, from 0")
    return [int(k) for k in array]


class TrainingResult(Unpicklable):
    """What a training made of a network."""
    _instead = "save the network with .save(path)"

    def __init__(self) -> None:
        raise TypeError("results come from TrainingClient.decrypt and TrainingPlan.simulate")

    @classmethod
    def _of(cls, plan: TrainingPlan, result: _server.TrainingResult) -> TrainingResult:
        made = cls.__new__(cls)
        made._plan, made._result = plan, result
        return made

    _plan: TrainingPlan
    _result: _server.TrainingResult

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        """[steps]: mean over the images of half the summed squared errors, before each step's update."""
        return np.array(self._result.losses)

    @property
    def weights(self) -> dict[str, npt.NDArray[np.float64]]:
        """Behind the last step, by layer: "conv1.weight" and "conv1.bias", row after row."""
        return {f"{layer}.{'bias' if bias else 'weight'}": np.array(values) for layer, bias, values in self._result.weights}

    @property
    def overflow(self) -> int | None:
        """First step, from 0, whose results left the plan's range; None: none. What lies behind it means nothing."""
        return None if self._result.overflow < 0 else self._result.overflow

    @property
    def largest_weight(self) -> float:
        """Of all steps, in magnitude: must stay below the spec's range."""
        return self._result.largest_weight

    @property
    def largest_velocity(self) -> float:
        """Of all steps, in magnitude, times the rate: must stay below the spec's range."""
        return self._result.largest_velocity

    def save(self, path: Path) -> None:
        """Writes the network with the trained weights (ONNX). Raises UsageError if they left their range."""
        if self.overflow is not None:
            raise UsageError(f"the weights left their range in step {self.overflow + 1}, so there is no network to save")
        self._plan._plan.write_model(os.fspath(path), self._result)

    def __repr__(self) -> str:
        return f"<sotto.TrainingResult of {len(self._result.losses)} steps>"


class TrainingPlan(Unpicklable):
    """The training of a network's layers, as SPEC.toml describes it, for both sides. It holds the network.

    Made by `TrainingPlan.compile`, from bytes by `TrainingPlan(data)`, or from a file by `TrainingPlan.load`.
    """
    _plan: _server.TrainingPlan  # of whichever extension module is loaded

    def __init__(self, contents: BytesLike) -> None:
        self._plan = _native().TrainingPlan.read(buffer_of(contents))

    @classmethod
    def _of(cls, plan: _server.TrainingPlan) -> TrainingPlan:
        made = cls.__new__(cls)
        made._plan = plan
        return made

    @classmethod
    def compile(cls, model: Path, spec: Path | str) -> TrainingPlan:
        """Plans the training of an ONNX file's layers.

        spec: a path to SPEC.toml (a pathlib.Path, or text that ends in .toml), or its contents.
        Raises BadInputError for a network or spec that cannot be trained, naming node or key; NoResourcesError if a step
        needs more levels than 128-bit security leaves.
        """
        text = os.fspath(spec)
        if isinstance(spec, os.PathLike) or text.endswith(".toml"):
            text = pathlib.Path(existing(spec)).read_text()
        return cls._of(_native().TrainingPlan.compile(existing(model), text))

    @classmethod
    def load(cls, path: Path) -> TrainingPlan:
        """Reads a file, NAME.plan or NAME.client. Raises BadInputError for a damaged one, or one of another version."""
        return cls._of(_native().TrainingPlan.read(existing(path)))

    def save(self, path: Path) -> None:
        """Writes NAME.plan, for the server."""
        self._plan.write(os.fspath(path), False)

    def save_client(self, path: Path) -> None:
        """Writes NAME.client, for the owner of the images."""
        self._plan.write(os.fspath(path), True)

    def tobytes(self) -> bytes:
        """The contents of the file for the server; `TrainingPlan(data)` reads them on either side."""
        contents = self._plan.write(None, False)
        assert contents is not None
        return bytes(memoryview(contents))

    @property
    def client_spec(self) -> ClientSpec:
        """What keys are made for, alone or with those of models (`SecretKey.make_evaluation_keys`)."""
        return ClientSpec._of(self._plan.client_spec)

    @property
    def steps(self) -> int:
        """Of a run."""
        return self._plan.steps

    @property
    def batch(self) -> int:
        """Images of a step."""
        return self._plan.batch

    @property
    def memory(self) -> int:
        """Bytes that a run is predicted to need."""
        return self._plan.memory

    @property
    def key_bytes(self) -> int:
        """Of the evaluation keys."""
        return self._plan.key_bytes

    def simulate(self, images: object, labels: Labels, progress: Progress = None) -> TrainingResult:
        """Trains in float64, nothing encrypted: what encrypted training is compared with, and a way to find rate and range.

        images: as for `TrainingClient.encrypt`; labels: by image, from 0.
        """
        array = for_network(images, self.client_spec.input_shape)
        with reporting(progress) as report:
            return TrainingResult._of(self, self._plan.simulate(array, labels_of(labels), report))

    def __repr__(self) -> str:
        return f"<sotto.TrainingPlan of {self.client_spec.network}, {self.steps} steps of {self.batch} images>"
