"""Training on encrypted images: the side that computes. It holds no secret and cannot decrypt.

It needs the half `server` of the package, and never loads the other one.
"""
from __future__ import annotations

import dataclasses
import os
import threading

from . import server as server  # says what is missing if this half is not there
from . import _server
from ._files import BytesLike, EvaluationKeys, Path, Query, Reply, Unpicklable, source_of
from ._progress import Progress, reporting
from .training import TrainingPlan

__all__ = ["Trainer", "TrainingReport"]


@dataclasses.dataclass(frozen=True)
class TrainingReport:
    """What a training took."""
    steps: int
    """with those of an earlier run"""
    steps_of_an_earlier_run: int
    """found finished beside the output file, and not done again"""
    images: int
    """of the query"""
    read_seconds: float
    """checking and reading query and keys"""
    compute_seconds: float
    """the steps on ciphertexts"""
    write_seconds: float
    """the encrypted weights and losses"""
    step_seconds: list[float]
    """of the steps of this run"""


class Trainer(Unpicklable):
    """One training plan on encrypted images and labels. It trains one at a time."""
    _instead = "save its plan and make a new one of it"

    def __init__(self, plan: TrainingPlan | Path | BytesLike, memory: int = 0) -> None:
        """memory: most bytes; 0: what is free. Raises NoResourcesError if the plan needs more."""
        if isinstance(plan, (bytes, bytearray, memoryview)):
            plan = TrainingPlan(plan)
        elif not isinstance(plan, TrainingPlan):
            plan = TrainingPlan.load(plan)
        self.plan = plan
        self._trainer = _server.Trainer(plan._plan, memory)
        self._lock = threading.Lock()
        self.report: TrainingReport | None = None
        """Of the last training."""

    def train(self, query: Query | Path | BytesLike, keys: EvaluationKeys | Path | BytesLike, path: Path | None = None,
              progress: Progress = None) -> Reply:
        """Trains from the network's weights for all steps; gives the encrypted weights and losses, in memory or at `path`.

        With a path an interruption keeps finished steps in PATH.part, from which the same call goes on to the same
        result. Raises BadInputError for damaged input, WrongKeyError for what belongs to another key or plan,
        NoResourcesError if memory or disk are short.
        """
        source = source_of(query, Query)
        to = None if path is None else os.fspath(path)
        with self._lock:
            opened = self._trainer.open_keys(source_of(keys, EvaluationKeys))
            with reporting(progress) as report:
                made, numbers = self._trainer.train(source, opened, to, report)
            self.report = TrainingReport(**numbers)
        return Reply._of(made if to is None else to)

    def __repr__(self) -> str:
        return f"<sotto.Trainer of {self.plan.client_spec.network}>"
