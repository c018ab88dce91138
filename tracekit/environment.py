"""What the machine is and how busy it was: facts that decide how far a number can be trusted. Read by the parent."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from pathlib import Path
from typing import Any

import psutil

from tracekit import clock

_TOOLS = ("viztracer", "py-spy", "pandas", "matplotlib", "psutil")


def describe() -> dict[str, Any]:
    """What does not change during a suite; the `environment` of docs/bundle.md without load and steal."""
    affinity = _affinity_cpus()
    quota = _cgroup_cpus()
    return {
        "os": platform.system(),
        "os_release": _os_release(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu_model": _cpu_model(),
        "logical_cpus": os.cpu_count() or 1,
        "affinity_cpus": affinity,
        "cgroup_cpus": quota,
        "usable_cpus": usable_cpus(),
        "clocks": clock.triple(),
        "tools": {name: version for name in _TOOLS if (version := _version(name)) is not None},
    }


def usable_cpus() -> int:
    """How many workers can really run at once: the least of CPUs, affinity and cgroup quota (rounded up)."""
    limits = [os.cpu_count() or 1, _affinity_cpus()]
    quota = _cgroup_cpus()
    if quota is not None:
        limits.append(math.ceil(quota))
    return max(1, min(limits))


def busy() -> dict[str, Any]:
    """Load average over one minute and steal so far (ns, all CPUs); None where the system has no such number."""
    steal = getattr(psutil.cpu_times(), "steal", None)
    try:
        load = os.getloadavg()[0]
    except (OSError, AttributeError):
        load = None
    return {"load": load, "steal_ns": None if steal is None else int(steal * 1e9)}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _affinity_cpus() -> int:
    get = getattr(os, "sched_getaffinity", None)
    return len(get(0)) if get is not None else os.cpu_count() or 1


def _cgroup_cpus() -> float | None:
    """The CPU quota of the cgroup (version 2) and of those above it, in CPUs; None without one.

    Source: the kernel's Documentation/admin-guide/cgroup-v2.rst, `cpu.max` = "$MAX $PERIOD".
    """
    try:
        entries = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        inside = next(line[3:] for line in entries if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    root = Path("/sys/fs/cgroup")
    own = root / inside.lstrip("/")
    quotas = []
    for folder in (own, *own.parents):
        if not folder.is_relative_to(root):
            break
        quotas.append(_quota(folder / "cpu.max"))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(path: Path) -> float | None:
    try:
        limit, period = path.read_text(encoding="ascii").split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _os_release() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.version()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model", "Hardware"))]
    return names[0] if names else platform.processor() or "unknown"
