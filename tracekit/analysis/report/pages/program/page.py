"""The page of a recorded program: its processes, the time of its threads, its waits. One run, compared with nothing."""

from __future__ import annotations

import math
from dataclasses import asdict

from tracekit.analysis.diagnostics import ABOUT_THE_GIL
from tracekit.analysis.diagnostics.engine import Diagnosis, describe_longest, diagnose
from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.number_notices import OPEN_NS
from tracekit.analysis.report import environment
from tracekit.analysis.report.appendix import OF_PROGRAMS, methods
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.ledger import UNATTRIBUTED, unattributed_text
from tracekit.analysis.report.pages.program import time_figures
from tracekit.analysis.report.pages.program.recorded_program import (
    RecordedProgram,
    headline,
    processes_table,
    read_program,
)
from tracekit.analysis.report.sections.gil import gil_table
from tracekit.analysis.report.sections.marks import marks_table
from tracekit.analysis.report.sections.method_comparison import comparison_table
from tracekit.analysis.report.sections.run_waits import attribution_section, sites_section
from tracekit.analysis.report.views import FindingView, PageView, Section, table_section
from tracekit.bundle.names import PY_SPY, SEE_WAITS, UNTRACED, VIZTRACER, split_capture
from tracekit.core.units import format_ns, listed

_LEFT = {
    PY_SPY: "py-spy's stack samples are in this table: `tracekit export {suite} samples`.",
    VIZTRACER: "VizTracer's calls are on this timeline: `tracekit view {suite}`.",
}
"""Where the data is of a capture that records no waits."""
_UNEXPLAINED = 0.02
"""Part of the thread time above which unattributed time is mentioned."""
_MOST_NAMED = 4


def build_page(analysis: Analysis) -> PageView | None:
    """None for a suite without a recorded program."""
    tables = analysis.tables
    program = read_program(tables)
    if program is None:
        return None
    found = groups(tables)
    what = f"{program.name}, {environment.began(tables.suite) or 'one run'}"
    evidence = Evidence(analysis, program.run_id)
    found_out = diagnose(evidence)
    # One fact in one place: what a finding says of the GIL its section does not say again.
    told_ns = math.inf if found_out.is_about(*ABOUT_THE_GIL) else evidence.least_ns
    sections = [
        attribution_section(analysis, program.run_id, program.names, what, told_ns=told_ns),
        sites_section(analysis, program.run_id, program.names),
    ]
    if not SEE_WAITS & split_capture(str(program.run["capture"])):
        sections.append(_no_waits(program))
    sections.append(table_section("marks", "Marks", marks_table(tables, program.run, program.names)))
    sections.append(table_section("gil", "The GIL", gil_table(found)))
    sections.append(table_section("method-comparison", "Method comparison", comparison_table(found)))
    return PageView(
        verdicts=(headline(program),),
        findings=view_findings(evidence, found_out),
        summary=processes_table(program),
        figures=(time_figures.figures(program),),
        sections=tuple(section for section in sections if section is not None),
        caveats=program_caveats(program),
        methods=methods(found, OF_PROGRAMS),
    )


def view_findings(evidence: Evidence, found: Diagnosis) -> tuple[FindingView, ...]:
    """What is said of the run, the answer first; of one without any finding, how long it waited at most."""
    if found.said:
        return tuple(FindingView(**asdict(item)) for item in found.said)
    if evidence.waits.empty:
        return ()
    return (FindingView(sentence=describe_longest(evidence)),)


def _no_waits(program: RecordedProgram) -> Section:
    """In place of the wait sites: why there are none, and where the data of the other captures is."""
    own = sorted(split_capture(str(program.run["capture"])))
    # A program in which VizTracer found no Python has no trace; a notice says so.
    there = [name for name in own if name in _LEFT and (name != VIZTRACER or program.run["traces"])]
    left = [_LEFT[name].format(suite=program.run["suite_id"]) for name in there]
    sentences = (
        "Without capture waits, what the threads of this run waited for and how long is unknown.",
        *left,
        f"`tracekit record --capture {','.join(['waits', *own])} -- ...` records the waits{' as well' if own else ''}.",
    )
    return Section(slug="sites", title="Wait sites", sentences=sentences, lead=len(sentences))


def program_caveats(program: RecordedProgram) -> tuple[str, ...]:
    """What the numbers of a recorded program do not show; first what its own run calls for."""
    found = [
        _unexplained(program),
        _unknown_ends(program),
        _bound_only(program),
        "As a comparison: it was run once, so nothing here says how much of it the next run would repeat.",
        "For what happened inside native code: a thread that computes without the GIL is on-CPU, in a function that "
        "is not known.",
        _captured(program),
        "As the last word on idle time: it is recognized by the function in which a thread waits. Waiting for work on "
        "a lock of the program's own counts as lock wait, and waiting for one's turn in a queue as idle.",
    ]
    return tuple(text for text in found if text)


def _unexplained(program: RecordedProgram) -> str:
    ledger = program.ledger()
    if ledger is None or abs(ledger.share(UNATTRIBUTED)) <= _UNEXPLAINED:
        return ""
    if abs(ledger.parts[UNATTRIBUTED]) <= OPEN_NS:
        return ""
    return (
        f"As the whole story: {unattributed_text(ledger)} of the thread time ({format_ns(ledger.parts[UNATTRIBUTED])}) "
        "is unattributed."
    )


def _unknown_ends(program: RecordedProgram) -> str:
    names = [program.names.process(int(row["pid"])) for row in program.processes if row["ended"] == "unknown"]
    if not names:
        return ""
    listing = listed(names) if len(names) <= _MOST_NAMED else f"{len(names)} processes"
    return f"About how {listing} ended: what they did is known up to the last recorded moment."


def _bound_only(program: RecordedProgram) -> str:
    if program.number("gil_wait_ns").quality != "bound":
        return ""
    return (
        "As a GIL wait: it is a range from nothing to all the off-CPU time. Capture waits or kernel records the waits "
        "themselves."
    )


def _captured(program: RecordedProgram) -> str:
    capture = str(program.run["capture"])
    if capture == UNTRACED:
        return ""
    return f"For the wall to the last percent: capture {capture} was watching, and no run without it stands beside."
