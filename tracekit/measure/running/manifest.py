"""Writing a run's manifest: how the run ended, on which machine, and how busy that machine was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import Notice
from tracekit.system.machine import read_busy


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineBefore:
    """The machine before a run: `facts` from system.machine.describe, `busy` from read_busy."""

    facts: dict[str, Any]
    busy: dict[str, Any] = field(default_factory=read_busy)


def write_manifest(
    bundle: Bundle,
    spec: RunSpec,
    machine: MachineBefore,
    *,
    status: str,
    reason: str,
    exit_code: int | None = None,
    started_ns: int | None = None,
    ended_ns: int | None = None,
    program_window: tuple[int, int] | None = None,
    program_cpu_ns: int | None = None,
    asked_ns: int | None = None,
    notices: Sequence[Notice] = (),
    processes: Sequence[dict[str, Any]] = (),
) -> None:
    """Seal the bundle of a run that has ended; stamps are CLOCK_MONOTONIC ns. Raises OutputUnwritable.

    `started_ns` and `ended_ns` are of the process that tracekit started; `program_window`, `program_cpu_ns` and
    `asked_ns` are of a recorded program.
    """
    after = read_busy()
    bundle.seal(
        {
            "spec": asdict(spec),
            "status": status,
            "reason": reason,
            "exit_code": exit_code,
            "started_ns": started_ns,
            "ended_ns": ended_ns,
            **({} if program_window is None else {"program_window": list(program_window)}),
            **({} if program_cpu_ns is None else {"program_cpu_ns": program_cpu_ns}),
            **({} if asked_ns is None else {"asked_ns": asked_ns}),
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
