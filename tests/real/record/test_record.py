"""`tracekit record` with real programs: whose streams and exit codes stay their own, and what is kept of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import read_rows, run_tracekit
from tests.recording import ENV, PYTHON_IN_SHELL, TRACEKIT, needs, only_bundle, recorded, script
from tracekit.analysis.load import load_suite
from tracekit.analysis.view.items import SHOWN
from tracekit.bundle.store import Store, SuiteFolder
from tracekit.cli.record import NOT_SHOWN
from tracekit.measure.capture import CAPTURES
from tracekit.system import interpreters


@pytest.mark.parametrize("capture", ["none", "waits"])
def test_streams_are_the_programs_own(tmp_path: Path, capture: str) -> None:
    if capture != "none":
        needs(capture)
    name = script(
        tmp_path,
        """
        import sys
        data = sys.stdin.buffer.read()
        sys.stdout.buffer.write(data[::-1])
        sys.stderr.write("of its own\\n")
        """,
    )
    data = bytes(range(256)) * 4096
    done = recorded(tmp_path, "--capture", capture, "--", sys.executable, name, input=data)
    assert done.returncode == 0, done.stderr
    assert done.stdout == data[::-1]
    own, last = done.stderr.decode().splitlines()
    assert own == "of its own"
    suite = only_bundle(tmp_path).root.parent.name
    assert last.startswith("app.py took ")
    assert f"tracekit report {suite}" in last
    assert (f"tracekit view {suite}" in last) == (capture in SHOWN)
    assert suite.endswith("-app.py")
    assert recorded(tmp_path, "--quiet", "--capture", capture, "--", sys.executable, name, input=b"").stderr == (
        b"of its own\n"
    )


def test_the_viewer_is_offered_for_every_capture_that_it_shows() -> None:
    assert set(CAPTURES) - NOT_SHOWN == SHOWN


@pytest.mark.parametrize("capture", ["none", "waits"])
@pytest.mark.parametrize(
    ("ending", "shown", "own", "status"),
    [
        ("sys.exit(0)", 0, 0, "ok"),
        ("sys.exit(3)", 3, 3, "ok"),
        ("os._exit(77)", 77, 77, "ok"),
        ("raise RuntimeError", 1, 1, "ok"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, -9, "killed"),
        ("os.abort()", 134, -6, "killed"),
    ],
)
def test_the_exit_code_is_the_programs_own(
    tmp_path: Path, capture: str, ending: str, shown: int, own: int, status: str
) -> None:
    if capture != "none":
        needs(capture)
    done = recorded(tmp_path, "--capture", capture, "--", sys.executable, "-c", f"import os, signal, sys; {ending}")
    assert done.returncode == shown, done.stderr
    manifest = only_bundle(tmp_path).manifest()
    assert (manifest["exit_code"], manifest["status"]) == (own, status)
    assert (b"was killed by SIG" in done.stderr) == (own < 0)
    (process,) = manifest["processes"]
    assert process["exit_code"] == own
    assert process["started_ns"] < process["ended_ns"]
    assert (process["ended"] == "signal") == (own < 0)


def test_what_is_kept_says_what_ran(tmp_path: Path) -> None:
    done = recorded(
        tmp_path, "--capture", "none", "--name", "my-name", "-o", "a store", "--", sys.executable, "-c", "print(1)"
    )
    assert done.returncode == 0, done.stderr
    assert b"--store 'a store'" in done.stderr
    (suite,) = Store(tmp_path / "a store").suites()
    (bundle,) = suite.bundles()
    spec = bundle.spec()
    assert spec.program == (sys.executable, "-c", "print(1)")
    assert (spec.model, spec.workload, spec.workers, spec.capture) == ("program", "my-name", 1, "none")
    assert spec.python == sys.executable
    facts = suite.facts()
    assert facts["status"] == "ok"
    assert facts["command"][-4:] == ["--", sys.executable, "-c", "print(1)"]


def test_the_end_as_json(tmp_path: Path) -> None:
    done = recorded(tmp_path, "--capture", "none", "--json", sys.executable, "-c", "raise SystemExit(4)")
    (line,) = done.stderr.decode().splitlines()
    document = json.loads(line)
    bundle = only_bundle(tmp_path)
    assert document["suite_id"] == bundle.root.parent.name
    assert (document["exit_code"], document["status"]) == (4, "ok")
    assert (done.returncode, done.stdout) == (4, b"")


KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("capture", "ending"),
    [
        *((capture, ending) for capture in ("none", "waits", "kernel", "waits,kernel") for ending in ("pass", KILLED)),
        ("viztracer", "pass"),
        ("py-spy", KILLED),
        ("waits,py-spy", "pass"),
        ("kernel,py-spy", KILLED),
    ],
)
def test_the_wall_is_one_number(tmp_path: Path, capture: str, ending: str) -> None:
    """What is said at the end is what the report says: from the start of the process until it was reaped."""
    for name in capture.split(","):
        needs(name)
    code = f"import os, signal, subprocess; subprocess.run(['true']); {ending}"
    done = recorded(tmp_path, "--capture", capture, "--json", "--", sys.executable, "-c", code)
    said = json.loads(done.stderr.decode().splitlines()[-1])["wall_ns"]
    (run,) = read_rows(tmp_path, "runs")
    manifest = only_bundle(tmp_path).manifest()
    start_ns, end_ns = manifest["program_window"]
    assert said == run["wall_ns"] == end_ns - start_ns
    if "py-spy" in capture:
        assert manifest["started_ns"] < start_ns < end_ns < manifest["ended_ns"], "py-spy's own time is not in it"
    else:
        assert [start_ns, end_ns] == [manifest["started_ns"], manifest["ended_ns"]]


@pytest.mark.parametrize("capture", ["none", "waits", "viztracer", "py-spy", "waits,py-spy", "kernel,py-spy"])
def test_the_wall_holds_exec_and_loading(tmp_path: Path, capture: str) -> None:
    """It begins before the exec and ends after the last line. Without py-spy it begins before the fork, which the
    kernel stamps in clock ticks since boot; py-spy's child waits before its exec until the wall has begun.
    """
    for name in capture.split(","):
        needs(name)
    code = """
        import time
        first_ns = time.monotonic_ns()
        forked_ticks = open("/proc/self/stat").read().rpartition(")")[2].split()[19]
        asleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
        print(forked_ticks, asleep_ns, first_ns, time.monotonic_ns(), flush=True)
    """
    done = recorded(tmp_path, "--capture", capture, "--", sys.executable, script(tmp_path, code))
    forked_ticks, asleep_ns, first_ns, last_ns = map(int, done.stdout.split())
    (run,) = read_rows(tmp_path, "runs")
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    if "py-spy" in capture:
        assert run["start_ns"] + asleep_ns >= forked_ticks * tick_ns
    else:
        assert run["start_ns"] + asleep_ns < (forked_ticks + 1) * tick_ns
    assert run["start_ns"] < first_ns <= last_ns < run["start_ns"] + run["wall_ns"]
    for own in only_bundle(tmp_path).manifest().get("processes", []):
        # The probe begins when the loader is done.
        within = (run["start_ns"] < own["started_ns"], own["ended_ns"] < run["start_ns"] + run["wall_ns"])
        assert within == (("waits" in capture,) * 2)


def test_a_module_and_a_console_script(tmp_path: Path) -> None:
    needs("waits")
    (tmp_path / "test_tiny.py").write_text("def test_tiny():\n    assert 1 + 1 == 2\n")
    done = recorded(tmp_path, "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tiny.py")
    assert done.returncode == 0, done.stderr
    assert b"1 passed" in done.stdout
    assert only_bundle(tmp_path).spec().workload == "pytest"
    command = Path(sys.executable).with_name("pytest")
    (tmp_path / "test_tiny.py").write_text("def test_tiny():\n    assert 1 + 1 == 3\n")
    done = recorded(tmp_path, "-o", "second", str(command), "-q", "-p", "no:cacheprovider", "test_tiny.py")
    assert done.returncode == 1
    assert b"1 failed" in done.stdout
    (bundle,) = Store(tmp_path / "second").suites()[0].bundles()
    assert bundle.spec().python == sys.executable
    assert bundle.manifest()["exit_code"] == 1


def test_any_python_and_what_is_none(tmp_path: Path) -> None:
    """Every Python that is found, and a shell whose Python child is seen by the probe."""
    needs("waits")
    for number, python in enumerate(interpreters.discover()):
        done = recorded(
            tmp_path, "-o", str(number), "--", python.executable, "-c", "import sys; print(sys.version_info[:3])"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode().strip() == str(tuple(int(part) for part in re.findall(r"\d+", python.version)[:3]))
        (bundle,) = Store(tmp_path / str(number)).suites()[0].bundles()
        assert bundle.spec().python_label == python.label.split(" ")[0]
        assert bundle.manifest()["processes"]
    done = recorded(tmp_path, "--", "sh", "-c", f"{PYTHON_IN_SHELL} -c 'import sys; sys.exit(5)'; exit $(($? + 1))")
    assert done.returncode == 6
    bundle = only_bundle(tmp_path)
    assert (bundle.spec().workload, bundle.spec().python) == ("sh", "")
    seen = {Path(process["executable"]).name: process["exit_code"] for process in bundle.manifest()["processes"]}
    assert seen[Path(sys.executable).resolve().name] == 5


def test_environment_folder_and_descriptors_are_the_users(tmp_path: Path) -> None:
    """Nothing is cleaned as it is for a suite, and what a shell opened for the program reaches it."""
    (tmp_path / "data").write_text("through a descriptor")
    code = "import os; print(os.getcwd(), os.environ['PYTHONOPTIMIZE'], os.environ['MINE'], os.read(7, 99).decode())"
    line = f'exec {PYTHON_IN_SHELL} -m tracekit record --quiet --capture none -- {PYTHON_IN_SHELL} -c "$CODE" 7<data'
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=tmp_path,
        env={**ENV, "PYTHONOPTIMIZE": "1", "MINE": "yes", "CODE": code},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path), "1", "yes", "through", "a", "descriptor"]


def test_what_is_kept_is_reported_and_exported(tmp_path: Path) -> None:
    """Also when the program failed; its processes and waits are there, and the store takes it for any other suite."""
    needs("waits")
    name = script(
        tmp_path,
        """
        import subprocess, sys, time
        time.sleep(0.2)
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.1)"])
        raise RuntimeError("on purpose")
        """,
    )
    assert recorded(tmp_path, "--", sys.executable, name).returncode == 1
    (run,) = read_rows(tmp_path, "runs")
    assert (run["workload"], run["model"], run["status"], run["exit_code"]) == ("app.py", "program", "ok", 1)
    main, child = read_rows(tmp_path, "processes")
    assert (main["exit_code"], child["exit_code"], child["ppid"]) == (1, 0, main["pid"])
    waits = read_rows(tmp_path, "waits")
    sleeps = {row["pid"]: row["dur_ns"] for row in waits if row["kind"] == "sleep" and row["dur_ns"] > 5e7}
    assert set(sleeps) == {main["pid"], child["pid"]}
    assert sleeps[main["pid"]] >= 2e8
    assert any(row["kind"] == "child-wait" and row["pid"] == main["pid"] for row in waits)
    said = run_tracekit("report", cwd=tmp_path)
    assert said.code == 0, said.err
    assert "app.py" in said.out
    assert "app.py, 1 run, ok" in run_tracekit("list", "suites", cwd=tmp_path).out


def test_a_recording_within_a_recording(tmp_path: Path) -> None:
    needs("waits")
    inner = [*TRACEKIT, "record", "-q", "-o", "inner", "--", sys.executable, "-c", "raise SystemExit(5)"]
    done = recorded(tmp_path, "-o", "outer", "--", *inner)
    assert done.returncode == 5, done.stderr
    for store, least in (("inner", 1), ("outer", 2)):
        (bundle,) = Store(tmp_path / store).suites()[0].bundles()
        manifest = bundle.manifest()
        assert (manifest["exit_code"], manifest["status"]) == (5, "ok")
        assert len(manifest["processes"]) >= least


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_with_a_job_server(tmp_path: Path) -> None:
    needs("waits")
    (tmp_path / "Makefile").write_text(
        f"all: a b\na b:\n\t@{PYTHON_IN_SHELL} -c 'import time; time.sleep(0.05)' && echo $@\n"
    )
    done = recorded(tmp_path, "--", "make", "-s", "-j2")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == [b"a", b"b"]
    names = [Path(process["executable"]).name for process in only_bundle(tmp_path).manifest()["processes"]]
    assert names.count(Path(sys.executable).resolve().name) == 2


def test_the_settings_of_the_programs_python_are_recorded(tmp_path: Path) -> None:
    """Of its environment only what changes the runtime."""
    needs("waits")
    code = """
        import sys, threading
        sys.setswitchinterval(0.002)
        threads = [threading.Thread(target=sum, args=(range(2_000_000),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    env = {**ENV, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "MY_TOKEN": "hush"}
    done = recorded(tmp_path, "--", sys.executable, script(tmp_path, code), env=env)
    assert done.returncode == 0, done.stderr
    bundle = only_bundle(tmp_path)
    assert "hush" not in bundle.manifest_path.read_text()
    tables = load_suite(SuiteFolder(bundle.root.parent))
    (environment,) = tables.suite["environments"]
    assert environment["variables"].items() >= {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}.items()
    python, own = environment["python"], interpreters.inspect_own()
    assert (python["version"], python["build"], python["free_threaded_build"]) == (own.version, own.build, False)
    assert (python["gil_enabled"], python["switch_interval_seen_s"]) == (True, 0.002)
    assert python["start_method_default"] == multiprocessing.get_context().get_start_method()
