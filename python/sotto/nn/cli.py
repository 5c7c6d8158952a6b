"""Trains networks that Sotto runs on encrypted images, measures them and exports them to ONNX."""
from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import sys

from .._errors import ErrorCode
from . import checkpoint, data, evaluation
from . import config as settings
from .card import make_card, write_card
from .errors import TrainError
from .export import export
from .noise import Noise, Prediction, simulate
from .parallel import Pool, keep_freed_memory
from .ranges import PRE_ACTIVATION_LIMIT, Ranges, measure, report, table
from .trainer import Trainer, pick_device


def _say(text: str) -> None:
    print(text, flush=True)


def _train(args: argparse.Namespace) -> None:
    config = settings.from_arguments(args)
    trainer = Trainer(config, data.load(config.dataset, config.data, config.size, config.seed), _say)
    if trainer.resume():
        _say(f"continuing after epoch {len(trainer.history)}")
    trainer.run()


class _Session:
    """A trained network with its data and what evaluates it."""

    def __init__(self, args: argparse.Namespace):
        self.trained = checkpoint.load_network(args.checkpoint)
        c = self.trained.config
        loaded = data.load(c.dataset, args.data, c.size, c.seed)
        if loaded.meta != self.trained.meta:
            raise TrainError(f"{args.data}: not the data that {args.checkpoint} was trained on")
        self.train, self.test, self.name = loaded.train, loaded.test, "test"
        if c.holdout and not args.test:
            self.train, self.test = data.hold_out(loaded.train, c.holdout, c.seed)
            self.name = "holdout"
        self.meta, self.device = loaded.meta, pick_device(args.device)
        self.trained.net.to(self.device)
        self.pool = Pool(os.cpu_count() or 1 if self.device.type == "cpu" else 1)

    def accuracy(self) -> float:
        return evaluation.accuracy(self.trained.net, self.test, self.meta, self.pool, self.device)

    def ranges(self, count: int, limit: float) -> list[Ranges]:
        return report(self.trained.net, self.train.first(count), self.test, self.meta, self.pool, self.device, limit)

    def training_ranges(self, count: int) -> list[float]:
        measured = measure("training", self.trained.net, self.train.first(count), self.meta, self.pool, self.device)
        return [layer.largest for layer in measured.layers]

    def noise(self, args: argparse.Namespace) -> Prediction:
        sizes = Noise(args.weight_bits, args.weight_error, args.activation_bits)
        return simulate(self.trained.net.cpu(), self.test.first(args.images), self.meta, sizes, args.trials, args.seed)


def _evaluate(args: argparse.Namespace) -> None:
    s = _Session(args)
    _say(f"accuracy {s.accuracy():.2%} on {len(s.test)} {s.name} images, float32")


def _ranges(args: argparse.Namespace) -> None:
    sets = _Session(args).ranges(args.count, args.limit)
    for line in table(sets):
        _say(line)
    if args.json:
        rows = [dataclasses.asdict(s) | {"margin": s.margin(), "score_margin": s.score_margin()} for s in sets]
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _noise(args: argparse.Namespace) -> None:
    s = _Session(args)
    p = s.noise(args)
    _say(f"label agreement {p.label_agreement:.2%} on {p.images} {s.name} images in {args.trials} trial(s)")
    _say(f"accuracy {p.accuracy:.2%} exact, {p.noisy_accuracy:.2%} with noise; rms score error {p.rms_logit_error:.4f}")
    if p.overflows:
        _say(f"images without finite scores: {p.overflows}; see the command ranges")


def _export(args: argparse.Namespace) -> None:
    trained, ranges = checkpoint.load_network(args.checkpoint), None
    relu = trained.config.activation == "relu"
    if relu and args.data:
        ranges = [args.margin * r for r in _Session(args).training_ranges(args.count)]
    difference = export(trained, pathlib.Path(args.model), ranges)
    checked = "onnxruntime is not installed" if difference is None else f"onnxruntime differs by {difference:.1e}"
    _say(f"{args.model}: written; {checked}")
    if relu and not args.data:
        _say("it does not say how large the inputs of its ReLUs get; --data measures it")


def _card(args: argparse.Namespace) -> None:
    s = _Session(args)
    model, teacher = pathlib.Path(args.model), args.teacher_name
    if not model.is_file():
        raise TrainError(f"{model}: there is no such model; export it first")
    if s.trained.config.teacher and teacher is None:
        raise TrainError("the network learned from a teacher; name it with --teacher-name")
    if s.trained.config.init and args.init_name is None:
        raise TrainError("the network started from another's weights; name that one with --init-name")
    sets = s.ranges(args.count, PRE_ACTIVATION_LIMIT)
    accuracy = s.accuracy()
    quadratic = s.trained.config.activation == "quadratic"
    prediction = s.noise(args) if quadratic else None
    write_card(make_card(s.trained, model, accuracy, len(s.test), sets, prediction, teacher, args.init_name),
               model.parent)
    _say(f"{model.with_suffix('.json')}: written; {accuracy:.2%} on {len(s.test)} {s.name} images")


def _margin(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError("the margin must be between 1 and 100")
    return value


def _data_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    parser.add_argument("checkpoint")
    parser.add_argument("--data", required=required, help="folder of the dataset's files")
    parser.add_argument("--test", action="store_true", help="the test set even if training held images out")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])


def _noise_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weight-bits", type=float, default=11.5, help="scale of the weights, bits")
    parser.add_argument("--weight-error", type=float, default=3.3, help="deviation of a weight, units of its scale")
    parser.add_argument("--activation-bits", type=float, default=13.0, help="precision of activations, bits")
    parser.add_argument("--images", type=int, default=1000, help="test images of the simulation; 0 for all")
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sotto.nn", description=__doc__,
                                     epilog="without a command: train; COMMAND --help lists options")
    verbs = parser.add_subparsers(dest="command", required=True)
    train = verbs.add_parser("train", help="train a network, or continue after its last finished epoch")
    settings.add_arguments(train)
    train.set_defaults(run=_train)

    evaluate = verbs.add_parser("evaluate", help="accuracy in float32")
    _data_arguments(evaluate)
    evaluate.set_defaults(run=_evaluate)

    ranges = verbs.add_parser("ranges", help="how large pre-activations get, and the margin to an overflow")
    _data_arguments(ranges)
    ranges.add_argument("--count", type=int, default=0, help="training images to look at; 0 for all")
    ranges.add_argument("--limit", type=float, default=PRE_ACTIVATION_LIMIT, help="largest pre-activation that fits")
    ranges.add_argument("--json", help="also write the report to this file")
    ranges.set_defaults(run=_ranges)

    noise = verbs.add_parser("noise", help="predict the agreement of labels under encryption")
    _data_arguments(noise)
    _noise_arguments(noise)
    noise.set_defaults(run=_noise)

    export = verbs.add_parser("export", help="write an ONNX model with preprocessing in its metadata")
    _data_arguments(export, required=False)
    export.add_argument("model", help="the file to write, NAME.onnx")
    export.add_argument("--count", type=int, default=0, help="training images for the ranges of ReLUs; 0 for all")
    export.add_argument("--margin", type=_margin, default=1.25, help="factor on the largest inputs of ReLUs")
    export.set_defaults(run=_export)

    card = verbs.add_parser("card", help="write NAME.json beside NAME.onnx and renew the table in README.md there")
    _data_arguments(card)
    card.add_argument("model", help="the exported model, NAME.onnx")
    card.add_argument("--count", type=int, default=10000, help="training images for the range; 0 for all")
    card.add_argument("--teacher-name", help="name of the network it learned from")
    card.add_argument("--init-name", help="name of the settings whose weights it started from")
    _noise_arguments(card)
    card.set_defaults(run=_card)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command; the exit code is that of the program `sotto`, errors are one line on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0].startswith("--") and argv[0] != "--help":
        argv = ["train", *argv]
    args = _parser().parse_args(argv)
    try:
        keep_freed_memory()
        args.run(args)
    except TrainError as e:
        print(f"sotto.nn: {e}", file=sys.stderr)
        return e.code
    except OSError as e:
        print(f"sotto.nn: {e.filename or 'a file'}: {e.strerror or e}", file=sys.stderr)
        return ErrorCode.BAD_INPUT
    except KeyboardInterrupt:
        return 130
    return 0
