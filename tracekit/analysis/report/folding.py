"""Folding: what is less than 1 % of the whole becomes one row, which says how much it is together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

LEAST = 0.01
"""Part of the whole from which on a row stands for itself."""
MOST_FOLDED = 50
"""Folded rows that a page still has; a file beside it has all."""


def fold(items: Sequence[Item], share: Callable[[Item], float], most: int) -> tuple[Sequence[Item], Sequence[Item]]:
    """(shown, folded), in their order: at most `most` are shown, none that is small unless all are. One alone is never
    folded: its row would be as long.
    """
    small = [share(item) < LEAST for item in items]
    large = [place for place, is_small in enumerate(small) if not is_small or all(small)][:most]
    rest = [item for place, item in enumerate(items) if place not in set(large)]
    return (items, ()) if len(rest) <= 1 else ([items[place] for place in large], rest)


def fine_percent(part: float) -> str:
    """A small part of a whole with a decimal: `0.8 %`."""
    return "<0.1 %" if 0 < part < 0.0005 else f"{part * 100:.1f} %" if part < 0.095 else f"{part * 100:.0f} %"
