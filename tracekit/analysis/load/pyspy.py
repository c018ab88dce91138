"""Reads py-spy's file, `raw/pyspy.speedscope.json`, into the table `samples`.

Written by `py-spy record --format speedscope --subprocesses --idle --native --threads`. The format is speedscope's
(https://www.speedscope.app/file-format-schema.json): one sampled profile per thread, named like
`Process 123 Thread 456 "MainThread"`, whose samples are lists of indexes into shared frames, root first, each with a
weight in seconds.

The format has neither the time of a sample (a profile begins at 0 when py-spy first finds its thread, on no clock) nor
whether the thread was running or idle: these columns stay missing. The first two frames, which py-spy adds for the
process and the thread, are left out of the stacks, because a row has pid and tid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.parse import Count, Seconds, Struct, decode_file, decoder, default
from tracekit.analysis.tables import from_columns
from tracekit.bundle.files import HINT, is_there
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import BundleCorrupt

_THREAD = re.compile(r'Process (\d{1,18}) Thread (0[xX][0-9a-fA-F]{1,15}|\d{1,18}) "(.*)"', re.DOTALL)
_ADDED = re.compile(r'process \d+(:".*")?|thread \(\w+\)(: .*)?', re.DOTALL)


class _SpeedscopeFrame(Struct):
    name: str
    file: str | None = None
    line: int | None = None


class _SpeedscopeProfile(Struct):
    type: str
    name: str
    unit: str
    samples: list[list[Count]] = default(default_factory=list)
    weights: list[Seconds] = default(default_factory=list)


class _SharedFrames(Struct):
    frames: list[_SpeedscopeFrame]


class _SpeedscopeFile(Struct):
    profiles: list[_SpeedscopeProfile]
    shared: _SharedFrames


@dataclass(frozen=True, slots=True, kw_only=True)
class PySpyFile:
    """One file: rows of `samples`, and the stacks that they refer to."""

    samples: pd.DataFrame
    stacks: dict[str, tuple[str, ...]]
    """stack_id -> its frames as `function (file:line)`, root first."""


_decode = decoder(_SpeedscopeFile)


def add_samples(bundle: Bundle, spec: RunSpec, columns: Columns) -> None:
    """Add the bundle's stack samples, some hundred per second. Raises BundleCorrupt."""
    path = bundle.pyspy_profile
    if is_there(path):
        found = read_pyspy(path, spec.run_id)
        columns.add_frame("samples", found.samples)
        columns.stacks.update(found.stacks)


def read_pyspy(path: Path, run_id: str) -> PySpyFile:
    """Read the samples, thread by thread in order of time. Raises BundleCorrupt."""
    file = decode_file(_decode, path)
    labels = [_format_frame(frame) for frame in file.shared.frames]
    is_added = [_ADDED.fullmatch(frame.name) is not None and not frame.file for frame in file.shared.frames]
    ids: dict[tuple[str, ...], str] = {}
    columns: dict[str, list[Any]] = {name: [] for name in ("run_id", "pid", "tid", "weight_ns", "leaf", "stack_id")}
    for profile in file.profiles:
        pid, tid = _parse_thread(profile, path)
        for sample, weight in zip(profile.samples, profile.weights, strict=True):
            if any(index >= len(labels) for index in sample):
                raise BundleCorrupt(f"{path}: a sample names a frame that does not exist", HINT)
            stack = tuple(labels[index] for index in sample if not is_added[index])
            columns["run_id"].append(run_id)
            columns["pid"].append(pid)
            columns["tid"].append(tid)
            columns["weight_ns"].append(round(weight * 1e9))
            columns["leaf"].append(stack[-1] if stack else None)
            columns["stack_id"].append(ids.setdefault(stack, f"{run_id}/{len(ids)}"))
    return PySpyFile(samples=from_columns("samples", columns), stacks={name: stack for stack, name in ids.items()})


def _parse_thread(profile: _SpeedscopeProfile, path: Path) -> tuple[int, int]:
    """pid and tid of a profile. Raises BundleCorrupt for a profile that is not as py-spy writes it."""
    match = _THREAD.fullmatch(profile.name)
    if match is None:
        raise BundleCorrupt(f"{path}: profile {profile.name[:80]!r} names no process and thread", HINT)
    if (profile.type, profile.unit) != ("sampled", "seconds"):
        raise BundleCorrupt(f"{path}: a profile is {profile.type} in {profile.unit}", HINT)
    if len(profile.samples) != len(profile.weights):
        raise BundleCorrupt(f"{path}: a profile has more samples than weights, or fewer", HINT)
    tid = match[2]
    return int(match[1]), int(tid, 16 if tid[:2] in ("0x", "0X") else 10)


def _format_frame(frame: _SpeedscopeFrame) -> str:
    """`function (file:line)`. A native frame has no line, and without symbols its name is an address."""
    where = "" if not frame.file else f" ({frame.file}:{frame.line})" if frame.line else f" ({frame.file})"
    return frame.name + where
