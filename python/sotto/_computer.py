"""What servers of all kinds have."""
from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from ._files import BytesLike, EvaluationKeys, Path, Unpicklable, source_of

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
