"""What is said of threads and processes, and what the experiments of `tracekit run claims` say to it.

Every verdict follows from numbers of the metrics table alone; docs/workloads.md says what the experiments do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from tracekit.analysis.report.cells import START_METHODS, Cell, Group, Number
from tracekit.analysis.report.pages.faults.page import Case, cases_of
from tracekit.analysis.report.views import Field, LegendItem, Row, RowGroup, TableView, Verdict
from tracekit.analysis.report.wording import interval_text, plural, value_text
from tracekit.core.units import format_bytes

HOLDS, CAVEAT, NOT, UNKNOWN = "holds", "holds with a caveat", "does not hold here", "not measured"

DOUBTS = (
    "The verdicts are about the machine, the system and the version of Python that were measured, at that time.",
    "Each claim is tested by one experiment; another one may find what this one cannot.",
)
"""What to keep in mind about the verdicts."""

_PROCESSES = tuple(filter(None, START_METHODS))

_UNIX = ("Linux", "Darwin")

CRASHES = ("os-exit", "sigsegv", "sigkill", "sigterm")
"""Faults that end a process, and not only a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was measured and the caveat, a sentence each, the caveat empty where there is none; and a verdict."""

    measured: str
    verdict: str
    caveat: str = ""


class Numbers:
    """The numbers of one system's cells under one interpreter; `others` are measured elsewhere."""

    def __init__(self, group: Group, others: Sequence[Group] = ()) -> None:
        self._group = group
        self._others = tuple(other for other in others if other is not group)
        self.faults = {(case.workers, case.fault): case for cell in group.cells for case in cases_of(cell)}

    def on(self, systems: Collection[str]) -> Numbers | None:
        """These numbers or the first others that are from one of the systems."""
        return next((Numbers(group) for group in (self._group, *self._others) if group.os in systems), None)

    @property
    def place(self) -> str:
        """Where they were measured: `Linux · Python 3.13`."""
        return self._group.label

    def of(self, workload: str, model: str, metric: str, *, workers: int = 2, parameter: str = "") -> Number:
        """The cell's number; `parameter` is one that tells it from others of the workload, as `lock=yes`.

        Raises Missing when there is none.
        """
        number = next((cell.number(metric) for cell in self._cells(workload, model, workers, parameter)), None)
        if number is None or number.value is None:
            why = "was not run" if number is None else f"gives no {metric}: {number.reason}"
            raise Missing(f"{workload} under {model} {why}")
        return number

    def _cells(self, workload: str, model: str, workers: int, parameter: str) -> list[Cell]:
        return [
            cell
            for cell in self._group.cells
            if (cell.workload, cell.model, cell.workers) == (workload, model, workers)
            and (not parameter or parameter in cell.parameters.split(" "))
        ]


class Missing(Exception):
    """A number that a claim needs is not there; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence that is said, how it is put to the test, and what follows from the numbers."""

    text: str
    tested: str
    judge: Callable[[Numbers], Finding]

    def finding(self, numbers: Numbers) -> Finding:
        """The verdict, or why there is none."""
        try:
            return self.judge(numbers)
        except Missing as error:
            return Finding(measured=f"{error}.", verdict=UNKNOWN)


def _threads_share(numbers: Numbers) -> Finding:
    seen = numbers.of("shared-state", "threads", "observed.tasks_writes_seen")
    return Finding(
        measured=f"The main thread saw {_said(seen)} of what other threads wrote.",
        verdict=HOLDS if seen.value == 1 else NOT,
    )


def _precautions(numbers: Numbers) -> Finding:
    lost = numbers.of("race", "threads", "observed.updates_lost_share", parameter="lock=no")
    locked = numbers.of("race", "threads", "observed.updates_lost", parameter="lock=yes")
    return Finding(
        measured=f"{_said(lost)} of all counts were lost without a lock, {_said(locked)} with one.",
        verdict=CAVEAT if _value(lost) > 0 and locked.value == 0 else NOT,
        caveat="Where a thread may be interrupted is up to the interpreter: since Python 3.10 a bare count += 1 "
        "loses nothing as long as there is a GIL.",
    )


def _separate(numbers: Numbers) -> Finding:
    seen = [numbers.of("shared-state", model, "observed.tasks_writes_seen") for model in _PROCESSES]
    shared = [numbers.of("shared-state", model, "observed.tasks_shared_memory_seen") for model in _PROCESSES]
    most, least = max(map(_value, seen)), min(map(_value, shared))
    return Finding(
        measured=f"The main process saw {_percent(most)} of what worker processes wrote into ordinary memory, and "
        f"{_percent(least)} of what they wrote into shared memory.",
        verdict=CAVEAT if most == 0 and least == 1 else NOT,
        caveat="Memory that is asked for as shared is seen by all, and a forked worker begins with a copy of all.",
    )


def _pipes(numbers: Numbers) -> Finding:
    threads, processes = (numbers.of("big-results", model, "wall_ns") for model in ("threads", "fork"))
    return Finding(
        measured=f"16 results of 4 MiB took {_said(processes)} through pipes, {_said(threads)} between threads.",
        verdict=CAVEAT if _apart(threads, processes) else NOT,
        caveat="Shared memory is another way, which copies nothing.",
    )


def _processes_crash(numbers: Numbers) -> Finding:
    bare = _crashes(numbers, "Process")
    pools = [case for pool in ("ProcessPoolExecutor", "Pool") for case in _crashes(numbers, pool)]
    spared = sum(case.outcome == "own" for case in bare)
    lost = sum(case.outcome == "others" for case in pools)
    silent = sum(case.outcome == "silent" for case in pools)
    return Finding(
        measured=f"{spared} of {len(bare)} crashes of bare processes harmed nobody else; of "
        f"{len(pools)} in pools {lost} cost tasks of others, and {silent} showed by a time limit only.",
        verdict=NOT if spared < len(bare) else CAVEAT if lost or silent else HOLDS,
        caveat="The pools are not as robust as the processes: ProcessPoolExecutor gives up everything that is pending, "
        "Pool does not say that a result is lost.",
    )


def _threads_crash(numbers: Numbers) -> Finding:
    crashes = [case for pool in ("Thread", "ThreadPoolExecutor") for case in _crashes(numbers, pool)]
    raised = [
        case for (workers, fault), case in numbers.faults.items() if fault == "exception" and case.family == "threads"
    ]
    dead = sum(case.outcome == "dies" for case in crashes)
    harmless = sum(case.outcome == "own" for case in raised)
    return Finding(
        measured=f"{dead} of {len(crashes)} crashes in a thread ended the whole program; "
        f"{harmless} of {plural(len(raised), 'exception')} cost only the thread's own task.",
        verdict=NOT if dead < len(crashes) else CAVEAT if harmless else HOLDS,
        caveat="An exception is no crash: it ends what its own thread was doing.",
    )


def _creation(numbers: Numbers) -> Finding:
    threads, fork, spawn = (
        numbers.of("start-stop", model, "spawn_first_worker_ns", workers=1) for model in ("threads", "fork", "spawn")
    )
    return Finding(
        measured=f"The first worker ran after {_said(threads)} (thread), {_said(fork)} (fork), {_said(spawn)} (spawn).",
        verdict=HOLDS if _apart(threads, fork) and _apart(threads, spawn) else NOT,
    )


def _exhaustion(numbers: Numbers) -> Finding:
    held = {}
    for model in ("threads", "fork"):
        one, four = (numbers.of("memory-per-worker", model, "uss_bytes", workers=count) for count in (1, 4))
        held[model] = f"{format_bytes(_value(one))} with 1 and {format_bytes(_value(four))} with 4"
    return Finding(
        measured=f"No resource was driven to its limit. With 32 MiB of data each, measured once: {held['fork']} "
        f"processes, {held['threads']} threads.",
        verdict=f"{UNKNOWN} yet",
    )


def _imbalance(numbers: Numbers) -> Finding:
    chunks, single = (
        numbers.of("skewed-tasks", "fork", "load_balance", parameter=f"chunksize={size}") for size in (32, 1)
    )
    return Finding(
        measured=f"The load balance of 2 processes was {_said(chunks)} when each got half of the tasks, and "
        f"{_said(single)} when whoever was free got the next.",
        verdict=CAVEAT if _apart(chunks, single) else NOT,
        caveat="It is a matter of how work is handed out, not of threads or processes.",
    )


def _unix(numbers: Numbers) -> Finding:
    unix = numbers.on(_UNIX)
    if unix is None:
        return Finding(measured=f"Only {numbers.place} was measured.", verdict=f"{UNKNOWN} on Unix yet")
    fork, spawn, server = (
        unix.of("start-stop", model, "spawn_first_worker_ns", workers=1) for model in ("fork", "spawn", "forkserver")
    )
    return Finding(
        measured=f"On {unix.place} the first worker ran after {_said(fork)} by fork, {_said(server)} by forkserver, "
        f"{_said(spawn)} by spawn.",
        verdict=CAVEAT if _apart(fork, spawn) else NOT,
        caveat="Only fork is quick, and it is not the default any more: forkserver is on Linux from Python 3.14, spawn "
        "on macOS.",
    )


def _windows(numbers: Numbers) -> Finding:
    windows = numbers.on(("Windows",))
    if windows is None:
        return Finding(measured=f"Only {numbers.place} was measured.", verdict=f"{UNKNOWN} on Windows yet")
    threads, spawn = (
        windows.of("start-stop", model, "spawn_first_worker_ns", workers=1) for model in ("threads", "spawn")
    )
    return Finding(
        measured=f"On {windows.place} the first worker ran after {_said(spawn)}, a thread after {_said(threads)}.",
        verdict=HOLDS if _apart(threads, spawn) else NOT,
    )


CLAIMS = (
    Claim(
        text="Threads of a process share its memory, and can read and write the very same variables.",
        tested="shared-state: threads write into a dictionary, the main thread looks.",
        judge=_threads_share,
    ),
    Claim(
        text="Precautions are needed, or two threads write at the same time.",
        tested="race: two threads count up one number, without a lock and with one.",
        judge=_precautions,
    ),
    Claim(
        text="Processes have separate memory.",
        tested="shared-state: worker processes write into a dictionary and into shared memory, the main process looks.",
        judge=_separate,
    ),
    Claim(
        text="Processes talk over files, pipes or sockets, which costs time.",
        tested="big-results: tasks return 4 MiB each.",
        judge=_pipes,
    ),
    Claim(
        text="A crashing process does not bring down others.",
        tested="crash: one of two workers leaves by os._exit, SIGSEGV, SIGKILL or SIGTERM.",
        judge=_processes_crash,
    ),
    Claim(
        text="A crashing thread wreaks havoc.",
        tested="crash: the same in a thread, and an exception that nobody catches.",
        judge=_threads_crash,
    ),
    Claim(
        text="Creating a process costs time, creating a thread is economical.",
        tested="start-stop: from asking for the first worker to its first instruction.",
        judge=_creation,
    ),
    Claim(
        text="Creating processes can exhaust the system's resources, creating threads is economical.",
        tested="memory-per-worker: what 1 and 4 workers hold, each with 32 MiB of data. Nothing is exhausted yet.",
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


def findings(group: Group, found: Sequence[Group] = ()) -> list[tuple[Claim, Finding]]:
    """Every claim with what the group's numbers say to it; to those about another system, what other groups' say."""
    numbers = Numbers(group, found)
    return [(claim, claim.finding(numbers)) for claim in CLAIMS]


def judged(found: Sequence[Group]) -> list[dict[str, str]]:
    """What each interpreter's numbers say to each claim, as programs read it; the caveat only where it is one."""
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
        for claim, finding in findings(group, found)
    ]


def verdict(found: Sequence[tuple[Claim, Finding]]) -> Verdict:
    """How many claims hold, in one sentence."""
    counts = {word: sum(finding.verdict == word for _, finding in found) for word in (HOLDS, CAVEAT, NOT)}
    unknown = len(found) - sum(counts.values())
    parts = [
        f"{counts[CAVEAT]} with a caveat" if counts[CAVEAT] else "",
        f"{counts[NOT]} do not" if counts[NOT] else "",
        f"{unknown} not measured" if unknown else "",
    ]
    said = ", ".join(part for part in parts if part)
    return Verdict(
        label="",
        outcome="level",
        lead=f"{counts[HOLDS] + counts[CAVEAT]} of {plural(len(found), 'claim')} about threads and processes hold here",
        rest=f": {said}." if said else ".",
    )


def claims_table(groups: Sequence[Group]) -> TableView:
    """A row per claim; a block per interpreter where there are several."""
    several = len(groups) > 1
    return TableView(
        title="Claims",
        caption="Each verdict follows from numbers of this suite; those with repeats have a 95 % interval.",
        columns=(("Claim", "how it was tested"), ("Verdict", ""), ("Measured", ""), ("Caveat", "")),
        groups=tuple(
            RowGroup(
                label=group.label if several else "",
                rows=tuple(_row(claim, found) for claim, found in findings(group, groups)),
            )
            for group in groups
        ),
        legend=(
            LegendItem(mark=HOLDS, text="the numbers are as the claim says, beyond their intervals"),
            LegendItem(mark=CAVEAT, text="they are, and something else has to be known"),
            LegendItem(mark=NOT, text="they are not, or not beyond their intervals"),
            LegendItem(mark=UNKNOWN, text="there are no numbers by which the claim could be judged"),
        ),
        prose=True,
    )


def _row(claim: Claim, found: Finding) -> Row:
    return Row(
        family="plain",
        label=claim.text,
        detail=claim.tested,
        fields=(
            Field(main=found.verdict, words=True),
            Field(main=found.measured, words=True),
            Field(main=found.caveat if found.verdict == CAVEAT else "–", words=True),
        ),
    )


def _crashes(numbers: Numbers, pool: str) -> list[Case]:
    found = [case for case in numbers.faults.values() if case.pool == pool and case.fault in CRASHES]
    if not found:
        raise Missing(f"crash has no case of {pool}")
    return found


def _value(number: Number) -> float:
    return number.value or 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _apart(smaller: Number, larger: Number) -> bool:
    """Whether the second is larger, and the intervals do not touch."""
    return (smaller.interval or (_value(smaller),) * 2)[1] < (larger.interval or (_value(larger),) * 2)[0]


def _said(number: Number) -> str:
    """`29 % (25–33 %)`."""
    interval = interval_text(number) if number.interval else ""
    return f"{value_text(number)} ({interval})" if interval else value_text(number)
