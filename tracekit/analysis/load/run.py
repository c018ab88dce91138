"""Adds the rows of one bundle: reads each of its files and merges what they know of processes and threads."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from tracekit.analysis.load.align import Window, check_streams
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.format1 import PAGES, upgrade_observations
from tracekit.analysis.load.imports import add_imports
from tracekit.analysis.load.kernel.rows import add_kernel, add_kernel_lifetimes
from tracekit.analysis.load.lifetimes import ProcessLifetimes
from tracekit.analysis.load.manifest import UNFINISHED, Manifest, add_manifest_processes, read_manifest, read_spec
from tracekit.analysis.load.marks import add_marks
from tracekit.analysis.load.program import add_steal, find_python, measure_program
from tracekit.analysis.load.pyspy import add_samples
from tracekit.analysis.load.starts import add_starts, read_stages
from tracekit.analysis.load.stream_rows import add_stream
from tracekit.analysis.load.streams import Stream, read_stream
from tracekit.analysis.load.viztracer import add_traces
from tracekit.analysis.load.waits.processes import add_processes, read_probed_processes
from tracekit.analysis.load.waits.rows import add_waits
from tracekit.bundle.files import HINT
from tracekit.bundle.names import PROGRAM
from tracekit.bundle.spec import RunSpec, parameters_text
from tracekit.bundle.store import Bundle
from tracekit.bundle.stream_records import stream_name
from tracekit.bundle.stream_schema import SpanRecord
from tracekit.core.errors import BundleCorrupt
from tracekit.core.notices import notice


def add_run(bundle: Bundle, columns: Columns, *, traces: bool) -> dict[str, Any] | None:
    """Add the rows of one bundle; return the run's environment, or None when the run is unfinished.

    A run that did not end ok gets a row with its status, the rows of its streams, and a notice. `traces` also reads
    VizTracer's calls; what is to be said of them is always read. Raises BundleCorrupt or BundleTooNew.
    """
    manifest = read_manifest(bundle)
    try:
        spec = read_spec(bundle)
    except BundleCorrupt as error:
        if manifest is not None:
            raise
        # It was killed before it had a spec, or it is damaged: nothing of it was going to be counted.
        run_id = bundle.root.name
        lost = notice("run-failed", run_id=run_id, status=UNFINISHED, reason=str(error), remedy=f"ls {bundle.root}")
        columns.add_notice(lost, run_id)
        return None
    if manifest is None:
        # Its files are not sealed and may be half written: nothing is read from them.
        _add_row(columns, spec, None, {"kind": PROGRAM} if spec.program else {})
        _add_failure(columns, bundle, spec, UNFINISHED, "no manifest was written")
        return None
    streams = _read_streams(bundle)
    for stream in streams:
        if stream.meta.format == 1:
            upgrade_observations(stream, spec.workload)
    window = Window(manifest.started_ns, manifest.ended_ns)
    check_streams(streams, window)
    add_starts(columns, spec.run_id, streams, read_stages(bundle.stages), window)
    add_imports(bundle, spec, columns)
    lifetimes = ProcessLifetimes()
    for stream in streams:
        add_stream(columns, lifetimes, spec.run_id, stream)
    probed = read_probed_processes(bundle.waits, window)
    kernel = add_kernel(bundle, spec, window, columns)
    add_processes(lifetimes, probed, window)
    # First the processes' ends, which bound their open waits; the kernel's threads only after the probe's.
    add_kernel_lifetimes(lifetimes, [replace(rows, threads=[]) for rows in kernel])
    add_manifest_processes(lifetimes, manifest, program=bool(spec.program))
    add_waits(columns, probed, spec, window)
    add_kernel_lifetimes(lifetimes, kernel)
    lifetimes.add_to(columns, spec.run_id)
    if spec.program:
        add_steal(columns, spec.run_id, lifetimes, manifest)
    found = measure_program(probed, manifest) if spec.program else _measure_workload(spec, manifest, streams)
    _add_row(columns, spec, manifest, {**found, "traces": len(bundle.viztracer_traces())})
    _add_notices(columns, bundle, spec, manifest, streams)
    add_marks(bundle, spec.run_id, window, columns)
    add_samples(bundle, spec, columns)
    add_traces(bundle, spec, window, found, columns, calls=traces)
    main = _find_main(streams)
    if page := _find_page(spec, main):
        columns.pages.setdefault(spec.workload, page)
    python = ({} if main is None else main.meta.python or {}) or (find_python(probed, manifest) if spec.program else {})
    return {**manifest.environment, "python_label": spec.python_label, "python": python}


def _find_page(spec: RunSpec, main: Stream | None) -> str:
    """The report page that the workload names; empty where it names none or did not end ok."""
    if spec.program:
        return PROGRAM
    if main is None or main.result is None:
        return ""
    return PAGES.get(spec.workload, "") if main.meta.format == 1 else main.result.workload_page


def _read_streams(bundle: Bundle) -> list[Stream]:
    paths = sorted(bundle.streams.glob(stream_name("*")))
    streams = [stream for stream in map(read_stream, paths) if stream is not None]
    mains = [stream for stream in streams if stream.meta.role == "main"]
    if len(mains) > 1:
        raise BundleCorrupt(f"{bundle.streams} has {len(mains)} main processes", HINT)
    pids = [stream.pid for stream in streams if stream.pid is not None]
    if len(set(pids)) < len(pids):
        raise BundleCorrupt(f"{bundle.streams} has two streams of one process", HINT)
    return streams


def _add_row(columns: Columns, spec: RunSpec, manifest: Manifest | None, found: dict[str, Any]) -> None:
    """Add the row of `runs`; `found` are its measured columns."""
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


def _measure_workload(spec: RunSpec, manifest: Manifest, streams: list[Stream]) -> dict[str, Any]:
    """The measured columns of `runs`, from the streams. Raises BundleCorrupt for an ok run without its span `run`."""
    main = _find_main(streams)
    window = _find_run_span(main)
    result = None if main is None else main.result
    if manifest.status == "ok" and window is None:
        raise BundleCorrupt(f"run {spec.run_id} ended ok, but no stream has its span `run`", HINT)
    return {
        "kind": "" if result is None else result.workload_kind,
        "gil_enabled": _find_gil_state(main),
        "items": None if result is None else result.items,
        "checksum": None if result is None else result.checksum,
        "start_ns": None if window is None else window.start_ns,
        "wall_ns": None if window is None else window.dur_ns,
    }


def _find_main(streams: list[Stream]) -> Stream | None:
    return next((stream for stream in streams if stream.meta.role == "main"), None)


def _find_run_span(main: Stream | None) -> SpanRecord | None:
    return None if main is None else next((span for span in main.spans if span.name == "run"), None)


def _find_gil_state(main: Stream | None) -> bool | None:
    """Whether the GIL was enabled at the end, since an import can enable it; without that record, at the start."""
    if main is None:
        return None
    return main.gil.enabled if main.gil is not None else _find_gil_at_start(main)


def _is_gil_switched(main: Stream) -> bool:
    return main.gil is not None and main.gil.enabled and _find_gil_at_start(main) is False


def _find_gil_at_start(main: Stream) -> bool | None:
    value = (main.meta.python or {}).get("gil_enabled")
    return value if isinstance(value, bool) else None


def _add_notices(columns: Columns, bundle: Bundle, spec: RunSpec, manifest: Manifest, streams: list[Stream]) -> None:
    given = manifest.list_notices()
    for item in given:
        columns.add_notice(item, spec.run_id)
    codes = {item.code for item in given}
    if manifest.status != "ok" and "run-failed" not in codes:
        _add_failure(columns, bundle, spec, manifest.status, manifest.reason or _describe_failure(streams))
    for stream in streams:
        if stream.truncated and "stream-truncated" not in codes:
            pid = stream.path.stem if stream.pid is None else stream.pid
            columns.add_notice(notice("stream-truncated", pid=pid, run_id=spec.run_id), spec.run_id)
    main = _find_main(streams)
    if main is not None and _is_gil_switched(main) and "gil-switched" not in codes:
        module = (
            None if main.gil is None else main.gil.module
        ) or "a module that does not declare itself safe without it"
        columns.add_notice(notice("gil-switched", run_id=spec.run_id, module=module), spec.run_id)


def _describe_failure(streams: list[Stream]) -> str:
    failure = next((stream.failure for stream in streams if stream.failure is not None), None)
    return "no reason was recorded" if failure is None else f"{failure.type}: {failure.message}"


def _add_failure(columns: Columns, bundle: Bundle, spec: RunSpec, status: str, reason: str) -> None:
    remedy = f"cat {shlex.quote(str(bundle.stderr_log))}"
    if status == "interrupted":
        reason, remedy = "the suite was interrupted", f"tracekit run {spec.workload} --size {spec.size}"
    elif spec.program:
        # Its output went where the user sent it.
        remedy = (
            "let it end by itself, or record a part of it: --duration SECONDS"
            if status == "killed"
            else f"ls {shlex.quote(str(bundle.root))}"
        )
    failed = notice("run-failed", bool(spec.program), run_id=spec.run_id, status=status, reason=reason, remedy=remedy)
    columns.add_notice(failed, spec.run_id)
