"""Training settings: defaults, a TOML file, then the command line, each over the one before."""
from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from .errors import TrainError

MAX_VIEWS = 1000  # per image; their teacher scores stay in memory
CONFIGS = pathlib.Path(__file__).with_name("configs")  # of the models that come with Sotto


def _field(default: Any, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass
class Config:
    """Everything that decides a training run. Epoch fractions count from the start of training."""

    dataset: str = _field("cifar10", "cifar10, cifar100, mnist (IDX files) or folder (class folders of images)")
    data: str = _field("", "folder of the dataset's files")
    arch: str = _field("resnet20", "architecture")
    activation: str = _field("quadratic", "relu or quadratic")
    out: str = _field("", "folder for checkpoints and the log")
    size: int = _field(32, "image height and width, for dataset folder")
    epochs: int = _field(40, "passes over the training set")
    batch: int = _field(256, "images per step; the rest of an epoch is dropped")
    lr: float = _field(0.2, "peak of the one-cycle learning rate")
    warmup: float = _field(0.15, "fraction of the steps until the peak")
    weight_decay: float = _field(5e-4, "on weights of convolutions and fully connected layers only")
    clip: float = _field(1.0, "largest norm of the gradient")
    penalty: float = _field(1.0, "weight of the range penalty on quadratic activations")
    limits: str = _field("3:0.4,5:0.6", "R:F,... the quadratic is linear beyond R up to the fraction F of the epochs")
    smoothing: float = _field(0.0, "label smoothing")
    pad: int = _field(4, "reflected border for random crops, pixels; 0 for none")
    flip: bool = _field(True, "random horizontal flips")
    erase: int = _field(0, "side of the square erased at random, pixels; 0 for none")
    stress: float = _field(0.0, "share of images with raised contrast, up to black and white per channel")
    noise: float = _field(0.0, "share of images that become noise or checkerboards, or are covered by noise")
    init: str = _field("", "network to start from, of the same kind or shallower: a checkpoint or NAME.onnx with card")
    teacher: str = _field("", "checkpoints or NAME.onnx to learn the mean scores of, separated by commas")
    temperature: float = _field(4.0, "softens both score vectors in distillation")
    teacher_weight: float = _field(0.8, "share of the distillation loss, 0 to 1")
    views: int = _field(0, "augmentations per image, which take turns and spare the teachers; 0: ever new ones")
    mirrored: bool = _field(False, "teachers also see every image mirrored; the mean of their scores counts")
    holdout: int = _field(0, "training images held out for choices; the test set is then not looked at")
    seed: int = _field(0, "of initial weights, order, augmentation and the held-out choice")
    device: str = _field("auto", "cpu, cuda or auto")
    precision: str = _field("bf16", "bf16 or float32")
    workers: int = _field(2, "threads with a share of each batch each (CPU); part of the result")

    def teachers(self) -> list[str]:
        """The files of `teacher`."""
        return [name.strip() for name in self.teacher.split(",") if name.strip()]

    def check(self) -> "Config":
        """Raises TrainError at the first impossible setting."""
        for name, low, high in [("epochs", 1, 100000), ("batch", 2, 65536), ("size", 8, 1024), ("warmup", 0, 0.99),
                                ("lr", 1e-9, 100), ("weight_decay", 0, 1), ("clip", 1e-6, 1e6), ("penalty", 0, 1e4),
                                ("smoothing", 0, 0.9), ("pad", 0, 64), ("erase", 0, 1024), ("temperature", 0.1, 100),
                                ("stress", 0, 1), ("noise", 0, 1), ("teacher_weight", 0, 1), ("holdout", 0, 10**9),
                                ("workers", 1, 256), ("views", 0, MAX_VIEWS)]:
            if not low <= getattr(self, name) <= high:
                raise TrainError(f"{name} must be between {low} and {high}")
        for name, choices in [("activation", ("relu", "quadratic")), ("precision", ("bf16", "float32")),
                              ("device", ("auto", "cpu", "cuda"))]:
            if getattr(self, name) not in choices:
                raise TrainError(f"{name} must be one of {', '.join(choices)}")
        if self.batch % self.workers or self.batch // self.workers < 2:
            raise TrainError(f"batch ({self.batch}) must be a multiple of workers ({self.workers}), at least twice it")
        parse_limits(self.limits)
        return self


# Settings that may change between a checkpoint and its continuation.
FREE = {"data", "out", "device", "init", "teacher"}


def parse_limits(text: str) -> list[tuple[float, float]]:
    """"3:0.4,5:0.6" as [(3.0, 0.4), (5.0, 0.6)], (limit, fraction) with rising fractions."""
    steps: list[tuple[float, float]] = []
    for part in filter(None, text.split(",")):
        try:
            limit, fraction = (float(v) for v in part.split(":"))
        except ValueError:
            raise TrainError(f"limits: '{part}' is not LIMIT:FRACTION") from None
        if limit <= 0 or not 0 <= fraction <= 1 or (steps and fraction <= steps[-1][1]):
            raise TrainError("limits must be positive, their fractions rising within 0 to 1")
        steps.append((limit, fraction))
    return steps


def _convert(name: str, kind: object, value: Any) -> Any:
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value).__name__ != kind:
        raise TrainError(f"{name} must be of type {kind}")
    return value


def from_dict(values: dict[str, Any]) -> Config:
    """Settings from names and values as a TOML file or a checkpoint has them."""
    kinds = {f.name: f.type for f in dataclasses.fields(Config)}
    for name in values:
        if name not in kinds:
            raise TrainError(f"unknown setting '{name}'")
    return Config(**{k: _convert(k, kinds[k], v) for k, v in values.items()})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --config and an option for every setting."""
    parser.add_argument("--config", metavar="FILE",
                        help="TOML file with any of the settings below, or one that comes along: "
                        + ", ".join(sorted(f.stem for f in CONFIGS.glob("*.toml"))))
    for f in dataclasses.fields(Config):
        text = f"{f.metadata['help']} (default {f.default!r})" if f.default != "" else f.metadata["help"]
        option = "--" + f.name.replace("_", "-")
        if f.type == "bool":
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            parser.add_argument(option, type={"int": int, "float": float, "str": str}[str(f.type)], help=text)


def from_arguments(args: argparse.Namespace) -> Config:
    """The settings of a command line."""
    values: dict[str, Any] = {}
    if args.config:
        file = CONFIGS / f"{args.config}.toml"
        try:
            values = tomllib.loads((file if file.exists() else pathlib.Path(args.config)).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
            raise TrainError(f"{args.config}: {e}") from None
    for f in dataclasses.fields(Config):
        if getattr(args, f.name) is not None:
            values[f.name] = getattr(args, f.name)
    return from_dict(values).check()
