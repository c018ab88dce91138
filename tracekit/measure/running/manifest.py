"""What a run's manifest says, whoever made the run: how it ended, on which machine, and how busy that was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import Notice
from tracekit.system.machine import busy as read_busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is known of the machine before a run: `facts` from machine.describe, `busy` from machine.busy."""

    facts: dict[str, Any]
    busy: dict[str, Any] = field(default_factory=read_busy)


def seal(
    bundle: Bundle,
    spec: RunSpec,
    machine: Machine,
    *,
    status: str,
    reason: str,
    exit_code: int | None,
    started_ns: int | None = None,
    ended_ns: int | None = None,
    notices: Sequence[Notice] = (),
    processes: Sequence[dict[str, Any]] = (),
) -> None:
    """Write the manifest of a run that has ended; stamps are CLOCK_MONOTONIC ns. Raises OutputUnwritable."""
    after = read_busy()
    bundle.seal(
        {
            "spec": asdict(spec),
            "status": status,
            "reason": reason,
            "exit_code": exit_code,
            "started_ns": started_ns,
            "ended_ns": ended_ns,
            "environment": {
                **machine.facts,
                "load_before": machine.busy["load"],
                "load_after": after["load"],
                "steal_before_ns": machine.busy["steal_ns"],
                "steal_after_ns": after["steal_ns"],
            },
            "notices": [list(item) for item in notices],
            "processes": list(processes),
        }
    )
