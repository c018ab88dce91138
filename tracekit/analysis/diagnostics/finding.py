"""A diagnostic, and the finding that it makes of a recorded program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tracekit.analysis.diagnostics.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one diagnostic found. In the texts code stands in `backticks`."""

    diagnostic: str
    sentence: str
    """The finding with its numbers, names and lines."""
    advice: str
    """What to try next: one concrete step."""
    weight_ns: int
    """The time that a reader could win back, at most that of the whole run: by it findings are ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One diagnostic. Its texts are what docs/diagnostics.md is made of."""

    name: str
    looks_for: str
    """One sentence: what has to be so for it to speak."""
    silent: str
    """One sentence: what looks alike and is something else, or cannot be known from the data."""
    look: Callable[[Evidence], Iterable[Finding]]
    """Evidence -> findings, none where it has nothing to say. Raises nothing where data are missing."""
