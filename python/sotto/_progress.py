"""Progress bars."""
from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Union

Callback = Callable[[str, float, str], object]
Progress = Union[None, bool, Callback]
FORMAT = "{desc}: {percentage:3.0f} %|{bar}| {elapsed}<{remaining} {postfix}"


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


class _Bars:
    """One bar of tqdm for every stage."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm, self._stage = tqdm, ""
        self._bar: Any = None

    def __call__(self, stage: str, done: float, what: str) -> None:
        if self._bar is None or stage != self._stage:
            self.close()
            self._bar, self._stage = self._tqdm(total=100, desc=stage, delay=0.3, bar_format=FORMAT), stage
        self._bar.set_postfix_str(what, refresh=False)
        self._bar.update(max(0.0, 100 * min(done, 1) - self._bar.n))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextlib.contextmanager
def reporting(progress: Progress) -> Iterator[Callback | None]:
    """What the extension modules call with a stage, the part of it that is done (0 to 1) and a word about it.

    progress: None: bars if there is someone to see them and tqdm is installed; True: bars; False: nothing; or a
    function with these three arguments.
    """
    if callable(progress):
        yield progress
        return
    if progress is None and not (_in_notebook() or (sys.stderr is not None and sys.stderr.isatty())):
        progress = False
    if progress is False:
        yield None
        return
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        if progress:
            raise ImportError("progress=True needs the package tqdm (pip install tqdm)") from None
        yield None
        return
    bars = _Bars(tqdm)
    try:
        yield bars
    finally:
        bars.close()
