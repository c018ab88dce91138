"""What `tracekit --help` costs beside the smallest program that uses click.

CPU time and not wall: on a busy machine the wall says how long the neighbours ran.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARE_CLICK = [
    sys.executable,
    "-c",
    "import click\n@click.command()\ndef say() -> None:\n    'Say a word.'\nsay(['--help'])",
]
TRACEKIT_HELP = [sys.executable, "-m", "tracekit", "--help"]


def cpu_seconds(argv: list[str]) -> float:
    """User and system time of one call of `argv`. Raises RuntimeError when it fails."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=ROOT)
    # wait4 and not getrusage(RUSAGE_CHILDREN): that counts every other child of a test session as well.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{argv} left with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def pairs(count: int) -> list[tuple[float, float]]:
    """(bare click, tracekit --help) in CPU seconds, one call after the other, so that drift meets both alike."""
    for argv in (BARE_CLICK, TRACEKIT_HELP):
        cpu_seconds(argv)
    return [(cpu_seconds(BARE_CLICK), cpu_seconds(TRACEKIT_HELP)) for _ in range(count)]
