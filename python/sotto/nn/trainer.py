"""Training: an epoch at a time, each ending in a checkpoint from which training continues, on a CPU with the
same numbers."""
from __future__ import annotations

import copy
import dataclasses
import math
import pathlib
import time
from typing import Any, Callable

import torch
from torch import nn

from . import checkpoint, evaluation, models
from .activation import activations
from .augment import Augmenter, Draw
from .config import FREE, Config, parse_limits
from .data import Data, Split, hold_out
from .deepen import deepen
from .errors import TrainError
from .exported import load, restore_statistics
from .parallel import Pool
from .schedule import activation_limit, one_cycle
from .statistics import renew_statistics
from .step import Result, make_step
from .teachers import Teachers

LAST, FINAL = "last.pt", "model.pt"
STATISTICS_IMAGES = 2000


def pick_device(name: str) -> torch.device:
    """The device for cpu, cuda or auto."""
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainError("there is no CUDA device; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _replica(net: nn.Module) -> nn.Module:
    """A copy with the same parameter objects and its own running statistics."""
    twin = copy.deepcopy(net)
    for mine, theirs in zip(twin.modules(), net.modules()):
        mine._parameters = theirs._parameters
    return twin


class Trainer:
    """Trains one network as a Config says."""

    def __init__(self, config: Config, data: Data, say: Callable[[str], None] = print):
        if not config.out:
            raise TrainError("--out is missing: the folder for checkpoints")
        self.config, self.say, self.meta = config, say, data.meta
        self.out = pathlib.Path(config.out)
        self.device = pick_device(config.device)
        workers = config.workers if self.device.type == "cpu" else 1
        self.pool = Pool(workers)
        split, self.test, self.test_name = data.train, data.test, "test"
        if config.holdout:
            split, self.test = hold_out(data.train, config.holdout, config.seed)
            self.test_name = "holdout"
        if len(split) < config.batch:
            raise TrainError(f"{len(split)} training images are fewer than a batch of {config.batch}")
        self.images = split.images
        self.limits = parse_limits(config.limits)
        torch.manual_seed(config.seed)
        self.net = models.build(config.arch, config.activation, data.meta.channels, len(data.meta.classes),
                                (data.meta.height, data.meta.width))
        self._load_init(split)
        self.net.to(self.device)
        self.replicas = [self.net] + [_replica(self.net) for _ in range(workers - 1)]
        self.step_functions = [make_step(replica, config, self.device) for replica in self.replicas]
        self.parameters = list(self.net.parameters())
        self.optimizer = torch.optim.SGD(
            [{"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": config.weight_decay},
             {"params": [p for p in self.parameters if p.ndim == 1], "weight_decay": 0.0}],
            lr=config.lr, momentum=0.9, nesterov=True)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.augmenter = Augmenter(split, data.meta, config, self.device)
        self.steps = len(split) // config.batch
        self.history: list[dict[str, Any]] = []
        self.teachers = self._load_teachers()

    def _load_trained(self, path: str) -> checkpoint.Trained:
        """A network that has seen the same training images, or TrainError."""
        trained = load(path)
        if trained.meta != self.meta:
            raise TrainError(f"{path}: trained on other data")
        mine, its = self.config, trained.config
        if mine.holdout != its.holdout or (mine.holdout and mine.seed != its.seed):
            raise TrainError(f"{path}: trained with other held-out images")
        return trained

    def _load_init(self, split: Split) -> None:
        path = self.config.init
        if not path or (self.out / LAST).exists():  # a continued training has the weights of its checkpoint
            return
        start, sample = self._load_trained(path), split.images[::-(-len(split) // STATISTICS_IMAGES)]
        if path.endswith(".onnx"):
            restore_statistics(start.net, sample, self.meta)
        if (start.config.arch, start.config.activation) == (self.config.arch, self.config.activation):
            self.net.load_state_dict(start.net.state_dict())
            return
        try:
            deepen(start.net, self.net.eval(), sample, self.meta)
        except TrainError as e:
            raise TrainError(f"{path}: a network of another kind; {e}") from None

    def _load_teachers(self) -> Teachers | None:
        c = self.config
        nets = [self._load_trained(path).net.to(self.device, memory_format=torch.channels_last)
                for path in c.teachers()]
        images, classes = len(self.augmenter.labels), len(self.meta.classes)
        return Teachers(nets, images, classes, c.views, c.mirrored, self.device) if nets else None

    def resume(self) -> bool:
        """Continues from the last checkpoint in `out`, if there is one; the settings must be the same."""
        path = self.out / LAST
        if not path.exists():
            return False
        content = checkpoint.load(path)
        for name, value in dataclasses.asdict(self.config).items():
            saved = getattr(content["config"], name)
            if name not in FREE and saved != value:
                raise TrainError(f"{path}: made with {name} = {saved}, not {value}; use another --out")
        taught_by, teachers = (len(c.teachers()) for c in (content["config"], self.config))
        if taught_by != teachers:
            raise TrainError(f"{path}: made with {taught_by} teachers, not {teachers}")
        if content["meta"] != self.meta:
            raise TrainError(f"{path}: made with other data; use another --out")
        for replica in self.replicas:
            replica.load_state_dict(content["model"])
        for parameter, momentum in zip(self.parameters, content["momentum"], strict=True):
            self.optimizer.state[parameter]["momentum_buffer"] = momentum.to(self.device)
        self.generator.set_state(content["generator"])
        self.history = content["history"]
        return True

    def run(self, stop_after: int | None = None) -> list[dict[str, Any]]:
        """Trains to the end, or until `stop_after` epochs are done; returns one record per epoch.

        At the end the statistics of batch normalisation are computed anew.
        """
        last = min(self.config.epochs, stop_after or self.config.epochs)
        while len(self.history) < last:
            record = self._epoch(len(self.history))
            self.history.append(record)
            self._save(LAST)
            self.say(" ".join(["epoch {epoch}/{epochs} loss {loss:.4f} train {train:.2%}",
                               "{name} {accuracy:.2%} {seconds:.0f} s, {rate:.0f} images/s"]).format(
                                   epochs=self.config.epochs, name=self.test_name, **record))
        if last == self.config.epochs:
            self._set_progress(1 - 1 / (last * self.steps))
            renew_statistics(self.net, self.augmenter)
            self.net.eval()
            final = evaluation.accuracy(self.net, self.test, self.meta, self.pool, self.device)
            self.history[-1]["final_accuracy"] = final
            self._save(FINAL)
            self.say(f"done: {self.test_name} {final:.2%} in float32, {self.out / FINAL}")
        return self.history

    def _save(self, name: str) -> None:
        state = {}
        if name == LAST:
            state = {"momentum": [self.optimizer.state[p]["momentum_buffer"].cpu() for p in self.parameters],
                     "generator": self.generator.get_state()}
        model = {key: tensor.cpu() for key, tensor in self.net.state_dict().items()}
        checkpoint.save(self.out / name, self.config, self.meta, self.history, model, **state)

    def _epoch(self, epoch: int) -> dict[str, Any]:
        start, batch = time.monotonic(), self.config.batch
        for replica in self.replicas:
            replica.train()
        order = torch.randperm(len(self.augmenter.labels), generator=self.generator)
        view = epoch % self.config.views if self.config.views else None
        loss, right = torch.zeros(2, device=self.device)  # read at the end: a GPU goes on while the next is prepared
        for step in range(self.steps):
            self._set_progress((epoch * self.steps + step) / (self.config.epochs * self.steps))
            index = order[step * batch:(step + 1) * batch]
            draw = self.augmenter.draw(index, self.generator) if view is None else self.augmenter.view(index, view)
            step_loss, step_right = self._step(draw, view)
            loss, right = loss + step_loss / self.steps, right + step_right / (self.steps * batch)
        loss, right = loss.item(), right.item()
        if self.teachers:
            self.teachers.check()
        if not math.isfinite(loss) or not all(p.isfinite().all() for p in self.parameters):
            raise TrainError(f"training diverged in epoch {epoch + 1}; use a lower --lr or a larger --penalty")
        seconds = time.monotonic() - start
        self._join_statistics()
        self.net.eval()
        bf16 = self.config.precision == "bf16"
        accuracy = evaluation.accuracy(self.net, self.test, self.meta, self.pool, self.device, bf16)
        return {"epoch": epoch + 1, "loss": loss, "train": right, "accuracy": accuracy, "seconds": seconds,
                "rate": self.steps * batch / seconds}

    def _set_progress(self, progress: float) -> None:
        rate, momentum = one_cycle(progress, self.config.lr, self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"] = rate, momentum
        for replica in self.replicas:
            for act in activations(replica):
                act.limit, act.penalty = activation_limit(progress, self.limits), self.config.penalty

    def _step(self, draw: Draw, view: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """One update; the mean loss of the batch and the number of right answers."""
        shares = range(len(self.replicas))
        results = self.pool.map(lambda k: self._share(k, draw.part(k, len(shares)), view), shares)
        for k, parameter in enumerate(self.parameters):
            first, *rest = (r.gradients[k] for r in results)
            parameter.grad = sum(rest, first) / len(results) if rest else first
        nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        self.optimizer.step()
        return sum(r.loss for r in results) / len(results), sum(r.right for r in results)

    def _share(self, k: int, draw: Draw, view: int | None) -> Result:
        """What the k-th share of a batch contributes."""
        images, labels = self.augmenter.batch(draw)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bf16"):
            teacher = self.teachers.scores(images, draw.index, view) if self.teachers else None
        return self.step_functions[k](images, labels, teacher)

    def _join_statistics(self) -> None:
        """Gives all replicas the mean of their running statistics."""
        for same in zip(*(replica.buffers() for replica in self.replicas)):
            if same[0].is_floating_point():
                mean = torch.stack(same).mean(0)
                for buffer in same:
                    buffer.copy_(mean)
