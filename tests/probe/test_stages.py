"""The stage probe: the request for exec of a child that libc starts by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeOnce
from tests.probe.conftest import TIMEOUT_S, compile_once
from tracekit.analysis.load.starts import read_stages
from tracekit.bundle import stages_file
from tracekit.measure.probe import compile as probe

SPAWNS = "import os; print(pid := os.{}('true' if '{}'[-1] == 'p' else '/bin/true', ['true'], os.environ)); os.wait()"


@pytest.fixture(scope="module")
def stages_library(make_once: MakeOnce) -> Path:
    return compile_once(make_once, "stage-probe", wanted=probe.STAGES)


@pytest.mark.parametrize("call", ["posix_spawn", "posix_spawnp"])
def test_posix_spawn_leaves_the_request_of_its_child(stages_library: Path, tmp_path: Path, call: str) -> None:
    path = tmp_path / "stages.bin"
    path.touch()
    variables = {**os.environ, "LD_PRELOAD": str(stages_library), "TRACEKIT_STAGES": str(path)}
    words = [sys.executable, "-I", "-c", SPAWNS.format(call, call)]
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    records = read_stages(path)
    child = records[records["pid"] == int(done.stdout)]
    assert child["kind"].tolist() == [stages_file.EXEC, stages_file.IMAGE, stages_file.EXIT]
    assert len(set(child["ppid"].tolist())) == 1
    [parent] = records[records["kind"] == stages_file.SITE]
    assert child["ppid"][0] == parent["pid"]


def test_a_program_that_is_not_there_is_no_request(stages_library: Path, tmp_path: Path) -> None:
    path = tmp_path / "stages.bin"
    path.touch()
    variables = {**os.environ, "LD_PRELOAD": str(stages_library), "TRACEKIT_STAGES": str(path)}
    code = "import os\ntry: os.posix_spawn('/nonexistent', ['x'], os.environ)\nexcept FileNotFoundError: pass"
    subprocess.run([sys.executable, "-I", "-c", code], env=variables, timeout=TIMEOUT_S, check=True)
    assert stages_file.EXEC not in read_stages(path)["kind"].tolist()
