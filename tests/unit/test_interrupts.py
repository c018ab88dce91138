"""What the command line does with signals."""

from __future__ import annotations

import importlib
import signal
import time
from pathlib import Path

import pytest

from tracekit import cli


def test_a_signal_during_an_import_comes_when_the_import_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted_import.py").write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\nDONE = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = signal.signal(signal.SIGTERM, cli._interrupt)
    try:
        assert importlib.import_module("interrupted_import").DONE
        with pytest.raises(cli.Terminated) as ended:
            time.sleep(30)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.number == signal.SIGTERM
