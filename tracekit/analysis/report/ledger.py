"""Ledgers as the report shows them: the time of some threads, divided into parts that add up to it.

    thread_wall_ns = on-CPU + GIL wait + ... + idle + unattributed

All parts of one ledger are by one method; what it cannot attribute is in `unattributed` or `blocked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tracekit.analysis.metrics.ledger import parts as ledger_parts
from tracekit.analysis.metrics.methods import rank
from tracekit.analysis.report.cells import Number, ReportCell
from tracekit.core.units import format_ns

WHOLE = ledger_parts.WALL
PARTS = ledger_parts.PARTS
UNATTRIBUTED = ledger_parts.UNATTRIBUTED

_WAITS_FIRST = (ledger_parts.GIL, ledger_parts.BLOCKED, ledger_parts.RUN_QUEUE)

NAMES = {
    ledger_parts.ON_CPU: "on-CPU",
    ledger_parts.GIL: "GIL wait",
    ledger_parts.LOCK: "lock wait",
    ledger_parts.IO: "I/O",
    ledger_parts.POLL: "poll",
    ledger_parts.SLEEP: "sleep",
    ledger_parts.CHILD: "child wait",
    ledger_parts.RUN_QUEUE: "run-queue wait",
    ledger_parts.STEAL: "steal",
    ledger_parts.BLOCKED: "blocked",
    ledger_parts.IDLE: "idle",
    UNATTRIBUTED: "unattributed",
}
"""Part -> its name in the report, in the order in which bars are stacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRows:
    """`parts`: ns by metric, only those that are known. `whole`: their sum. `idle_rule`: what counts as idle here.

    `least`: those of which only the least is known, because a thread was killed; `about`: those of which less and more
    is possible, because a window cut a thread's life.

    `unseen`: why the GIL wait is not known, `lacking`: why each part is not; empty when they are.
    """

    parts: Mapping[str, float]
    whole: float
    method: str
    n: int
    idle_rule: str
    unseen: str
    lacking: Mapping[str, str]
    least: frozenset[str] = frozenset()
    about: frozenset[str] = frozenset()

    def share(self, part: str) -> float:
        """0..1; unattributed may be below 0, where clocks disagree."""
        return self.parts.get(part, 0.0) / self.whole if self.whole else 0.0

    @property
    def busy(self) -> float:
        """All of it but idleness, ns."""
        return self.whole - self.parts.get(ledger_parts.IDLE, 0.0)

    @property
    def largest(self) -> tuple[str, ...]:
        """The parts but unattributed, those that took most time first."""
        known = [part for part in self.parts if part != UNATTRIBUTED and self.parts[part] > 0]
        return tuple(sorted(known, key=lambda part: -self.parts[part]))

    @property
    def sentence(self) -> str:
        """All parts in words: `on-CPU 49 %, GIL wait 49 %, idle 1 %, unattributed 0.2 %`."""
        shares = [f"{NAMES[part]} {self.share(part) * 100:.0f} %" for part in self.largest]
        return ", ".join([*shares, f"unattributed {unattributed_text(self)}"])


def ledger_of(numbers: Mapping[str, Number]) -> LedgerRows | None:
    """From numbers by metric; None when the whole is not known."""
    known = {part: numbers[part] for part in PARTS if part in numbers and numbers[part].available}
    parts = {part: number.centre or 0.0 for part, number in known.items()}
    whole = numbers[WHOLE].centre if WHOLE in numbers and numbers[WHOLE].available else None
    whole = sum(parts.values()) if whole is None else whole
    if not parts or whole <= 0:
        return None
    # The whole and the CPU time are read from clocks: the method of the waits is the one to name.
    by = next((known[part] for part in _WAITS_FIRST if part in known), next(iter(known.values())))
    idle = known.get(ledger_parts.IDLE)
    gil = numbers.get(ledger_parts.GIL)
    return LedgerRows(
        parts=parts,
        whole=whole,
        method=by.method,
        n=max(number.n for number in known.values()),
        idle_rule=idle.reason if idle is not None and idle.reason.startswith("idle") else "",
        unseen="" if gil is None or gil.available else gil.reason,
        least=frozenset({ledger_parts.ON_CPU} if _is_bound(known.get(ledger_parts.ON_CPU), least=True) else ()),
        about=frozenset({ledger_parts.ON_CPU} if _is_bound(known.get(ledger_parts.ON_CPU), least=False) else ()),
        lacking={part: numbers[part].reason for part in PARTS if part in numbers and not numbers[part].available},
    )


def ledger_of_cell(cell: ReportCell) -> LedgerRows | None:
    """The most detailed ledger of the cell and its twins: the one with more parts, then the better method."""
    found = [_from(each) for each in (cell, *cell.twins)]
    return min((ledger for ledger in found if ledger), key=_by_detail, default=None)


def sum_ledgers(ledgers: Sequence[LedgerRows]) -> LedgerRows | None:
    """The ledger of several places together; a part that one of them lacks is known at least."""
    if not ledgers:
        return None
    names = dict.fromkeys(part for ledger in ledgers for part in ledger.parts)
    return replace(
        ledgers[0],
        parts={part: sum(ledger.parts.get(part, 0.0) for ledger in ledgers) for part in names},
        whole=sum(ledger.whole for ledger in ledgers),
        least=frozenset(part for part in names for each in ledgers if part in each.least or part not in each.parts),
        about=frozenset(part for each in ledgers for part in each.about),
    )


def unattributed_text(ledger: LedgerRows) -> str:
    """As a share with the digits that 2 % need: `0.2 %`, `-0.1 %`, `3 %`."""
    share = ledger.share(UNATTRIBUTED) * 100
    return f"{share:.0f} %" if abs(share) >= 10 else "0 %" if abs(share) < 0.05 else f"{share:.1f} %"


def rules(ledgers: Iterable[LedgerRows]) -> str:
    """A caption's sentences on these ledgers: the methods, the idle rule, and why some parts are not known."""
    given = list(ledgers)
    idle = list(dict.fromkeys(ledger.idle_rule for ledger in given if ledger.idle_rule))
    unseen = list(dict.fromkeys(ledger.unseen for ledger in given if ledger.unseen))
    methods = list(dict.fromkeys(ledger.method for ledger in given if ledger.method))
    sentences = [
        f"By {' and '.join(methods)}." if methods else "",
        *(f"{text[:1].upper()}{text[1:]}." for text in idle),
        *(f"GIL wait is {text}." for text in unseen),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def amount_text(ledger: LedgerRows, part: str) -> str:
    """`1.20 s (49 %)` of one part."""
    least = "at least " if part in ledger.least else "about " if part in ledger.about else ""
    return f"{least}{format_ns(ledger.parts.get(part, 0.0))} ({ledger.share(part) * 100:.0f} %)"


def _is_bound(number: Number | None, *, least: bool) -> bool:
    """Whether more of it is possible; with `least` nothing less, without it less as well."""
    if number is None or number.quality != "bound":
        return False
    lower, centre, upper = (end or 0.0 for end in (number.lower, number.centre, number.upper))
    return upper > lower and least == (lower == centre)


def _from(cell: ReportCell) -> LedgerRows | None:
    numbers = {name: cell.number(name) for name in (WHOLE, *PARTS)}
    return ledger_of(numbers)


def _by_detail(ledger: LedgerRows) -> tuple[int, int]:
    return (-len(ledger.parts), rank(ledger.method))
