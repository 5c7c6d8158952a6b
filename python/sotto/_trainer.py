"""The side that trains."""
from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from . import _server
from ._computer import Computer
from ._files import BytesLike, EvaluationKeys, Path, Query, Reply
from ._progress import Progress
from ._words import wrong_type
from .signing import SigningKey, native_key
from .training import TrainingPlan

if TYPE_CHECKING:
    from ._server import Trainer as NativeTrainer


@dataclasses.dataclass(frozen=True)
class TrainingReport:
    """What a training took."""
    steps: int
    """with those of an earlier run"""
    steps_of_an_earlier_run: int
    """found finished beside the output file, and not done again"""
    images: int
    """of the query"""
    feature_seconds: float
    """layers that run once for every image"""
    read_seconds: float
    """checking and reading the query and the keys"""
    compute_seconds: float
    """the steps on ciphertexts"""
    write_seconds: float
    """the encrypted weights and losses"""
    step_seconds: list[float]
    """of each step of this run"""


class Trainer(Computer):
    """One training plan, for any number of queries of any number of clients. It computes one at a time."""
    _instead = "save its plan and make a new one of it"
    _server: NativeTrainer

    def __init__(self, plan: TrainingPlan | Path | BytesLike, memory: int = 0,
                 signing_key: SigningKey | Path | None = None, owners_only: bool = False) -> None:
        """memory: most bytes; 0: what is free now. signing_key, owners_only: as for `Server`.

        Raises NoResourcesError if a run would need more (`TrainingPlan.memory`), UsageError or WrongKeyError if the plan
        promises signatures and the key for them is missing or another one.
        """
        if isinstance(plan, (bytes, bytearray, memoryview)):
            plan = TrainingPlan(plan)
        elif isinstance(plan, (str, os.PathLike)):
            plan = TrainingPlan.load(plan)
        elif not isinstance(plan, TrainingPlan):
            raise wrong_type("a training plan is expected (a sotto.TrainingPlan, a path or bytes)", plan)
        self.plan = plan
        """What it trains."""
        self._server = _server.Trainer(plan._plan, memory, native_key(signing_key), owners_only)
        super().__init__()
        self.report: TrainingReport | None = None
        """Of the last training."""

    def train(self, query: Query | Path | BytesLike, keys: EvaluationKeys | Path | BytesLike, path: Path | None = None,
              progress: Progress = None) -> Reply:
        """Trains on encrypted images and labels, from the network's weights, for all steps of the plan; gives the
        encrypted weights and loss of every step, in memory or in a file at `path`: minutes to hours.

        keys: of the client that made the query; as for `Server.infer`.

        With a path an interruption keeps finished steps in PATH.part, from which the same call goes on to the same
        result. Raises BadInputError for damaged input, WrongKeyError for what belongs to another key or plan,
        NoResourcesError if memory or disk are short.
        """
        with self._lock:
            reply, numbers = self._run(self._server.train, query, keys, path, progress)
            self.report = TrainingReport(**numbers)
        return reply

    def __repr__(self) -> str:
        return f"<sotto.Trainer of {self.plan.network}>"
