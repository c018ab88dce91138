"""What a report says, apart from its layout: what the pages make and the renderers write.

All text is plain text, which renderers escape. An absent number is the text `n/a` with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Half a second to import, which tables, exports and errors have no use for.
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer in one sentence: `lead` is what was found, `rest` what it is compared with or why.

    `outcome`: threads, processes, ... (the family that wins), `level` (no detectable change), `slower`, `unsure`
    (too few repeats, or `lead` is a doubt), `compared` (two interpreters), `no-serial`,
    `serial-only` or `none` (no usable run).
    """

    label: str
    outcome: str
    lead: str
    rest: str

    @property
    def sentence(self) -> str:
        return f"{self.lead}{self.rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """What a diagnostic found, and what to try next. Code stands in `backticks`.

    `weight_ns`: the time that could be won back. Only the sentence that nothing was found has neither of the others.
    """

    sentence: str
    advice: str = ""
    diagnostic: str = ""
    weight_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TableField:
    """One entry of a table: the number, what stands beneath it, a quality tag and a footnote mark.

    `words`: it is text, which may take several lines.
    """

    main: str
    sub: str = ""
    tag: str = ""
    mark: str = ""
    words: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row of a table: `label` with `detail` beneath it; `family` picks its colour.

    `folded`: the rows that this one sums up, which a page shows on demand.
    """

    family: str
    label: str
    detail: str
    fields: tuple[TableField, ...]
    folded: tuple[TableRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Rows that may be compared with one another; `label` is empty when there is only one group."""

    label: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendItem:
    """What a tag or a footnote mark in the table means."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """A table with its caption and legend. `columns` are (name, what stands beneath the number).

    `prose`: its fields are sentences, so that a terminal writes a block per row. `closed`: it says in detail what the
    page has said before, and is shown on demand. `explained`: the name of a column -> the parts of the page that
    explain its numbers, the best first.
    """

    title: str
    caption: str
    columns: tuple[tuple[str, str], ...]
    groups: tuple[RowGroup, ...]
    legend: tuple[LegendItem, ...]
    prose: bool = False
    closed: bool = False
    explained: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryRow:
    """One line of the table of every number."""

    metric: str
    value: str
    interval: str
    n: str
    quality: str
    method: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryCell:
    """All numbers of one cell."""

    label: str
    rows: tuple[EveryRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlameFrame:
    """One box of a flame graph: left edge and width as parts of the whole, level (0 on top), colours of it and its
    name."""

    name: str
    time: str
    left: float
    width: float
    level: int
    colour: str
    ink: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureView:
    """A figure: `slug`.png, its title and caption, and `alt`, which says in words what it shows.

    `closed`: it lists what the page has said before, and is shown on demand.
    `frames`: what a flame graph is made of, and `legend` its (colour, meaning), so that a page can draw it itself.
    """

    slug: str
    title: str
    caption: str
    alt: str
    figure: Figure
    closed: bool = False
    frames: tuple[FlameFrame, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFigure:
    """A figure that could not be drawn, and why."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureGroup:
    """The figures of one operating system and interpreter; `label` is empty when there is only one.

    `in_pairs`: each two are about the same and stand side by side.
    """

    label: str
    figures: tuple[FigureView, ...]
    missing: tuple[MissingFigure, ...]
    in_pairs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file beside the page: its name, a description, its content."""

    name: str
    about: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One subject: sentences, figures, tables and files. In `sentences` code stands in `backticks`.

    `slug` names it in addresses; a terminal shows the last `lead` sentences, and the tables where `in_terminal`.
    """

    slug: str
    title: str
    sentences: tuple[str, ...] = ()
    figures: FigureGroup | None = None
    tables: tuple[TableView, ...] = ()
    downloads: tuple[Download, ...] = ()
    lead: int = 0
    in_terminal: bool = False


def table_section(slug: str, title: str, table: TableView | None, *, in_terminal: bool = False) -> Section | None:
    """A section of one table; None without the table."""
    return None if table is None else Section(slug=slug, title=title, tables=(table,), in_terminal=in_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeView:
    """A notice, the number of runs that it is about, and its remedy; empty where another notice's comes first."""

    severity: str
    code: str
    text: str
    remedy: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodView:
    """How one metric is obtained: what it is, how it is computed, the methods that this suite's rows name.

    `first`: it stands in one of the tables."""

    metric: str
    summary: str
    method: str
    here: str
    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FactGroup:
    """Facts about the machine or one interpreter, as (name, value)."""

    label: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """What one kind of suite shows: what a page of `pages.PAGES` returns.

    `findings`: the answers, below the verdicts, the first one first. `caveats`: sentences that say when not to trust
    the numbers. `by_workers`: the summary for other worker counts.
    `captures`: the probe effects.
    """

    verdicts: tuple[Verdict, ...]
    summary: TableView
    figures: tuple[FigureGroup, ...]
    sections: tuple[Section, ...]
    caveats: tuple[str, ...]
    methods: tuple[MethodView, ...] = ()
    findings: tuple[FindingView, ...] = ()
    by_workers: tuple[TableView, ...] = ()
    captures: TableView | None = None

    @property
    def every_figure(self) -> tuple[FigureView, ...]:
        """All figures in reading order."""
        blocks = [*self.figures, *(section.figures for section in self.sections if section.figures)]
        return tuple(figure for block in blocks for figure in block.figures)

    @property
    def downloads(self) -> tuple[Download, ...]:
        """All files beside the page that the sections link to."""
        return tuple(item for section in self.sections for item in section.downloads)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView(PageView):
    """The whole report: a page, and what every report shows."""

    title: str
    subtitle: str
    notices: tuple[NoticeView, ...]
    environment: tuple[FactGroup, ...]
    command: str
    every: tuple[EveryCell, ...]
    suite_id: str
    version: str

    @property
    def every_count(self) -> int:
        """How many numbers `every` has."""
        return sum(len(cell.rows) for cell in self.every)
