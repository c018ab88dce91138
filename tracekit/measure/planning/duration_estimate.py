"""How long a suite will take: from earlier suites of the same cells where there are some, else roughly by size."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tracekit.bundle.files import read_json
from tracekit.bundle.names import UNTRACED, is_light
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import Bundle, Store, SuiteFolder
from tracekit.core.errors import TracekitError

CellKey = tuple[str, str, str, str, int, str, str]

_ROUGH_NS = {"smoke": 300_000_000, "small": 500_000_000, "default": 1_000_000_000, "large": 8_000_000_000}
"""Launch to end of one run by size, as seen on a 2-core virtual machine; under a heavy capture it is twice that."""

_LOOK_BACK = 3
"""Suites: older ones say little about how busy the machine is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationEstimate:
    """`per_run_ns` per cell, where known; `default_ns` for the others; `basis` says where it comes from."""

    total_ns: int
    per_run_ns: Mapping[CellKey, int]
    default_ns: int
    basis: str


def estimate_duration(suite: Suite, store: Store) -> DurationEstimate:
    """Estimate how long all runs of `suite` take, from what is in `store`."""
    known: dict[CellKey, int] = {}
    used = None
    for folder in store.suites()[-_LOOK_BACK:]:
        found = _durations(folder, suite)
        if found:
            known.update(found)
            used = folder.suite_id
    default = _ROUGH_NS.get(suite.size, _ROUGH_NS["default"])
    total = sum(known.get(spec.cell, _rough(spec, default)) for spec in suite.specs)
    basis = "rough, by size" if used is None else f"from the runs of {used}"
    return DurationEstimate(total_ns=total, per_run_ns=known, default_ns=default, basis=basis)


def _rough(spec: RunSpec, default_ns: int) -> int:
    return default_ns if spec.capture == UNTRACED or is_light(spec.capture) else 2 * default_ns


def _durations(folder: SuiteFolder, suite: Suite) -> dict[CellKey, int]:
    """How long that suite's runs of our cells took; damaged bundles are passed over, they only feed an estimate."""
    wanted = {spec.cell for spec in suite.specs}
    found: dict[CellKey, int] = {}
    for bundle in _bundles(folder):
        with suppress(TracekitError, AttributeError, KeyError, OverflowError, TypeError, ValueError):
            manifest = read_json(bundle.manifest_path)
            spec = RunSpec.from_mapping(manifest["spec"])
            if spec.cell in wanted and manifest.get("status") == "ok":
                found[spec.cell] = int(manifest["ended_ns"]) - int(manifest["started_ns"])
    return found


def _bundles(folder: SuiteFolder) -> list[Bundle]:
    try:
        return folder.bundles()
    except (TracekitError, TypeError):
        return []
