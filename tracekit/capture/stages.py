"""stages: the stage probe, preloaded into the measured process and all its children (tracekit/probe/stages.c).

It writes to one file of the run, which is moved to its place in the bundle when the run is over: a process that lives
on finds it no more and writes nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracekit.bundle import Bundle, explained_os_errors
from tracekit.capture import Capture, Provision, Ready, preload
from tracekit.interpreters import Interpreter
from tracekit.notices import Notice, notice
from tracekit.probe.compile import STAGES
from tracekit.spec import RunSpec
from tracekit.stages_file import SITE, records
from tracekit.temporary import own_prefix

_OTHERS = "tracekit run ... --capture none, which gives the start of a worker without its first stages"
_RECORDING = "stages.recording"


class StagesCapture(Capture):
    """See the module."""

    name = "stages"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> Ready:
        library = preload.library_of(STAGES, _OTHERS)
        with tempfile.TemporaryDirectory(prefix=own_prefix()) as folder:
            path = Path(folder) / "stages.bin"
            path.touch()
            said = preload.tried(library, interpreter, "pass", {"TRACEKIT_STAGES": str(path)}, _OTHERS)
            if SITE not in records(path)["kind"]:
                raise preload.refused(STAGES, interpreter, said, _OTHERS)
        return Ready()

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        return argv

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        recording = bundle.root.resolve() / _RECORDING
        with explained_os_errors(bundle.root):
            recording.touch()
        try:
            with preload.preloaded(preload.library_of(STAGES, _OTHERS)) as variables:
                yield {**variables, "TRACEKIT_STAGES": str(recording)}
        finally:
            with explained_os_errors(bundle.root):
                recording.rename(bundle.stages)

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        found = records(bundle.stages)
        seen = set(found["pid"].tolist())
        missing = [str(pid) for pid in pids if pid not in seen]
        if missing or not seen:
            named = f"process {', '.join(missing)}" if missing else "the whole run"
            return [notice("capture-incomplete", capture=self.name, missing=named, run_id=spec.run_id)]
        return []


CAPTURE = StagesCapture()
