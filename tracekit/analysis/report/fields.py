"""One entry of a table from one number: its text, its tag, and a footnote where it is absent."""

from __future__ import annotations

from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE, find_family
from tracekit.analysis.report.cells import Number
from tracekit.analysis.report.views import LegendItem, TableField
from tracekit.analysis.report.wording import value_text

TAGS = {"bound": "bound", "estimated": "est."}
TAG_TEXT = {
    "bound": "only the range is known; the true value lies inside it",
    "est.": "computed from samples or from other numbers, not read from a clock",
    WAITS_PROBE: "every wait that capture waits recorded, in runs interleaved with the untraced ones",
    KERNEL_UPROBE: "every wait that capture kernel recorded, in runs interleaved with the untraced ones",
    "~": "no detectable difference from serial (1x) or from the control (100 %), which the interval contains",
}

TAG_TEXT_OF_PROGRAM = {
    **{tag: TAG_TEXT[tag] for tag in ("bound", "est.")},
    WAITS_PROBE: "every wait that capture waits recorded",
    KERNEL_UPROBE: "every wait that capture kernel recorded",
}
"""The same for a recorded program, of which there is one run."""

GIL_WAIT_AS_PART = (
    "all time for which threads waited for the GIL, forced switches included, as a part of their time; under The GIL: "
    "the waits to take it, each as long as it was recorded"
)
GIL_WAIT_AS_RECORDED = (
    "the waits to take it, each as long as it was recorded; the first table adds forced switches and leaves out what "
    "threads ran inside a wait"
)
"""The two meanings of GIL wait in the report of a program, each shown where it applies."""


class Footnotes:
    """Gives one letter to each distinct reason why a number is absent."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def mark(self, reason: str) -> str:
        if not reason:
            return ""
        return self._marks.setdefault(reason, chr(ord("a") + len(self._marks) % 26))

    def legend(self) -> list[LegendItem]:
        return [LegendItem(mark=mark, text=f"not available: {reason}") for reason, mark in self._marks.items()]


def field_of(number: Number, sub: str, notes: Footnotes) -> TableField:
    """The number with what stands beneath it, or `n/a` with the reason as a footnote."""
    if not number.available:
        return TableField(main="n/a", mark=notes.mark(number.reason))
    return TableField(main=value_text(number), sub=sub, tag=TAGS.get(number.quality, ""))


def how(number: Number) -> str:
    """The tag of a GIL wait: `bound`, `est.`, or the method that recorded it."""
    return TAGS.get(number.quality) or find_family(number.method)
