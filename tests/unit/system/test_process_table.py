"""The system's counters where there is no /proc, as in some sandboxes."""

from __future__ import annotations

import psutil
import pytest

from tracekit.system.process_table import read_steal_ns


def test_steal_is_not_known_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise FileNotFoundError(2, "No such file or directory", "/proc/stat")

    monkeypatch.setattr(psutil, "cpu_times", refuse)
    assert read_steal_ns() is None
