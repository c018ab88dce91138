"""Reads and checks spec.json and manifest.json of one bundle, and adds the manifest's processes to the lifetimes."""

from __future__ import annotations

from typing import Any, Literal

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.lifetimes import ProcessLifetimes
from tracekit.analysis.load.parse import Count, Signed, Struct, convert, default, text
from tracekit.bundle.files import HINT, read_json
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import BundleCorrupt, BundleUnfinished
from tracekit.core.notices import Notice

_MOST = 1_000_000

UNFINISHED = "unfinished"
"""Status of a run without a manifest: still running, or its parent was killed."""


class ManifestProcess(Struct, kw_only=True):
    """One process as a capture described it: its ids, its executable, and how it ended."""

    pid: Count
    ppid: Count | None = None
    start_ticks: Count | None = None
    executable: str | None = None
    started_ns: Count | None = None
    ended_ns: Count | None = None
    ended: Literal["exit", "_exit", "signal", "unknown"] = "unknown"
    exit_code: Signed | None = None


class Manifest(Struct, kw_only=True):
    """The outcome of a run as its parent process wrote it; the fields are in docs/bundle.md."""

    status: str
    exit_code: Signed | None = None
    reason: str | None = None
    started_ns: Count | None = None
    ended_ns: Count | None = None
    program_window: tuple[Count, Count] | None = None
    """When a recorded program began and ended: its wall. Absent in bundles that were made before it was written."""
    program_cpu_ns: Count | None = None
    """CPU time of a recorded program's own process at its end; absent as above, and where it could not be read."""
    asked_ns: Count | None = None
    """When a recorded program was asked to end; absent where it was not, and in bundles of before it was written."""
    environment: dict[str, Any] = default(default_factory=dict)
    notices: list[tuple[str, str, str, str]] = default(default_factory=list)
    processes: list[ManifestProcess] = default(default_factory=list)

    @property
    def system(self) -> str | None:
        """`Linux`, `Darwin`, `Windows`."""
        value = self.environment.get("os")
        return text(value) if isinstance(value, str) else None

    def list_notices(self) -> list[Notice]:
        """The notices that the parent process gave."""
        return [Notice(*(text(part) for part in parts)) for parts in self.notices]


def read_spec(bundle: Bundle) -> RunSpec:
    """Read what the run was asked to be. Raises BundleCorrupt or BundleTooNew."""
    path = bundle.spec_path
    data = read_json(path)
    spec = convert(data, RunSpec, path)
    if spec.run_id != bundle.root.name:
        raise BundleCorrupt(f"{path} is the spec of run {spec.run_id[:80]!r}, not of this folder", HINT)
    if not (1 <= spec.workers <= _MOST and 0 <= spec.repeat <= _MOST):
        raise BundleCorrupt(f"{path}: {spec.workers} workers, repeat {spec.repeat} cannot be", HINT)
    return spec


def read_manifest(bundle: Bundle) -> Manifest | None:
    """Read the outcome and check the sealed files; None for an unfinished run. Raises BundleCorrupt or BundleTooNew."""
    try:
        data = bundle.manifest()
    except BundleUnfinished:
        return None
    return convert(data, Manifest, bundle.manifest_path)


def add_manifest_processes(lifetimes: ProcessLifetimes, manifest: Manifest, *, program: bool) -> None:
    """Add the manifest's processes, and how they ended where no stream or probe says it better.

    No stream names the main process of a recorded `program`: it is chosen here. A process's own stamps outside the run
    are on another clock, that of a time namespace: they are left out.
    """
    window = Window(manifest.started_ns, manifest.ended_ns)
    for found in manifest.processes:
        process = lifetimes.find(found.pid, found.start_ticks) or lifetimes.add(pid=found.pid)
        process.fill(
            {
                "ppid": found.ppid,
                "start_ticks": found.start_ticks,
                "executable": found.executable,
                "began_ns": window.stamp(found.started_ns),
                "exit_ns": window.stamp(found.ended_ns),
            }
        )
        if process.row.get("ended") is None:
            process.row["ended"] = found.ended
            process.row["exit_code"] = process.row.get("exit_code") if found.exit_code is None else found.exit_code
    if program:
        lifetimes.choose_main()
    main, code = lifetimes.main, manifest.exit_code
    if main is not None:
        main.fill({"cpu_ns": manifest.program_cpu_ns})
    for process in lifetimes:
        if not process.row.get("probed"):
            continue
        if process is main and process.row.get("ended") in (None, "unknown") and code is not None:
            process.row.update(ended="signal" if code < 0 else "unknown", exit_code=code)
        # A process that outlives the run was observed up to here.
        process.fill({"ended": "unknown", "exit_ns": manifest.ended_ns})
