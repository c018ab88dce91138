"""Parting from the processes that outlive a recorded program: who they are, once those that are just ending are gone.

The wait probe's folder names every process that it is in; without it nobody knows them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tracekit.bundle.waits_file import SUFFIX, is_begun, read_header
from tracekit.core.errors import MeasurementError
from tracekit.system.tracefs import start_ticks

_WAITS_FOLDER = "TRACEKIT_WAITS"
_SETTLE_S = 0.5
"""multiprocessing's helpers and the workers of a pool end a moment after the program that started them."""

_POLL_S = 0.01


def still_running(variables: Mapping[str, str]) -> list[int]:
    """Processes of a program that has ended which still run after a moment; `variables` are those of its captures."""
    folder = variables.get(_WAITS_FOLDER)
    if folder is None:
        return []
    limit = time.monotonic() + _SETTLE_S
    while (running := _running(Path(folder))) and time.monotonic() < limit:
        time.sleep(_POLL_S)
    return running


def _running(folder: Path) -> list[int]:
    found = set()
    for path in folder.glob(f"*{SUFFIX}"):
        # What has no header yet belongs to a process that is just being born, and is not ours to judge.
        with suppress(MeasurementError):
            if is_begun(path):
                header = read_header(path)
                if start_ticks(header.pid) == header.start_ticks:
                    found.add(header.pid)
    return sorted(found)
