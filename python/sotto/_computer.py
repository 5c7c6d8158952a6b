"""What servers of all kinds have."""
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._files import BytesLike, EvaluationKeys, Path, Query, Reply, Unpicklable, source_of
from ._progress import Progress, reporting

if TYPE_CHECKING:
    from ._server import EvaluationKeys as OpenKeys
    from ._server import Server, Trainer


class Computer(Unpicklable):
    """Keeps evaluation keys open from call to call, and does one call at a time."""
    _server: Server | Trainer

    def __init__(self) -> None:
        self._open: weakref.WeakKeyDictionary[EvaluationKeys, OpenKeys] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def _opened(self, keys: EvaluationKeys | Path | BytesLike) -> OpenKeys:
        if not isinstance(keys, EvaluationKeys):
            return self._server.open_keys(source_of(keys, EvaluationKeys))
        if keys not in self._open:
            self._open[keys] = self._server.open_keys(source_of(keys, EvaluationKeys))
        return self._open[keys]

    def _run(self, work: Callable[..., tuple[Any, Any]], query: Query | Path | BytesLike,
             keys: EvaluationKeys | Path | BytesLike, path: Path | None, progress: Progress) -> tuple[Reply, Any]:
        """The reply and the numbers of one call. The lock must be held."""
        source = source_of(query, Query)
        to = None if path is None else os.fspath(path)
        opened = self._opened(keys)
        with reporting(progress) as report:
            made, numbers = work(source, opened, to, report)
        return Reply._of(made if to is None else to), numbers
