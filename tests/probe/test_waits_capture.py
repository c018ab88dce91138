"""The capture `waits`: what it refuses, and what it leaves when the measured program is over or is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.probe.conftest import PYTHONS, Watching, build, functions, of_kind, read_files
from tests.recording import until
from tracekit.analysis.load.waits.slots import read_slots
from tracekit.bundle import waits_file
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import CaptureUnavailable
from tracekit.measure.capture import Provision
from tracekit.measure.capture.waits import CAPTURE
from tracekit.measure.probe import compile as probe
from tracekit.system import interpreters
from tracekit.system.interpreters import Interpreter

SLEEPS = "import time; time.sleep(0.005)"


@pytest.fixture(autouse=True)
def compiled(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The capture uses a library made from the sources as they are now."""
    monkeypatch.setattr(probe, "LIBRARIES", library.parent)


@pytest.fixture
def spec() -> RunSpec:
    return RunSpec(
        suite_id="s",
        run_id="001-run",
        workload="none",
        workload_target="none:NONE",
        size="smoke",
        model="serial",
        workers=1,
        python=sys.executable,
        timeout_s=60.0,
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "a bundle").mkdir()
    return Bundle(tmp_path / "a bundle")


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_found_here_can_be_watched(python: Interpreter) -> None:
    CAPTURE.preflight(python, Provision())


def refused(python: Interpreter | None = None) -> CaptureUnavailable:
    with pytest.raises(CaptureUnavailable) as caught:
        CAPTURE.preflight(python or interpreters.inspect_own(), Provision())
    assert caught.value.hint
    return caught.value


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder, and no installed library."""
    monkeypatch.setattr(probe, "LIBRARIES", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tracekit" / "probes"


def test_without_a_library_and_a_compiler_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    error = refused()
    assert not cache.exists()
    assert "is not compiled" in str(error)
    assert "gcc" in error.hint


def test_without_a_library_one_is_compiled_and_kept(
    monkeypatch: pytest.MonkeyPatch, cache: Path, spec: RunSpec, bundle: Bundle
) -> None:
    CAPTURE.preflight(interpreters.inspect_own(), Provision())
    [kept] = cache.glob("*.so")
    with CAPTURE.around(spec, bundle) as variables:
        assert variables["LD_PRELOAD"].split(":")[0] == str(kept)
    monkeypatch.setenv("CC", "/nonexistent/cc")
    CAPTURE.preflight(interpreters.inspect_own(), Provision())


def test_a_library_of_other_sources_is_not_used(library: Path, tmp_path: Path, cache: Path) -> None:
    old = tmp_path / "waits.so"
    old.write_bytes(library.read_bytes().replace(probe.compute_digest().encode(), b"0" * 64))
    assert probe.find_library(probe.WAITS).parent == cache


def test_a_setuid_interpreter_is_refused(tmp_path: Path) -> None:
    python = tmp_path / "python"
    shutil.copy(Path(sys.executable).resolve(), python)
    python.chmod(0o4755)
    own = interpreters.inspect_own()
    error = refused(Interpreter(**{name: getattr(own, name) for name in own.__slots__} | {"executable": str(python)}))
    assert "setuid" in str(error)


def test_a_program_that_the_loader_does_not_load_is_refused(tmp_path: Path) -> None:
    """A static interpreter: here a program that takes the same words and sleeps."""
    source, program = tmp_path / "static.c", tmp_path / "python"
    source.write_text("#include <unistd.h>\nint main(void) { return usleep(10000); }\n")
    build(["-static", "-o", str(program), str(source)])
    own = interpreters.inspect_own()
    static = {name: getattr(own, name) for name in own.__slots__} | {"executable": str(program)}
    assert "does not let the wait probe be preloaded" in str(refused(Interpreter(**static)))


def test_a_library_for_another_machine_is_noticed_by_trying(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "waits.so"
    broken.write_bytes(f"no library {probe.compute_digest()}".replace("no library ", probe.WAITS.mark).encode())
    monkeypatch.setattr(probe, "LIBRARIES", tmp_path)
    assert "cannot be preloaded" in str(refused())


@pytest.mark.parametrize("name", ["with space", "with:colon", "ümlaut"])
def test_the_library_may_lie_anywhere(
    monkeypatch: pytest.MonkeyPatch, library: Path, tmp_path: Path, name: str, spec: RunSpec, bundle: Bundle
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(library, folder)
    monkeypatch.setattr(probe, "LIBRARIES", folder)
    CAPTURE.preflight(interpreters.inspect_own(), Provision())
    with CAPTURE.around(spec, bundle) as variables:
        subprocess.run([sys.executable, "-c", SLEEPS], env=variables, check=True)
        linked = Path(variables["LD_PRELOAD"])
    [file] = read_files(bundle.waits)
    assert len(of_kind(file, "sleep")) == 1
    assert not linked.is_symlink()


def test_what_was_preloaded_already_is_kept(
    monkeypatch: pytest.MonkeyPatch, spec: RunSpec, bundle: Bundle, tmp_path: Path
) -> None:
    source, theirs = tmp_path / "theirs.c", tmp_path / "theirs.so"
    source.write_text("int theirs_is_here(void) { return 77; }\n")
    build(["-shared", "-fPIC", "-o", str(theirs), str(source)])
    monkeypatch.setenv("LD_PRELOAD", str(theirs))
    with CAPTURE.around(spec, bundle) as variables:
        text = "import ctypes, sys; sys.exit(ctypes.CDLL(None).theirs_is_here())"
        assert subprocess.run([sys.executable, "-c", text], env=variables, check=False).returncode == 77
    assert len(read_files(bundle.waits)) == 1


def test_files_are_cut_to_what_was_used(spec: RunSpec, bundle: Bundle) -> None:
    with CAPTURE.around(spec, bundle) as variables:
        subprocess.run([sys.executable, "-c", SLEEPS], env=variables, check=True)
        assert variables["TRACEKIT_WAITS"].startswith(str(bundle.root))
    [path] = bundle.waits.iterdir()
    assert path.stat().st_size == waits_file.read_header(path).bytes < 1 << 20
    assert sorted(each.name for each in bundle.root.iterdir()) == ["waits"]
    assert CAPTURE.collect(spec, bundle, [int(path.stem)]) == []
    [notice] = CAPTURE.collect(spec, bundle, [int(path.stem), 1])
    assert notice.code == "capture-incomplete"
    [row] = CAPTURE.read_processes(bundle)
    assert (row["ended"], row["exit_code"], row["lost"]) == ("exit", 0, 0)


LIVES_ON = """
import os, sys, time
from pathlib import Path
if os.fork() == 0:
    os.setsid()
    Path(sys.argv[1], "ready").touch()
    while not Path(sys.argv[1], "stop").exists():
        for turn in range(200):
            time.sleep(0)
    child = os.fork()
    if child == 0:
        time.sleep(0.001)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if sys.version_info >= (3, 9) else 0
    Path(sys.argv[1], "done").write_text(str(code))
    os._exit(0)
while not Path(sys.argv[1], "ready").exists():
    time.sleep(0.01)
"""


def test_a_process_that_lives_on_is_not_harmed_and_its_file_is_sealed(
    spec: RunSpec, bundle: Bundle, tmp_path: Path
) -> None:
    """It writes on, through the room that it had and beyond: a file that was cut under it would be a SIGBUS."""
    with CAPTURE.around(spec, bundle) as variables:
        subprocess.run([sys.executable, "-c", LIVES_ON, str(tmp_path)], env=variables, check=True)
        first, second = read_files(Path(variables["TRACEKIT_WAITS"]))
    try:
        sealed = {path.name: path.read_bytes() for path in bundle.waits.iterdir()}
        assert sorted(sealed) == sorted(f"{file.header.pid}.bin" for file in (first, second))
        assert sorted(each.name for each in bundle.root.iterdir()) == ["waits"]
        daemon = read_slots(bundle.waits / f"{second.header.pid}.bin")
        assert daemon.header.ended == ""
        assert len(daemon.slots) > 0
        assert max(len(data) for data in sealed.values()) < 64 << 20
        time.sleep(0.3)
    finally:
        (tmp_path / "stop").touch()
    until((tmp_path / "done").exists, "the process that lives on is done")
    assert (tmp_path / "done").read_text() == "0"
    assert {path.name: path.read_bytes() for path in bundle.waits.iterdir()} == sealed
    assert sorted(each.name for each in bundle.root.iterdir()) == ["waits"]


def test_a_killed_child_is_told_by_the_status_its_parent_got(spec: RunSpec, bundle: Bundle) -> None:
    text = "import os, time\npid = os.fork()\nif pid == 0: os.kill(os.getpid(), 9)\nos.waitpid(pid, 0)\n"
    with CAPTURE.around(spec, bundle) as variables:
        subprocess.run([sys.executable, "-c", text], env=variables, check=True)
    rows = {(row["ended"], row["exit_code"]) for row in CAPTURE.read_processes(bundle)}
    assert rows == {("exit", 0), ("signal", -9)}


def test_files_that_are_not_begun_are_left_out(spec: RunSpec, bundle: Bundle) -> None:
    with CAPTURE.around(spec, bundle) as variables:
        folder = Path(variables["TRACEKIT_WAITS"])
        (folder / "77.bin").write_bytes(bytes(8192))
        (folder / "78.bin").touch()
    assert list(bundle.waits.iterdir()) == []
    [notice] = CAPTURE.collect(spec, bundle, [])
    assert notice.code == "capture-incomplete"


def test_a_function_is_named_in_a_run_under_the_capture(watching: Watching) -> None:
    text = "import time\ndef dawdles(): time.sleep(0.005)\ndawdles()"
    seen = watching(sys.executable, "-c", text)
    assert functions(seen.first, of_kind(seen.first, "sleep")) == ["dawdles"]
