"""VizTracer in a recorded program: how its processes come to trace themselves, and what they left.

While the program runs its processes write into `tracing/` in the bundle: `<pid>.tracing` when they begin,
`viztracer-<pid>.json` in its place when they end, `<pid>.without` in a Python that has no VizTracer. Then the folder
changes its name, so that a process which lives on cannot add to a bundle that is sealed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import Notice, notice
from tracekit.measure.inside.viztracer import DRAFT, PID, TRACING
from tracekit.system.process_table import read_start_ticks

_OPEN, _CLOSED = "tracing", "traced"
_WITHOUT = ".without"
_SAVING_S = 5.0
"""A full ring takes about three seconds to write, which processes that outlive the program may just be doing."""

_SETTLE_S = 0.5
"""multiprocessing's resource tracker ends by itself a moment after the program. A daemon does not."""

_POLL_S = 0.02


@contextmanager
def traced_program(spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
    """The variables that make every Python of the program trace itself, for the length of its life. Raises OSError."""
    folder = bundle.root.resolve() / _OPEN
    folder.mkdir()
    site = Path(__file__).resolve().parent / "site"
    try:
        yield {
            "PYTHONPATH": str(site),
            "TRACEKIT_VIZTRACER": str(folder / bundle.viztracer_trace(PID).name),
            "TRACEKIT_VIZTRACER_PACKAGES": spec.extra_path,
        }
        ended = time.monotonic()
        while any(_is_ending(path, bundle, time.monotonic() - ended) for path in folder.glob(f"*{TRACING}")):
            time.sleep(_POLL_S)
    finally:
        folder.rename(folder.with_name(_CLOSED))


def gather(spec: RunSpec, bundle: Bundle) -> list[Notice]:
    """Move the traces to `raw/`, and say of which processes there is none. Raises OSError."""
    folder, traces = bundle.root / _CLOSED, bundle.viztracer_trace("*").name
    missing = []
    for path in sorted(folder.iterdir()):
        if path.suffix == TRACING:
            missing.append(f"process {path.stem}")
        elif path.suffix == _WITHOUT:
            missing.append(f"process {path.stem} ({path.read_text(errors='replace')} has no working viztracer)")
        elif fnmatch(path.name, traces) and not path.name.endswith(DRAFT):
            path.rename(bundle.raw / path.name)
    shutil.rmtree(folder)
    if not missing and bundle.viztracer_traces():
        return []
    named = ", ".join(missing) or "the whole program: no Python of it read PYTHONPATH"
    return [notice("capture-incomplete", capture="viztracer", missing=named, run_id=spec.run_id)]


def _is_ending(marker: Path, bundle: Bundle, since_s: float) -> bool:
    """Whether to wait for this process's trace, that long after the program's end: it writes it, or may just begin."""
    draft = bundle.viztracer_trace(marker.stem).name + DRAFT
    return (
        since_s < (_SAVING_S if marker.with_name(draft).exists() else _SETTLE_S)
        and read_start_ticks(int(marker.stem)) is not None
    )
