"""Reading what the measured main process wrote about itself, as far as the parent needs it to judge the run."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tracekit.bundle.store import Bundle


@dataclass(slots=True, kw_only=True)
class MainFacts:
    """What the main process wrote about itself, as far as it got; all None and empty for a recorded program."""

    checksum: str | None = None
    exit_code: int | None = None
    wall_ns: int | None = None
    failure: str | None = None
    """`ValueError: its message`, of what it raised."""
    pids: tuple[int, ...] = ()
    """Every process that has a stream."""


def read_main_stream(bundle: Bundle) -> MainFacts:
    """Read the few facts that decide the run's status; the numbers are left to analysis."""
    facts = MainFacts()
    pids = []
    for path in bundle.process_streams():
        pids.append(int(path.stem))
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
            if '"role":"main"' not in first:
                continue
            for line in file:
                if '"name":"task"' not in line and not line.startswith('{"kind":"counter"'):
                    _add_record(facts, line)
    facts.pids = tuple(pids)
    return facts


def _add_record(facts: MainFacts, line: str) -> None:
    try:
        record = json.loads(line)
    except ValueError:
        # The process was killed while it wrote; what is missing decides the status.
        return
    kind = record.get("kind")
    if kind == "result":
        facts.checksum = record["checksum"]
    elif kind == "failure":
        facts.failure = f"{record['type']}: {record['message']}".splitlines()[0]
    elif kind == "end":
        facts.exit_code = record["exit_code"]
    elif kind == "span" and record["name"] == "run":
        facts.wall_ns = record["dur_ns"]
