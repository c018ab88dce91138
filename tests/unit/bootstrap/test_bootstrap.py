"""The set-up: which .venv is up to date, which is completed, which is made anew. Nothing is downloaded."""

import contextlib
import fcntl
import functools
import hashlib
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import venv as stdlib_venv
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bootstrap import set_up
from tests.conftest import ROOT

SCRIPT = ROOT / "bootstrap" / "venv.py"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bootstrap_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


entry = load(SCRIPT)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, in a folder with a space, whose .venv is real, empty and stamped as complete."""
    root = tmp_path / "a checkout"
    root.mkdir()
    for name in ("pyproject.toml", *set_up.LOCKS.values()):
        shutil.copy(ROOT / name, root)
    stdlib_venv.EnvBuilder(symlinks=True).create(root / ".venv")
    stamp(root, "dev")
    return root


def stamp(root: Path, kind: str) -> None:
    set_up.write_stamp(root / ".venv", set_up.make_stamp(root, kind))


# -- done, to be completed, or to be made anew ---------------------------------------------------------------


def test_the_venv_that_runs_these_tests_is_up_to_date() -> None:
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("not run by `make test`, which is what makes .venv")
    for kind in ("dev", "runtime"):
        assert set_up.is_current(ROOT, kind), kind


def test_no_package_runs_code_at_the_start_of_every_python() -> None:
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("not run by `make test`, which is what makes .venv")
    # Measured processes would pay for it. (Lines of a .pth file that begin with `import` are run.)
    found = {pth.name: pth.read_text() for pth in (ROOT / ".venv").glob("lib/python3*/site-packages/*.pth")}
    assert [text.strip() for text in found.values()] == [str(ROOT)], found


def test_a_complete_venv_is_left_alone_without_a_word(
    checkout: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_up, "bring_up_to_date", lambda *_: pytest.fail("there was nothing to do"))
    set_up.set_up(checkout, "dev")
    # The dev lock holds the runtime lock, so `make trace` after `make test` has nothing to do either.
    set_up.set_up(checkout, "runtime")
    assert capfd.readouterr() == ("", "")


def test_a_runtime_venv_is_not_enough_for_the_tests(checkout: Path) -> None:
    stamp(checkout, "runtime")
    assert set_up.is_current(checkout, "runtime")
    assert not set_up.is_current(checkout, "dev")
    assert set_up.is_usable(checkout / ".venv")


@pytest.mark.parametrize("changed", ["requirements-dev.lock", "pyproject.toml"])
def test_one_older_than_the_lock_or_the_project_file_is_completed(checkout: Path, changed: str) -> None:
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert not set_up.is_current(checkout, "dev")
    assert set_up.is_usable(checkout / ".venv")


def test_a_compiler_that_is_new_or_gone_is_noticed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = set_up.find_compiler()
    monkeypatch.setattr(set_up, "find_compiler", lambda: None if there else "/usr/bin/cc")
    assert not set_up.is_current(checkout, "dev")
    assert set_up.is_usable(checkout / ".venv")


def test_one_that_is_half_installed_is_made_anew(checkout: Path) -> None:
    set_up.stamp_of(checkout / ".venv").unlink()
    assert not set_up.is_current(checkout, "dev")
    assert not set_up.is_usable(checkout / ".venv")


@pytest.mark.parametrize(
    ("output", "usable"),
    [("Collecting click==8.1.8\n", True), (f"Collecting click{set_up.INSTALLING}: click\n", False)],
)
def test_after_a_failure_it_is_completed_if_pip_had_only_fetched(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, output: str, usable: bool
) -> None:
    def fail(venv: Path, *_: object) -> None:
        assert not set_up.stamp_of(venv).exists()
        (venv / "set-up.log").write_text(output)
        raise set_up.SetUpError("pip failed", "again")

    stamp(checkout, "runtime")
    monkeypatch.setattr(set_up, "install_packages", fail)
    with pytest.raises(set_up.SetUpError):
        set_up.set_up(checkout, "dev")
    assert set_up.is_usable(checkout / ".venv") is usable
    assert not set_up.is_current(checkout, "dev")


def test_a_moved_one_is_made_anew(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("moved"))
    assert not set_up.is_current(moved, "dev")
    assert not set_up.is_usable(moved / ".venv")


def test_one_whose_python_is_gone_is_made_anew(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert not set_up.is_current(checkout, "dev")
    assert not set_up.is_usable(checkout / ".venv")


def test_no_venv_at_all(tmp_path: Path) -> None:
    assert not set_up.is_current(tmp_path, "dev")
    assert not set_up.is_usable(tmp_path / ".venv")


# -- the surroundings ----------------------------------------------------------------------------------------


def test_the_environment_for_pip_keeps_only_how_to_reach_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = [
        "PIP_USER",
        "PIP_TARGET",
        "PIP_NO_BINARY",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
        "CONDA_PREFIX",
    ]
    for name in (*noise, "VIRTUAL_ENV", "PIP_INDEX_URL", "PIP_CERT", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "said")
    kept = set_up.clean_environment()
    assert kept["PIP_USER"] == "0"
    assert {"PIP_INDEX_URL", "PIP_CERT", "HTTPS_PROXY"} <= kept.keys()
    assert not kept.keys() & {*noise[1:], "VIRTUAL_ENV"}


def test_the_second_of_two_set_ups_waits_and_then_has_nothing_to_do(checkout: Path) -> None:
    stamp(checkout, "runtime")
    program = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from bootstrap import set_up;"
        "set_up.set_up(pathlib.Path(sys.argv[2]), 'dev')"
    )
    with (checkout / ".venv.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, "-I", "-c", program, str(ROOT), str(checkout)],
            stderr=subprocess.PIPE,
            text=True,
        )
        with second:
            assert second.stderr is not None
            assert "waiting for another set-up" in second.stderr.readline()
            stamp(checkout, "dev")
            fcntl.flock(turn, fcntl.LOCK_UN)
            assert second.stderr.read() == ""
    assert second.returncode == 0


def test_a_python_that_does_not_fit_is_refused_in_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SystemExit) as exit_info:
        entry.use_other_python()
    assert exit_info.value.code == 4
    what, remedy = capsys.readouterr().err.splitlines()
    assert what.startswith("set-up: Python 3.9 at ")
    assert "Python 3.11 to 3.14" in what
    assert "apt install python3" in remedy


def test_a_chosen_python_that_does_not_fit_is_refused_with_the_wheels_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("python3.14", "python3.12"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / name).chmod(0o755)
    # A pip whose index lacks two of the packages, which it says one at a time.
    pip = tmp_path / "python3.15"
    lacks = "contourpy numpy"
    pip.write_text(
        "#!/bin/sh\nfor file; do :; done\n"
        f'for name in {lacks}; do grep -q "^$name==" $file && echo "ERROR: No matching distribution found for '
        '$name==1" && exit 1; done\nexit 0\n'
    )
    pip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "version_info", (3, 15, 0))
    monkeypatch.setattr(sys, "executable", str(pip))
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("another Python was taken"))
    with pytest.raises(SystemExit) as exit_info:
        entry.check_python(["runtime", "--chosen"])
    assert exit_info.value.code == 4
    what, remedy = capsys.readouterr().err.splitlines()
    assert what.startswith(f"set-up: Python 3.15 at {pip} does not fit")
    assert what.endswith("; of contourpy, numpy it finds no wheel for this one")
    assert "BOOTSTRAP_PYTHON=" in remedy


def test_another_python_on_path_is_taken_but_not_a_name_that_only_prints_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, code in (("python3.14", 127), ("python3.12", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    started: list[str] = []

    def execv(path: str, _: list[str]) -> None:
        started.append(path)
        sys.exit()

    monkeypatch.setenv("PATH", str(tmp_path))
    # Stops where the script would go on under the Python it found.
    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(SystemExit):
        entry.use_other_python()
    assert started == [str(tmp_path / "python3.12")]


def test_a_lost_network_is_not_reported_as_another_failure(tmp_path: Path) -> None:
    log = tmp_path / "set-up.log"
    log.write_text(
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by "
        "'NewConnectionError(': [Errno -3] Temporary failure in name resolution')': /simple/click/\n"
        "ERROR: Could not find a version that satisfies the requirement click==8.1.8\n"
    )
    assert "cannot be reached" in str(set_up.explain_failure(tmp_path))
    log.write_text("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n")
    assert "DO NOT MATCH" in str(set_up.explain_failure(tmp_path))


def test_progress_counts_what_pip_fetches_then_what_is_installed() -> None:
    output = "Ignoring colorama: markers do not match\nCollecting click==8.1.8\n"
    assert set_up.describe_progress(output, 3, 0) == "fetching 1/2"
    assert "trying again" in set_up.describe_progress(output + "WARNING: Retrying (Retry(total=4))\n", 3, 0)
    output += "Requirement already satisfied: rich\n"
    assert set_up.describe_progress(output, 3, 0) == "fetching 2/2"
    assert set_up.describe_progress(f"{output}{set_up.INSTALLING}: click\n", 3, 1) == "installing, 1 done"


# -- without ensurepip ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """`folder` as a web site on this machine; its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_pip_is_fetched_from_an_index_and_taken_only_with_the_pinned_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "simple" / "pip"
    page.mkdir(parents=True)
    (tmp_path / set_up.PIP_WHEEL).write_bytes(b"a wheel")
    links = ("pip-1.0-py3-none-any.whl", f"../../{set_up.PIP_WHEEL}#sha256=0")
    (page / "index.html").write_text("".join(f'<a href="{link}">a file</a>' for link in links))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    with served(tmp_path) as site:
        with pytest.raises(set_up.SetUpError, match="is not the file it should be"):
            set_up.download_pip(f"{site}/simple")
        monkeypatch.setattr(set_up, "PIP_SHA256", hashlib.sha256(b"a wheel").hexdigest())
        assert set_up.download_pip(f"{site}/simple") == b"a wheel"
        with pytest.raises(set_up.SetUpError, match="cannot be reached"):
            set_up.download_pip(f"{site}/nothing-here")


# -- the locks -----------------------------------------------------------------------------------------------


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def wanted(extra: str | None = None) -> set[str]:
    """The names that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.split(r"[<>=!~\[; ]", line)[0].lower() for line in lines}


def test_the_locks_hold_what_the_project_asks_for() -> None:
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert wanted() | wanted("build") <= runtime.keys()
    assert wanted("dev") <= dev.keys()
    # Else a .venv made for the tests would not do for `make trace`.
    assert runtime.items() <= dev.items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_locks_name_no_machine(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.findall(r"https?:|file:|^--|/(?:home|root|tmp|opt)/", text, re.MULTILINE)
    assert text.count("==") <= text.count("--hash=sha256:")
