"""Finding interpreters: each build once, under its whole version, whatever else lies in the folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracekit.core.errors import EnvironmentLacks
from tracekit.system import interpreters
from tracekit.system.interpreters import Interpreter


def fake(path: Path, version: str, *, free_threaded: bool = False) -> Path:
    """A script that answers as a Python of that version would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = f'["CPython", {version}, "{path}", {str(free_threaded).lower()}, "made"]'
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is found but what a test makes, and our own."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def labels() -> list[str]:
    own = interpreters.inspect_own().executable
    return [found.label for found in interpreters.discover() if found.executable != own]


@pytest.mark.parametrize(
    ("version", "free_threaded", "shown"),
    [
        ('[3, 15, 0, "candidate", 1]', False, "3.15.0rc1"),
        ('[3, 15, 0, "candidate", 1]', True, "3.15.0rc1t"),
        ('[3, 16, 0, "alpha", 2]', False, "3.16.0a2"),
        ('[3, 14, 0, "beta", 4]', False, "3.14.0b4"),
        ('[3, 14, 7, "final", 0]', True, "3.14.7t"),
    ],
)
def test_a_pre_release_keeps_its_whole_version(tmp_path: Path, version: str, free_threaded: bool, shown: str) -> None:
    found = interpreters.inspect(str(fake(tmp_path / "python3.99", version, free_threaded=free_threaded)))
    assert (found.version, found.label) == (shown, shown)


def test_one_build_under_two_names_is_listed_and_chosen_once(tmp_path: Path) -> None:
    """A free-threaded build is installed as python3.14 and python3.14t, two hard links."""
    first = fake(tmp_path / "bin" / "python3.14", '[3, 14, 7, "final", 0]', free_threaded=True)
    os.link(first, first.with_name("python3.14t"))
    (first.parent / "python3.13").symlink_to(first)
    assert labels() == ["3.14.7t"]
    assert len(interpreters.choose([str(first), str(first.with_name("python3.14t"))])) == 1


def test_what_make_pythons_built_is_found(tmp_path: Path) -> None:
    home = interpreters.pythons_folder() / "3.15"
    assert home == tmp_path / "cache" / "tracekit" / "pythons" / "3.15"
    built = fake(home / "bin" / "python3.15", '[3, 15, 0, "candidate", 1]')
    assert labels() == ["3.15.0rc1"]
    assert interpreters.inspect("3.15").executable == str(built)


@pytest.mark.parametrize("unreadable", ["", "versions", "versions/3.12", "versions/3.12/bin"])
def test_a_folder_of_pyenv_that_cannot_be_read_hides_only_what_is_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unreadable: str
) -> None:
    for version in ("3.12", "3.13"):
        fake(
            tmp_path / "pyenv" / "versions" / version / "bin" / f"python{version}", f'[3, {version[2:]}, 0, "final", 0]'
        )
    folder = tmp_path / "pyenv" / unreadable
    for name in ("iterdir", "stat", "is_dir", "exists"):
        refuse_below(monkeypatch, folder, name)
    assert labels() == (["3.13.0"] if "3.12" in unreadable else [])


def refuse_below(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> None:
    """As of a folder without permissions, which root would not notice."""
    right = getattr(Path, name)

    def refuse(self: Path, *words: object, **options: object) -> object:
        if self == folder or folder in self.parents:
            raise PermissionError(13, "Permission denied", str(self))
        return right(self, *words, **options)

    monkeypatch.setattr(Path, name, refuse)


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (
            "ERROR: Could not find a version that satisfies x\nERROR: No matching distribution found",
            "no release of it fits",
        ),
        ("...NewConnectionError('<pip._vendor...>')...", "the package index cannot be reached"),
        ("\n\n[notice] a new release of pip is available", "pip ended with exit code 1"),
    ],
)
def test_pips_own_text_is_kept_in_a_file_and_is_not_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, printed: str, reason: str
) -> None:
    def fail(words: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, words, stderr=printed)

    monkeypatch.setattr(subprocess, "run", fail)
    python = Interpreter(executable=sys.executable, version="3.15.0rc1", free_threaded=False, build="", label="")
    with pytest.raises(EnvironmentLacks) as caught:
        interpreters.provision_packages(python, "viztracer==1.1.1", tmp_path)
    assert "viztracer==1.1.1 cannot be installed for CPython 3.15.0rc1: " + reason in str(caught.value)
    assert printed.strip().splitlines()[-1] not in str(caught.value)
    (log,) = tmp_path.glob("*/pip.log")
    assert str(log) in str(caught.value)
    assert log.read_text() == printed
