"""Checks clock domains: which stamps may be put on one time axis.

Streams and VizTracer's events are both on the machine's CLOCK_MONOTONIC (within 80 µs of each other), so they need no
shift. They need a check: a trace of another boot, of a container with its own time namespace, or of a tool that changed
its clock would be hours away and still look plausible. The manifest has the times when the parent started the process
and found it gone; no stamp of the run can be outside by more than a moment.

Streams outside raise BundleCorrupt, because all numbers come from them. The calls of a trace outside are left out with
a notice. Records of the wait probe outside are left out one by one, and a notice counts them. py-spy's profiles have no
clock: their stamps stay missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tracekit.analysis.load.streams import Stream
from tracekit.bundle.files import HINT
from tracekit.core.errors import BundleCorrupt

TOLERANCE_NS = 1_000_000_000
"""How far outside still counts as the same clock: more than a busy machine delays the start or end of a process."""

Stamps = np.ndarray[Any, np.dtype[np.uint64]]
_LARGEST = 2**62
_LEAST_APART_NS = 1_000_000


class Window:
    """The time in which one run's processes existed, by the parent's clock; open where the manifest has no stamp."""

    def __init__(self, started_ns: int | None, ended_ns: int | None) -> None:
        self._started_ns = started_ns
        self._ended_ns = ended_ns

    @property
    def ended_ns(self) -> int | None:
        """When the parent found the last process gone, CLOCK_MONOTONIC ns."""
        return self._ended_ns

    def distance_ns(self, first_ns: int, last_ns: int) -> int:
        """How far these stamps are outside the window, ns; 0 within the tolerance."""
        before = 0 if self._started_ns is None else self._started_ns - first_ns
        after = 0 if self._ended_ns is None else last_ns - self._ended_ns
        worst = max(before, after)
        return worst if worst > TOLERANCE_NS else 0

    def holds(self, first_ns: Stamps, last_ns: Stamps) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """A mask of the intervals in the window, with the tolerance; both arguments are uint64 arrays of one length."""
        inside: np.ndarray[Any, np.dtype[np.bool_]] = (first_ns <= last_ns) & (last_ns <= _LARGEST)
        if self._started_ns is not None:
            inside &= first_ns >= max(0, self._started_ns - TOLERANCE_NS)
        if self._ended_ns is not None:
            inside &= last_ns <= self._ended_ns + TOLERANCE_NS
        return inside

    def stamp(self, value: int | None) -> int | None:
        """The same stamp, or None when it is missing or outside the window."""
        if value is None or not 0 < value <= _LARGEST or self.distance_ns(value, value):
            return None
        return value


class TickClock:
    """Converts the processor's tick counter to CLOCK_MONOTONIC ns, from readings of both at the same moment.

    All processes of a machine read the same counter, so the two readings farthest apart give its rate best.
    """

    def __init__(self, readings: Iterable[tuple[int, int]], window: Window) -> None:
        """`readings` are (ticks, ns)."""
        good = sorted(reading for reading in readings if window.stamp(reading[1]) is not None)
        self._first, last = (good[0], good[-1]) if good else ((0, 0), (0, 0))
        ticks, elapsed_ns = last[0] - self._first[0], last[1] - self._first[1]
        # The two clocks of a reading are read some 100 ns apart: over less than 1 ms they give no usable rate.
        self._ns_per_tick = elapsed_ns / ticks if ticks > 0 and elapsed_ns > _LEAST_APART_NS else None

    def ns(self, ticks: Stamps) -> Stamps:
        """Convert ticks (uint64) to ns (uint64); all 0 where the rate is not known."""
        if self._ns_per_tick is None:
            return np.zeros(len(ticks), dtype=np.uint64)
        away = (ticks.astype(np.float64) - float(self._first[0])) * self._ns_per_tick
        return np.clip(np.rint(away) + float(self._first[1]), 0, float(_LARGEST)).astype(np.uint64)


def check_streams(streams: Iterable[Stream], window: Window) -> None:
    """Raise BundleCorrupt when a stream has stamps outside the run's window."""
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
