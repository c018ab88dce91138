"""The clocks of a measurement. Every `*_ns` stamp in tracekit is CLOCK_MONOTONIC unless its name says otherwise.

On Linux `time.monotonic_ns` reads CLOCK_MONOTONIC, which all processes of a machine share, so stamps taken in a
parent and in its child can be subtracted. The same clock stamps VizTracer's events.
"""

from __future__ import annotations

import time

now_ns = time.monotonic_ns
"""Nanoseconds of the shared monotonic clock; meaningful only as a difference."""


def triple() -> dict[str, int]:
    """Read the three clocks as close together as Python allows, so that files on other clocks can be aligned.

    Returns monotonic_ns, boottime_ns (0 where the system has no such clock) and realtime_ns.
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return {
        "monotonic_ns": now_ns(),
        "boottime_ns": 0 if boottime is None else time.clock_gettime_ns(boottime),
        "realtime_ns": time.time_ns(),
    }
