"""Hooks that watch a network while a block of code runs."""
from __future__ import annotations

import contextlib
from typing import Iterable, Iterator

from torch.utils.hooks import RemovableHandle


@contextlib.contextmanager
def attached(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Removes the hooks at the end of the block, also when it raises."""
    with contextlib.ExitStack() as stack:
        for handle in handles:
            stack.callback(handle.remove)
        yield
