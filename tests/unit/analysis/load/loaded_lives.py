"""Files of the wait probe made by hand, loaded alone or beside streams: the rows of processes and threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.table_factory import MS
from tests.unit.analysis.load.made_bundles import (
    MAIN,
    WORKER,
    Record,
    lines,
    main_stream,
    make_bundle,
    spec,
    worker_stream,
)
from tests.unit.analysis.load.made_waits import KNOWN, slot, text_slots
from tracekit.analysis.load import load_run
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.spec import RunSpec

CHILD, THREAD = 300, MAIN + 1


def program(**values: Any) -> RunSpec:
    fixed = {"model": "program", "start_method": "", "workload": "app.py", "program": ("python", "app.py")}
    return spec("001-app.py-program", capture="waits", **{**fixed, **values})


def recorded(tmp_path: Path, files: Mapping[int | str, bytes], **manifest: Any) -> Tables:
    """A recorded program that left these files, by pid or name."""
    waits = {name if isinstance(name, str) else f"{name}.bin": data for name, data in files.items()}
    return load_run(make_bundle(tmp_path, program(), streams={}, waits=waits, **manifest))


def beside_streams(
    tmp_path: Path, files: Mapping[int, bytes], streams: Mapping[int, Sequence[Record]] | None = None, **how: Any
) -> Tables:
    streams = streams or {MAIN: main_stream(), WORKER: worker_stream()}
    written = {f"{pid}.jsonl": lines(stream) for pid, stream in streams.items()}
    waits = {f"{pid}.bin": data for pid, data in files.items()}
    return load_run(make_bundle(tmp_path, spec(capture="waits"), streams=written, waits=waits, **how))


def of_pid(tables: Tables, pid: int) -> dict[str, Any]:
    (row,) = (row for row in records(tables.processes) if row["pid"] == pid)
    return row


def of_tid(tables: Tables, tid: int) -> list[dict[str, Any]]:
    return [row for row in records(tables.threads) if row["tid"] == tid]


def image(at_ms: float, number: int = 900, path: str = "/usr/bin/python3", pid: int = MAIN) -> list[bytes]:
    return [*text_slots(number, path), slot("image", at_ms, tid=pid, site=number)]


def thread_end(at_ms: float, cpu_ms: float, queue_ms: float, *, tid: int, voluntary: int, involuntary: int) -> bytes:
    queue = round(queue_ms * MS)
    return slot("thread-end", at_ms, cpu_ms, of=queue, tid=tid, other=voluntary, site=involuntary, flags=KNOWN)
