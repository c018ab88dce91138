"""Set-up: which .venv it takes for done, which it completes, which it makes anew. Nothing is downloaded."""

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

from bootstrap import filling, stamps
from tests.conftest import ROOT

SCRIPT = ROOT / "bootstrap" / "venv.py"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bootstrap_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load(SCRIPT)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, in a folder with a space, whose .venv is real, empty and stamped as complete."""
    root = tmp_path / "a checkout"
    root.mkdir()
    for name in ("pyproject.toml", *stamps.LOCKS.values()):
        shutil.copy(ROOT / name, root)
    venv = root / ".venv"
    stdlib_venv.EnvBuilder(symlinks=True).create(venv)
    (venv / stamps.MADE).write_text(stamps.made_by(venv, stamps.ask_python(venv / "bin" / "python")))
    stamp(root, "dev")
    return root


def stamp(root: Path, kind: str) -> None:
    venv = root / ".venv"
    stamps.stamp_of(venv, kind).write_text(stamps.stamp_text(root, venv, kind))


def current(root: Path, kind: str = "dev") -> bool:
    return bool(stamps.is_current(root, root / ".venv", kind))


def package(packages: Path, name: str, content: str = "x = 1\n") -> Path:
    """An installed package of one file; its metadata folder."""
    info = packages / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (packages / f"{name}.py").write_text(content)
    for file in ("METADATA", "INSTALLER"):
        (info / file).touch()
    (info / "RECORD").write_text(f"{name}.py,sha256=x,{len(content)}\n{info.name}/RECORD,,\n")
    return info


# -- done, to be completed, or to be made anew ---------------------------------------------------------------


def test_the_venv_that_runs_these_tests_is_up_to_date() -> None:
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("not run by `make test`, which is what makes .venv")
    for kind in ("dev", "runtime"):
        done = subprocess.run([sys.executable, "-I", str(SCRIPT), kind, "--check"], check=False)
        assert done.returncode == 0, kind


def test_no_package_runs_code_at_the_start_of_every_python() -> None:
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("not run by `make test`, which is what makes .venv")
    # Measured processes would pay for it. (Lines of a .pth file that begin with `import` are run.)
    found = {pth.name: pth.read_text() for pth in filling.site_packages(ROOT / ".venv").glob("*.pth")}
    assert [text.strip() for text in found.values()] == [str(ROOT)], found


def test_a_complete_venv_is_left_alone_without_a_word(
    checkout: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "bring_up", lambda *_: pytest.fail("there was nothing to do"))
    bootstrap.set_up(checkout, "dev")
    # The dev lock holds the runtime lock, so `make trace` after `make test` has nothing to do either.
    bootstrap.set_up(checkout, "runtime")
    assert capfd.readouterr() == ("", "")


def test_a_runtime_venv_is_not_enough_for_the_tests(checkout: Path) -> None:
    stamps.stamp_of(checkout / ".venv", "dev").unlink()
    stamp(checkout, "runtime")
    assert current(checkout, "runtime")
    assert not current(checkout, "dev")


def test_an_interrupted_venv_is_completed_not_made_anew(checkout: Path) -> None:
    stamps.stamp_of(checkout / ".venv", "dev").unlink()
    assert not current(checkout)
    assert stamps.is_usable(checkout / ".venv")


def test_one_interrupted_before_it_had_pip_is_made_anew(checkout: Path) -> None:
    (checkout / ".venv" / stamps.MADE).unlink()
    assert not current(checkout)
    assert not stamps.is_usable(checkout / ".venv")


@pytest.mark.parametrize("changed", ["requirements-dev.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_file_is_seen(checkout: Path, changed: str) -> None:
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert not current(checkout)
    assert stamps.is_usable(checkout / ".venv")


def test_a_moved_venv_is_made_anew(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("moved"))
    assert not current(moved)
    assert not stamps.is_usable(moved / ".venv")


def test_a_venv_whose_python_is_gone_is_made_anew(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert not current(checkout)
    assert not stamps.is_usable(checkout / ".venv")


def test_no_venv_at_all(tmp_path: Path) -> None:
    assert not current(tmp_path)
    assert not stamps.is_usable(tmp_path / ".venv")


# -- packages that a killed pip left behind ------------------------------------------------------------------


def test_only_whole_packages_are_kept(tmp_path: Path) -> None:
    package(tmp_path, "whole")
    package(tmp_path, "missing")
    (tmp_path / "missing.py").unlink()
    package(tmp_path, "short")
    (tmp_path / "short.py").write_text("x")
    (package(tmp_path, "unrecorded") / "RECORD").unlink()
    (tmp_path / "~hole").mkdir()
    assert sorted(filling.drop_damaged(tmp_path)) == ["missing-1.0", "short-1.0", "unrecorded-1.0"]
    assert sorted(path.name for path in tmp_path.glob("*.dist-info")) == ["whole-1.0.dist-info"]
    assert not (tmp_path / "~hole").exists()


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
    kept = filling.clean_environment()
    assert kept["PIP_USER"] == "0"
    assert {"PIP_INDEX_URL", "PIP_CERT", "HTTPS_PROXY"} <= kept.keys()
    assert not kept.keys() & {*noise[1:], "VIRTUAL_ENV"}


def test_the_second_of_two_set_ups_waits_and_then_has_nothing_to_do(checkout: Path) -> None:
    stamps.stamp_of(checkout / ".venv", "dev").unlink()
    program = "import runpy, sys, pathlib as p; runpy.run_path(sys.argv[1])['set_up'](p.Path(sys.argv[2]), 'dev')"
    with (checkout / ".venv.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, "-I", "-c", program, str(SCRIPT), str(checkout)],
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
        bootstrap.use_other_python()
    assert exit_info.value.code == 4
    what, remedy = capsys.readouterr().err.splitlines()
    assert what.startswith("set-up: Python 3.9 at ")
    assert "Python 3.11 to 3.14" in what
    assert "apt install python3" in remedy


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
        bootstrap.use_other_python()
    assert started == [str(tmp_path / "python3.12")]


def test_lost_network_is_told_from_other_failures(tmp_path: Path) -> None:
    log = tmp_path / "set-up.log"
    log.write_text(
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by "
        "'NewConnectionError(': [Errno -3] Temporary failure in name resolution')': /simple/click/\n"
        "ERROR: Could not find a version that satisfies the requirement click==8.1.8\n"
    )
    assert "cannot be reached" in filling.explain(log).what
    log.write_text("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n")
    assert "DO NOT MATCH" in filling.explain(log).what


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
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_pip_is_fetched_from_the_users_index_and_taken_only_with_the_pinned_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "simple" / "pip"
    page.mkdir(parents=True)
    (tmp_path / filling.PIP_WHEEL).write_bytes(b"a wheel")
    links = ("pip-1.0-py3-none-any.whl", f"../../{filling.PIP_WHEEL}#sha256=0")
    (page / "index.html").write_text("".join(f'<a href="{link}">a file</a>' for link in links))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    with served(tmp_path) as site:
        monkeypatch.setenv("PIP_INDEX_URL", f"{site}/simple")
        with pytest.raises(filling.SetUpError, match="is not the file it should be"):
            filling.download_pip(filling.index_url())
        monkeypatch.setattr(filling, "PIP_SHA256", hashlib.sha256(b"a wheel").hexdigest())
        assert filling.download_pip(filling.index_url()) == b"a wheel"
        with pytest.raises(filling.SetUpError, match="cannot be reached"):
            filling.download_pip(f"{site}/nothing-here")


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
