"""What the wait probe, beside or instead of streams, says of one run: its waits, its threads, and a program's wall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracekit.analysis.load.align import TickClock, Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.lifetimes import MAIN, Lives
from tracekit.analysis.load.manifest import Manifest
from tracekit.analysis.load.waits.intervals import Gathered
from tracekit.analysis.load.waits.processes import Probed
from tracekit.analysis.load.waits.threads import thread_rows
from tracekit.bundle import waits_file
from tracekit.bundle.spec import RunSpec
from tracekit.core.notices import notice

PROGRAM = "program"
"""Kind of the run of a program as it is: it has no workload."""

_FREE_THREADED_SINCE = (3, 13)


def add_endings(lives: Lives, manifest: Manifest, *, program: bool) -> None:
    """How processes ended, from the manifest, where nothing better says it. Of a `program` no stream says which one is
    its main process.
    """
    for told in manifest.processes:
        life = lives.find(told.pid, told.start_ticks) or lives.add(pid=told.pid)
        life.fill(
            {
                "ppid": told.ppid,
                "start_ticks": told.start_ticks,
                "executable": told.executable,
                "began_ns": told.started_ns,
                "exit_ns": told.ended_ns,
            }
        )
        if life.facts.get("ended") is None:
            life.facts["ended"] = told.ended
            life.facts["exit_code"] = life.facts.get("exit_code") if told.exit_code is None else told.exit_code
    if program:
        lives.choose_main()
    main, code = lives.main, manifest.exit_code
    for life in lives:
        if not life.facts.get("probed"):
            continue
        if life is main and life.facts.get("ended") in (None, "unknown") and code is not None:
            life.facts.update(ended="signal" if code < 0 else "unknown", exit_code=code)
        # Who lives on is seen up to here.
        life.fill({"ended": "unknown", "exit_ns": manifest.ended_ns})


def add_probed(columns: Columns, lives: Lives, files: Sequence[Probed], spec: RunSpec, window: Window) -> None:
    """Add the waits and holds of these files, and their threads to `lives`."""
    clock = TickClock((pair for probed in files for pair in probed.file.header.ticks), window)
    gathered = Gathered(spec.run_id, window, clock)
    for probed in files:
        found = gathered.add(probed.file, probed.life.facts.get("exit_ns"))
        probed.life.merge_threads(thread_rows(probed, found.tids, found.python, window))
        place = {"pid": probed.pid, "run_id": spec.run_id}
        if probed.file.header.lost:
            columns.add_notice(notice("waits-lost", lost=probed.file.header.lost, **place), spec.run_id)
        if outside := probed.outside + found.outside:
            columns.add_notice(notice("waits-outside", count=outside, **place), spec.run_id)
    columns.add_frame("waits", gathered.waits())
    columns.add_frame("holds", gathered.holds())


def of_program(files: Sequence[Probed], manifest: Manifest) -> dict[str, Any]:
    """What was measured of a recorded program, for its row of `runs`."""
    start_ns, end_ns = manifest.program_window or (manifest.started_ns, manifest.ended_ns)
    wall_ns = None if start_ns is None or end_ns is None else max(0, end_ns - start_ns)
    return {"kind": PROGRAM, "gil_enabled": _gil_enabled(_main(files)), "start_ns": start_ns, "wall_ns": wall_ns}


def python_of(files: Sequence[Probed]) -> dict[str, Any]:
    """The Python of a recorded program, as far as the probe knows it; empty without one."""
    main = _main(files)
    if main is None or main.file.header.python is None:
        return {}
    version = ".".join(str(part) for part in main.file.header.python)
    return {"version": version, "executable": main.life.facts.get("executable")}


def _main(files: Sequence[Probed]) -> Probed | None:
    return next((probed for probed in files if probed.life.facts.get("role") == MAIN), None)


def _gil_enabled(main: Probed | None) -> bool | None:
    """Whether there was a GIL; from 3.13 on that is known only when somebody waited for it."""
    if main is None or main.file.header.python is None:
        return None
    if main.file.header.python < _FREE_THREADED_SINCE:
        return True
    kinds = (waits_file.GIL_TAKE, waits_file.GIL_DROP, *(n for n, kind in waits_file.WAITS.items() if kind == "gil"))
    return True if np.isin(main.file.slots["kind"], kinds).any() else None
