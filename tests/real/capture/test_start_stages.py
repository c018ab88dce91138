"""What a worker costs, stage by stage: real starts on every Python, against the kernel's own events."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Tracekit
from tests.real.capture.kernel_watching import leaving_nothing
from tests.real.quick import measure
from tests.recording import needs
from tracekit import api
from tracekit.analysis.load.kernel.trace import read_trace
from tracekit.analysis.load.starts import read_stages
from tracekit.analysis.metrics.startup.stages import CALL, LIFE, READY, RECORDING, STAGES
from tracekit.bundle import stages_file
from tracekit.bundle.store import Bundle
from tracekit.system.interpreters import Interpreter

MODELS = ("threads", "raw-threads", "fork", "raw-fork", "forkserver", "raw-forkserver", "spawn", "raw-spawn")
WITHIN = 0.05
"""Of what the start of one such process takes, in the same run: how near to the kernel's a stamp is, in the middle."""
TRIES = 3

COMMON = {"bootstrap", "task", "result", "join"}
OF_PROCESS = COMMON | {"stop", "exit", RECORDING}
AGAIN = {"imports", "main", "unpickle"}
NEW_IMAGE = {"exec", "image", "interpreter", "site"}

Cells = dict[tuple[str, bool], dict[str, float]]
"""(model, first start) -> stage -> ns."""


@pytest.fixture(autouse=True)
def has_probe() -> None:
    needs("stages")


def stages_of(tracekit: Tracekit) -> Cells:
    """The numbers of the cells under the stage probe, of the newest suite."""
    found: Cells = defaultdict(dict)
    for row in tracekit.rows("metrics"):
        if row["scope"] != "cell" or not row["capture"].startswith("stages"):
            continue
        name = row["metric"].removeprefix("spawn_").removesuffix("_ns")
        cold, part = name.startswith("cold_"), name.removeprefix("cold_")
        if row["metric"].startswith("spawn_") and part in {*STAGES, LIFE, CALL, READY}:
            assert row["quality"] == "measured", row
            found[row["model"], cold][part] = row["value"]
    return found


def assert_closes(cells: Cells) -> None:
    for where, parts in cells.items():
        stages = {name: value for name, value in parts.items() if name not in (LIFE, CALL, READY, RECORDING)}
        assert math.isclose(sum(stages.values()), parts[LIFE], rel_tol=1e-9), where


def test_every_method_has_its_stages_and_they_sum_to_the_total(each_python: Interpreter, tracekit: Tracekit) -> None:
    settings = {"models": MODELS, "workers": (1,), "captures": ("stages",)}
    api.write_report(
        api.analyse(measure(tracekit.folder, "start-stop", pythons=[each_python.executable], **settings)),
        tracekit.folder,
    )
    cells = stages_of(tracekit)
    assert cells.keys() == {(model, cold) for model in MODELS for cold in (False, True)}
    assert_closes(cells)
    for (model, cold), parts in cells.items():
        seen = parts.keys() - {LIFE, CALL, READY}
        method = model.removeprefix("raw-")
        if method == "threads":
            assert seen == COMMON
        elif method == "fork":
            assert seen == OF_PROCESS | {"fork"}
        elif method == "spawn":
            # Before 3.10 subprocesses were made with fork, which the probe sees; since then with vfork.
            assert seen - {"fork"} == OF_PROCESS | AGAIN | NEW_IMAGE
        else:
            assert seen == OF_PROCESS | AGAIN | {"fork"} | (NEW_IMAGE if cold else set())


def test_what_the_main_module_imports_is_its_own_stage_and_has_a_name(tracekit: Tracekit, tmp_path: Path) -> None:
    """A module that sleeps for a fifth of a second stands for pandas."""
    slept_ns = 2e8
    (tmp_path / "slow_to_import.py").write_text(f"import time\ntime.sleep({slept_ns / 1e9})\n")
    words = ("--runs", "1", "--size", "smoke", "--models", "fork,forkserver,spawn", "-P", "main_imports=slow_to_import")
    said = tracekit("run", "start-stop", *words, "-P", "preload=no", "-P", "preload=yes")
    assert said.code == 0, said.err
    assert "slow_to_import" in said.out.split("\n\n")[0].replace("\n", " ")
    rows = tracekit.rows("metrics")
    main = {
        (row["model"], "preload=yes" in row["parameters"]): row["value"]
        for row in rows
        if row["scope"] == "cell" and row["metric"] == "spawn_main_ns" and row["capture"] == "stages"
    }
    assert main.keys() == {(model, preload) for model in ("forkserver", "spawn") for preload in (False, True)}
    # Only the fork server can have it imported beforehand.
    assert main["forkserver", True] < slept_ns <= main["forkserver", False]
    assert main["spawn", False] >= slept_ns
    before = [row["value"] for row in rows if row["metric"] in ("spawn_interpreter_ns", "spawn_site_ns")]
    assert max(value for value in before if value is not None) < main["spawn", False]
    imports = tracekit.rows("imports")
    named = [row for row in imports if row["section"] == "main" and row["depth"] == 0]
    assert {row["module"] for row in named} == {"slow_to_import"}
    assert all(row["cumulative_ns"] >= slept_ns for row in named)
    page = next((tmp_path / "reports").glob("*/index.html")).read_text(encoding="utf-8")
    assert "Imports of a spawned worker" in page


@pytest.fixture
def tracefs_root() -> Iterator[Path]:
    needs("kernel")
    yield from leaving_nothing()


@pytest.mark.measures
@pytest.mark.usefixtures("tracefs_root")
def test_the_stamps_are_those_of_the_kernel(tracekit: Tracekit, tmp_path: Path) -> None:
    """Each in order with the kernel's own, and in the middle near to it; a machine that was taken away meanwhile may
    try again."""
    for _ in range(TRIES):
        settings = {"models": ("raw-fork", "raw-forkserver", "raw-spawn"), "workers": (1,)}
        suite = measure(tmp_path, "start-stop", runs=4, captures=("stages+kernel",), **settings)
        apart = defaultdict(list)
        for bundle in suite.bundles():
            for name, length in against_the_kernel(bundle):
                assert length >= 0, (bundle.root, name)
                apart[bundle.spec().model, name].append(length)
        cells = stages_of(tracekit)
        middle = {
            (model, name): float(np.median(lengths)) / cells[model, False][LIFE]
            for (model, name), lengths in apart.items()
        }
        if max(middle.values()) <= WITHIN:
            break
    assert {name for _, name in apart} == {"fork", "exec", "exit"}
    assert min(sum(len(found) for (_, of), found in apart.items() if of == name) for _, name in apart) >= 8
    assert max(middle.values()) <= WITHIN, middle
    assert_closes(cells)


def against_the_kernel(bundle: Bundle) -> Iterator[tuple[str, int]]:
    """(what, ns) of each process: from the kernel's making of it to the stamp in the child, from the stamp that asks
    for exec to the kernel's exec, from the last stamp to the kernel's exit."""
    trace = read_trace(bundle.raw / "kernel")
    if trace is None:
        return
    born, executed, ended = (
        _by_pid(trace.kinds.get(kind))
        for kind in ("task/task_newtask", "sched/sched_process_exec", "sched/sched_process_exit")
    )
    for record in read_stages(bundle.stages):
        pid, stamp = int(record["pid"]), int(record["monotonic_ns"])
        if record["kind"] == stages_file.FORKED and pid in born:
            yield "fork", stamp - born[pid]
        elif record["kind"] == stages_file.EXEC and pid in executed:
            yield "exec", executed[pid] - stamp
        elif record["kind"] == stages_file.EXIT and pid in ended:
            yield "exit", ended[pid] - stamp


def _by_pid(events: Any) -> dict[int, int]:
    if events is None:
        return {}
    return dict(zip(events["pid"].tolist(), events["ts_ns"].tolist(), strict=True))
