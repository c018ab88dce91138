"""Every CPython of this machine runs the measured side, under every model, with equal results."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Tracekit, find_pythons, read_rows
from tests.real.quick import measure
from tracekit import api
from tracekit.core.errors import EnvironmentLacks, UsageError
from tracekit.system import interpreters

FOUND = find_pythons()


def test_our_own_interpreter_is_among_them() -> None:
    assert os.path.realpath(interpreters.inspect_own().executable) in {
        os.path.realpath(item.executable) for item in FOUND
    }
    assert len({os.path.realpath(item.executable) for item in FOUND}) == len(FOUND)


def test_all_models_agree_on_it(each_python: interpreters.Interpreter, tmp_path: Path) -> None:
    api.write_report(api.analyse(measure(tmp_path, "matmul", pythons=[each_python.executable])), tmp_path)
    rows = read_rows(tmp_path, "runs")
    assert {row["model"] for row in rows} == {"serial", "threads", "fork", "spawn", "forkserver"}
    assert {row["status"] for row in rows} == {"ok"}
    assert len({row["checksum"] for row in rows}) == 1
    assert {row["python"] for row in rows} == {each_python.version}
    processes = read_rows(tmp_path, "processes")
    workers = [row for row in processes if row["role"] == "worker"]
    assert len(workers) == 3 * 2
    for row in workers:
        # A worker that started late may have found all items taken.
        first_task = row["first_task_ns"] or row["exit_ns"]
        assert row["spawn_requested_ns"] < row["interpreter_ready_ns"] < first_task <= row["exit_ns"]


def test_an_older_interpreter_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "python3.8"
    script.write_text('#!/bin/sh\necho \'["CPython", [3, 8, 18], "/x", false, "3.8"]\'\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(UsageError, match=r"Python 3\.8\.18"):
        interpreters.inspect(str(script))


def test_another_implementation_and_no_python_at_all_are_refused(tmp_path: Path) -> None:
    for name, line, error in [
        ("pypy", 'echo \'["PyPy", [3, 11, 0], "/x", false, ""]\'', UsageError),
        ("noise", "echo hello", EnvironmentLacks),
        ("fails", "exit 3", EnvironmentLacks),
    ]:
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)
        with pytest.raises(error):
            interpreters.inspect(str(script))


def test_two_builds_of_one_version_get_different_labels(tmp_path: Path) -> None:
    for name in ("a", "b"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho \'["CPython", [3, 12, 1], "{script}", false, ""]\'\n')
        script.chmod(0o755)
    chosen = interpreters.choose([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "a")])
    assert [item.label for item in chosen] == [f"3.12.1 ({tmp_path / 'a'})", f"3.12.1 ({tmp_path / 'b'})"]


def test_viztracer_is_left_out_where_it_does_not_import(tracekit: Tracekit) -> None:
    """A notice with its remedy, and the suite goes on."""
    foreign = next((item for item in FOUND if not interpreters.has_module(item, "viztracer")), None)
    if foreign is None:
        pytest.skip("every interpreter here has viztracer")
    words = ("--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--workers", "2", "--models", "serial")
    said = tracekit("run", "spin", *words, "--python", foreign.executable, "--capture", "viztracer")
    assert said.code == 0, said.err
    assert "has no viztracer" in said.err
    assert "--provision" in said.err


def test_provisioned_viztracer_traces_another_interpreter(tracekit: Tracekit, tmp_path: Path) -> None:
    foreign = next((item for item in FOUND if item.version.startswith(("3.12", "3.13"))), None)
    if foreign is None:
        pytest.skip("no CPython 3.12 or 3.13 here: pyenv install 3.13")
    index = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path / "d"), "six"],
        capture_output=True,
        check=False,
    )
    if index.returncode != 0:
        pytest.skip("no package index is reachable")
    words = ("--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--workers", "2", "--models", "spawn")
    for _ in range(2):
        said = tracekit(
            "run",
            "spin",
            *words,
            "--python",
            foreign.executable,
            "--capture",
            "viztracer",
            "--provision",
            env={"XDG_CACHE_HOME": str(tmp_path / "cache")},
        )
        assert said.code == 0, said.err
        assert "viztracer" not in said.err
    slices = tracekit.rows("slices")
    assert len({row["pid"] for row in slices}) == 3
