"""Threads that each work on a share of a batch with one thread of arithmetic.

Against one network with several arithmetic threads there is one barrier per step instead of several per operation:
faster on idle cores, and many times as fast on cores that other programs use, too.
"""
from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterable, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


class Pool:
    """Runs functions on `workers` threads; on a GPU one is enough."""

    def __init__(self, workers: int):
        torch.set_num_threads(1)
        self.workers = workers
        self._threads = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Results in the order of the items."""
        return list(self._threads.map(function, items))


def keep_freed_memory() -> None:
    """Lets the C library keep large blocks for reuse: fresh pages for each feature map cost about 10 % of the time."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_mmap_max = -1, -4
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
