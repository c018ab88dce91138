"""A recorded program: how long it took, how it ended, and where the time of its threads went.

It was run once and nothing is compared: no speed-up, no ceiling, no interval.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from tracekit.analysis.metrics.ledger import parts as ledger_parts
from tracekit.analysis.metrics.lifetimes import NATIVE
from tracekit.analysis.metrics.names import Names, names_of
from tracekit.analysis.metrics.window import ASKED, RAN_ON, RECORDED_NS, WINDOW
from tracekit.analysis.report.cells import Number
from tracekit.analysis.report.fields import GIL_WAIT_AS_PART, TAG_TEXT_OF_PROGRAM, Footnotes, field_of, how
from tracekit.analysis.report.folding import MOST_FOLDED, fold
from tracekit.analysis.report.grouping import Numbers, Place, number_at, places_of
from tracekit.analysis.report.ledger import NAMES, LedgerRows, amount_text, ledger_of, sum_ledgers, unattributed_text
from tracekit.analysis.report.views import LegendItem, RowGroup, TableField, TableRow, TableView, Verdict
from tracekit.analysis.report.wording import value_text
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.names import PROGRAM
from tracekit.core.units import format_ns, listed, percent, plural

COLUMNS = (
    ("Process", "threads"),
    ("Lifetime", "how it ended"),
    ("On-CPU", "of thread time"),
    ("GIL wait", "of thread time"),
    ("Other waits", "the largest"),
    ("Idle", "of thread time"),
    ("Context switches", "voluntary / involuntary"),
)
EXPLAINED = {
    "Lifetime": ("figure-process-time", "figure-thread-time"),
    "On-CPU": ("figure-process-time", "figure-thread-time"),
    "GIL wait": ("attribution", "gil", "figure-thread-time"),
    "Other waits": ("sites", "figure-thread-time"),
    "Idle": ("sites", "figure-thread-time"),
    "Context switches": ("every",),
}
WAITS = (
    ledger_parts.LOCK,
    ledger_parts.IO,
    ledger_parts.POLL,
    ledger_parts.SLEEP,
    ledger_parts.CHILD,
    ledger_parts.BLOCKED,
)
"""Parts of a ledger that are waits on something else than the GIL or a CPU."""

_MOST_PROCESSES, _MOST_NAMES = 12, 3
_SWITCHES = ("voluntary_switches", "involuntary_switches")
_STARTS = ("spawn_requested_ns", "exec_ns", "interpreter_ready_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedProgram:
    """The one run of a recorded program, with everything that the report shows of it.

    `processes` are rows of that table, main first, then by thread time, longest first; `numbers` by place.
    """

    run: Mapping[str, Any]
    processes: tuple[Mapping[str, Any], ...]
    threads: Mapping[int, int]
    """How many threads each process had, native ones included."""
    native: tuple[Mapping[str, Any], ...]
    """Rows of the threads that never ran Python (BLAS, OpenMP): each may have a ledger, and is in no sum."""
    numbers: Mapping[Place, Numbers]
    names: Names
    window: str
    """The window of its time that all of this is of: `8s..12s of 31.2 s`; empty for the whole."""
    ran_on: bool
    """It ended after the window."""

    @property
    def run_id(self) -> str:
        return str(self.run["run_id"])

    @property
    def name(self) -> str:
        return str(self.run["workload"] or "the program")

    def ledger(self, pid: int | None = None, tid: int | None = None) -> LedgerRows | None:
        """The ledger of the run, of a process or of a thread; None where its lifetime is not known."""
        return ledger_of(self.numbers.get((pid, tid), {}))

    def number(self, metric: str, pid: int | None = None, tid: int | None = None) -> Number:
        return number_at(self.numbers.get((pid, tid), {}), metric)


def read_program(tables: Tables) -> RecordedProgram | None:
    """The recorded program of a suite; None for a suite of models and for one without runs."""
    runs = records(tables.runs)
    if not runs or any(run["model"] != PROGRAM for run in runs):
        return None
    run = runs[0]
    run_id = str(run["run_id"])
    numbers = places_of(tables, run_id)
    threads: dict[int, int] = {}
    native = []
    for row in records(tables.threads[tables.threads["run_id"] == run_id]):
        threads[row["pid"]] = threads.get(row["pid"], 0) + 1
        if row["role"] == NATIVE:
            native.append(row)

    def weight(row: Mapping[str, Any]) -> tuple[bool, float, int]:
        wall = number_at(numbers.get((row["pid"], None), {}), "thread_wall_ns").centre or 0.0
        return (row["role"] != "main", -wall, row["pid"])

    processes = sorted(records(tables.processes[tables.processes["run_id"] == run_id]), key=weight)
    return RecordedProgram(
        run=run,
        processes=tuple(processes),
        threads=threads,
        native=tuple(native),
        numbers=numbers,
        names=names_of(tables, run_id),
        window=f"{suite[ASKED]} of {format_ns(suite[RECORDED_NS])}" if WINDOW in (suite := tables.suite) else "",
        ran_on=RAN_ON in tables.suite,
    )


def headline(program: RecordedProgram) -> Verdict:
    """How long it took, how it ended, and where the time of its threads went."""
    wall, cpu = program.run["wall_ns"], program.number("cpu_ns")
    if wall is None:
        lead = f"{program.name} was not recorded to its end"
        return Verdict(label="", outcome="none", lead=lead, rest=f": its run is {program.run['status']}.")
    # Where a tool started it, its wall is a bound.
    most = "at most " if program.number("wall_ns").quality == "bound" else ""
    took = f", window {program.window}: {format_ns(wall)}" if program.window else f" took {most}{format_ns(wall)}"
    lead = f"{program.name}{took}"
    ledger = program.ledger()
    used = cpu.centre
    if cpu.available:
        lead += f" and {value_text(cpu)} of CPU time"
    elif ledger is not None and program.number(ledger_parts.ON_CPU).quality != "bound":
        used = ledger.parts.get(ledger_parts.ON_CPU)
    busy = (
        f" ({used / wall:.2f} CPUs busy)" if used is not None and wall and not most and cpu.quality != "bound" else ""
    )
    return Verdict(label="", outcome=PROGRAM, lead=lead, rest=f"{busy}; {_end_of(program)}.{_where(program)}")


def ended_text(process: Mapping[str, Any]) -> str:
    """How a process ended: `exit code 3`, `os._exit, code 0`, `SIGKILL`, `not known`."""
    ended, code = process.get("ended"), process.get("exit_code")
    if ended == RAN_ON:
        return RAN_ON
    if code is not None and code < 0:
        return _signal(-code)
    if ended == "signal":
        return "a signal"
    if ended == "_exit" and _is_python(process):
        return "os._exit" if code is None else f"os._exit, code {code}"
    if code is not None:
        return f"exit code {code}"
    return "exit" if ended in ("exit", "_exit") else "not known"


def _is_python(process: Mapping[str, Any]) -> bool:
    """Whether ending by _exit, without clean-up, is worth mentioning: a shell always ends so."""
    return PurePath(process.get("executable") or "python").name.startswith(("python", "pypy"))


def processes_table(program: RecordedProgram) -> TableView:
    """The whole program, then its processes if there are several, main first."""
    notes = Footnotes()
    several = len(program.processes) > 1
    shown, rest = fold(program.processes, lambda process: _share(program, process), _MOST_PROCESSES)
    rows = [_row(program, notes, None)]
    if several:
        rows += [_row(program, notes, process) for process in shown]
    if rest:
        rows.append(_others(program, notes, rest))
    return TableView(
        title=f"{program.name} and its processes",
        caption="Times of a process are sums over its Python threads, so they can exceed its lifetime.",
        columns=COLUMNS,
        explained=EXPLAINED,
        groups=(RowGroup(label="", rows=tuple(rows)),),
        legend=(*_gil_note(program), *_tags(rows), *notes.legend()),
    )


def _row(program: RecordedProgram, notes: Footnotes, process: Mapping[str, Any] | None) -> TableRow:
    pid = None if process is None else int(process["pid"])
    ledger = program.ledger(pid)
    switches = tuple(program.number(name, pid) for name in _SWITCHES)
    return TableRow(
        family="plain",
        label=program.name if pid is None else program.names.process(pid),
        detail=_count_text(program) if pid is None else _threads(program, pid),
        fields=(
            _lifetime(program, process),
            _part(ledger, ledger_parts.ON_CPU, notes),
            _gil_wait(program, pid, notes),
            _other(ledger, notes),
            _part(ledger, ledger_parts.IDLE, notes),
            _switches(switches, notes),
        ),
    )


def _share(program: RecordedProgram, process: Mapping[str, Any]) -> float:
    """Its part of the program's thread time, without Python of its wall; 1 for the main process and where it is not
    known."""
    whole, own, wall = program.ledger(), program.ledger(int(process["pid"])), program.run["wall_ns"]
    life = _life_ns(program, process)
    if process["role"] == "main" or whole is None or (own is None and (life is None or not wall)):
        return 1.0
    return own.whole / whole.whole if own is not None else (life or 0) / wall


def _others(program: RecordedProgram, notes: Footnotes, rest: Sequence[Mapping[str, Any]]) -> TableRow:
    """The sums of the processes that have no row of their own."""
    pids = [int(process["pid"]) for process in rest]
    ledger = sum_ledgers([ledger for pid in pids if (ledger := program.ledger(pid)) is not None])
    counts = [[program.number(name, pid).centre for pid in pids] for name in _SWITCHES]
    known = all(count is not None for row in counts for count in row)
    return TableRow(
        family="plain",
        label=plural(len(rest), "other process"),
        detail="in metrics.csv",
        folded=tuple(_row(program, notes, process) for process in rest[:MOST_FOLDED]),
        fields=(
            TableField(main="–"),
            _part(ledger, ledger_parts.ON_CPU, notes),
            _part(ledger, ledger_parts.GIL, notes),
            _other(ledger, notes),
            _part(ledger, ledger_parts.IDLE, notes),
            TableField(
                main=" / ".join(f"{sum(count or 0.0 for count in row):,.0f}" for row in counts) if known else "–"
            ),
        ),
    )


def _count_text(program: RecordedProgram) -> str:
    counts = ((len(program.processes), "process"), (sum(program.threads.values()), "thread"))
    # A capture that records none counts 0.
    return ", ".join(plural(count, word) for count, word in counts if count) or "one run"


def _threads(program: RecordedProgram, pid: int) -> str:
    count = program.threads.get(pid, 0)
    named = "main" if program.names.process(pid) == "main" else ""
    counted = plural(count, "thread") if count else ""
    return " · ".join(part for part in (f"pid {pid}" if named else "", counted) if part)


def _lifetime(program: RecordedProgram, process: Mapping[str, Any] | None) -> TableField:
    if process is None:
        wall = program.run["wall_ns"]
        most = "≤ " if program.number("wall_ns").quality == "bound" else ""
        return TableField(main="n/a" if wall is None else f"{most}{format_ns(wall)}", sub=_ended_of_run(program))
    life = _life_ns(program, process)
    return TableField(main="n/a" if life is None else format_ns(life), sub=ended_text(process))


def _life_ns(program: RecordedProgram, process: Mapping[str, Any]) -> int | None:
    starts = [process[name] for name in _STARTS if process[name] is not None]
    if not starts and process["role"] == "main" and program.run["start_ns"] is not None:
        starts = [program.run["start_ns"]]
    if not starts or process["exit_ns"] is None:
        return None
    return int(max(0, process["exit_ns"] - min(starts)))


def _part(ledger: LedgerRows | None, part: str, notes: Footnotes) -> TableField:
    if ledger is None:
        return TableField(main="n/a", mark=notes.mark("no Python thread with a known lifetime"))
    if part not in ledger.parts:
        reason = ledger.lacking.get(part) or f"not recorded by {ledger.method}"
        return TableField(main="n/a", mark=notes.mark(f"{NAMES[part]} is {reason}"))
    least = "≥ " if part in ledger.least else "≈ " if part in ledger.about else ""
    return TableField(main=f"{least}{format_ns(ledger.parts[part])}", sub=f"{least}{percent(ledger.share(part))}")


def _other(ledger: LedgerRows | None, notes: Footnotes) -> TableField:
    if ledger is None or not any(part in ledger.parts for part in WAITS):
        return _part(ledger, ledger_parts.LOCK, notes)
    known = {part: ledger.parts[part] for part in WAITS if ledger.parts.get(part, 0) > 0}
    if not known:
        return TableField(main="0 s")
    largest = max(known, key=lambda part: known[part])
    alone = f"all {NAMES[largest]}" if len(known) == 1 else f"{NAMES[largest]} {format_ns(known[largest])}"
    return TableField(main=format_ns(sum(known.values())), sub=alone)


def _gil_wait(program: RecordedProgram, pid: int | None, notes: Footnotes) -> TableField:
    """The ledger's part, as in the headline and the bars, where there is one; else the bound of gil_wait_ns."""
    number, ledger = program.number("gil_wait_ns", pid), program.ledger(pid)
    if number.method != "no-gil" and ledger is not None and ledger_parts.GIL in ledger.parts:
        return replace(_part(ledger, ledger_parts.GIL, notes), tag=how(number) if number.available else "")
    if not number.available:
        # A process without Python lacks it for the same reason as the rest of its ledger.
        return field_of(number, "", notes) if ledger is not None else _part(None, ledger_parts.GIL, notes)
    if number.method == "no-gil":
        return TableField(main="0 s", sub="no GIL")
    centre = number.centre or 0.0
    share = percent(centre / ledger.whole) if ledger is not None and number.quality != "bound" else ""
    return TableField(main=value_text(number), sub=share, tag=how(number))


def _switches(numbers: tuple[Number, ...], notes: Footnotes) -> TableField:
    if not any(number.available for number in numbers):
        return field_of(numbers[0], "", notes)
    return TableField(
        main=" / ".join(f"{number.centre:,.0f}" if number.centre is not None else "n/a" for number in numbers)
    )


def _gil_note(program: RecordedProgram) -> tuple[LegendItem, ...]:
    """How this GIL wait differs from that of the section on the GIL, where there is one."""
    ledger, number = program.ledger(), program.number("gil_wait_ns")
    if ledger is None or not ledger.parts.get(ledger_parts.GIL) or not number.available:
        return ()
    return (LegendItem(mark="GIL wait", text=GIL_WAIT_AS_PART),)


def _tags(rows: list[TableRow]) -> tuple[LegendItem, ...]:
    """What the tags of the GIL wait mean."""
    used = {field.tag for row in rows for field in row.fields}
    return tuple(LegendItem(mark=tag, text=text) for tag, text in TAG_TEXT_OF_PROGRAM.items() if tag in used)


def _end_of(program: RecordedProgram) -> str:
    ended = _ended_of_run(program)
    if ended == RAN_ON:
        return f"it {RAN_ON}"
    if ended == "not known":
        return "how it ended is not known"
    if ended.startswith("SIG") or "signal" in ended:
        return f"it was ended by {ended}"
    return f"it ended with {ended}"


def _ended_of_run(program: RecordedProgram) -> str:
    if program.ran_on:
        return RAN_ON
    code = program.run["exit_code"]
    main = next((row for row in program.processes if row["role"] == "main"), {})
    return ended_text({**main, "exit_code": main.get("exit_code") if code is None else code})


def _where(program: RecordedProgram) -> str:
    ledger = program.ledger()
    if ledger is None:
        return ""
    # Without those of a shell, for example, of which the ledger has no time.
    native = {(row["pid"], row["tid"]) for row in program.native}
    count = sum(
        1
        for pid, tid in program.numbers
        if tid is not None and (pid, tid) not in native and program.ledger(pid, tid) is not None
    )
    beside = _native_text(program)
    kind = "Python thread" if beside else "thread"
    threads = f"Its one {kind}" if count == 1 else f"Its {count} {kind}s"
    parts = [part for part in ledger.largest if ledger.share(part) >= 0.01][:5]
    spent = [f"{NAMES[part]} {amount_text(ledger, part)}" for part in parts]
    rest = unattributed_text(ledger)
    unexplained = f"; {rest} is unattributed" if rest != "0 %" else ""
    return f" {threads} spent {format_ns(ledger.whole)}: {', '.join(spent)}{unexplained}.{beside}"


def _native_text(program: RecordedProgram) -> str:
    """What the native threads beside Python did, by their library; empty without any."""
    ledgers = [(row, program.ledger(row["pid"], row["tid"])) for row in program.native if row["tid"] != row["pid"]]
    known = [(row, ledger) for row, ledger in ledgers if ledger is not None]
    if not known:
        return ""
    names = sorted({row["name"] for row, _ in known if row["name"]})
    named = f" ({listed(names)})" if 0 < len(names) <= _MOST_NAMES else ""
    used, idle = (
        sum(ledger.parts.get(part, 0) for _, ledger in known) for part in (ledger_parts.ON_CPU, ledger_parts.IDLE)
    )
    return (
        f" {plural(len(known), 'native thread')}{named}, which never ran Python, used {format_ns(used)} of CPU time "
        f"and waited {format_ns(idle)} for work."
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
