"""Formats what `tracekit run --dry-run` prints: the planned cells and the estimated time."""

from __future__ import annotations

import json
from collections import Counter

from tracekit.api import DurationEstimate, Prepared
from tracekit.core.units import format_ns


def format_text(prepared: Prepared, estimate: DurationEstimate) -> str:
    """Format the cells as a table, then the captures, and the estimate with its basis."""
    specs = prepared.suite.specs
    timed = Counter(spec.cell for spec in specs if spec.capture == "none" and not spec.warmup)
    rows = [("workload", "model", "workers", "python", "timed runs")]
    rows += [
        (f"{workload} {parameters}".rstrip(), model, str(workers), python, str(count))
        for (workload, _, parameters, model, workers, _, python), count in timed.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    traced = Counter(spec.capture for spec in specs if spec.capture != "none")
    shown = ", ".join(f"{count} under {name}" for name, count in traced.items()) or "none"
    lines += [
        "",
        f"{len(specs)} runs: {sum(spec.warmup for spec in specs)} warm-up, {sum(timed.values())} timed, "
        f"traced: {shown}",
        f"estimated time: {format_ns(estimate.total_ns)} ({estimate.basis})",
    ]
    lines += [f"{item.severity}: {item.text}" for item in prepared.notices]
    return "\n".join(lines)


def format_json(prepared: Prepared, estimate: DurationEstimate) -> str:
    """Format the plan as one JSON document."""
    return json.dumps(
        {
            "format": 1,
            "suite_id": prepared.suite.suite_id,
            "estimate_ns": estimate.total_ns,
            "estimate_basis": estimate.basis,
            "runs": [
                {
                    "run_id": spec.run_id,
                    "workload": spec.workload,
                    "size": spec.size,
                    "parameters": dict(spec.parameters),
                    "model": spec.model,
                    "workers": spec.workers,
                    "capture": spec.capture,
                    "repeat": spec.repeat,
                    "warmup": spec.warmup,
                    "python": spec.python,
                }
                for spec in prepared.suite.specs
            ],
            "notices": [item._asdict() for item in prepared.notices],
        },
        indent=1,
    )
