"""What the numbers were measured on: the machine once, then each interpreter."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tracekit.analysis.metrics.cells.cell_runs import is_program
from tracekit.analysis.metrics.lifetimes import NATIVE
from tracekit.analysis.metrics.number_notices import finite
from tracekit.analysis.report.views import FactGroup
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.names import SEE_WAITS, split_capture
from tracekit.core.units import format_ns, significant


def environments(suite: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """One environment per operating system and interpreter; empty when none was recorded."""
    found = suite.get("environments") or []
    return tuple(item for item in found if isinstance(item, dict))


def cpus(environment: Mapping[str, Any]) -> int | None:
    """How many CPUs the runs could use at once (affinity and quota applied)."""
    value = finite(environment, "usable_cpus") or finite(environment, "logical_cpus")
    return int(value) if value is not None and value >= 1 else None


def began(suite: Mapping[str, Any]) -> str:
    """When the first environment was recorded, as a date and time in UTC; empty when it was not."""
    for environment in environments(suite):
        clocks = environment.get("clocks")
        stamp = finite(clocks, "realtime_ns") if isinstance(clocks, dict) else None
        # Until the year 9999, which is all that datetime can say.
        if stamp is not None and 0 < stamp < 2.5e20:
            return datetime.fromtimestamp(stamp // 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    return ""


def fact_groups(suite: Mapping[str, Any]) -> tuple[FactGroup, ...]:
    """One block per machine, one per interpreter. A fact that was not recorded reads `not recorded`."""
    blocks: dict[str, FactGroup] = {}
    for environment in environments(suite):
        machine = FactGroup(label=_text(environment.get("os")), facts=_machine(environment))
        blocks.setdefault(f"machine {machine}", machine)
    several = len({environment.get("os") for environment in environments(suite)}) > 1
    for environment in environments(suite):
        python = environment.get("python")
        known = environment.get("python_label") or (python.get("version") if isinstance(python, dict) else None)
        # A shell that was recorded has none.
        if isinstance(python, dict) and known:
            system = f"{_text(environment.get('os'))} · " if several else ""
            label = f"{system}Python {_text(known)}"
            blocks.setdefault(f"python {label}", FactGroup(label=label, facts=_python(python)))
    return tuple(blocks.values())


def _machine(environment: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    quota = environment.get("cgroup_cpus")
    tools = environment.get("tools")
    listed = ", ".join(f"{name} {version}" for name, version in tools.items()) if isinstance(tools, dict) else ""
    return (
        ("Operating system", _joined(environment, "os", "os_release")),
        ("Kernel", _joined(environment, "kernel", "machine")),
        ("CPU", _text(environment.get("cpu_model"))),
        ("Logical CPUs", _text(environment.get("logical_cpus"))),
        ("CPUs by affinity", _text(environment.get("affinity_cpus"))),
        ("CPUs by cgroup quota", "no quota" if quota is None else _text(quota)),
        ("Load average before and after", _pair(environment, "load_before", "load_after")),
        ("CPU time stolen by the hypervisor", _stolen(environment)),
        ("Tools", listed or "not recorded"),
        ("Environment variables", _variables(environment.get("variables"))),
    )


def _python(python: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    interval = finite(python, "switch_interval_s")
    # That of a program is known from its last wait for the GIL.
    interval = finite(python, "switch_interval_seen_s") if interval is None else interval
    return (
        ("Version", _joined(python, "implementation", "version")),
        ("Build", _text(python.get("build"))),
        ("Executable", _text(python.get("executable"))),
        ("GIL", _gil(python)),
        (
            "Switch interval",
            "not recorded" if interval is None else format_ns(interval * 1e9),
        ),
        ("Start method by default", _text(python.get("start_method_default"))),
    )


def program_facts(tables: Tables) -> tuple[FactGroup, ...]:
    """What is known of a recorded program's processes and threads; none of a suite of models, nor where no capture
    sees processes."""
    runs = records(tables.runs)
    if len(runs) != 1 or not is_program(runs[0]) or not SEE_WAITS & split_capture(str(runs[0]["capture"])):
        return ()
    children = [row for row in records(tables.processes) if row["role"] != "main"]
    executed = sum(row["exec_ns"] is not None for row in children)
    counts = ((len(children) - executed, "fork"), (executed, "exec"))
    # Beside the main thread: of a process without Python that is native, too.
    natives = [row for row in records(tables.threads) if row["role"] == NATIVE and row["tid"] != row["pid"]]
    native = Counter(row["name"] or "a library" for row in natives)
    facts = (
        (
            "Processes it started",
            ", ".join(f"{count} by {how}" for count, how in counts if count) or "none",
        ),
        (
            "Native threads (BLAS, OpenMP)",
            ", ".join(f"{count} of {name}" for name, count in sorted(native.items())) or "none",
        ),
    )
    return (FactGroup(label=str(runs[0]["workload"] or "the program"), facts=facts),)


def _variables(variables: Any) -> str:
    if not isinstance(variables, dict):
        return "not recorded"
    return ", ".join(f"{name}={value}" for name, value in sorted(variables.items())) or "none that matters is set"


def _gil(python: Mapping[str, Any]) -> str:
    build = {None: "", False: "build with GIL", True: "free-threaded build"}[python.get("free_threaded_build")]
    enabled = python.get("gil_enabled")
    if enabled is None:
        return build or "not recorded"
    return f"{'on' if enabled else 'off'}{f' ({build})' if build else ''}"


def _stolen(environment: Mapping[str, Any]) -> str:
    before, after = finite(environment, "steal_before_ns"), finite(environment, "steal_after_ns")
    if before is None or after is None:
        return "not recorded"
    return f"{format_ns(max(0.0, after - before))} between the first and the last run"


def _pair(environment: Mapping[str, Any], before: str, after: str) -> str:
    values = (finite(environment, before), finite(environment, after))
    return " and ".join("not recorded" if value is None else f"{value:.2f}" for value in values)


def _joined(facts: Mapping[str, Any], *keys: str) -> str:
    values: Sequence[str] = [str(facts[key]) for key in keys if facts.get(key)]
    # Some systems repeat the name in the release: "Linux" and "Debian GNU/Linux 12".
    if len(values) == 2 and values[0] in values[1]:
        values = values[1:]
    return " ".join(values) or "not recorded"


def _text(value: Any) -> str:
    if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
        return "not recorded"
    return significant(value) if isinstance(value, float) else str(value)
