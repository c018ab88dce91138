"""One bundle into rows."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from tracekit.analysis.load.align import Window, check_streams
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.imports import add_imports
from tracekit.analysis.load.kernel.rows import add_kernel, add_kernel_lives
from tracekit.analysis.load.lifetimes import Lives
from tracekit.analysis.load.manifest import UNFINISHED, Manifest, read_manifest, read_spec
from tracekit.analysis.load.parse import HINT
from tracekit.analysis.load.stage_records import read_stages
from tracekit.analysis.load.starts import add_starts
from tracekit.analysis.load.stream_rows import add_stream
from tracekit.analysis.load.streams import Stream, read_stream
from tracekit.analysis.load.traces import add_calls, add_samples
from tracekit.analysis.load.waits.processes import add_processes, read_probed
from tracekit.analysis.load.waits.rows import PROGRAM, add_endings, add_probed, of_program, python_of
from tracekit.bundle.spec import RunSpec, parameters_text
from tracekit.bundle.store import Bundle
from tracekit.bundle.stream_schema import SpanRecord
from tracekit.core.errors import BundleCorrupt
from tracekit.core.notices import notice


def add_run(bundle: Bundle, columns: Columns, *, traces: bool) -> dict[str, Any] | None:
    """Add what one bundle says; returns the run's environment, or None when the run is unfinished.

    A run that did not end ok becomes a row with its status and what its streams have, and a notice. Raises
    BundleCorrupt or BundleTooNew.
    """
    spec = read_spec(bundle)
    manifest = read_manifest(bundle)
    if manifest is None:
        # Its files are not sealed: they may be half written, so nothing is read from them.
        _add_row(columns, spec, None, {"kind": PROGRAM} if spec.program else {})
        _add_failure(columns, bundle, spec, UNFINISHED, "no manifest was written")
        return None
    streams = _read_streams(bundle)
    window = Window(manifest.started_ns, manifest.ended_ns)
    check_streams(streams, window)
    add_starts(columns, spec.run_id, streams, read_stages(bundle.stages), window)
    add_imports(bundle, spec, columns)
    lives = Lives()
    for stream in streams:
        add_stream(columns, lives, spec.run_id, stream)
    files = read_probed(bundle.waits, window)
    kernel = add_kernel(bundle, spec, window, columns)
    add_processes(lives, files, window)
    # How a process ended bounds its open waits; of its threads the kernel tells what the probe does not know.
    add_kernel_lives(lives, [replace(facts, threads=[]) for facts in kernel])
    add_endings(lives, manifest, program=bool(spec.program))
    add_probed(columns, lives, files, spec, window)
    add_kernel_lives(lives, kernel)
    lives.add_to(columns, spec.run_id)
    found = of_program(lives, files, manifest) if spec.program else _of_workload(spec, manifest, streams)
    _add_row(columns, spec, manifest, found)
    _add_notices(columns, bundle, spec, manifest, streams)
    add_samples(bundle, spec, columns)
    if traces:
        add_calls(bundle, spec, window, columns)
    main = _main(streams)
    python = ({} if main is None else main.meta.python or {}) or python_of(files)
    return {**manifest.environment, "python_label": spec.python_label, "python": python}


def _read_streams(bundle: Bundle) -> list[Stream]:
    paths = sorted(bundle.streams.glob("*.jsonl"))
    streams = [stream for stream in map(read_stream, paths) if stream is not None]
    mains = [stream for stream in streams if stream.meta.role == "main"]
    if len(mains) > 1:
        raise BundleCorrupt(f"{bundle.streams} has {len(mains)} main processes", HINT)
    pids = [stream.pid for stream in streams if stream.pid is not None]
    if len(set(pids)) < len(pids):
        raise BundleCorrupt(f"{bundle.streams} has two streams of one process", HINT)
    return streams


def _add_row(columns: Columns, spec: RunSpec, manifest: Manifest | None, found: dict[str, Any]) -> None:
    """The row of `runs`; `found` is what was measured."""
    columns.add(
        "runs",
        **{
            "suite_id": spec.suite_id,
            "run_id": spec.run_id,
            "workload": spec.workload,
            "size": spec.size,
            "parameters": parameters_text(spec.parameters),
            "model": spec.model,
            "workers": spec.workers,
            "start_method": spec.start_method,
            "capture": spec.capture,
            "os": None if manifest is None else manifest.system,
            "python": spec.python_label,
            "kind": "",
            "control": spec.control,
            "repeat": spec.repeat,
            "warmup": spec.warmup,
            "status": UNFINISHED if manifest is None else manifest.status,
            "exit_code": None if manifest is None else manifest.exit_code,
            **found,
        },
    )


def _of_workload(spec: RunSpec, manifest: Manifest, streams: list[Stream]) -> dict[str, Any]:
    """What the streams say of the run. Raises BundleCorrupt for an ok run without its span."""
    main = _main(streams)
    window = _run_span(main)
    result = None if main is None else main.result
    if manifest.status == "ok" and window is None:
        raise BundleCorrupt(f"run {spec.run_id} ended ok, but no stream has its span `run`", HINT)
    return {
        "kind": "" if result is None else result.workload_kind,
        "gil_enabled": _gil_enabled(main),
        "items": None if result is None else result.items,
        "checksum": None if result is None else result.checksum,
        "start_ns": None if window is None else window.start_ns,
        "wall_ns": None if window is None else window.dur_ns,
    }


def _main(streams: list[Stream]) -> Stream | None:
    return next((stream for stream in streams if stream.meta.role == "main"), None)


def _run_span(main: Stream | None) -> SpanRecord | None:
    return None if main is None else next((span for span in main.spans if span.name == "run"), None)


def _gil_enabled(main: Stream | None) -> bool | None:
    """The state at the end, since a module imported by the work can switch the GIL on; else the one at the
    start.
    """
    if main is None:
        return None
    return main.gil.enabled if main.gil is not None else _gil_at_start(main)


def _gil_switched(main: Stream) -> bool:
    return main.gil is not None and main.gil.enabled and _gil_at_start(main) is False


def _gil_at_start(main: Stream) -> bool | None:
    value = (main.meta.python or {}).get("gil_enabled")
    return value if isinstance(value, bool) else None


def _add_notices(columns: Columns, bundle: Bundle, spec: RunSpec, manifest: Manifest, streams: list[Stream]) -> None:
    given = manifest.given_notices()
    for item in given:
        columns.add_notice(item, spec.run_id)
    codes = {item.code for item in given}
    if manifest.status != "ok" and "run-failed" not in codes:
        _add_failure(columns, bundle, spec, manifest.status, manifest.reason or _why(streams))
    for stream in streams:
        if stream.truncated and "stream-truncated" not in codes:
            pid = stream.path.stem if stream.pid is None else stream.pid
            columns.add_notice(notice("stream-truncated", pid=pid, run_id=spec.run_id), spec.run_id)
    main = _main(streams)
    if main is not None and _gil_switched(main) and "gil-switched" not in codes:
        module = (
            None if main.gil is None else main.gil.module
        ) or "a module that does not declare itself safe without it"
        columns.add_notice(notice("gil-switched", run_id=spec.run_id, module=module), spec.run_id)


def _why(streams: list[Stream]) -> str:
    failure = next((stream.failure for stream in streams if stream.failure is not None), None)
    return "no reason was recorded" if failure is None else f"{failure.type}: {failure.message}"


def _add_failure(columns: Columns, bundle: Bundle, spec: RunSpec, status: str, reason: str) -> None:
    remedy = f"cat {shlex.quote(str(bundle.root / 'stderr.log'))}"
    if status == "interrupted":
        reason, remedy = "somebody ended the suite", f"tracekit run {spec.workload} --size {spec.size}"
    failed = notice("run-failed", run_id=spec.run_id, status=status, reason=reason, remedy=remedy)
    columns.add_notice(failed, spec.run_id)
