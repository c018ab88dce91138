"""`tracekit doctor --self-test`: a quick proof on this machine, with tracekit's own Python.

Where the kernel capture works too the probe is compared with it; else with what the programs know of themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracekit.accuracy.cases import choose
from tracekit.accuracy.comparison import Row
from tracekit.accuracy.runner import WAITS, Wanted, prove
from tracekit.measure.capture import Provision, named
from tracekit.system import interpreters

CHECKS = (
    "runs",
    "gil-kernel",
    "gil-known",
    "waits-known",
    "switches",
    "unattributed",
    "sites",
    "names-move",
    "processes",
)


def self_test(on_step: Callable[[str], None] = lambda step: None) -> Iterator[Row]:
    """The rows, as they come, in about half a minute. Raises CaptureUnavailable where there is no wait probe."""
    interpreter = interpreters.own()
    named(WAITS).preflight(interpreter, Provision())
    wanted = Wanted(cases=choose((), quick=True), pythons=(interpreter,), checks=CHECKS)
    yield from prove(wanted, on_step)
