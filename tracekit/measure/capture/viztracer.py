"""viztracer: VizTracer runs inside each measured process, started by tracekit's own code; the command is not wrapped.

measure/inside/viztracer.py says why. A process that tracekit measures starts it itself; in a recorded program
site/sitecustomize.py does. There the processes write into `tracing/` in the bundle: `<pid>.tracing` when they begin,
`viztracer-<pid>.json` in its place when they end, `<pid>.without` in a Python that has no VizTracer. When the program
has ended the folder is renamed, so that a process which outlives it cannot add to a sealed bundle.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fnmatch import fnmatch
from pathlib import Path

from tracekit.bundle.names import VIZTRACER
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import TRACING_FOLDER, Bundle
from tracekit.core.errors import CaptureUnavailable, EnvironmentLacks
from tracekit.core.notices import Notice, notice
from tracekit.core.owner import read_start_ticks
from tracekit.measure.capture import Capture, Provision
from tracekit.measure.inside.viztracer import DRAFT, PID, TRACING
from tracekit.system.interpreters import Interpreter, has_module, provision_packages

_CLOSED = "traced"
_WITHOUT = ".without"
"""The end of a marker's name, as site/sitecustomize.py writes it."""

_SAVING_S = 5.0
"""A full ring takes about three seconds to write, and a process that outlives the program may be writing one."""

_SETTLE_S = 0.5
"""multiprocessing's resource tracker ends by itself a moment after the program. A daemon does not."""

_POLL_S = 0.02

_ENTER = "run Python without -I, -E and -S, which keep VizTracer out; --capture waits works with them"
"""The remedy where no Python of a recorded program was traced."""


class VizTracerCapture(Capture):
    """Records every Python call of every process."""

    name = VIZTRACER

    def preflight(self, interpreter: Interpreter, provision: Provision) -> str:
        if has_module(interpreter, "viztracer"):
            return ""
        if not provision.allowed:
            raise CaptureUnavailable(
                f"{interpreter.executable} has no viztracer",
                f"add --provision, or: {interpreter.executable} -m pip install viztracer",
            )
        requirement = f"viztracer=={importlib.metadata.version('viztracer')}"
        try:
            site = provision_packages(interpreter, requirement, provision.cache)
        except EnvironmentLacks as error:
            raise CaptureUnavailable(str(error), error.hint) from error
        if not has_module(interpreter, "viztracer", site):
            raise CaptureUnavailable(
                f"viztracer was installed for {interpreter.executable} but does not import there",
                f"{interpreter.executable} -m pip install viztracer",
            )
        return site

    def around(self, spec: RunSpec, bundle: Bundle) -> AbstractContextManager[dict[str, str]]:
        return _trace_program(spec, bundle) if spec.program else nullcontext({})

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        if spec.program:
            return _collect_of_program(spec, bundle)
        missing = [pid for pid in pids if not bundle.viztracer_trace(pid).is_file()]
        for draft in bundle.raw.glob(f"*{DRAFT}"):
            # The process died while it was writing; half a trace is no trace.
            draft.unlink()
        if not missing:
            return []
        named = ", ".join(map(str, missing))
        return [notice("capture-incomplete", capture=self.name, missing=f"process {named}", run_id=spec.run_id)]


@contextmanager
def _trace_program(spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
    """The variables with which every Python of the program traces itself. Raises OSError."""
    folder = bundle.root.resolve() / TRACING_FOLDER
    folder.mkdir()
    site = Path(__file__).resolve().parent / "site"
    try:
        yield {
            "PYTHONPATH": str(site),
            "TRACEKIT_VIZTRACER": str(folder / bundle.viztracer_trace(PID).name),
            "TRACEKIT_VIZTRACER_PACKAGES": spec.extra_path,
            "TRACEKIT_VIZTRACER_ENTRIES": str(spec.trace_entries),
        }
        ended = time.monotonic()
        while any(_is_saving(path, bundle, time.monotonic() - ended) for path in folder.glob(f"*{TRACING}")):
            time.sleep(_POLL_S)
    finally:
        folder.rename(folder.with_name(_CLOSED))


def _collect_of_program(spec: RunSpec, bundle: Bundle) -> list[Notice]:
    """Move the traces to `raw/`, and report the processes that left none. Raises OSError."""
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
    found = notice("capture-incomplete", capture=VIZTRACER, missing=named, run_id=spec.run_id)
    return [found if missing else found._replace(remedy=_ENTER)]


def _is_saving(marker: Path, bundle: Bundle, since_s: float) -> bool:
    """Whether a process may still be writing its trace, or about to, `since_s` after the program's end."""
    draft = marker.with_name(bundle.viztracer_trace(marker.stem).name + DRAFT)
    limit_s = _SAVING_S if draft.exists() else _SETTLE_S
    return since_s < limit_s and read_start_ticks(int(marker.stem)) is not None


CAPTURE = VizTracerCapture()
