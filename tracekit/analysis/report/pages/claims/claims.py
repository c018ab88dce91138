"""Common claims about threads and processes: the experiment of each, and the function that judges it by numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from tracekit.analysis.report.cells import START_METHODS, CellGroup, Number, ReportCell
from tracekit.analysis.report.pages.faults.cases import FaultCase, find_cases
from tracekit.analysis.report.pages.footprint.numbers import LOWERED, UP, FootprintNumbers, find_footprints
from tracekit.analysis.report.shares import is_slower
from tracekit.analysis.report.wording import interval_text, value_text
from tracekit.core.units import plural

HOLDS, CAVEAT, NOT, UNKNOWN = "holds", "holds with a caveat", "does not hold here", "not measured"

_PROCESSES = tuple(filter(None, START_METHODS))

_KINDS = {"threads": "threads", "fork": "forked processes"}
_UNIX = ("Linux", "Darwin")

CRASHES = ("os-exit", "sigsegv", "sigkill", "sigterm")
"""Faults that end a process, and not only a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """The verdict on a claim; what was measured and the caveat are a sentence each, the caveat may be empty."""

    measured: str
    verdict: str
    caveat: str = ""


class ClaimNumbers:
    """The numbers of one system's cells under one interpreter; `others` are groups of other systems."""

    def __init__(self, group: CellGroup, others: Sequence[CellGroup] = ()) -> None:
        self._group = group
        self._others = tuple(other for other in others if other is not group)
        self.faults = {(case.workers, case.fault): case for cell in group.cells for case in find_cases(cell)}

    def on(self, systems: Collection[str]) -> ClaimNumbers | None:
        """These numbers, or the first of the others, that are from one of the systems."""
        return next((ClaimNumbers(group) for group in (self._group, *self._others) if group.os in systems), None)

    @property
    def place(self) -> str:
        """Where they were measured: `Linux · Python 3.13`."""
        return self._group.label

    def of(self, workload: str, model: str, metric: str, *, workers: int = 2, parameter: str = "") -> Number:
        """The cell's number; `parameter` tells the cell from others of the workload: `lock=yes`.

        Raises MissingNumber when there is none.
        """
        number = next((cell.number(metric) for cell in self._cells(workload, model, workers, parameter)), None)
        if number is None or number.value is None:
            why = "was not run" if number is None else f"gives no {metric}: {number.reason}"
            raise MissingNumber(f"{workload} under {model} {why}")
        return number

    def is_slower(self, workload: str, model: str, other: str) -> bool:
        """Whether 2 workers of a model are detectably slower than those of the other, of which there are walls."""
        first, second = (self._cells(workload, name, 2, "")[0] for name in (model, other))
        return bool(is_slower(first, second))

    def footprint(self) -> FootprintNumbers:
        """The numbers of the workload `footprint`. Raises MissingNumber without those of threads and of fork."""
        found = find_footprints([self._group])
        if not found or "fork" not in found[0].start_methods():
            raise MissingNumber("footprint was not run")
        return found[0]

    def _cells(self, workload: str, model: str, workers: int, parameter: str) -> list[ReportCell]:
        return [
            cell
            for cell in self._group.cells
            if (cell.workload, cell.model, cell.workers) == (workload, model, workers)
            and (not parameter or parameter in cell.parameters.split(" "))
        ]


class MissingNumber(Exception):
    """A number that a claim needs is absent; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim, its experiment, and the function that judges it by the numbers."""

    text: str
    tested: str
    judge: Callable[[ClaimNumbers], ClaimResult]

    def evaluate(self, numbers: ClaimNumbers) -> ClaimResult:
        """The result, or why there is none."""
        try:
            return self.judge(numbers)
        except MissingNumber as error:
            return ClaimResult(measured=f"{error}.", verdict=UNKNOWN)


def _threads_share(numbers: ClaimNumbers) -> ClaimResult:
    seen = numbers.of("shared-state", "threads", "observed.tasks_writes_seen")
    return ClaimResult(
        measured=f"The main thread saw {_text(seen)} of what other threads wrote.",
        verdict=HOLDS if seen.value == 1 else NOT,
    )


def _precautions(numbers: ClaimNumbers) -> ClaimResult:
    lost = numbers.of("race", "threads", "observed.updates_lost_share", parameter="lock=no")
    locked = numbers.of("race", "threads", "observed.updates_lost", parameter="lock=yes")
    return ClaimResult(
        measured=f"{_text(lost)} of all updates were lost without a lock, {_text(locked)} with one.",
        verdict=CAVEAT if _value(lost) > 0 and locked.value == 0 else NOT,
        caveat="Where a thread may be interrupted is up to the interpreter: since Python 3.10 a bare count += 1 "
        "loses nothing as long as there is a GIL.",
    )


def _separate(numbers: ClaimNumbers) -> ClaimResult:
    seen = [numbers.of("shared-state", model, "observed.tasks_writes_seen") for model in _PROCESSES]
    shared = [numbers.of("shared-state", model, "observed.tasks_shared_memory_seen") for model in _PROCESSES]
    most, least = max(map(_value, seen)), min(map(_value, shared))
    return ClaimResult(
        measured=f"The main process saw {_percent(most)} of what worker processes wrote into ordinary memory, and "
        f"{_percent(least)} of what they wrote into shared memory.",
        verdict=CAVEAT if most == 0 and least == 1 else NOT,
        caveat="Memory that is allocated as shared is visible to all, and a forked worker begins with a copy of all.",
    )


def _pipes(numbers: ClaimNumbers) -> ClaimResult:
    threads, processes = (numbers.of("big-results", model, "wall_ns") for model in ("threads", "fork"))
    return ClaimResult(
        measured=f"16 results of 4 MiB took {_text(processes)} through pipes, {_text(threads)} between threads.",
        verdict=CAVEAT if numbers.is_slower("big-results", "fork", "threads") else NOT,
        caveat="Shared memory is an alternative that copies nothing.",
    )


def _processes_crash(numbers: ClaimNumbers) -> ClaimResult:
    bare = _crashes(numbers, "Process")
    pools = [case for pool in ("ProcessPoolExecutor", "Pool") for case in _crashes(numbers, pool)]
    spared = sum(case.outcome == "own" for case in bare)
    lost = sum(case.outcome == "others" for case in pools)
    silent = sum(case.outcome == "silent" for case in pools)
    return ClaimResult(
        measured=f"{spared} of {len(bare)} crashes of bare processes cost no other task; of "
        f"{len(pools)} in pools {lost} cost tasks of others, and {silent} were noticed by a time limit only.",
        verdict=NOT if spared < len(bare) else CAVEAT if lost or silent else HOLDS,
        caveat="The pools are less robust than the processes: ProcessPoolExecutor gives up all pending tasks, and Pool "
        "does not report that a result is lost.",
    )


def _threads_crash(numbers: ClaimNumbers) -> ClaimResult:
    crashes = [case for pool in ("Thread", "ThreadPoolExecutor") for case in _crashes(numbers, pool)]
    raised = [
        case for (workers, fault), case in numbers.faults.items() if fault == "exception" and case.family == "threads"
    ]
    dead = sum(case.outcome == "dies" for case in crashes)
    harmless = sum(case.outcome == "own" for case in raised)
    return ClaimResult(
        measured=f"{dead} of {len(crashes)} crashes in a thread ended the whole program; "
        f"{harmless} of {plural(len(raised), 'exception')} cost only the thread's own task.",
        verdict=NOT if dead < len(crashes) else CAVEAT if harmless else HOLDS,
        caveat="An exception is no crash: it ends only the task of its own thread.",
    )


def _creation(numbers: ClaimNumbers) -> ClaimResult:
    threads, fork, spawn = (
        numbers.of("start-stop", model, "spawn_first_worker_ns", workers=1) for model in ("threads", "fork", "spawn")
    )
    return ClaimResult(
        measured=f"The first worker ran after {_text(threads)} (thread), {_text(fork)} (fork), {_text(spawn)} (spawn).",
        verdict=HOLDS if _differ(threads, fork) and _differ(threads, spawn) else NOT,
    )


def _exhaustion(numbers: ClaimNumbers) -> ClaimResult:
    found = numbers.footprint()
    ended = {place: seen["error"].text for place, seen in found.exhausted.items() if "error" in seen}
    if not any(name == "fork" for name, _ in ended):
        why = [seen["skipped"].text for seen in found.exhausted.values() if "skipped" in seen]
        raise MissingNumber(
            f"footprint drove no program with processes to a limit{''.join(f': {text}' for text in why[:1])}"
        )
    counts = {place: value_text(found.exhausted[place]["started"].number) for place in ended}
    each = [
        f"{counts[name, limit]} {_KINDS[name]} within {LOWERED[limit]}, then {text}"
        for (name, limit), text in ended.items()
    ]
    thread, process = (found.by_phase[name, UP, "pss_bytes"] for name in ("threads", "fork"))
    return ClaimResult(
        measured=f"Programs that lowered a limit of their own got {'; '.join(each)}. One more thread takes "
        f"{_text(thread)} of memory, one more forked process {_text(process)}.",
        verdict=NOT
        if _value(thread) >= _value(process)
        else CAVEAT
        if any(name == "threads" for name, _ in ended)
        else HOLDS,
        caveat="Threads take less memory, but reach limits too: each counts as a process of its user, and its stack "
        "takes address space.",
    )


def _imbalance(numbers: ClaimNumbers) -> ClaimResult:
    chunks, single = (
        numbers.of("skewed-tasks", "fork", "load_balance", parameter=f"chunksize={size}") for size in (32, 1)
    )
    return ClaimResult(
        measured=f"The load balance of 2 processes was {_text(chunks)} when each got half of the tasks, and "
        f"{_text(single)} when an idle worker got the next task.",
        verdict=CAVEAT if _differ(chunks, single) else NOT,
        caveat="It depends on how tasks are handed out, not on threads or processes.",
    )


def _unix(numbers: ClaimNumbers) -> ClaimResult:
    unix = numbers.on(_UNIX)
    if unix is None:
        return ClaimResult(measured=f"Only {numbers.place} was measured.", verdict=f"{UNKNOWN} on Unix yet")
    fork, spawn, server = (
        unix.of("start-stop", model, "spawn_first_worker_ns", workers=1) for model in ("fork", "spawn", "forkserver")
    )
    return ClaimResult(
        measured=f"On {unix.place} the first worker ran after {_text(fork)} by fork, {_text(server)} by forkserver, "
        f"{_text(spawn)} by spawn.",
        verdict=CAVEAT if _differ(fork, spawn) else NOT,
        caveat="Only fork is fast, and it is no longer the default: forkserver is on Linux from Python 3.14, spawn on "
        "macOS.",
    )


def _windows(numbers: ClaimNumbers) -> ClaimResult:
    windows = numbers.on(("Windows",))
    if windows is None:
        return ClaimResult(measured=f"Only {numbers.place} was measured.", verdict=f"{UNKNOWN} on Windows yet")
    threads, spawn = (
        windows.of("start-stop", model, "spawn_first_worker_ns", workers=1) for model in ("threads", "spawn")
    )
    return ClaimResult(
        measured=f"On {windows.place} the first worker ran after {_text(spawn)}, a thread after {_text(threads)}.",
        verdict=HOLDS if _differ(threads, spawn) else NOT,
    )


CLAIMS = (
    Claim(
        text="Threads of a process share its memory, and can read and write the very same variables.",
        tested="shared-state: threads write into a dictionary, the main thread reads it.",
        judge=_threads_share,
    ),
    Claim(
        text="Precautions are needed, or two threads write at the same time.",
        tested="race: two threads increment one counter, without a lock and with one.",
        judge=_precautions,
    ),
    Claim(
        text="Processes have separate memory.",
        tested="shared-state: worker processes write into a dictionary and into shared memory, the main process reads.",
        judge=_separate,
    ),
    Claim(
        text="Processes talk over files, pipes or sockets, which costs time.",
        tested="big-results: tasks return 4 MiB each.",
        judge=_pipes,
    ),
    Claim(
        text="A crashing process does not bring down others.",
        tested="crash: one of two workers ends by os._exit, SIGSEGV, SIGKILL or SIGTERM.",
        judge=_processes_crash,
    ),
    Claim(
        text="A crashing thread wreaks havoc.",
        tested="crash: the same in a thread, and an exception that nobody catches.",
        judge=_threads_crash,
    ),
    Claim(
        text="Creating a process costs time, creating a thread is economical.",
        tested="start-stop: from the request for the first worker to its first instruction.",
        judge=_creation,
    ),
    Claim(
        text="Creating processes can exhaust the system's resources, creating threads is economical.",
        tested="footprint: programs that lower a limit of their own and start workers until they get an error.",
        judge=_exhaustion,
    ),
    Claim(
        text="One CPU may sit idle while another one is overloaded.",
        tested="skewed-tasks: long and short tasks in two chunks, and one by one.",
        judge=_imbalance,
    ),
    Claim(
        text="On Unix processes are cheap and quick to spawn.",
        tested="start-stop, by start method.",
        judge=_unix,
    ),
    Claim(text="On Windows processes are costly.", tested="start-stop, on Windows.", judge=_windows),
)


def evaluate_claims(group: CellGroup, found: Sequence[CellGroup] = ()) -> list[tuple[Claim, ClaimResult]]:
    """Every claim with its result by the group's numbers; claims about another system by those of other groups."""
    numbers = ClaimNumbers(group, found)
    return [(claim, claim.evaluate(numbers)) for claim in CLAIMS]


def judge_claims(found: Sequence[CellGroup]) -> list[dict[str, str]]:
    """The result of each claim by interpreter, as a list for programs; the caveat only where the verdict has one."""
    return [
        {
            "os": group.os,
            "python": group.python,
            "claim": claim.text,
            "tested": claim.tested,
            "measured": finding.measured,
            "verdict": finding.verdict,
            "caveat": finding.caveat if finding.verdict == CAVEAT else "",
        }
        for group in found
        if group.cells
        for claim, finding in evaluate_claims(group, found)
    ]


def _crashes(numbers: ClaimNumbers, pool: str) -> list[FaultCase]:
    found = [case for case in numbers.faults.values() if case.pool == pool and case.fault in CRASHES]
    if not found:
        raise MissingNumber(f"crash has no case of {pool}")
    return found


def _value(number: Number) -> float:
    return number.value or 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _differ(smaller: Number, larger: Number) -> bool:
    """Whether the second is larger, and the intervals do not overlap."""
    return (smaller.interval or (_value(smaller),) * 2)[1] < (larger.interval or (_value(larger),) * 2)[0]


def _text(number: Number) -> str:
    """`29 % (25–33 %)`."""
    interval = interval_text(number) if number.interval else ""
    return f"{value_text(number)} ({interval})" if interval else value_text(number)
