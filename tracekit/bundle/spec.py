"""What was requested: one run (`RunSpec`), and the suite of all runs of one request (`Suite`).

A spec is written to disk before anything is measured and read back by the measured process, which may be an older
Python: hence plain dataclasses and plain JSON. Unknown keys are ignored and missing ones have defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

FORMAT = 2
"""The format of spec.json, suite.json, manifest.json and the streams. One integer for the bundle as a whole.

History: 1, first format; 2, observations are records of their own with a key per dimension, and results and suites name
their report page.
"""

CLAIMS = "claims"
"""The workload of a suite of several, by which claims are judged; none has this name."""


@dataclass(frozen=True)
class RunSpec:
    """One run: its workload, its model and its capture. Times are in seconds only where a person types them."""

    suite_id: str
    run_id: str
    workload: str
    workload_target: str
    size: str
    model: str
    workers: int
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    """Every parameter of the workload, those with their default as well; empty where it has none."""
    items: str = ""
    """The Python expression that gives the items of a user's function; empty for a workload, which makes its own."""
    start_method: str = ""
    """multiprocessing's start method; empty for models that start no process."""
    capture: str = "none"
    rate_hz: int = 100
    """Of py-spy: samples per second."""
    trace_entries: int = 1_000_000
    """Of VizTracer: how many calls of a process its ring holds; when it is full the oldest are lost."""
    counters: str = "auto"
    repeat: int = 0
    """0 for the warm-up round, then 1, 2, ...; traced runs count from 1 as well."""
    warmup: bool = False
    control: bool = False
    """The run belongs to a control workload that brackets what the machine can do."""
    seed: int = 1
    timeout_s: float = 120.0
    python: str = ""
    python_label: str = ""
    extra_path: str = ""
    """Folder that holds the capture's packages when the measured interpreter has none of its own."""
    program: tuple[str, ...] = ()
    """The command that `tracekit record` runs as it is; empty for a workload. Its model is `program`."""
    duration_s: float = 0.0
    """Of a recorded program: after how long it is sent SIGTERM; 0 means never."""

    @property
    def cell(self) -> tuple[str, str, str, str, int, str, str]:
        """What must agree before runs are pooled: workload, size, parameters, model, workers, capture, interpreter."""
        return (
            self.workload,
            self.size,
            parameters_text(self.parameters),
            self.model,
            self.workers,
            self.capture,
            self.python_label,
        )

    def to_json(self) -> str:
        """One JSON object with `format`."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> RunSpec:
        """From parsed JSON; keys of a later minor addition are ignored."""
        known = {item.name for item in fields(cls)}
        given = {key: value for key, value in data.items() if key in known}
        return cls(**{**given, "program": tuple(given.get("program", ()))})


def parameters_text(parameters: Mapping[str, bool | int | float | str]) -> str:
    """`chunksize=1 skew=8`, as a user would type it; empty for none."""
    return " ".join(f"{name}={value_text(value)}" for name, value in parameters.items())


def value_text(value: bool | int | float | str) -> str:
    """A parameter's value, as a user would type it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


@dataclass(frozen=True)
class Suite:
    """All runs of one request, in the order in which they are measured.

    They are interleaved, so that drift hits every model alike.
    """

    suite_id: str
    workload: str
    size: str
    specs: tuple[RunSpec, ...]
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    """Of the workload; see RunSpec."""
    command: tuple[str, ...] = ()
    """The command line that requested it, for the report's footer."""
    page: str = ""
    """The report page of a suite whose workload cannot name it; empty where the workload does."""
    notices: tuple[tuple[str, str, str, str], ...] = field(default=())
    """What was already known to be missing before the first run: (code, severity, text, remedy)."""
