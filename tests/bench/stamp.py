"""The first code of ours in a bare worker. It imports nothing else, because the worker imports it before its stamp."""

from __future__ import annotations

import os
import time

_first_ns = 0


def stamp_first_instruction() -> None:
    """A pool's initializer."""
    global _first_ns
    _first_ns = time.monotonic_ns()


def first_instruction(_: int) -> tuple[int, int]:
    """A pool's task: this worker's pid and stamp."""
    return os.getpid(), _first_ns
