"""Finds what to view: the traced runs of a suite, one run, or any trace file."""

from __future__ import annotations

import gzip
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tracekit.analysis.load import load_run
from tracekit.analysis.load.manifest import read_spec
from tracekit.analysis.load.viztracer import TRACE_NOTICES
from tracekit.analysis.timeline import EVENT_LIMIT, SuitePart, TraceFacts, build_run, build_suite
from tracekit.bundle.names import KERNEL, VIZTRACER, WAITS, split_capture
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle, Store, SuiteFolder, is_suite
from tracekit.core.errors import MeasurementError, NothingToDo, UsageError

SHOWN = frozenset({VIZTRACER, WAITS, KERNEL})
"""Captures whose runs can be viewed: the others keep samples or totals, without times."""

_SUFFIXES = (".json", ".gz", ".pftrace", ".perfetto-trace", ".pb", ".zip", ".systrace")
_SPEEDSCOPE = b"speedscope.app/file-format-schema"
_SNIFF = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class ViewItem:
    """One trace that the viewer offers."""

    title: str
    path: Path
    detail: str = ""
    """A note for the list, such as what was left out."""
    suite_id: str = ""
    model: str = ""
    workers: int | None = None
    wall_ns: int | None = None
    calls: int | None = None
    """Number of Python calls in the trace; None for a trace file or a capture without calls."""
    processes: tuple[str, ...] = ()
    """Titles of the process groups in reading order; by default the UI sorts them by number of calls."""
    overview: tuple[str, ...] = ()
    """Titles of the tracks that are shown first, above the groups."""

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


def find_traces(
    store: Store, target: str, scratch: Path, *, announce: Callable[[str], None] = lambda _text: None
) -> list[ViewItem]:
    """Find the traces of `target`: `latest`, a suite id or a prefix of one, a run id, SUITE/RUN, a suite's or a run's
    folder, or a trace file.

    The traces of runs are built in `scratch`: of a suite the runs with calls, or without any the first run of each cell
    with recorded waits or scheduling. For several runs, the first item shows all of them, each from its own start.
    Raises NothingToDo without a traced run, UsageError for an unknown target.
    """
    path = Path(target)
    if path.is_file() or (path.suffix in _SUFFIXES and not path.is_dir()):
        return [_file_item(path)]
    found = None if is_suite(path) else _find_run(store, target)
    if found is not None:
        folder, bundle = found
        spec = read_spec(bundle)
        if not _captures(spec) & SHOWN:
            raise NothingToDo(
                f"run {spec.run_id} was made with capture {spec.capture!r} and has no calls or waits to show",
                _suggest_command(spec),
            )
        return _build(folder, [(bundle, spec)], scratch, announce)
    folder = store.suite(target)
    traced = choose_runs(list(_traced(folder, announce)))
    if not traced:
        raise NothingToDo(f"suite {folder.suite_id} has no run with a trace", _suggest_for_suite(folder))
    return _build(folder, traced, scratch, announce)


def _traced(folder: SuiteFolder, announce: Callable[[str], None]) -> Iterator[tuple[Bundle, RunSpec]]:
    for name in folder.list_missing():
        announce(f"left out: run {name} is missing")
    for bundle in folder.bundles():
        try:
            spec = read_spec(bundle)
            if spec.warmup or not _captures(spec) & SHOWN:
                continue
            status = bundle.manifest().get("status")
        except MeasurementError as error:
            announce(f"left out: {error}")
            continue
        # A program that was killed still leaves a trace up to then.
        if status == "ok" or (spec.program and status == "killed"):
            yield bundle, spec
        else:
            announce(f"left out: run {spec.run_id} ended as {status}")


def choose_runs(traced: list[tuple[Bundle, RunSpec]]) -> list[tuple[Bundle, RunSpec]]:
    """Choose the runs with calls; without any, the first run of each cell with recorded waits or scheduling."""
    with_calls = [item for item in traced if VIZTRACER in _captures(item[1])]
    if with_calls:
        return with_calls
    first: dict[tuple[object, ...], tuple[Bundle, RunSpec]] = {}
    for item in traced:
        first.setdefault(item[1].cell, item)
    return list(first.values())


def _captures(spec: RunSpec) -> frozenset[str]:
    return split_capture(spec.capture)


def _suggest_command(spec: RunSpec) -> str:
    """The command that records something to view."""
    if spec.program:
        return f"tracekit record --capture waits -- {shlex.join(spec.program)}"
    return f"tracekit run {spec.workload} --capture {VIZTRACER}"


def _suggest_for_suite(folder: SuiteFolder) -> str:
    for bundle in folder.bundles():
        with suppress(MeasurementError):
            return _suggest_command(read_spec(bundle))
    return f"tracekit run {folder.facts().get('workload') or 'matmul'} --capture {VIZTRACER}"


def _find_run(store: Store, target: str) -> tuple[SuiteFolder, Bundle] | None:
    """Find a run by its id, in the newest suite that has one; None without any."""
    suite, _, name = target.rpartition("/")
    folders = [store.suite(suite)] if suite else store.suites()
    for folder in reversed(folders):
        for bundle in folder.bundles():
            if bundle.root.name == name:
                return folder, bundle
    if suite:
        raise UsageError(f"suite {folders[0].suite_id} has no run {name!r}", f"tracekit view {suite}")
    return None


def _build(
    folder: SuiteFolder, traced: list[tuple[Bundle, RunSpec]], scratch: Path, announce: Callable[[str], None]
) -> list[ViewItem]:
    names = name_runs([spec for _, spec in traced])
    built: list[ViewItem] = []

    def parts() -> Iterator[SuitePart]:
        # One run is in memory at a time: its own trace is written first, then its part of the common one.
        for (bundle, spec), title in zip(traced, names, strict=True):
            announce(f"reading {title}")
            tables = load_run(bundle, traces=True)
            path = scratch / f"{len(built) + 1}-{make_slug(title)}.json.gz"
            facts = build_run(tables, spec.run_id, path)
            wall = tables.runs.loc[tables.runs["run_id"] == spec.run_id, "wall_ns"]
            item = _item(title, path, facts, folder.suite_id, spec=spec, wall_ns=_first_int(wall))
            lacks = tables.notices.loc[tables.notices["code"].isin(TRACE_NOTICES), ["text", "remedy"]]
            for text, remedy in lacks.itertuples(index=False):
                announce(f"warning: {text}\n  try: {remedy}")
            built.append(replace(item, detail="; ".join(filter(None, [*lacks["text"], item.detail]))))
            yield SuitePart(tables, spec.run_id, title)

    if len(traced) == 1:
        for _ in parts():
            pass
        return built
    common = scratch / f"0-{make_slug(folder.suite_id)}-all.json.gz"
    facts = build_suite(parts(), common, limit=EVENT_LIMIT // len(traced))
    return [_item("all runs, from their starts", common, facts, folder.suite_id), *built]


def _item(
    title: str,
    path: Path,
    facts: TraceFacts,
    suite_id: str,
    *,
    spec: RunSpec | None = None,
    wall_ns: int | None = None,
) -> ViewItem:
    item = ViewItem(
        title=title, path=path, suite_id=suite_id, calls=facts.calls, processes=facts.processes, overview=facts.overview
    )
    left_out = []
    if facts.shortest_ns:
        left_out.append(f"calls shorter than {facts.shortest_ns / 1000:.1f} µs are left out")
    if facts.shortest_wait_ns:
        left_out.append(f"waits shorter than {facts.shortest_wait_ns / 1000:.1f} µs are left out")
    if facts.sched_ends_ns is not None:
        left_out.append(f"CPU scheduling is left out from {facts.sched_ends_ns / 1e9:.2f} s on")
    item = replace(item, detail="; ".join(left_out))
    if spec is None:
        return item
    if VIZTRACER not in _captures(spec):
        item = replace(item, calls=None)
    return replace(item, model=spec.model, workers=spec.workers, wall_ns=wall_ns)


def name_runs(specs: list[RunSpec]) -> list[str]:
    """Give runs the shortest unique names: by model; with capture, workers, interpreter; else by run id."""
    steps: list[Callable[[RunSpec], str]] = [
        lambda spec: spec.workload if spec.program else spec.model,
        lambda spec: f"{spec.model}, capture {spec.capture}",
        lambda spec: f"{spec.model}, {spec.workers} workers",
        lambda spec: f"{spec.model}, {spec.workers} workers, {spec.python_label}",
        lambda spec: f"{spec.model}, {spec.workers} workers, {spec.python_label}, capture {spec.capture}",
        lambda spec: spec.run_id,
    ]
    names: list[str] = []
    for step in steps:
        names = [step(spec) for spec in specs]
        if len(set(names)) == len(names):
            break
    return names


def _file_item(path: Path) -> ViewItem:
    """Make an item of a trace file. Raises UsageError for a file that the UI cannot open."""
    try:
        beginning = _beginning(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", f"ls -l {path}") from error
    if _SPEEDSCOPE in beginning:
        raise UsageError(
            f"{path} is a speedscope profile (py-spy): samples, which this viewer cannot draw",
            "open it at https://www.speedscope.app (it stays in the browser)",
        )
    if not beginning:
        raise UsageError(f"{path} is empty", f"ls -l {path}")
    looks_right = beginning.lstrip()[:1] in (b"{", b"[") if path.suffix == ".json" else True
    if path.suffix not in _SUFFIXES or not looks_right:
        raise UsageError(
            f"{path} is not a trace that the viewer opens (.json, .json.gz, .pftrace, .perfetto-trace)",
            f"tracekit run matmul --capture {VIZTRACER}",
        )
    return ViewItem(title=path.name, path=path.resolve())


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(_SNIFF)
    if not start.startswith(b"\x1f\x8b"):
        return start
    try:
        with gzip.open(path) as packed:
            return packed.read(_SNIFF)
    except (EOFError, gzip.BadGzipFile) as error:
        raise UsageError(f"{path} is not a whole gzip file: {error}", f"gzip -t {path}") from error


def make_slug(text: str) -> str:
    """Make a file name for addresses: ASCII letters, digits, `.`, `_` and `-` only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:100] or "trace"


def _first_int(values: pd.Series[Any]) -> int | None:
    known = values.dropna()
    return None if known.empty else int(known.iloc[0])
