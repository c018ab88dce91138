"""files: write a file, wait until it is on the disk, read it back.

Shows: waiting for a disk needs neither CPU nor GIL; every model can wait for several files at once, threads at the
lowest cost. The gain depends on the disk: one that takes one request at a time gains nothing from workers.
Claim: for work that waits, threads do as well as processes and start faster.
A good answer: threads and processes alike, faster than serial where the disk can do several things at once.
Depends on: the file system behind the folder for temporary files (TMPDIR): on tmpfs nothing is waited for.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Sequence

from tracekit.workload import Parameter, Workload

Item = tuple[int, int, int, bool]


def make_items(rounds: int, seed: int, *, kilobytes: int, fsync: bool) -> list[Item]:
    """16 items, each (first byte, rounds, KiB, whether to wait for the disk)."""
    return [((seed + index) % 251, rounds, kilobytes, fsync) for index in range(16)]


def task(item: Item) -> int:
    """Write and read a temporary file that many times; returns a checksum of the data."""
    first, rounds, kilobytes, fsync = item
    data = bytes([first, (first + 1) % 256]) * (512 * kilobytes)
    # It has no name, so that nothing is left of it when the worker is killed.
    with tempfile.TemporaryFile(prefix="tk-files-", buffering=0) as file:
        for _ in range(rounds):
            file.seek(0)
            file.write(data)
            if fsync:
                os.fsync(file.fileno())
            file.seek(0)
            data = file.read(len(data)) or b""
    return zlib.crc32(data)


def combine(results: Sequence[int]) -> str:
    """One checksum over all files, in item order."""
    return f"{zlib.crc32(repr(list(results)).encode()):08x}"


WORKLOAD = Workload(
    name="files",
    summary="files written, synced to the disk and read back: waits for the disk",
    kind="io",
    sizes={"smoke": 1, "small": 10, "default": 80, "large": 800},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(
        Parameter("kilobytes", 256, "size of a file", unit="KiB", least=1, most=1_048_576),
        Parameter("fsync", True, "wait until the disk has it"),
    ),
)
