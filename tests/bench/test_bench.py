"""`make bench` still runs and measures what it names; how fast is for a person to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_quick_round_measures_everything() -> None:
    done = subprocess.run(
        [sys.executable, "tests/bench/run.py", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["measurements"]
    assert {row["name"].split(".")[0] for row in rows} == {"help", "report", "parse", "recorder", "spawn"}
    for row in rows:
        assert row["min"] <= row["median"] <= row["max"], row
        # Only a difference can be near nothing on a machine that is busy.
        assert row["median"] > 0 or row["name"] == "recorder.run_task", row
        assert row["n"] >= 1
        assert row["unit"]
