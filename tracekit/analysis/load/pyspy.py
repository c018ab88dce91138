"""py-spy's file, `raw/pyspy.speedscope.json`, to the table `samples`.

Written by `py-spy record --format speedscope --subprocesses --idle --native --threads`. The format is
speedscope's (https://www.speedscope.app/file-format-schema.json): one sampled profile per thread, named like
`Process 123 Thread 456 "MainThread"`, whose samples are lists of indices into shared frames, root first, each
with a weight in seconds.

What the format does not have stays missing: the moment of a sample (a profile begins at 0 when its thread is
first seen, on no clock) and whether the thread was running or idle. The first two frames, which py-spy makes
up for the process and the thread, are left out of the stacks: a row has pid and tid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tracekit.analysis.load.parse import HINT, Count, Seconds, Struct, decode_file, decoder, default
from tracekit.analysis.tables import from_columns
from tracekit.core.errors import BundleCorrupt

_THREAD = re.compile(r'Process (\d{1,18}) Thread (0[xX][0-9a-fA-F]{1,15}|\d{1,18}) "(.*)"', re.DOTALL)
_MADE_UP = re.compile(r'process \d+(:".*")?|thread \(\w+\)(: .*)?', re.DOTALL)


class _Frame(Struct):
    name: str
    file: str | None = None
    line: int | None = None


class _Profile(Struct):
    type: str
    name: str
    unit: str
    samples: list[list[Count]] = default(default_factory=list)
    weights: list[Seconds] = default(default_factory=list)


class _Shared(Struct):
    frames: list[_Frame]


class _File(Struct):
    profiles: list[_Profile]
    shared: _Shared


@dataclass(frozen=True, slots=True, kw_only=True)
class PySpyFile:
    """`samples`, and `stacks`: stack_id -> its frames as `function (file:line)`, root first."""

    samples: pd.DataFrame
    stacks: dict[str, tuple[str, ...]]


_decode = decoder(_File)


def read_pyspy(path: Path, run_id: str) -> PySpyFile:
    """The file's samples, thread by thread in the order they were taken. Raises BundleCorrupt."""
    file = decode_file(_decode, path)
    labels = [_label(frame) for frame in file.shared.frames]
    made_up = [_MADE_UP.fullmatch(frame.name) is not None and not frame.file for frame in file.shared.frames]
    ids: dict[tuple[str, ...], str] = {}
    columns: dict[str, list[Any]] = {name: [] for name in ("run_id", "pid", "tid", "weight_ns", "leaf", "stack_id")}
    for profile in file.profiles:
        pid, tid = _place(profile, path)
        for sample, weight in zip(profile.samples, profile.weights, strict=True):
            if any(index >= len(labels) for index in sample):
                raise BundleCorrupt(f"{path}: a sample names a frame that does not exist", HINT)
            stack = tuple(labels[index] for index in sample if not made_up[index])
            columns["run_id"].append(run_id)
            columns["pid"].append(pid)
            columns["tid"].append(tid)
            columns["weight_ns"].append(round(weight * 1e9))
            columns["leaf"].append(stack[-1] if stack else None)
            columns["stack_id"].append(ids.setdefault(stack, f"{run_id}/{len(ids)}"))
    return PySpyFile(samples=from_columns("samples", columns), stacks={name: stack for stack, name in ids.items()})


def _place(profile: _Profile, path: Path) -> tuple[int, int]:
    """pid and tid of a profile, checked to be one that can be read at all."""
    match = _THREAD.fullmatch(profile.name)
    if match is None:
        raise BundleCorrupt(f"{path}: profile {profile.name[:80]!r} names no process and thread", HINT)
    if (profile.type, profile.unit) != ("sampled", "seconds"):
        raise BundleCorrupt(f"{path}: a profile is {profile.type} in {profile.unit}", HINT)
    if len(profile.samples) != len(profile.weights):
        raise BundleCorrupt(f"{path}: a profile has more samples than weights, or fewer", HINT)
    tid = match[2]
    return int(match[1]), int(tid, 16 if tid[:2] in ("0x", "0X") else 10)


def _label(frame: _Frame) -> str:
    """`function (file:line)`; native frames have no line, and without symbols only an address for a name."""
    where = "" if not frame.file else f" ({frame.file}:{frame.line})" if frame.line else f" ({frame.file})"
    return frame.name + where
