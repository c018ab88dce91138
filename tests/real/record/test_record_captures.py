"""`tracekit record` under captures that touch the program: what they leave, and what they leave alone."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.recording import ENV, LIMIT_S, PYTHON_IN_SHELL, TRACEKIT, needs, only_bundle, recorded, script
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.store import Store, SuiteFolder
from tracekit.system import interpreters, tracefs


def test_a_capture_that_cannot_be_used(tmp_path: Path) -> None:
    """Alone it is an error and nothing runs; beside others it is a notice."""
    code = (
        "import sys, types; from tracekit.measure.capture import pyspy; "
        "pyspy.shutil = types.SimpleNamespace(which=lambda *a, **k: None); "
        "from tracekit.cli import main; main(sys.argv[1:])"
    )

    def call(captures: str) -> subprocess.CompletedProcess[str]:
        words = ["record", "--capture", captures, "--", sys.executable, "-c", "print('ran')"]
        return subprocess.run(
            [sys.executable, "-c", code, *words], cwd=tmp_path, env=ENV, capture_output=True, text=True, check=False
        )

    alone = call("py-spy")
    assert (alone.returncode, alone.stdout) == (4, "")
    assert "py-spy is not installed" in alone.stderr
    assert "pip install py-spy" in alone.stderr
    assert not Store(tmp_path / ".tracekit").suites()
    beside = call("py-spy,viztracer")
    assert (beside.returncode, beside.stdout) == (0, "ran\n")
    assert "py-spy is not installed" in beside.stderr
    assert only_bundle(tmp_path).spec().capture == "viztracer"


def test_pyspy_leaves_stdout_and_the_exit_code_alone(tmp_path: Path) -> None:
    needs("py-spy")
    needs("waits")
    name = script(
        tmp_path,
        """
        import sys, time
        sys.stdout.write("out\\n")
        sys.stdout.flush()
        limit = time.monotonic() + 0.3
        while time.monotonic() < limit:
            pass
        sys.exit(5)
        """,
    )
    done = recorded(tmp_path, "--capture", "waits,py-spy", "--", sys.executable, name)
    assert (done.returncode, done.stdout) == (5, b"out\n"), done.stderr
    bundle = only_bundle(tmp_path)
    manifest = bundle.manifest()
    assert (manifest["exit_code"], manifest["status"], manifest["notices"]) == (5, "ok", [])
    assert len(manifest["processes"]) == 1, "py-spy itself is none of the program's processes"
    assert json.loads((bundle.raw / "pyspy.speedscope.json").read_text())["profiles"]
    alone = recorded(tmp_path, "-o", "alone", "--capture", "py-spy", "--", sys.executable, name)
    assert (alone.returncode, alone.stdout) == (5, b"out\n")
    (other,) = Store(tmp_path / "alone").suites()[0].bundles()
    assert other.manifest()["exit_code"] == 5


@pytest.mark.parametrize(
    "captures",
    [
        *("none", "waits", "viztracer", "kernel", "py-spy", "waits,py-spy", "kernel,py-spy", "viztracer,py-spy"),
        *("waits,viztracer,py-spy", "waits,kernel,py-spy"),
    ],
)
def test_a_program_killed_by_a_signal_ends_tracekit_as_the_shell_says(captures: str, tmp_path: Path) -> None:
    """Also where the program is gone before py-spy has found it: then py-spy's file is missing, not the recording."""
    for capture in captures.split(","):
        needs(capture)
    name = script(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    # Of three captures each two were tried together with and without a duration.
    for words in ((), ("--duration", "20"))[: 1 if captures.count(",") == 2 else 2]:
        done = recorded(tmp_path, "--quiet", *words, "--capture", captures, "--", sys.executable, name)
        assert done.returncode == 128 + signal.SIGSEGV, done.stderr
        assert b"was killed by SIGSEGV" in done.stderr
    for suite in Store(tmp_path / ".tracekit").suites():
        manifest = suite.bundles()[0].manifest()
        assert (manifest["exit_code"], manifest["status"]) == (-signal.SIGSEGV, "killed")


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_an_exit_code_that_is_not_known_is_never_0(quiet: tuple[str, ...], tmp_path: Path) -> None:
    needs("py-spy")
    code = (
        "import sys; from tracekit.measure.process import wrapped_program as it; "
        "it.WrappedProgram.read_exit_code = it.WrappedProgram.read_window = lambda self: None; "
        "from tracekit.cli import main; main(sys.argv[1:])"
    )
    words = ["record", *quiet, "--capture", "py-spy", "--", sys.executable, "-c", "import time; time.sleep(0.3)"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=ENV, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "exit code of python-c is not known" in done.stderr
    manifest = only_bundle(tmp_path).manifest()
    assert manifest["exit_code"] is None
    unknown = {code: (text, remedy) for code, _, text, remedy in manifest["notices"]}
    assert set(unknown) == {"exit-code-unknown", "wall-of-tool"}
    assert "upper bound" in unknown["wall-of-tool"][0]
    for _, remedy in unknown.values():
        assert "--capture waits" in remedy
        assert "py-spy" not in remedy
        assert quiet or f"  try: {remedy}" in done.stderr.splitlines()


def test_pyspy_starts_a_program_whatever_descriptors_are_open(tmp_path: Path) -> None:
    """The kernel capture has some of its own open, and those of the user are the program's."""
    needs("py-spy")
    name = script(
        tmp_path,
        """
        import os, sys, time
        os.write(int(sys.argv[1]), b"given")
        time.sleep(0.2)
        print("out")
        """,
    )
    reading, writing = os.pipe()
    own = [os.open(os.devnull, os.O_RDWR) for _ in range(12)]
    try:
        os.set_inheritable(writing, True)
        words = [sys.executable, "-m", "tracekit", "record", "--capture", "py-spy", "--", sys.executable, name]
        done = subprocess.run(
            [*words, str(writing)], cwd=tmp_path, env=ENV, capture_output=True, pass_fds=[writing], check=False
        )
        assert (done.returncode, done.stdout) == (0, b"out\n"), done.stderr
        assert os.read(reading, 10) == b"given"
    finally:
        for fd in (reading, writing, *own):
            os.close(fd)


def test_pyspy_beside_the_kernel_with_stdout_closed(tmp_path: Path) -> None:
    needs("py-spy")
    needs("kernel")
    words = [sys.executable, "-m", "tracekit", "record", "--capture", "kernel,py-spy", "--", sys.executable, "-c"]
    program = "import sys, time; time.sleep(0.3); sys.stderr.write('err')"
    script_text = 'exec "$@" >&-'
    done = subprocess.run(
        ["/bin/sh", "-c", script_text, "sh", *words, program], cwd=tmp_path, env=ENV, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"err" in done.stderr
    assert (only_bundle(tmp_path).raw / "pyspy.speedscope.json").stat().st_size > 0


def test_a_program_that_is_no_python_runs_once_under_the_kernel_capture(tmp_path: Path) -> None:
    """A Python is asked where its functions are; whatever else it may be must not be started for that."""
    needs("kernel")
    program = tmp_path / "deploy.sh"
    program.write_text('#!/bin/sh\necho "$@" >> calls\n')
    program.chmod(0o755)
    done = recorded(tmp_path, "--capture", "kernel", "--", str(program), "one", "two")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == "one two\n"
    assert b"deploy.sh has no symbol table" in done.stderr


def test_two_kernel_captures_at_once(tmp_path: Path) -> None:
    """Each program waits for the other: they run at the same time."""
    needs("waits")
    needs("kernel")
    meet = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); there = pathlib.Path(sys.argv[2]).exists"
    program = [sys.executable, "-c", f"{meet}\nwhile not there(): time.sleep(0.01)\nsys.exit(int(sys.argv[3]))"]
    words = [*TRACEKIT, "record", "--anyway", "--capture", "waits,kernel"]
    both = [
        subprocess.Popen(
            [*words, "-o", mine, "--", *program, mine + ".here", other + ".here", code], cwd=tmp_path, env=ENV
        )
        for mine, other, code in (("one", "two", "3"), ("two", "one", "4"))
    ]
    assert [process.wait(LIMIT_S) for process in both] == [3, 4]
    pids = []
    for store in ("one", "two"):
        (suite,) = Store(tmp_path / store).suites()
        running = {row["pid"] for row in records(load_suite(suite).sched) if row["state"] == "running"}
        pids += running
        assert running == {line["pid"] for line in suite.bundles()[0].manifest()["processes"]}
    assert len(set(pids)) == 2
    root = tracefs.find_tracefs()
    assert root is not None
    for process in both:
        assert not list((root / "instances").glob(f"tracekit-{process.pid}-*"))
        assert f"tracekit_{process.pid}_" not in (root / "uprobe_events").read_text()


def test_more_processes_than_descriptors(tmp_path: Path) -> None:
    needs("waits")
    most = 128
    name = script(
        tmp_path,
        f"""
        import os
        for _ in range({most + 20}):
            if os.fork() == 0:
                os._exit(0)
            os.wait()
        """,
    )
    done = recorded(
        tmp_path,
        "--",
        sys.executable,
        name,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)),
    )
    assert done.returncode == 0, done.stderr
    bundle = only_bundle(tmp_path)
    assert (bundle.manifest()["status"], len(bundle.manifest()["processes"])) == ("ok", most + 21)


FAMILY = """
import multiprocessing, os, subprocess, sys


def work(number):
    return sum(range(number))


def family(method):
    process = multiprocessing.get_context(method).Process(target=work, args=(1000,))
    process.start()
    process.join()
    return process.pid


if __name__ == "__main__":
    pids = [os.getpid(), *map(family, ["fork", "spawn"])]
    forked = os.fork()
    if forked == 0:
        work(10)
        sys.exit(0)
    os.waitpid(forked, 0)
    other = subprocess.Popen([sys.executable, "-c", "pass"])
    other.wait()
    print(*pids, forked, other.pid)
"""


def test_viztracer_traces_every_process_that_ends_by_itself(tmp_path: Path) -> None:
    name = script(tmp_path, FAMILY)
    done = recorded(tmp_path, "--capture", "viztracer", "--", sys.executable, name)
    assert done.returncode == 0, done.stderr
    pids = {int(word) for word in done.stdout.split()}
    bundle = only_bundle(tmp_path)
    assert bundle.manifest()["notices"] == []
    traced = {}
    for path in bundle.raw.glob("viztracer-*.json"):
        calls = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
        traced[int(path.stem.partition("-")[2])] = calls
    assert len(pids) == 5
    assert pids <= set(traced)
    for pid, calls in traced.items():
        assert {event["pid"] for event in calls} == {pid}
    works = {pid for pid, calls in traced.items() if any("work (" in event["name"] for event in calls)}
    assert len(works & pids) == 3, "the forked, the spawned and the plainly forked child"
    assert not (bundle.root / "tracing").exists()


def test_viztracer_keeps_the_users_sitecustomize_and_path(tmp_path: Path) -> None:
    own = tmp_path / "site of mine"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = 'was here'\n")
    code = "import sys; print(mine); print(sys.modules['sitecustomize'].__file__); print(*sys.path, sep='\\n')"
    env = {**ENV, "PYTHONPATH": os.pathsep.join([str(own), str(ROOT)])}
    done = recorded(tmp_path, "--capture", "viztracer", "--", sys.executable, "-c", code, env=env)
    assert done.returncode == 0, done.stderr
    plain = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, check=True, timeout=60
    )
    assert done.stdout == plain.stdout
    assert b"was here" in done.stdout
    assert only_bundle(tmp_path).manifest()["notices"] == []


def test_a_child_python_without_viztracer_is_told(tmp_path: Path) -> None:
    other = next(
        (python for python in interpreters.discover() if not interpreters.has_module(python, "viztracer")), None
    )
    if other is None:
        pytest.skip("every Python here has viztracer")
    command = f"{PYTHON_IN_SHELL} -c 'print(1)' && {shlex.quote(other.executable)} -c 'print(2)'"
    done = recorded(tmp_path, "--capture", "viztracer", "--", "sh", "-c", command)
    assert (done.returncode, done.stdout) == (0, b"1\n2\n"), done.stderr
    assert b"has no working viztracer" in done.stderr
    assert len(list(only_bundle(tmp_path).raw.glob("viztracer-*.json"))) == 1


@pytest.mark.parametrize("option", ["-I", "-S", "-E"])
def test_a_python_that_viztracer_cannot_enter_is_recorded_and_told_why(option: str, tmp_path: Path) -> None:
    done = recorded(tmp_path, "--capture", "waits,viztracer", "--", sys.executable, option, "-c", "print('ran')")
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    bundle = only_bundle(tmp_path)
    assert (len(list(bundle.waits.glob("*.bin"))), bundle.viztracer_traces()) == (1, [])
    said = " ".join(done.stderr.decode().split())
    assert "no Python of it read PYTHONPATH" in said
    assert "try: run Python without -I, -E and -S" in said


CROWD = """
import os, time
def busy():
    while True: pass
crowd = []
for _ in range(6):
    crowd.append(os.fork())
    if crowd[-1] == 0: busy()
for _ in range(4):
    pids = []
    for _ in range(5):
        pids.append(os.fork())
        if pids[-1] == 0:
            time.sleep(0.02)
            raise SystemExit
    for pid in pids:
        os.waitpid(pid, 0)
        print(pid, flush=True)
for pid in crowd:
    os.kill(pid, 9); os.waitpid(pid, 0)
"""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, set[int]]:
    """CROWD under the probe and the kernel, and its 20 children that sleep."""
    needs("kernel")
    here = tmp_path_factory.mktemp("crowd")
    done = recorded(here, "--capture", "waits,kernel", "--", sys.executable, script(here, CROWD))
    assert done.returncode == 0, done.stderr
    return load_suite(SuiteFolder(only_bundle(here).root.parent)), set(map(int, done.stdout.split()))


@pytest.mark.measures
def test_a_thread_that_loses_its_cpu_at_its_end_has_all_its_run_queue_wait(crowd: tuple[Tables, set[int]]) -> None:
    """What the probe reads at the end of a thread, and when, are of one moment, also where the thread was preempted
    between the readings: they were of two in 14 to 17 of 20 children. Of some the kernel's own events are missing.
    """
    tables, children = crowd
    ready = tables.sched[tables.sched["state"] == "runnable"]
    off = []
    for thread in records(tables.threads[tables.threads["pid"].isin(list(children))]):
        waits = ready[ready["tid"] == thread["tid"]]
        ends = (waits["start_ns"] + waits["dur_ns"]).clip(upper=thread["end_ns"])
        waited = (ends - waits["start_ns"].clip(lower=thread["start_ns"])).clip(lower=0).sum()
        off.append(abs(thread["run_queue_wait_ns"] - waited) > 0.02 * (thread["end_ns"] - thread["start_ns"]))
    assert len(off) == 20
    assert sum(off) < 10


@pytest.mark.measures
def test_a_child_that_hardly_lives_has_all_its_involuntary_switches(crowd: tuple[Tables, set[int]]) -> None:
    """What came before a life is read before the life begins: of a child that lost its CPU in between they lacked the
    switch, as many as 7 of 61.
    """
    tables, children = crowd
    found = compute_all(Analysis(tables), ["involuntary_switches"])
    found = found[(found["scope"] == "thread") & found["tid"].isin(list(children))]
    by_method = found.pivot(index="tid", columns="method", values="value")
    assert len(by_method) == len(children) == 20
    of_kernel, of_probe = by_method["kernel-sched"], by_method["waits-probe, thread ends"]
    assert of_probe.sum() >= 0.9 * of_kernel.sum() > 0
    # None but for one that lost its CPU in all readings at its end.
    assert (of_probe < of_kernel).sum() <= 1
