"""viztracer: our own code starts VizTracer inside each measured process, so the command is not wrapped at all.

See measure/inside/viztracer.py for why, and for the file each process leaves. A measured process of ours does that
itself; the processes of a recorded program are made to by site/sitecustomize.py.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import CaptureUnavailable, EnvironmentLacks
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture, Provision, Ready
from tracekit.measure.capture.viztracer_program import gather, traced_program
from tracekit.measure.inside.viztracer import DRAFT
from tracekit.system.interpreters import Interpreter, has_module, provision_packages


class VizTracerCapture(Capture):
    """See the module."""

    name = "viztracer"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> Ready:
        if has_module(interpreter, "viztracer"):
            return Ready()
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
        return Ready(extra_path=site)

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        return argv

    def around(self, spec: RunSpec, bundle: Bundle) -> AbstractContextManager[dict[str, str]]:
        return traced_program(spec, bundle) if spec.program else nullcontext({})

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        if spec.program:
            return gather(spec, bundle)
        missing = [pid for pid in pids if not bundle.viztracer_trace(pid).is_file()]
        for part in bundle.raw.glob(f"*{DRAFT}"):
            # The process died while it was writing; half a trace is no trace.
            part.unlink()
        if not missing:
            return []
        named = ", ".join(map(str, missing))
        return [notice("capture-incomplete", capture=self.name, missing=f"process {named}", run_id=spec.run_id)]


CAPTURE = VizTracerCapture()
