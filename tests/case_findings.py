"""What the reports of the programs of tests/cases/ have to say, and which diagnostics must not speak of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.diagnostics import DIAGNOSTICS

Rows = Sequence[dict[str, Any]]

OF_MACHINE = "no-cpu"
"""The diagnostic that is about the machine, not about the case."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the report of a recorded program has to say, and which other diagnostics may speak of it, before it as well.

    `says`: a regular expression of its sentence. `whole`: whether that is all of the case's answer. What a busy
    machine did to it (no-cpu) may be said anywhere.
    """

    first: str
    says: str
    may: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    whole: bool = True


_GIL = frozenset(("long-gil-holds", "gil-convoy", "gil-turns"))

SPEAKS: dict[str, Spoken] = {
    "blas_threads": Spoken("", "^Nothing kept it waiting"),
    "long_hold": Spoken("long-gil-holds", r"by hog in `hog` \(cases/long_hold.py:6\): ticker waited"),
    # Which threads waited for work and which slept is not told apart, and the headline still has reads and a lock.
    "waiting_for_work": Spoken(
        "idle-run", r"^This run was idle: .*its 8 threads slept or waited for something to come", whole=False
    ),
    "join_before_get": Spoken(
        "hang",
        r"nothing moved, until it was asked to end 3\.\d+ s later: .* in a write of fd \d+ for 3\.\d+ s, .* had waited "
        r"3\.\d+ s for .* to end and main thread had waited 3\.\d+ s for \S+ to end",
        options=("--duration", "4"),
    ),
    "fork_beside_lock": Spoken(
        "hang",
        r"\S+ had waited [34]\.\d+ s for a lock in `child` .* can release that lock: it was forked beside 1",
        options=("--duration", "5"),
    ),
    # Of the README's answer the coroutine that computes is missing, and the heartbeat's delay.
    "blocked_loop": Spoken("event-loop", r"it slept for 3\d\d ms in `sleeps_in_coroutine`", _GIL, whole=False),
    # How long pickling takes is CPU time that is not told apart.
    "big_items_pool": Spoken("", "", _GIL | {"io-bound"}, whole=False),
    "start_with_data": Spoken("start-data", r"waited \d+ ms in 2 writes", words=("spawn",), whole=False),
    "named_holders": Spoken(
        "long-gil-holds",
        r"by regex_scan in `match` \(re/__init__.py:\d+\), called in `regex_scan` \(cases/named_holders.py:10\)",
        _GIL,
    ),
    # The lock has no name yet.
    "contended_lock": Spoken(
        "lock-contention",
        r"in `wants_it` .* waiter-\d .* until owner released it in `keeps_it`",
        whole=False,
    ),
    "many_threads": Spoken("", "", _GIL | {"lock-contention"}, whole=False),
}
"""The programs of which diagnostics are tried."""


def judge_findings(found: Rows, wanted: Spoken) -> list[str]:
    """What is wrong with what was said: another answer, or a diagnostic that must not speak."""
    own = [row for row in found if row["diagnostic"] != OF_MACHINE]
    wrong = sorted({row["diagnostic"] for row in own} - {"", wanted.first} - wanted.may)
    faults = [f"{name} must not speak" for name in wrong]
    said = [row["sentence"] for row in own if row["diagnostic"] == wanted.first]
    # Where only the machine is to blame nothing was found either.
    if not said and (wanted.first or not (wanted.may or found)):
        faults.append(f"{wanted.first or 'the sentence that nothing was found'} is missing")
    return [*faults, *(f"it says: {text}" for text in said[:1] if not re.search(wanted.says, text))]


def draw_matrix(spoken: Mapping[str, Sequence[str]]) -> list[str]:
    """Which diagnostic spoke on which case: its place in the report, with `!` where it must not; `.` for silence."""
    rows = {name: spoke for name, spoke in spoken.items() if name in SPEAKS}
    wide = max(map(len, rows), default=0)
    lines = [f"{'':<{wide}}  {'|  ' * index}{name}" for index, name in enumerate(DIAGNOSTICS)]
    for name, spoke in rows.items():
        wanted = {SPEAKS[name].first, *SPEAKS[name].may, OF_MACHINE}
        marks = [
            f"{f'{spoke.index(diagnostic) + 1}' if diagnostic in spoke else '.'}"
            f"{'!' if diagnostic in spoke and diagnostic not in wanted else ' '}"
            for diagnostic in DIAGNOSTICS
        ]
        lines.append(f"{name:<{wide}}  {' '.join(marks)}".rstrip())
    return lines
