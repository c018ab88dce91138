"""The ledger closes: what no part of it explains is a small share of the thread time."""

from __future__ import annotations

from tracekit.metrics.cells import records
from tracekit.truth.rows import MOST_UNATTRIBUTED, Row, within
from tracekit.truth.watching import Seen


def unattributed(seen: Seen) -> list[Row]:
    """One row per run: |unattributed| over the time of the threads."""
    place, check = seen.place, "unattributed"
    rest, whole = _of_run(seen, "unattributed_ns"), _of_run(seen, "thread_wall_ns")
    if rest is None or not whole:
        return [place.unavailable(check, "the ledger of this run is not known")]
    share = rest / whole
    return [
        place.row(
            check,
            "all threads",
            within(share, MOST_UNATTRIBUTED),
            unit="share",
            measured=share,
            truth=0.0,
            difference=share,
            tolerance=MOST_UNATTRIBUTED,
        )
    ]


def _of_run(seen: Seen, metric: str) -> float | None:
    chosen = seen.tables.metrics
    chosen = chosen[(chosen["metric"] == metric) & (chosen["scope"] == "run")]
    values = [row["value"] for row in records(chosen) if row["quality"] != "unavailable"]
    return None if not values else float(values[0])
