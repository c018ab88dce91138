"""Bundles of format 1: their names of observations become rows, and their workloads get a report page.

Format 1 wrote an observation as a counter of scope `workload`, with its dimensions in its name and an error as an
index. This is the only file that parses such names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tracekit.analysis.load.parse import record_struct
from tracekit.analysis.load.streams import Stream
from tracekit.bundle.stream_schema import ObservationRecord

PAGES = {"claims": "claims", "crash": "faults", "holding": "footprint", "ipc": "ipc", "start-stop": "starts"}
"""The workloads of format 1 whose page does not compare models."""

_ERRORS = (
    "no error",
    "RuntimeError: can't start new thread",
    "BlockingIOError: [Errno 11] Resource temporarily unavailable",
    "OSError: [Errno 24] Too many open files",
    "MemoryError",
    "another error",
)
"""What the number of `exhaustion.*.error` was an index of."""

_Observation = record_struct(ObservationRecord)
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_IPC = re.compile(r"(?P<channel>[a-z-]+)\.(?P<count>\d+)(?P<unit>B|KiB|MiB)\.(?P<what>[a-z0-9_]+)")
_CRASH = re.compile(r"(?P<pool>\w+)(-(?P<start_method>\w+))?\.(?P<case>[a-z-]+)\.(?P<what>[a-z_]+)", re.ASCII)
_PHASE = re.compile(r"(?P<start_method>[a-z-]+)\.(?P<phase>[a-z]+)(-(?P<size>\d+))?\.(?P<what>[a-z_]+)")
_POSSIBLE = re.compile(r"(?P<start_method>[a-z-]+)\.until_(?P<case>[a-z]+)")
_EXHAUSTED = re.compile(r"exhaustion\.(?P<start_method>[a-z-]+)\.(?P<case>[a-z-]+)\.(?P<what>started|error|skipped)")


def upgrade_observations(stream: Stream, workload: str) -> None:
    """Turn the counters of scope `workload` into observations, in place."""
    old = [counter for counter in stream.counters if counter.scope == "workload"]
    if not old:
        return
    stream.counters = [counter for counter in stream.counters if counter.scope != "workload"]
    parse = _PARSERS.get(workload, _plain)
    stream.observations += [
        _Observation(**{"value": counter.value, "unit": counter.unit, **parse(counter.counter, counter.value)})
        for counter in old
    ]


def _plain(name: str, _: float) -> dict[str, Any]:
    return {"what": name}


def _ipc(name: str, _: float) -> dict[str, Any]:
    found = _IPC.fullmatch(name)
    if found is None:
        return {"what": name}
    size = int(found["count"]) * _UNITS[found["unit"]]
    return {"what": found["what"], "channel": found["channel"], "size": size}


def _crash(name: str, _: float) -> dict[str, Any]:
    return _given(_CRASH.fullmatch(name), name)


def _holding(name: str, value: float) -> dict[str, Any]:
    if found := _EXHAUSTED.fullmatch(name):
        exhausted = {**_given(found, name), "phase": "exhausted"}
        if found["what"] == "started":
            return exhausted
        error = _ERRORS[max(0, min(round(value), len(_ERRORS) - 1))]
        return {**exhausted, **_text(error if found["what"] == "error" else "stderr.log of the run says why")}
    if found := _POSSIBLE.fullmatch(name):
        return {**_given(found, name), "what": "workers_possible"}
    given = _given(_PHASE.fullmatch(name), name)
    return {**given, "size": int(given["size"])} if "size" in given else given


def _given(found: re.Match[str] | None, name: str) -> dict[str, Any]:
    """The groups that matched something; a name of another form is an observation without dimensions."""
    groups: Mapping[str, str | None] = {"what": name} if found is None else found.groupdict()
    return {key: value for key, value in groups.items() if value is not None}


def _text(text: str) -> dict[str, Any]:
    return {"value": None, "unit": "", "text": text}


_PARSERS: dict[str, Callable[[str, float], dict[str, Any]]] = {"crash": _crash, "holding": _holding, "ipc": _ipc}
