"""The time of a recorded program, as ledgers: of each process, and of each thread."""

from __future__ import annotations

from tracekit.analysis.report.figures import ledger_bars, style
from tracekit.analysis.report.figures.ledger_bars import LedgerBar
from tracekit.analysis.report.ledger import LedgerRows, rules
from tracekit.analysis.report.pages.program.recorded_program import RecordedProgram
from tracekit.analysis.report.views import FigureGroup, FigureView, MissingFigure

PROCESSES, THREADS = "Time of each process", "Time of each thread"
_MOST = 14


def figures(program: RecordedProgram) -> FigureGroup:
    """A bar per process, if there are several, and one per thread; the first bar of each is all of them together."""
    processes = [LedgerBar(label, style.INK, ledger) for label, ledger in _processes(program)]
    threads = [LedgerBar(label, style.INK, ledger) for label, ledger in _threads(program)]
    drawn, missing = [], []
    if len(program.processes) > 1 and processes:
        drawn.append(_figure(program, processes, PROCESSES, "process-time"))
    if threads:
        drawn.append(_figure(program, threads, THREADS, "thread-time"))
    if not drawn:
        missing.append(MissingFigure(title=THREADS, reason="no Python thread with a known lifetime was recorded"))
    return FigureGroup(label="", figures=tuple(drawn), missing=tuple(missing))


def _processes(program: RecordedProgram) -> list[tuple[str, LedgerRows]]:
    return [
        (program.names.process(int(process["pid"])), ledger)
        for process in program.processes
        if (ledger := program.ledger(int(process["pid"]))) is not None
    ]


def _threads(program: RecordedProgram) -> list[tuple[str, LedgerRows]]:
    found = []
    for pid, tid in program.numbers:
        ledger = None if pid is None or tid is None else program.ledger(pid, tid)
        if ledger is not None and pid is not None and tid is not None:
            function = program.names.functions.get((pid, tid), "")
            name = program.names.thread(pid, tid)
            found.append((f"{name}\n{function}" if function else name, ledger))
    return found


def _figure(program: RecordedProgram, bars: list[LedgerBar], title: str, slug: str) -> FigureView:
    """The bars by time that was not idle, longest first; the caption counts those that have no room."""
    bars = sorted(bars, key=lambda bar: -bar.ledger.busy)
    shown, rest = bars[:_MOST], bars[_MOST:]
    whole = program.ledger()
    if whole is not None and len(bars) > 1:
        shown = [LedgerBar("all together", style.MUTED, whole), *shown]
    left_out = f" Not shown: {len(rest)} with less such time; metrics.csv has them." if rest else ""
    function = " Under a thread's name: the function in which it held the GIL or waited for it longest."
    named = function if any("\n" in bar.label for bar in shown) else ""
    return FigureView(
        slug=slug,
        title=title,
        caption=f"{ledger_bars.BESIDE} {rules(bar.ledger for bar in shown)}{named}{left_out}",
        alt=f"Thread time of {program.name}. {ledger_bars.words(shown)}.",
        figure=ledger_bars.draw(shown, title, f"{style.short(program.name)}, one run, n = 1"),
    )
