"""In which wait each thread was when a program was asked to end, or was killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.diagnostics.evidence import Evidence, Place
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns

_LATE_NS = 20_000_000
"""What the terminal sends reaches the program before tracekit, on a busy machine by a few milliseconds."""

_JOINS = ("join", "_wait_for_tstate_lock", "_shutdown")
_ACCEPTS = ("accept", "accepter", "get_request")
"""Functions that wait for other programs, without their class: CPython before 3.11 has only that."""
_POLLS_OF_POOLS = ("_PollLikeSelector.select", "PollSelector.select")
"""Functions in which the threads of a pool of processes wait for these; and servers (socketserver) for connections, for
half a second at a time."""
_LONGER_THAN_A_SERVERS_NS = 1_000_000_000
STDIN = "fd 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalWait:
    """The wait of one thread at that moment: when it began, and how long it had lasted then."""

    pid: int
    tid: int
    kind: str
    since_ns: int
    lasted_ns: int
    object: str
    function: str
    file: str
    idle: bool

    @property
    def name(self) -> str:
        """The function without its class."""
        return self.function.rpartition(".")[2]

    @property
    def joins(self) -> bool:
        """Whether it waits for another thread of its process to end."""
        return self.kind == "lock" and self.name in _JOINS and self.file.endswith("threading.py")

    def waits_elsewhere(self, *, has_processes: bool) -> bool:
        """Whether a user, another program or a clock may end it. `has_processes`: the program has several."""
        if self.kind == "sleep" or self.object == STDIN or self.name in _ACCEPTS:
            return True
        return self.kind == "poll" and not (
            has_processes
            and self.function in _POLLS_OF_POOLS
            and self.file.endswith("selectors.py")
            and self.lasted_ns >= _LONGER_THAN_A_SERVERS_NS
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LastMoment:
    """The moment in which a program was asked to end, or was killed.

    `waits` by thread; `moving` are the threads of Python that lived and were in no wait; `unwatched` the processes of
    which nothing is known; `still_since_ns` is when the last of these waits began or another thread ended.
    """

    at_ns: int
    asked: bool
    still_since_ns: int
    waits: Mapping[Place, FinalWait]
    moving: tuple[Place, ...]
    unwatched: tuple[int, ...]

    def alive_in(self, pid: int) -> int:
        """How many threads of Python the process had."""
        return sum(place[0] == pid for place in (*self.waits, *self.moving))


def find_last_moment(evidence: Evidence) -> LastMoment | None:
    """None for a program that ended by itself, and without recorded waits."""
    asked_ns, main, waits = evidence.run["asked_ns"], evidence.main, evidence.waits
    at_ns = asked_ns if asked_ns is not None or main.get("ended") != "signal" else main["exit_ns"]
    if at_ns is None or waits.empty:
        return None
    just_before = at_ns - (_LATE_NS if asked_ns is not None else 1)
    over = waits[((waits["start_ns"] <= just_before) & (waits["end_ns"] > just_before)).to_numpy(bool)]
    lives = [row for row in evidence.threads if row["born"] is not None and row["died"] is not None]
    alive = [(row["pid"], row["tid"]) for row in lives if row["born"] <= just_before < row["died"]]
    found = {(row["pid"], row["tid"]): _final_wait(row, at_ns) for row in records(over)}
    found = {place: wait for place, wait in found.items() if place in alive}
    ended = [row["died"] for row in lives if row["died"] <= just_before]
    seen = evidence.helpers | {pid for pid, _ in alive}
    unwatched = [pid for pid, row in evidence.processes.items() if pid not in seen and _lived(row, just_before)]
    return LastMoment(
        at_ns=at_ns,
        asked=asked_ns is not None,
        still_since_ns=max([evidence.begin_ns, *(wait.since_ns for wait in found.values()), *ended]),
        waits=found,
        moving=tuple(place for place in alive if place not in found),
        unwatched=tuple(unwatched),
    )


def describe_wait(evidence: Evidence, moment: LastMoment, wait: FinalWait) -> str:
    """`process 12 had waited 3.97 s for a lock in `child` (app.py:9)`."""
    name, lasted = evidence.thread(wait.pid, wait.tid), format_ns(wait.lasted_ns)
    where = evidence.site(wait.function, wait.file)
    if wait.joins:
        others = [place for place in (*moment.waits, *moment.moving) if place[0] == wait.pid and place[1] != wait.tid]
        whom = evidence.thread(*others[0]) if len(others) == 1 else "another thread"
        return f"{name} had waited {lasted} for {whom} to end"
    if wait.kind == "child-wait":
        _, _, pid = wait.object.partition("pid ")
        whom = evidence.names.process(int(pid)) if pid.isdigit() else "a child process"
        return f"{name} had waited {lasted} for {whom} to end"
    what = {"io-read": "in a read", "io-write": "in a write", "poll": "in a poll"}.get(wait.kind)
    if what is not None:
        of = f" of {wait.object}" if wait.object else ""
        return f"{name} had been {what}{of} for {lasted}{where}"
    if wait.kind == "lock" and not wait.idle:
        return f"{name} had waited {lasted} for a lock{where}"
    return f"{name} had waited {lasted}{' for the GIL' if wait.kind.startswith('gil') else ''}{where}"


def threads_at_fork(evidence: Evidence, pid: int) -> int:
    """How many threads of Python the parent had when it forked this process; 0 where it was not forked, or an exec
    followed."""
    row = evidence.processes.get(pid, {})
    forked_ns = row.get("spawn_requested_ns")
    if row.get("role") == "main" or forked_ns is None or row["exec_ns"] is not None:
        return 0
    return sum(
        thread["pid"] == row["ppid"]
        and thread["born"] is not None
        and thread["died"] is not None
        and thread["born"] < forked_ns < thread["died"]
        for thread in evidence.threads
    )


def _lived(row: Mapping[str, Any], at_ns: int) -> bool:
    begun = [row[name] for name in ("spawn_requested_ns", "exec_ns") if row[name] is not None]
    return (not begun or min(begun) <= at_ns) and (row["exit_ns"] is None or row["exit_ns"] > at_ns)


def _final_wait(row: Mapping[str, Any], at_ns: int) -> FinalWait:
    return FinalWait(
        pid=row["pid"],
        tid=row["tid"],
        kind=row["kind"],
        since_ns=row["start_ns"],
        lasted_ns=min(row["end_ns"], at_ns) - row["start_ns"],
        object=row["object"] or "",
        function=row["function"] or "",
        file=row["file"] or "",
        idle=row["idle"],
    )
