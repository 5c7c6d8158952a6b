"""Training on encrypted images: what both sides share. It works with either half of the package.

    plan   = sotto.compile_training(module_or_onnx_path, dict(steps=20, batch=256, rate=0.1))
    twin   = plan.simulate(images, labels)                           # in the clear: are rate and range right?
    client = sotto.TrainingClient.create(plan.client_spec)           # the side that owns images, labels and key
    query  = client.encrypt(images, labels)
    reply  = sotto.Trainer(plan).train(query, client.evaluation_keys)   # the side that computes
    result = client.decrypt(reply)
    result.save("trained.onnx")
"""
from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Union

import numpy as np
import numpy.typing as npt

from ._errors import BadInputError, SottoWarning, UsageError
from ._export import node_names_of, scopes_of
from ._files import BytesLike, Path, Unpicklable, _native, buffer_of, existing
from ._images import for_network, labels_of, with_shape
from ._load import parts_of, put_weights
from ._network import Numbers, given_network, without_folder
from ._progress import Progress, reporting
from ._recipe import Recipe, adapters_of, text_of
from ._spec import Described, security_level
from ._words import in_python, wrong_type
from .signing import Signer, digits_of

if TYPE_CHECKING:
    import torch

    from . import _server

__all__ = ["TrainingClientSpec", "TrainingPlan", "TrainingResult", "compile_training", "simulate_training"]

P = TypeVar("P", bound="_Training")
_HERE = os.path.join(os.path.dirname(__file__), "")


def note(text: str) -> None:
    """Warns whoever called this package of what one should know although work goes on."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(without_folder(in_python(text)), SottoWarning, stacklevel=level)


class TrainingResult(Unpicklable):
    """What a training made of a network, encrypted (`TrainingClient.decrypt`) or in the clear (`TrainingPlan.simulate`)."""
    _instead = "use .save(), .weights and .losses"

    def __init__(self) -> None:
        raise TypeError("a TrainingResult comes from TrainingClient.decrypt or TrainingPlan.simulate")

    _plan: _server.TrainingPlan
    _result: _server.TrainingResult

    @classmethod
    def _of(cls, plan: _server.TrainingPlan, result: _server.TrainingResult) -> TrainingResult:
        made = cls.__new__(cls)
        made._plan, made._result = plan, result
        return made

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        """[steps]: mean over the images of a step of half the summed squared errors of the scores (with a softmax: of
        probabilities), before its update."""
        return self._result.losses

    @property
    def weights(self) -> dict[str, npt.NDArray[np.float64]]:
        """Behind the last step, by node of the network: [out, in, rows, columns] of convolutions, [out, in] of dense
        layers. Layers that were not trained are not there."""
        return {layer: values for layer, bias, values in self._result.weights if not bias}

    @property
    def biases(self) -> dict[str, npt.NDArray[np.float64]]:
        """Behind the last step, [out], by node of the network: the layer itself, or the one that adds them."""
        return {layer: values for layer, bias, values in self._result.weights if bias}

    @property
    def overflow(self) -> int | None:
        """The first step, from 0, whose results left the range of the plan or its loss, or the last one if its normal
        equations have no solution, or one that errors change; what comes of it means nothing. None: all is well."""
        return None if self._result.overflow < 0 else self._result.overflow

    @property
    def images_out_of_range(self) -> int:
        """How many images had values that left the range of layers that run once for every image, or lie beside such: what
        they taught the weights means little. Of a simulation: those whose features the range does not hold."""
        return self._result.images_out_of_range

    @property
    def spoiled(self) -> bool:
        """Whether such images took others along, so that the weights mean nothing."""
        return self._result.spoiled

    @property
    def summary(self) -> str:
        """One line about the step, or the images, that left the range; empty if none did."""
        return self._result.summary

    @property
    def largest_weight(self) -> float:
        """Of all steps, in magnitude; to be compared with `TrainingPlan.range`."""
        return self._result.largest_weight

    @property
    def largest_velocity(self) -> float:
        """Of all steps, in magnitude, times the rate; to be compared with `TrainingPlan.range`."""
        return self._result.largest_velocity

    @property
    def peaks(self) -> dict[str, float]:
        """Of a simulation: the largest magnitude of every value of a step, over all images and steps, by name."""
        return self._result.peaks

    @property
    def input_id(self) -> str:
        """Name of the query, as in `Query.input_id`; empty for a simulation."""
        return self._result.input_id

    def _require_meaning(self) -> None:
        if self.overflow is not None or self.spoiled:
            raise UsageError(self.summary, "rate and range of spec=")

    def save(self, path: Path) -> None:
        """Writes the network with its trained weights as an ONNX file. Raises UsageError if they left their range."""
        self._require_meaning()
        self._plan.write_model(self._result, os.fspath(path))

    def tobytes(self) -> bytes:
        """The contents of that file. Raises UsageError if the weights left their range."""
        self._require_meaning()
        contents = self._plan.write_model(self._result, None)
        assert contents is not None
        return bytes(memoryview(contents))

    def load_into(self, module: torch.nn.Module) -> None:
        """Puts the trained weights into the module of PyTorch that the plan was made from, or one like it. In evaluation
        mode the module then is the network that was trained (`save`), up to the accuracy of float32.

        Every trained layer has biases: one that was made with bias=False gets a parameter `bias`, of which an optimiser
        that you made before does not know.
        A batch normalisation behind a trained convolution was part of that. It keeps its running statistics and its
        weight (but 1 in place of 0): the convolution gets weights that are the trained ones when multiplied by it, the
        biases become its bias, or, if it has none or serves several layers, that of the convolution. To go on training
        as it was done encrypted, keep it in evaluation mode; in training mode it follows the statistics of batches.

        Raises BadInputError, which leaves the module as it was, if its parts are not those of the plan, or what comes
        of it is not the network that was trained; UsageError if the weights left their range.
        """
        self._require_meaning()
        spec = self._plan.client_spec
        put_weights(module, _module_shape((spec.channels, spec.height, spec.width)), self._result.weights,
                    self._plan.weights_of_model)

    def __repr__(self) -> str:
        losses = self.losses
        return f"<sotto.TrainingResult: {len(losses)} steps, loss {losses[0]:.4g} to {losses[-1]:.4g}>"


def _module_shape(shape: tuple[int, int, int]) -> tuple[int, ...]:
    """What a module takes: features of a flat network."""
    return shape[:1] if shape[1:] == (1, 1) else shape


class _Training(Described):
    """A plan as either side has it."""
    _plan: _server.TrainingPlan

    def __init__(self, contents: BytesLike) -> None:
        self._plan = _native().TrainingPlan.read(buffer_of(contents))
        self._spec = self._plan.client_spec

    @classmethod
    def _of(cls: type[P], plan: _server.TrainingPlan) -> P:
        made = cls.__new__(cls)
        made._plan, made._spec = plan, plan.client_spec
        return made

    @classmethod
    def load(cls: type[P], path: Path) -> P:
        """Reads a file (NAME.plan or NAME.client). Raises BadInputError for a damaged one, or one of another version."""
        return cls._of(_native().TrainingPlan.read(existing(path)))

    @property
    def steps(self) -> int:
        """Of a run."""
        return self._plan.steps

    @property
    def batch(self) -> int:
        """Images of a step."""
        return self._plan.batch

    @property
    def range(self) -> float:
        """Largest magnitude that weights and velocities may reach."""
        return self._plan.range

    @property
    def memory(self) -> int:
        """Predicted peak of a run on one batch, in bytes. What layers that run once make of further batches comes on top."""
        return self._plan.memory

    @property
    def key_bytes(self) -> int:
        """Of evaluation keys."""
        return self._plan.key_bytes

    @property
    def seconds_per_step(self) -> float:
        """Predicted seconds of a step, on a typical processor with as many threads as there are."""
        return self._plan.seconds_per_step

    @property
    def feature_seconds(self) -> float:
        """The same of the layers that run once for every image, for a batch; 0 without such, or on the owner's side."""
        return self._plan.feature_seconds

    def simulate(self, images: object, labels: object, progress: Progress = None) -> TrainingResult:
        """Trains in float64, nothing encrypted: what encrypted training is compared with, and the way to find rate and
        range, in seconds.

        images, labels: as for `TrainingClient.encrypt`, with the same errors.

        If weights or features leave their range there is a SottoWarning; `TrainingResult.summary` has the same text.
        """
        array = for_network(images, self.input_shape)
        classes = labels_of(labels, len(array))
        with reporting(progress) as report:
            result = self._plan.simulate(array, classes, report, note)
        if result.summary:
            note(result.summary)
        return TrainingResult._of(self._plan, result)

    def _save(self, path: str | None) -> _server.Buffer | None:
        raise NotImplementedError

    def save(self, path: Path) -> None:
        """Writes it to a file."""
        self._save(os.fspath(path))

    def tobytes(self) -> bytes:
        """The contents of the file."""
        contents = self._save(None)
        assert contents is not None
        return bytes(memoryview(contents))

    def __repr__(self) -> str:
        return (f"<sotto.{type(self).__name__} of {self.network}: {self.steps} steps of {self.batch} images of "
                f"{'x'.join(map(str, self.input_shape))}>")


class TrainingClientSpec(_Training):
    """What an owner of images needs to train on them: to make keys, encrypt and decrypt (NAME.client).

    Unlike a `ClientSpec` it holds the network with its weights, as its owner gets a whole network in the end.
    Made by `TrainingPlan.client_spec`, from bytes by `TrainingClientSpec(data)`, or from a file by `.load`.
    """

    def _save(self, path: str | None) -> _server.Buffer | None:
        return self._plan.write_client(path)


class TrainingPlan(_Training):
    """The training of a network's layers on encrypted images of one batch size (NAME.plan), for `Trainer`.

    Made by `sotto.compile_training`, from bytes by `TrainingPlan(data)`, or from a file by `TrainingPlan.load`.
    """

    @property
    def client_spec(self) -> TrainingClientSpec:
        """What the owner of the images gets, network included."""
        return TrainingClientSpec._of(self._plan)

    def _save(self, path: str | None) -> _server.Buffer | None:
        return self._plan.write(path)

    def describe(self) -> str:
        """Some lines of text: what is trained, and what that takes."""
        return "\n".join([f"{self.network} (plan {self.plan_id})",
                          f"  images      {'x'.join(map(str, self.input_shape))}, {self.batch} per step; {self.steps} steps",
                          f"  time        about {self.seconds_per_step:.0f} s a step" +
                          (f", and {self.feature_seconds:.0f} s once for each batch" if self.feature_seconds else ""),
                          f"  memory      {self.memory / 1e9:.2g} GB, evaluation keys of {self.key_bytes / 1e9:.2g} GB"])


def native_training(given: _Training | Path | BytesLike) -> _server.TrainingPlan:
    """Of an object, a path or bytes."""
    if isinstance(given, _Training):
        return given._plan
    if isinstance(given, (bytes, bytearray, memoryview)):
        return TrainingPlan(given)._plan
    if isinstance(given, (str, os.PathLike)):
        return TrainingPlan.load(given)._plan
    raise wrong_type("a training is expected (a sotto.TrainingPlan, its client_spec, a path or bytes)", given)


def compile_training(model: Union[Path, torch.nn.Module], spec: Recipe, *, input_shape: tuple[int, ...] | None = None,
                     mean: Numbers = None, std: Numbers = None, classes: list[str] | None = None,
                     name: str | None = None, calibrate: object = None, security: str | int = "128",
                     signer: Signer = None) -> TrainingPlan:
    """Makes a network's layers ready to be trained on encrypted images. Takes seconds.

    model: an ONNX file, or a module of PyTorch, which is exported in evaluation mode and left as it was. Training begins
      with its weights.
    spec: what is trained and how: the path of a SPEC.toml (docs/formats/training-spec.md), its text, or a dict of
      steps: of training, 1 to 1,000,000; batch: images of a step, 1 to 131,072 (both must be there);
      layers: names of nodes of the network, or for a module of its parts, such as ["conv1", "fc"]; default: all;
      adapter: {layer: rank}: convolutions beside which a path of so many channels is trained; with it and without layers
        nothing else is, but a new head; default: none;
      new_head: number of classes of a new last layer, 2 to 65,536; default: none;
      loss: "squared-error" or "softmax"; name: "sgd" or, of the optimiser that solves for one dense layer in a pass,
      "normal-equations", with ridge: 0.001, times the squared weights;
      rate: 0.1, above 0; momentum: 0 (to below 1); nesterov: False; weight_decay: 0 (to 1), as of torch.optim.SGD;
      schedule: {step: factor}, steps from 0, from which on the rate is multiplied; default: none;
      range: 4: largest magnitude that weights and velocities may reach; seed: 0: of the order of images.
    input_shape: of an image, (channels, rows, columns) or (features,): for a module without `calibrate`.
    mean, std: preprocessing of pixels, (pixel / 255 - mean) / std, one number or one by channel; classes: names. They
      take the place of those in an ONNX file.
    name: of the network, in messages and descriptions.
    calibrate: public images like those to come (as for `TrainingClient.encrypt`; 512 at most are used), on which layers
      are measured that run once for every image; default: made-up ones.
    security: as for `compile`; at other levels than "128" only normal equations fit.
    signer: the key that must sign replies, or its verification key: clients refuse others.

    Raises BadInputError for a network or spec that cannot be trained, naming the node and, for PyTorch, the module, or
    the key; NoResourcesError if a step needs more levels than the security leaves: train fewer of the last layers.
    """
    level = security_level(security)
    shape, images = with_shape(calibrate, input_shape)
    module = model if not isinstance(model, (str, os.PathLike)) else None
    if isinstance(spec, Mapping) and (spec.get("layers") or spec.get("adapter")) and module is not None:
        known = node_names_of(module, shape) if shape is not None else {}
        layers = [known.get(layer, layer) for layer in spec.get("layers") or []]
        adapters = [(known.get(str(layer), layer), rank) for layer, rank in adapters_of(spec)]
        spec = {**spec, "layers": layers or None, "adapter": adapters}
    text, called = text_of(spec)
    with given_network(model, shape, mean=mean, std=std, classes=classes, name=name, images=images) as path:
        plan = TrainingPlan._of(_native().TrainingPlan.compile(path, text, called, images, level, digits_of(signer), note))
    if module is not None and shape is not None:
        try:
            parts_of(module, scopes_of(module, shape), plan._plan.weights, other_head=True)
        except BadInputError as e:
            note(f"{e}: load_into will not work with this module; save writes what is trained as an ONNX file")
    return plan


def simulate_training(model: Union[TrainingPlan, TrainingClientSpec, Path, torch.nn.Module], spec: Recipe | None,
                      images: object, labels: object, progress: Progress = None, **options: Any) -> TrainingResult:
    """Trains in float64, nothing encrypted: `compile_training(model, spec, **options).simulate(images, labels)`.

    model: also a plan, whose spec is then None. Raises what these two raise.
    """
    if isinstance(model, _Training):
        if spec is not None or options:
            raise UsageError("a plan has a spec and a network already: give None in their place", "spec=")
        return model.simulate(images, labels, progress)
    if spec is None:
        raise UsageError("say what is trained and how", "spec=")
    return compile_training(model, spec, **options).simulate(images, labels, progress)
