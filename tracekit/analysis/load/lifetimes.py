"""The processes and threads of one run, told by several sources that each know a part: streams, probe, manifest.

A stream knows what a process and its threads are for; the wait probe knows when they began and ended and what they
cost, also of those that no stream describes; the manifest knows how processes ended. They meet here, so that a
process or thread is one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tracekit.analysis.load.columns import Columns

Facts = dict[str, Any]
"""Part of a row: column -> value, None where it is not known. Of a process also `began_ns`, the earliest that is known
of it, and `probed`, that it left a file of the wait probe; they are no columns.
"""

MAIN, OTHER = "main", "other"

_WHOLE_LIFE = ("start_ns", "end_ns", "cpu_ns", "run_queue_wait_ns", "voluntary_switches", "involuntary_switches")
"""Of a thread: what must be of one and the same interval, or a ledger of it would not close."""


@dataclass(slots=True)
class Life:
    """One process: its row so far, and those of its threads."""

    facts: Facts
    threads: list[Facts] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return int(self.facts["pid"])

    @property
    def began_ns(self) -> int | None:
        """The earliest that is known of it."""
        stamps = (self.facts.get(name) for name in ("began_ns", "exec_ns", "spawn_requested_ns"))
        return next((stamp for stamp in stamps if stamp is not None), None)

    def fill(self, facts: Facts) -> None:
        """Set what is not known yet."""
        _fill(self.facts, facts)

    def end_by(self, ended_ns: int | None) -> None:
        """It was gone by then: of a process that said nothing itself only its parent's wait for it is known, which may
        be seconds later.
        """
        known_ns = self.facts.get("exit_ns")
        # An end before the beginning is that of an earlier process of this pid.
        if ended_ns is not None and known_ns is not None and (self.began_ns or 0) <= ended_ns < known_ns:
            self.facts["exit_ns"] = ended_ns

    def merge_threads(self, told: Iterable[Facts]) -> None:
        """What the probe knows of the threads.

        A stream's row of one keeps its name, role and worker. When the probe has the thread's CPU time, start, end and
        all that was counted between them are the probe's: a stream's stamps are those of the model's part of that
        life, and a worker's CPU time from its first instruction does not belong to them.
        """
        by_tid: dict[int, list[Facts]] = {}
        for facts in told:
            by_tid.setdefault(facts["tid"], []).append(facts)
        for row in self.threads:
            # The system may have given one id to several threads, one after the other.
            candidates = by_tid.get(row["tid"])
            if candidates:
                facts = min(candidates, key=lambda facts: _apart(row, facts))
                candidates.remove(facts)
                if facts.get("cpu_ns") is not None:
                    row.update({name: facts.get(name) for name in _WHOLE_LIFE})
                _fill(row, facts)
        for rest in by_tid.values():
            self.threads += rest


class Lives:
    """All processes of one run."""

    def __init__(self) -> None:
        self._lives: list[Life] = []
        self._by_pid: dict[int, list[Life]] = {}

    def __iter__(self) -> Iterator[Life]:
        return iter(self._lives)

    def add(self, **facts: Any) -> Life:
        """A process that is not there yet; `pid` is needed."""
        life = Life(facts)
        self._lives.append(life)
        self._by_pid.setdefault(life.pid, []).append(life)
        return life

    def find(self, pid: int, start_ticks: int | None = None) -> Life | None:
        """The process; a start in ticks tells one from an earlier process of the same pid where both say it."""
        return next(
            (
                life
                for life in self._by_pid.get(pid, [])
                if not start_ticks or life.facts.get("start_ticks") in (None, start_ticks)
            ),
            None,
        )

    @property
    def main(self) -> Life | None:
        """The run's main process."""
        return next((life for life in self._lives if life.facts.get("role") == MAIN), None)

    def choose_main(self) -> None:
        """Where no stream says which it is: the oldest process whose parent is not one of them."""
        roots = [life for life in self._lives if life.facts.get("ppid") not in self._by_pid]
        if self.main is None and roots:
            # What no clock saw begin is last.
            min(roots, key=lambda life: life.began_ns or 2**63).facts["role"] = MAIN

    def add_to(self, columns: Columns, run_id: str) -> None:
        """The rows of `processes` and `threads`."""
        for life in self._lives:
            life.fill({"role": OTHER})
            columns.add("processes", run_id=run_id, **life.facts)
            for thread in life.threads:
                _fill(thread, {"role": life.facts["role"] if thread["tid"] == life.pid else OTHER})
                columns.add("threads", run_id=run_id, **{"pid": life.pid, **thread})


def _fill(row: Facts, facts: Facts) -> None:
    for name, value in facts.items():
        # A thread's name in a stream may be empty.
        if row.get(name) in (None, ""):
            row[name] = value


def _apart(row: Facts, facts: Facts) -> int:
    """How far the starts in two accounts of a thread lie apart."""
    ours, theirs = row.get("start_ns"), facts.get("start_ns")
    return 0 if ours is None or theirs is None else abs(ours - theirs)
