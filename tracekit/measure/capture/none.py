"""none: the run is not watched. Every timing in a table comes from such runs."""

from __future__ import annotations

from collections.abc import Iterable

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import Notice
from tracekit.measure.capture import Capture, Provision, Ready
from tracekit.system.interpreters import Interpreter


class NoCapture(Capture):
    """See the module."""

    name = "none"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> Ready:
        return Ready()

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        return argv

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        return []


CAPTURE = NoCapture()
