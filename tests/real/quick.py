"""What tests of real runs share: the quickest suite there is, and what an error of a command has to look like."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import Said
from tracekit import api
from tracekit.bundle.store import Store, SuiteFolder
from tracekit.measure.planning.request import Request

QUICK = ("--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--capture", "none", "--workers", "2")

AS_A_USER = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Before a command: root is bound by the modes of files as any user is."""


def measure(folder: Path, workload: str, *, pythons: Sequence[str] = (), **settings: Any) -> SuiteFolder:
    """As `tracekit run WORKLOAD` with QUICK in that folder, in this process and without a report.

    `settings` are those of Request.
    """
    quick: dict[str, Any] = {"size": "smoke", "runs": 1, "warmup": 0, "controls": False, "captures": ("none",)}
    request = Request(workload=workload, **{**quick, "workers": (2,), **settings})
    prepared = api.prepare(request, store=Store(folder / ".tracekit"), pythons=pythons)
    before = _open_descriptors()
    outcome = api.measure(prepared)
    assert _open_descriptors() == before
    told = [f"{item.spec.run_id} {item.status} {item.reason}" for item in outcome.outcomes]
    assert {item.status for item in outcome.outcomes} == {"ok"}, told
    return outcome.folder


def _open_descriptors() -> set[str]:
    """Of this process."""
    return {path.name for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def assert_two_lines(said: Said, code: int, *words: str) -> None:
    """The last two lines of stderr are the error and the remedy; no traceback anywhere."""
    assert said.code == code, said.err
    assert "Traceback" not in said.err + said.out
    error, remedy = said.err.rstrip("\n").splitlines()[-2:]
    assert error.startswith("error: "), said.err
    assert remedy.startswith("  try: "), said.err
    assert len(remedy) > len("  try: ")
    for word in words:
        assert word in error, said.err
