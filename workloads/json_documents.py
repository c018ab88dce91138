"""json: documents written as JSON and read again, by C code that keeps the GIL.

Shows: "it is written in C" does not mean that threads run it in parallel. The json module makes Python objects, so it
needs the GIL from beginning to end; and it does not check whether another thread requests it, so that a thread may wait
for a whole document instead of 5 ms.
Claim: threads of one process take turns where Python objects are made, processes do not.
A good answer: threads at 2 workers as slow as serial, with holds of the GIL beyond the switch interval; processes near
the ceiling.
Depends on: CPython's json and its C accelerator.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from tracekit.workload import Workload

Item = tuple[int, int]

_RECORDS = 5_000
"""Of one document: 10 ms to write it and 7 to read it, each in one call and longer than the switch interval."""


def make_items(rounds: int, seed: int) -> list[Item]:
    """16 items, each (seed of its document, rounds). The document is made in the task."""
    return [(seed * 1000 + index, rounds) for index in range(16)]


def task(item: Item) -> int:
    """Write and read a document that many times; returns a checksum of the last text."""
    seed, rounds = item
    document = _document(seed)
    text = ""
    for _ in range(rounds):
        text = json.dumps(document)
        document = json.loads(text)
    return zlib.crc32(text.encode())


def _document(seed: int) -> list[dict[str, Any]]:
    return [
        {"id": seed + number, "name": f"item {number}", "tags": ["a", "b", str(number % 7)], "price": number / 4}
        for number in range(_RECORDS)
    ]


def combine(results: Sequence[int]) -> str:
    """One checksum over all texts, in item order."""
    return f"{zlib.crc32(repr(list(results)).encode()):08x}"


WORKLOAD = Workload(
    name="json",
    summary="JSON written and read: C code that keeps the GIL",
    kind="cpu",
    sizes={"smoke": 1, "small": 2, "default": 3, "large": 30},
    make_items=make_items,
    task=task,
    combine=combine,
)
