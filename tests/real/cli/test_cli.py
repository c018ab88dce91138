"""The command line as a person meets it: help, completion, doctor, colours, a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, RealSuite, Tracekit

COMMANDS = ["run", "record", "report", "view", "list", "export", "doctor", "completion"]
ESCAPE = "\x1b["


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples_and_answers_to_h(tracekit: Tracekit, command: str) -> None:
    said = tracekit(command, "-h")
    assert said.code == 0
    assert "Examples:" in said.out
    assert said.out == tracekit(command, "--help").out
    # Examples come before the options.
    assert said.out.index("Examples:") < said.out.index("Options:")


def test_the_examples_of_the_help_are_commands_that_exist(tracekit: Tracekit) -> None:
    for command in COMMANDS:
        for line in re.findall(r"^ +(?:eval \"\$\()?tracekit (.+)$", tracekit(command, "--help").out, re.MULTILINE):
            words = line.split("  ")[0].split()
            if words[0] in COMMANDS:
                assert tracekit(words[0], "--help").code == 0, line


def test_version(tracekit: Tracekit) -> None:
    assert re.fullmatch(r"tracekit, version \d+\.\d+\.\d+\n", tracekit("--version").out)


@pytest.mark.parametrize("what", ["workloads", "models", "captures", "metrics", "pythons"])
def test_lists_are_text_and_json(tracekit: Tracekit, what: str) -> None:
    rows = tracekit("list", what, "--json").rows()
    lines = tracekit("list", what).out.splitlines()
    assert len(rows) == len(lines) > 0
    for row, line in zip(rows, lines, strict=True):
        assert line.startswith(row["name"])
        assert line.endswith(row["summary"])


def test_doctor_says_what_works_and_how_to_enable_the_rest(tracekit: Tracekit, tmp_path: Path) -> None:
    said = tracekit("doctor", "--json")
    assert said.code == 0, said.err
    rows = {row["name"]: row for row in said.rows()}
    assert {"machine", "python", "counters linux", "capture viztracer", "capture py-spy", "trace viewer"} <= set(rows)
    for row in rows.values():
        assert row["state"] == "ok" or row["remedy"], row
    assert len(tracekit("doctor").out.splitlines()) >= len(rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_workloads_and_suites(real_suite: RealSuite, tracekit: Tracekit) -> None:
    script = tracekit("completion", "bash").out
    assert "_TRACEKIT_COMPLETE" in script

    def complete(*words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", "from tracekit.cli import cli; cli(prog_name='tracekit')"],
            env={
                **os.environ,
                "_TRACEKIT_COMPLETE": "bash_complete",
                "COMP_WORDS": " ".join(["tracekit", *words]),
                "COMP_CWORD": str(len(words)),
                "PYTHONPATH": str(ROOT),
            },
            cwd=real_suite.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return [line.split(",")[-1] for line in done.stdout.splitlines()]

    assert "run" in complete("r")
    assert complete("run", "mat") == ["matmul", "matmul-numpy"]
    assert complete("run", "cl") == ["claims"]
    assert complete("run", "skewed-tasks", "-P", "chu") == ["chunksize="]
    assert {"latest", real_suite.suite_id} <= set(complete("report", ""))
    assert complete("run", "matmul", "--models", "serial,th") == ["threads"]
    assert complete("record", "--capture", "py-spy,wai") == ["waits"]
    assert complete("record", "--capture", "waits+ker") == ["waits+kernel"]
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def on_a_terminal(words: list[str], folder: Path, **env: str) -> str:
    """What `tracekit WORDS` writes when stdout and stderr are a terminal."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tracekit", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT), **env},
    )
    os.close(terminal)
    written = b""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        if not select.select([controller], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            chunk = os.read(controller, 65536)
        except OSError:
            break
        if not chunk:
            break
        written += chunk
    os.close(controller)
    assert process.wait(timeout=60) == 0, written.decode()
    return written.decode()


QUICK = ["run", "spin", "--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--capture", "none"]


def test_on_a_terminal_progress_is_live_and_no_color_is_honoured(tmp_path: Path) -> None:
    live = on_a_terminal([*QUICK, "--models", "serial"], tmp_path, NO_COLOR="")
    assert ESCAPE in live
    assert "run 1 of 1" in live
    plain = on_a_terminal([*QUICK, "--models", "serial"], tmp_path, NO_COLOR="1")
    assert ESCAPE not in plain
    assert "run 1 of 1" in plain
    assert ESCAPE not in on_a_terminal(["doctor"], tmp_path, NO_COLOR="1")


def test_json_is_one_document_and_progress_stays_out_of_it(real_suite: RealSuite) -> None:
    document = json.loads(real_suite.said.out)
    assert document["status"] == "ok"
    assert {row["metric"] for row in document["metrics"]} >= {"wall_ns", "gil_wait_ns", "speedup"}
    assert len(document["runs"]) == len(list(real_suite.root.glob("*/manifest.json")))
    assert (real_suite.folder / document["report"]).is_file()
