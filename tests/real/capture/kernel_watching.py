"""Watching programs under the kernel capture in tests, and what a process has in tracefs."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.kernel.rows import KernelProcessRows, add_kernel
from tracekit.analysis.tables import check
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import Notice
from tracekit.measure.capture import kernel, load_capture
from tracekit.measure.process.launch import ProcessResult, launch
from tracekit.measure.process.watchdog import start_watchdog
from tracekit.system import tracefs


def needs_symbols() -> None:
    """Skip where this Python's GIL cannot be watched."""
    if kernel.find_gil_symbols(sys.executable) is None:
        pytest.skip(f"{sys.executable} has no symbols of take_gil; try a Python from pyenv")


def mine(root: Path, pid: int | None = None) -> list[tracefs.Owner]:
    """What a process, this one unless said otherwise, has in tracefs."""
    return [owner for owner in tracefs.list_owners(root) if owner.pid == (pid or os.getpid())]


def leaving_nothing() -> Iterator[Path]:
    """Where tracefs is; afterwards nothing of this process may be left in it."""
    root = tracefs.find_tracefs()
    assert root is not None
    yield root
    assert mine(root) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One program under the capture: how it ended, what it printed, and the tables that came of it."""

    ended: ProcessResult
    words: list[str]
    told: list[KernelProcessRows]
    notices: list[Notice]
    sched: pd.DataFrame
    waits: pd.DataFrame
    holds: pd.DataFrame

    def thread(self, tid: int) -> dict[str, int]:
        return next(row for facts in self.told for row in facts.threads if row["tid"] == tid)


def spec_of(bundle: Bundle, python: str = sys.executable) -> RunSpec:
    return RunSpec(
        suite_id="s",
        run_id=bundle.root.name,
        workload="w",
        workload_target="",
        size="smoke",
        model="program",
        workers=1,
        python=python,
        capture="kernel",
    )


def watch(folder: Path, code: str, *words: str, python: str = sys.executable) -> Watched:
    """Run that Python program under the capture."""
    bundle = Bundle(folder / "run")
    spec, capture = spec_of(bundle, python), load_capture("kernel")
    bundle.create(spec)
    argv = capture.wrap([python, "-c", textwrap.dedent(code), *words], spec, bundle)
    with start_watchdog() as watchdog, watchdog.starts_here(), capture.around(spec, bundle) as variables:
        env = {**os.environ, **variables}
        ended = launch(argv, env=env, cwd=Path("/"), folder=bundle.root, timeout_s=120, watchdog=watchdog)
    assert ended.exit_code == 0, (bundle.root / "stderr.log").read_text()
    columns = Columns()
    told = add_kernel(bundle, spec, Window(ended.started_ns, ended.ended_ns), columns)
    frames = {name: check(name, columns.frame(name)) for name in ("sched", "waits", "holds")}
    return Watched(
        ended=ended,
        words=(bundle.root / "stdout.log").read_text().split(),
        told=told,
        notices=capture.collect(spec, bundle, []),
        **frames,
    )
