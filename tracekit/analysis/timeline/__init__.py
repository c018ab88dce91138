"""Timeline: the tables as a Chrome JSON trace that the Perfetto UI opens, of one run or of several.

    build_run(tables, run_id, path)      one run, with its real process ids
    build_suite(parts, path)             several runs in one view, every `run` span at t = 0, ids renumbered

Time in a trace is microseconds with three decimals, so no nanosecond is lost, and 0 is the start of the `run`
span: what happened earlier was tracekit preparing and is left out. A path that ends in `.gz` is compressed.
"""

from __future__ import annotations

from tracekit.analysis.timeline.trace import EVENT_LIMIT, SuitePart, TraceFacts, build_run, build_suite

__all__ = ["EVENT_LIMIT", "SuitePart", "TraceFacts", "build_run", "build_suite"]
