"""Clock domains: which stamps may be put on one time axis.

Streams and VizTracer's events are both on CLOCK_MONOTONIC of the machine (within 80 us of one another, see
FACTS), so they need no shift. They need a check: a trace of another boot, of a container with a time
namespace of its own, or of a tool that changed its clock would lie hours away and still look plausible by
itself. The manifest says when the parent started the process and when it was gone; nothing of a run can lie
outside by more than a moment.

Streams outside: BundleCorrupt, for every number comes from them. A trace outside: its calls are left out and
a notice says so, for the numbers do not come from it. py-spy's profiles have no clock at all: their stamps
stay missing.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracekit.errors import BundleCorrupt
from tracekit.load.parse import HINT
from tracekit.load.streams import Stream

TOLERANCE_NS = 1_000_000_000
"""How far outside still counts as the same clock: more than starting or ending a process is late on a busy
machine.
"""


class Window:
    """When the measured processes of one run lived, by the parent's clock; open where the manifest does not
    say.
    """

    def __init__(self, started_ns: int | None, ended_ns: int | None) -> None:
        self._started_ns = started_ns
        self._ended_ns = ended_ns

    def distance_ns(self, first_ns: int, last_ns: int) -> int:
        """How far these stamps lie outside the window at worst; 0 when within tolerance."""
        before = 0 if self._started_ns is None else self._started_ns - first_ns
        after = 0 if self._ended_ns is None else last_ns - self._ended_ns
        worst = max(before, after)
        return worst if worst > TOLERANCE_NS else 0


def check_streams(streams: Iterable[Stream], window: Window) -> None:
    """Raises BundleCorrupt when a stream's stamps do not lie in the run's window."""
    for stream in streams:
        stamps = [span.start_ns for span in stream.spans]
        stamps += [span.start_ns + span.dur_ns for span in stream.spans]
        stamps += [
            stamp
            for thread in stream.threads
            for stamp in (thread.spawn_requested_ns, thread.start_ns, thread.end_ns)
            if stamp is not None
        ]
        stamps += [
            stamp for stamp in (stream.meta.spawn_requested_ns, stream.meta.interpreter_ready_ns) if stamp is not None
        ]
        if stamps and window.distance_ns(min(stamps), max(stamps)):
            raise BundleCorrupt(f"{stream.path}: its stamps lie outside the run, on another clock", HINT)
