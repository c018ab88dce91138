"""A user's own functions and workloads, from a folder of their own: run, or refused with the way out."""

from __future__ import annotations

import json
import re
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, Tracekit
from tests.real.quick import QUICK, assert_two_lines, measure
from tracekit.analysis.load import load_suite
from tracekit.analysis.tables import records

MODULE = '''
import asyncio
import threading
import numpy as np
from tracekit.workload import Parameter, Workload

LOCK = threading.Lock()
SQUARES = (lambda item: item * item)
NUMBER = 3

def work(item):
    """With a lambda inside, which is nobody's business."""
    return (lambda number: number + 1)(item)

def total(array):
    return float(array.sum())

def locked(lock):
    with lock:
        return 1

async def fetch(item):
    return item

def outer():
    def inner(item):
        return item
    return inner

INNER = outer()

WORKLOAD = Workload(
    name="mine", summary="mine", kind="cpu", sizes={"smoke": 4},
    make_items=lambda size, seed, count: list(range(size * count)),
    task=work, combine=str, parameters=(Parameter("count", 2, "how many"),),
)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not the repository."""
    home = tmp_path / "a project"
    (home / "package").mkdir(parents=True)
    (home / "package" / "__init__.py").touch()
    (home / "package" / "mine.py").write_text(MODULE, encoding="utf-8")
    return home


def run(tracekit: Tracekit, folder: Path, *words: str) -> Said:
    quick = ("--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--capture", "none", "--workers", "2")
    return tracekit("run", *words, *quick, "--json", cwd=folder)


def models_of(said: Said) -> dict[str, set[str]]:
    """model -> checksums, of the runs that ended ok."""
    assert said.code == 0, said.err
    document: dict[str, Any] = json.loads(said.out)
    found: dict[str, set[str]] = {}
    for item in document["runs"]:
        assert item["status"] == "ok", item
        model = re.search(r"-([a-z]+)-w\d+-py", item["run_id"])
        assert model is not None, item
        found.setdefault(model[1], set()).add(item["checksum"])
    return found


MODELS = ("serial", "threads", "fork", "spawn", "forkserver")
ALL = set(MODELS)


@pytest.mark.parametrize(
    "words",
    [("package.mine:work", "--items", "range(100)"), ("package.mine:WORKLOAD", "-P", "count=5")],
    ids=" ".join,
)
def test_what_can_be_pickled_runs_under_every_model(tracekit: Tracekit, folder: Path, words: tuple[str, ...]) -> None:
    found = models_of(run(tracekit, folder, *words))
    assert found.keys() == ALL
    assert len(set.union(*found.values())) == 1, found


@pytest.mark.parametrize(
    ("target", "items"),
    [
        ("package.mine:work", "[NUMBER] * 5"),
        ("package.mine:total", "[np.arange(n) for n in range(1, 9)]"),
        ("package.mine:total", "[numpy.ones((n, n)) for n in range(1, 9)]"),
        ("math:factorial", "range(20)"),
        ("package.mine:WORKLOAD", ""),
    ],
)
def test_items_are_an_expression_with_the_names_of_the_module_and_numpy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, target: str, items: str
) -> None:
    monkeypatch.chdir(folder)
    runs = records(load_suite(measure(folder, target, items=items)).runs)
    assert [run["model"] for run in runs] == list(MODELS)
    assert len({run["checksum"] for run in runs}) == 1, runs


@pytest.mark.parametrize(
    ("words", "reason", "remedy"),
    [
        (
            ("package.mine:SQUARES", "--items", "range(9)"),
            "the lambda package.mine:SQUARES cannot be pickled",
            "make it a named function",
        ),
        (
            ("package.mine:INNER", "--items", "range(9)"),
            "the function outer.<locals>.inner cannot be pickled",
            "to the top level of its module",
        ),
        (
            ("package.mine:locked", "--items", "[LOCK] * 4"),
            "item 0 of package.mine:locked, a lock, cannot be pickled",
            "create such an object itself",
        ),
    ],
    ids=["a lambda", "an inner function", "a lock"],
)
def test_what_cannot_be_pickled_runs_without_processes_and_says_why(
    tracekit: Tracekit, folder: Path, words: tuple[str, ...], reason: str, remedy: str
) -> None:
    said = run(tracekit, folder, *words)
    assert models_of(said).keys() == {"serial", "threads"}
    assert f"models fork, spawn, forkserver cannot run it: {reason}" in said.err
    assert remedy in said.err
    notices = [notice for notice in json.loads(said.out)["notices"] if notice["code"] == "models-left-out"]
    assert reason in notices[0]["text"]
    alone = run(tracekit, folder, *words, "--models", "fork")
    assert (alone.code, alone.err.count("\n")) == (2, 2)
    assert f"no model is left: {reason}" in alone.err


@pytest.mark.parametrize(
    ("words", "reason", "remedy"),
    [
        (("package.mine:work",), "there are no items to call it with", "--items 'range(100)'"),
        (("package.mine:work", "--items", "7"), "7 is an int, not several items", "--items"),
        (("package.mine:work", "--items", "range(0)"), "range(0) gives no item", "--items"),
        (
            ("package.mine:work", "--items", "range("),
            "the items of package.mine:work cannot be made: Syntax",
            "--items",
        ),
        (("package.mine:work", "--items", "nowhere"), "NameError: name 'nowhere' is not defined", "--items"),
        (("package.mine:fetch", "--items", "range(3)"), "is a coroutine function", "asyncio.run"),
        (("package.mine:NUMBER", "--items", "range(3)"), "is an int, neither a function nor", "package.mine:function"),
        (("package.mine:missing", "--items", "range(3)"), "has no attribute 'missing'", "from package.mine import"),
        (("package.other:work", "--items", "range(3)"), "No module named 'package.other'", "from package.other import"),
        (("package/mine.py:work", "--items", "range(3)"), "is a file", "tracekit run package.mine:work"),
        (("__main__:work", "--items", "range(3)"), "__main__ is the program that was started", "mymodule:function"),
        (("package.mine:not a name", "--items", "range(3)"), "is no name of the form", "mymodule:function"),
        (("package.mine:WORKLOAD", "--items", "range(3)"), "is a workload and makes its own items", "tracekit run"),
        (("package.mine:WORKLOAD", "-P", "counts=3"), "mine has no parameter 'counts'", "parameters="),
        (("matmul", "--items", "range(3)"), "matmul makes its own items", "tracekit run matmul --help"),
        (("package.crash:work", "--items", "range(3)"), "ended the process: exit code 3", "import package.crash"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_run_at_all_is_refused_with_the_way_out(
    tracekit: Tracekit, folder: Path, words: tuple[str, ...], reason: str, remedy: str
) -> None:
    (folder / "package" / "crash.py").write_text("import os\nos._exit(3)\n", encoding="utf-8")
    said = run(tracekit, folder, *words)
    assert (said.code, said.out) == (2, ""), said.err
    what, way_out = said.err.splitlines()
    assert reason in what
    assert remedy in way_out
    assert not (folder / ".tracekit").exists()


def test_what_an_import_starts_is_ended_with_it(tracekit: Tracekit, folder: Path) -> None:
    """It is imported once only to be asked; a run of it is another matter."""
    seconds = "318.0713"
    code = f"import subprocess\nsubprocess.Popen(['sleep', '{seconds}'])\ndef work(item):\n    return item\n"
    (folder / "package" / "starts.py").write_text(code, encoding="utf-8")
    said = tracekit("run", "package.starts:work", "--items", "range(3)", "--dry-run", cwd=folder)
    assert said.code == 0, said.err
    running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if seconds.encode() in _read(path)]
    assert not running


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that announces two workloads, one of them under a name that tracekit has itself."""
    site = folder / "site"
    facts = site / "mine-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[tracekit.workloads]\nours = package.mine:WORKLOAD\nmatmul = package.mine:INNER\n"
    )
    (folder / "package").rename(site / "package")
    monkeypatch.setenv("PYTHONPATH", str(site))
    return folder


def test_a_workload_that_a_package_announces_has_a_name(installed: Path, tracekit: Tracekit) -> None:
    rows = {row["name"]: row for row in tracekit("list", "workloads", "--json", cwd=installed).rows()}
    assert rows["ours"] == {
        "name": "ours",
        "summary": "package.mine:WORKLOAD, of mine",
        "parameters": None,
    }
    assert rows["matmul"]["summary"].startswith("matrix product"), "a name of tracekit's own is tracekit's"
    said = tracekit("run", "ours", "-P", "count=3", *QUICK, "--models", "serial,spawn", "--json", cwd=installed)
    assert said.code == 0, said.err
    runs = json.loads(said.out)["runs"]
    assert [run["checksum"] for run in runs] == [str(list(range(1, 13)))] * 2


def test_the_list_tells_programs_what_can_be_set(tracekit: Tracekit) -> None:
    rows = {row["name"]: row for row in tracekit("list", "workloads", "--json").rows()}
    assert rows["spin"]["parameters"] == []
    by_name = {item["name"]: item for item in rows["skewed-tasks"]["parameters"]}
    assert by_name["chunksize"]["default"] > 1
    assert by_name["chunksize"].keys() == {"name", "summary", "default", "unit", "allowed"}


def test_an_interpreter_without_what_a_workload_needs_is_told_before_anything_is_run(
    tmp_path: Path, tracekit: Tracekit
) -> None:
    bare = tmp_path / "bare"
    venv.EnvBuilder(symlinks=True).create(bare)
    said = tracekit("run", "matmul-numpy", *QUICK, "--models", "serial", "--python", str(bare / "bin" / "python"))
    assert_two_lines(said, 4, "matmul-numpy needs numpy and threadpoolctl")
    assert f"{bare}/bin/python -m pip install numpy threadpoolctl" in said.err
    assert not (tmp_path / ".tracekit").exists()
