"""Processes that outlive the recorded program: daemons that it started, for example.

The wait probe's folder names every process that the probe is in; without the probe nobody knows them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tracekit.bundle.waits_file import SUFFIX, is_begun, read_header
from tracekit.core.errors import MeasurementError
from tracekit.core.owner import read_start_ticks

_WAITS_FOLDER = "TRACEKIT_WAITS"
_SETTLE_S = 0.5
"""multiprocessing's helpers and the workers of a pool end a moment after the program that started them."""

_POLL_S = 0.01


def find_survivors(variables: Mapping[str, str]) -> list[int]:
    """Ids of the processes that still run a moment after their program has ended, ascending.

    `variables` are those that the captures set for the program.
    """
    folder = variables.get(_WAITS_FOLDER)
    if folder is None:
        return []
    limit = time.monotonic() + _SETTLE_S
    while (running := _list_running(Path(folder))) and time.monotonic() < limit:
        time.sleep(_POLL_S)
    return running


def _list_running(folder: Path) -> list[int]:
    found = set()
    for path in folder.glob(f"*{SUFFIX}"):
        # A file without a header is of a process that is just starting: whose it is cannot be told yet.
        with suppress(MeasurementError):
            if is_begun(path):
                header = read_header(path)
                if read_start_ticks(header.pid) == header.start_ticks:
                    found.add(header.pid)
    return sorted(found)
