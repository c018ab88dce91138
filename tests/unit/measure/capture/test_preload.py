"""Why a probe cannot be used, in words that lead to the cause."""

from __future__ import annotations

import resource
from types import SimpleNamespace
from typing import Any

import pytest

from tracekit.measure.capture.preload import make_refusal

PROBE: Any = SimpleNamespace(title="wait probe")
PYTHON: Any = SimpleNamespace(executable="/usr/bin/python3")


def test_a_limit_on_files_is_not_taken_for_a_static_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ulimit -f 64`: the probe's own file would be larger, and the loader has nothing to say about it."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: {resource.RLIMIT_FSIZE: (65536, 65536)}[which])
    refusal = make_refusal(PROBE, PYTHON, "", "instead")
    assert "65,536 bytes here (ulimit -f)" in str(refusal)
    assert refusal.hint == "ulimit -f unlimited"
    assert "static" not in str(refusal)
    assert str(make_refusal(PROBE, PYTHON, "ld.so: no such file", "instead")).endswith("preloaded: ld.so: no such file")


def test_without_a_limit_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    assert "static" in str(make_refusal(PROBE, PYTHON, "", "instead"))
