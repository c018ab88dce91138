"""Links inside a page: from the words and numbers of the answer to the part that explains them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from tracekit.analysis.report.views import PageView, ReportView

_AMOUNT = r" (?:at least |≥ )?\d[\d.,–]* ?(?:%|s|ms|µs|ns)(?: \([^()]*\))?"
PHRASES = tuple(
    (re.compile(pattern), places)
    for pattern, places in (
        (
            rf"\bwait(?:s|ed)?(?:{_AMOUNT})? for the GIL\b(?: less than)?(?: \d[\d–]* % of the time)?"
            rf"|\bGIL wait\b(?:{_AMOUNT})?|\bwaited{_AMOUNT} for (?:it|that)\b|\bGIL was kept for up to{_AMOUNT}",
            ("attribution", "gil", "figure-thread-time"),
        ),
        (
            rf"\b(?:lock wait|I/O|child wait|poll|sleep|idle|blocked){_AMOUNT}|\bnothing moved\b"
            rf"|\bwaited{_AMOUNT}(?! for (?:it|that|the GIL)\b)|\bwaited for one thing longer than{_AMOUNT}",
            ("sites", "figure-thread-time"),
        ),
        (
            rf"\bwaited for a CPU\b(?: \d+ % of its time)?|\b(?:on-CPU|run-queue wait|steal){_AMOUNT}"
            rf"|\bon a CPU for{_AMOUNT}|\bused{_AMOUNT} of CPU time\b|\d+ native threads?",
            ("figure-thread-time",),
        ),
        (r"\d[\d.,]*x(?: as fast as serial)?|\bno faster\b|\bslower than serial\b", ("figure-speedup",)),
        (r"\btoo \w+ to tell\b|\bnot free all the time\b|\bwas interrupted\b", ("notices",)),
        (r"\btoo few for an interval\b", ("figure-walls",)),
        (r"\d[\d.]* % is unattributed\b", ("caveats",)),
        (r"\blongest stages\b", ("stages",)),
        (r"\bround trip\b", ("figure-round-trips", "summary")),
        (r"\bThroughput\b|\bPickling\b", ("channels",)),
        (r"\bgarbage collection\b", ("summary",)),
    )
)
"""What a sentence says -> the parts of a page that explain it, the best first."""

_END = (
    ("notices", "Notices"),
    ("caveats", "When not to trust it"),
    ("methods", "How each number was obtained"),
    ("environment", "Environment"),
    ("command", "The exact command"),
    ("every", "Every number"),
)


def list_contents(view: ReportView) -> list[tuple[str, str]]:
    """(id, title) of each section of the page, in its order."""
    absent = {} if view.methods else {"methods"}
    return [
        ("summary", "Summary"),
        *([("figures", "Figures")] if has_figures(view) else []),
        *((section.slug, section.title) for section in view.sections),
        *([("by-workers", "By worker count")] if view.by_workers else []),
        *(item for item in _END if item[0] not in absent),
    ]


def list_places(view: ReportView) -> frozenset[str]:
    """Every id that a link may lead to."""
    figures = (f"figure-{figure.slug}" for figure in view.every_figure)
    return frozenset([*(place for place, _ in list_contents(view)), *figures])


def has_figures(view: PageView) -> bool:
    """Whether the page has a section of figures."""
    return any(block.figures or block.missing for block in view.figures)


def find_place(places: Collection[str], candidates: Iterable[str], number: int = 1) -> str:
    """The first of the candidates that the page has, of several groups that of this number; empty without any."""
    for name in candidates:
        for found in (name, f"{name}-{number}", f"{name}-1"):
            if found in places:
                return found
    return ""


def find_phrases(text: str, places: Collection[str], number: int = 1) -> Iterator[tuple[int, int, str]]:
    """(begin, end, place) of each phrase that a part of the page explains, in the order of the text."""
    found = [
        (match.start(), match.end(), place)
        for pattern, candidates in PHRASES
        if (place := find_place(places, candidates, number))
        for match in pattern.finditer(text)
    ]
    last = 0
    for begin, end, place in sorted(found):
        if begin >= last:
            yield begin, end, place
            last = end
