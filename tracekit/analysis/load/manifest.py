"""spec.json and manifest.json of one bundle, checked."""

from __future__ import annotations

from typing import Any, Literal

from tracekit.analysis.load.parse import HINT, Count, Signed, Struct, convert, default, text
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle, read_json
from tracekit.core.errors import BundleCorrupt, BundleUnfinished
from tracekit.core.notices import Notice

_MOST = 1_000_000

UNFINISHED = "unfinished"
"""Status of a run without a manifest: still running, or its parent was killed."""


class Ended(Struct, kw_only=True):
    """What a capture knows of one process: how it ended, who it was."""

    pid: Count
    ppid: Count | None = None
    start_ticks: Count | None = None
    executable: str | None = None
    started_ns: Count | None = None
    ended_ns: Count | None = None
    ended: Literal["exit", "_exit", "signal", "unknown"] = "unknown"
    exit_code: Signed | None = None


class Manifest(Struct, kw_only=True):
    """What the parent says of the run, see docs/bundle.md."""

    status: str
    exit_code: Signed | None = None
    reason: str | None = None
    started_ns: Count | None = None
    ended_ns: Count | None = None
    program_window: tuple[Count, Count] | None = None
    """When a recorded program began and ended: its wall. Absent in bundles that were made before it was written."""
    environment: dict[str, Any] = default(default_factory=dict)
    notices: list[tuple[str, str, str, str]] = default(default_factory=list)
    processes: list[Ended] = default(default_factory=list)

    @property
    def system(self) -> str | None:
        """`Linux`, `Darwin`, `Windows`."""
        value = self.environment.get("os")
        return text(value) if isinstance(value, str) else None

    def given_notices(self) -> list[Notice]:
        """The notices the parent gave."""
        return [Notice(*(text(part) for part in parts)) for parts in self.notices]


def read_spec(bundle: Bundle) -> RunSpec:
    """What was asked for. Raises BundleCorrupt or BundleTooNew."""
    path = bundle.root / "spec.json"
    data = read_json(path)
    spec = convert(data, RunSpec, path)
    if spec.run_id != bundle.root.name:
        raise BundleCorrupt(f"{path} is the spec of run {spec.run_id[:80]!r}, not of this folder", HINT)
    if not (1 <= spec.workers <= _MOST and 0 <= spec.repeat <= _MOST):
        raise BundleCorrupt(f"{path}: {spec.workers} workers, repeat {spec.repeat} cannot be", HINT)
    return spec


def read_manifest(bundle: Bundle) -> Manifest | None:
    """How the run ended, its files checked; None when it did not. Raises BundleCorrupt or BundleTooNew."""
    try:
        data = bundle.manifest()
    except BundleUnfinished:
        return None
    except ValueError as error:
        # A NUL in a file's name.
        raise BundleCorrupt(f"{bundle.manifest_path}: {error}", HINT) from error
    return convert(data, Manifest, bundle.manifest_path)
