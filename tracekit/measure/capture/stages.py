"""stages: the stage probe (measure/probe/stages.c), preloaded into the measured process and all its children.

It writes to one file of the run, which is renamed when the run is over: a process that outlives the run does not find
it any more and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.stages_file import SITE, read_kinds
from tracekit.bundle.store import Bundle, explained_os_errors
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture, Provision
from tracekit.measure.capture.preload import find_library, make_refusal, preload, run_preloaded
from tracekit.measure.probe.compile import STAGES
from tracekit.measure.process.watchdog import make_scratch_folder
from tracekit.system.interpreters import Interpreter

_INSTEAD = "tracekit run ... --capture none, which gives the start of a worker without its first stages"
_RECORDING = "stages.recording"


class StagesCapture(Capture):
    """Records how far each new process has come in its start, and when."""

    name = "stages"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> str:
        library = find_library(STAGES, _INSTEAD)
        with make_scratch_folder() as folder:
            path = Bundle(folder).stages
            path.touch()
            stderr = run_preloaded(library, interpreter, "pass", {"TRACEKIT_STAGES": str(path)}, _INSTEAD)
            if all(kind != SITE for _, kind in read_kinds(path)):
                raise make_refusal(STAGES, interpreter, stderr, _INSTEAD)
        return ""

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        recording = bundle.root.resolve() / _RECORDING
        with explained_os_errors(bundle.root):
            recording.touch()
        try:
            with preload(find_library(STAGES, _INSTEAD)) as variables:
                yield {**variables, "TRACEKIT_STAGES": str(recording)}
        finally:
            with explained_os_errors(bundle.root):
                recording.rename(bundle.stages)

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        recorded = {pid for pid, _ in read_kinds(bundle.stages)}
        missing = [str(pid) for pid in pids if pid not in recorded]
        if missing or not recorded:
            named = f"process {', '.join(missing)}" if missing else "the whole run"
            return [notice("capture-incomplete", capture=self.name, missing=named, run_id=spec.run_id)]
        return []


CAPTURE = StagesCapture()
