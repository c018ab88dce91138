"""The GIL wait estimated from py-spy's native stacks: samples of threads that were off the CPU to get the GIL.

py-spy itself reports a thread that waits for the GIL as idle, and its native stack ends in a wait of libc. That wait
is for the GIL when

  - one of the interpreter's functions that take the GIL (take_gil, PyEval_RestoreThread, ...) is on the stack above the
    last Python frame, where the build has those names;
  - a function of the interpreter's own binary waits for a condition: from 3.15 on py-spy leaves out what lies between
    it and libc, and on Linux Python has no other conditions than the GIL's, its locks being semaphores;
  - the page through which the kernel capture's uprobes return lies between a condition and its caller: they are on
    take_gil and drop_gil, and hide what called those; or
  - it lies directly on a Python frame, without a function of a C module between, and that function is none that waits
    for work (ledger/idle.py): Python code by itself blocks on nothing but the GIL. py-spy leaves the interpreter's
    own frames out, and a lock, a sleep or a read shows the C function that does it.

A thread that is the only one of its process in the samples waits for no GIL, whatever its stack looks like: libc has
waits that no symbol distinguishes.

The share of a thread's samples is multiplied by its lifetime. The interval is Wilson's for a share (E. B. Wilson, JASA
22, 1927), 95 %, as if samples were independent; they are not quite: a wait of 5 ms can be hit twice at high rates.
Samples that are missing in the lifetime, as where py-spy could not read the process, widen it by their whole share.
py-spy pauses the program for each sample and walls grow by it, so this describes the watched run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, Place
from tracekit.analysis.metrics.ledger.idle import is_idle
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.methods import PYSPY_NATIVE
from tracekit.analysis.tables import records

_FRAME = re.compile(r"(?P<name>.*?)(?: \((?P<file>[^()]*?)(?::(?P<line>\d+))?\))?", re.DOTALL)
_LIBC = re.compile(r"(?:^|/)(?:libc|libpthread|ld-linux|ld-musl)[-.]")
_WAITS = re.compile(
    r"_*(?:GI_+)?(?:pthread_cond_(?:timed|clock)?wait\w*|(?:futex|lll)_\w*|futex|syscall|0x[0-9a-fA-F]+)(?:@.*)?"
)
_TO_THE_GIL = re.compile(
    r"(?:take_gil|PyEval_RestoreThread|PyEval_AcquireThread|PyEval_AcquireLock|PyGILState_Ensure"
    r"|_PyThreadState_Attach|_?[eE]val_frame_handle_pending|_Py_HandlePending)(?:\.\w+)*"
)
_CONDITION = re.compile(r"_*(?:GI_+)?pthread_cond_(?:timed|clock)?wait(?:@.*)?")
_INTERPRETER = re.compile(r"(?:.*/)?(?:python|libpython)3(?:\.\d+)?t?(?:\.so(?:\.[\d.]+)?)?")
_UPROBES_PAGE = re.compile(r"0x(?:7fffffffe|f{8,9}e)[0-9a-f]{3}")
"""The last page but one of a process's addresses, on x86-64 and on 64-bit ARM (kernel/events/uprobes.c)."""
_Z = 1.959963984540054
"""The normal distribution's 97.5 % point."""


def estimate_from_samples(
    samples: pd.DataFrame, stacks: Mapping[str, Sequence[str]], lifetimes: pd.DataFrame
) -> dict[Place, Estimate]:
    """Per thread with samples, and per process and run over the threads that count.

    `stacks` gives the frames of each stack_id, the root first.
    """
    if not len(samples):
        return {}
    waiting = {
        stack_id for stack_id in samples["stack_id"].dropna().unique() if waits_for_gil(stacks.get(stack_id, ()))
    }
    samples = samples[[*KEYS, "weight_ns"]].assign(waits=samples["stack_id"].isin(waiting))
    samples["of_gil"] = samples["weight_ns"].where(samples["waits"], 0)
    groups = samples.groupby(KEYS)
    per_thread = pd.DataFrame(
        {"weight": groups["weight_ns"].sum(), "of_gil": groups["of_gil"].sum(), "n": groups.size()}
    ).reset_index()
    per_thread["of_gil"] = per_thread["of_gil"].where(per_thread.duplicated(KEYS[:2], keep=False), 0)
    threads = lifetimes.merge(per_thread, on=KEYS)
    threads["life"] = threads["died"] - threads["born"]
    rows = [row for row in records(threads[[*KEYS, "counts", "life", "weight", "of_gil", "n"]]) if row["life"]]
    found = {(row["run_id"], row["pid"], row["tid"]): _estimate([row]) for row in rows}
    counting: dict[Place, list[dict[str, Any]]] = {}
    for row in rows:
        if row["counts"]:
            counting.setdefault((row["run_id"],), []).append(row)
            counting.setdefault((row["run_id"], row["pid"]), []).append(row)
    return {**found, **{place: _estimate(of_place) for place, of_place in counting.items()}}


def waits_for_gil(stack: Sequence[str]) -> bool:
    """Whether a stack (frames as load writes them, the root first) is that of a thread that waits for the GIL."""
    frames = [_FRAME.fullmatch(label) for label in reversed(stack)]
    found = [(match["name"], match["file"] or "", match["line"]) for match in frames if match is not None]
    for (name, file, _), (above, its_file, _) in pairwise(found):
        if _CONDITION.fullmatch(name) and _LIBC.search(file) and its_file == "?" and _UPROBES_PAGE.fullmatch(above):
            return True
    parts = [part for part in found if not _is_between(*part)]
    at = 0
    while at < len(parts) and _is_libc_wait(*parts[at]):
        at += 1
    if not at:
        return False
    if at < len(parts) and _CONDITION.fullmatch(parts[at - 1][0]) and _INTERPRETER.fullmatch(parts[at][1]):
        return True
    for name, file, line in parts[at:]:
        if _is_python(file, line):
            return at < len(parts) and parts[at] == (name, file, line) and not is_idle(name, file)
        if _TO_THE_GIL.fullmatch(name):
            return True
    return False


def _is_libc_wait(name: str, file: str, line: str | None) -> bool:
    return not _is_python(file, line) and bool(_LIBC.search(file)) and bool(_WAITS.fullmatch(name))


def _is_between(_name: str, file: str, _line: str | None) -> bool:
    """Frames of other captures of the same run: the wait probe, and the page without a file through which a uprobe
    returns."""
    return file == "?" or file.endswith("/waits.so")


def _is_python(file: str, line: str | None) -> bool:
    return file.endswith((".py", ".pyw")) or (file.startswith("<") and line is not None)


def _estimate(threads: Sequence[Mapping[str, Any]]) -> Estimate:
    """The estimate of one thread, or the sum over several, whose intervals add up like independent errors."""
    value, below, above, count = 0.0, 0.0, 0.0, 0
    unseen = [0.0, 0.0]
    for thread in threads:
        share = thread["of_gil"] / thread["weight"] if thread["weight"] else 0.0
        low, high = compute_wilson(share, thread["n"])
        life = float(thread["life"])
        missing = max(0.0, life - thread["weight"])
        value += share * life
        below += ((share - low) * (life - missing)) ** 2
        above += ((high - share) * (life - missing)) ** 2
        # In the samples that are missing it may have waited never or always.
        unseen = [unseen[0] + share * missing, unseen[1] + (1 - share) * missing]
        count += thread["n"]
    lower, upper = max(0.0, value - unseen[0] - math.sqrt(below)), value + unseen[1] + math.sqrt(above)
    return Estimate(value=value, lower=lower, upper=upper, method=PYSPY_NATIVE, quality="estimated", n=count)


def compute_wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval (E. B. Wilson 1927) of a share found in n samples; 0..1 for n = 0."""
    if n == 0:
        return 0.0, 1.0
    centre = share + _Z * _Z / (2 * n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n))
    scale = 1 + _Z * _Z / n
    return min(share, max(0.0, (centre - half) / scale)), max(share, min(1.0, (centre + half) / scale))
