"""stages: the stage probe, preloaded into the measured process and all its children (tracekit/measure/probe/stages.c).

It writes to one file of the run, which is moved to its place in the bundle when the run is over. A process that
outlives the run does not find it any more and writes nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.stages_file import SITE, read_kinds
from tracekit.bundle.store import Bundle, explained_os_errors
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture, Provision, Ready, preload
from tracekit.measure.probe.compile import STAGES
from tracekit.measure.process.watchdog import scratch_prefix
from tracekit.system.interpreters import Interpreter

_OTHERS = "tracekit run ... --capture none, which gives the start of a worker without its first stages"
_RECORDING = "stages.recording"


class StagesCapture(Capture):
    """See the module."""

    name = "stages"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> Ready:
        library = preload.find_library(STAGES, _OTHERS)
        with tempfile.TemporaryDirectory(prefix=scratch_prefix()) as folder:
            path = Bundle(Path(folder)).stages
            path.touch()
            stderr = preload.run_preloaded(library, interpreter, "pass", {"TRACEKIT_STAGES": str(path)}, _OTHERS)
            if all(kind != SITE for _, kind in read_kinds(path)):
                raise preload.make_refusal(STAGES, interpreter, stderr, _OTHERS)
        return Ready()

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        return argv

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        recording = bundle.root.resolve() / _RECORDING
        with explained_os_errors(bundle.root):
            recording.touch()
        try:
            with preload.preloaded(preload.find_library(STAGES, _OTHERS)) as variables:
                yield {**variables, "TRACEKIT_STAGES": str(recording)}
        finally:
            with explained_os_errors(bundle.root):
                recording.rename(bundle.stages)

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        seen = {pid for pid, _ in read_kinds(bundle.stages)}
        missing = [str(pid) for pid in pids if pid not in seen]
        if missing or not seen:
            named = f"process {', '.join(missing)}" if missing else "the whole run"
            return [notice("capture-incomplete", capture=self.name, missing=named, run_id=spec.run_id)]
        return []


CAPTURE = StagesCapture()
