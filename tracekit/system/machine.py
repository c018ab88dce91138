"""What the machine is and how busy it is, which decides how far a number can be trusted. Read by the parent."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekit.core import clock
from tracekit.system.process_table import read_steal_ns

_TOOLS = ("viztracer", "py-spy", "pandas", "matplotlib", "psutil")


def describe() -> dict[str, Any]:
    """The facts that do not change during a suite: the `environment` of docs/bundle.md without load and steal."""
    affinity = _count_affinity_cpus()
    quota = _read_cgroup_cpus()
    return {
        "os": platform.system(),
        "os_release": _read_os_release(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu_model": _read_cpu_model(),
        "logical_cpus": os.cpu_count() or 1,
        "affinity_cpus": affinity,
        "cgroup_cpus": quota,
        "usable_cpus": count_usable_cpus(),
        "clocks": clock.triple(),
        "tools": {name: version for name in _TOOLS if (version := _find_version(name)) is not None},
    }


RUNTIME_VARIABLES = (
    *("PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONMALLOC", "PYTHONOPTIMIZE", "PYTHONDEVMODE", "PYTHONTRACEMALLOC"),
    *("PYTHONASYNCIODEBUG", "PYTHONDONTWRITEBYTECODE", "PYTHONNODEBUGRANGES", "PYTHON_GIL", "PYTHON_JIT"),
    *("PYTHON_CPU_COUNT", "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"),
    *("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"),
)
"""Variables that change what a runtime does: switches and numbers, none of which is secret."""
_LONGEST_VALUE = 100


def read_variables(env: Mapping[str, str]) -> dict[str, str]:
    """Those of RUNTIME_VARIABLES that a process gets, and their values."""
    found = {name: env[name] for name in RUNTIME_VARIABLES if name in env}
    return {
        name: value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:_LONGEST_VALUE]
        for name, value in found.items()
    }


def count_usable_cpus() -> int:
    """How many workers can really run at once: the least of CPUs, affinity and cgroup quota (rounded up)."""
    limits = [os.cpu_count() or 1, _count_affinity_cpus()]
    quota = _read_cgroup_cpus()
    if quota is not None:
        limits.append(math.ceil(quota))
    return max(1, min(limits))


def read_busy() -> dict[str, Any]:
    """Load average over one minute, and steal since boot (ns, all CPUs); None where the system has no such number."""
    try:
        load = os.getloadavg()[0]
    except (OSError, AttributeError):
        load = None
    return {"load": load, "steal_ns": read_steal_ns()}


def _find_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _count_affinity_cpus() -> int:
    get = getattr(os, "sched_getaffinity", None)
    return len(get(0)) if get is not None else os.cpu_count() or 1


def _read_cgroup_cpus() -> float | None:
    """The CPU quota of the process's cgroup and of those above it, in CPUs; None without one.

    Source: the kernel's Documentation/admin-guide/cgroup-v2.rst, `cpu.max` = "$MAX $PERIOD"; for version 1
    scheduler/sched-bwc.rst, `cpu.cfs_quota_us` over `cpu.cfs_period_us`.
    """
    try:
        entries = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    quotas: list[float | None] = []
    for entry in entries:
        _, controllers, inside = entry.split(":", 2)
        if controllers == "":
            quotas += [_read_quota(folder / "cpu.max") for folder in _list_ancestors(Path("/sys/fs/cgroup"), inside)]
        elif "cpu" in controllers.split(","):
            quotas += [
                _read_quota_v1(folder) for folder in _list_ancestors(Path("/sys/fs/cgroup") / controllers, inside)
            ]
    return min((quota for quota in quotas if quota is not None), default=None)


def _list_ancestors(root: Path, inside: str) -> list[Path]:
    """The folder of a cgroup and those above it, up to the root."""
    own = root / inside.lstrip("/")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]


def _read_quota(path: Path) -> float | None:
    try:
        limit, period = path.read_text(encoding="ascii").split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_quota_v1(folder: Path) -> float | None:
    try:
        limit, period = (
            int((folder / name).read_text(encoding="ascii")) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        )
        return None if limit < 0 else limit / period
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_os_release() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.version()


def _read_cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model", "Hardware"))]
    return names[0] if names else platform.processor() or "unknown"
