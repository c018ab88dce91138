"""Report pages: one room per kind of suite. An Analysis goes in, one `PageView` comes out; all renderers can write it.

A workload names its page (`Workload(page=...)`): a name of PAGES, of the entry-point group `tracekit.pages` of an
installed package, or `module:attribute`. A page is a function (Analysis) -> PageView | None; None means that the suite
has none of its numbers, and the page that compares models is shown.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from tracekit.core.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracekit.analysis.metrics.analysis import Analysis
    from tracekit.analysis.report.views import PageView

    Page = Callable[[Analysis], PageView | None]

_HERE = "tracekit.analysis.report.pages"

COMPARISON = "comparison"
PAGES = Registry(
    "page",
    {
        COMPARISON: (f"{_HERE}.comparison.page:build_page", "models compared: walls, speed-ups, what-if"),
        "program": (f"{_HERE}.program.page:build_page", "a recorded program: its processes, threads and waits"),
        "claims": (f"{_HERE}.claims.page:build_page", "claims about threads and processes, judged by experiments"),
        "faults": (f"{_HERE}.faults.page:build_page", "the consequences of a failing worker: a matrix"),
        "ipc": (f"{_HERE}.ipc.page:build_page", "messages by channel and size: round trip, throughput, pickling"),
        "starts": (f"{_HERE}.starts.page:build_page", "the start and the end of a worker, stage by stage"),
        "footprint": (f"{_HERE}.footprint.page:build_page", "memory and descriptors of a worker, and the limits"),
    },
)
GROUP = "tracekit.pages"


def load_page(name: str) -> Page:
    """The page of that name. Raises UsageError for an unknown name or one that cannot be imported."""
    announced = {item.name: item.value for item in entry_points(group=GROUP)}
    page: Page = PAGES.load(name if name in PAGES else announced.get(name, name))
    return page
