"""`make pythons`: what is built once is left alone; git directories and unpacked sources; what cannot be built."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bootstrap import pythons
from tracekit.system.interpreters import pythons_folder

CONFIGURE = """#!/bin/sh
for word; do case $word in --prefix=*) prefix=${word#--prefix=};; esac; done
printf 'all:\\n\\t@echo %s\\ninstall:\\n\\tmkdir -p %s/bin\\n\\techo "%s" > %s/bin/python3.15\\n' \\
  "$MAKELEVEL" "$prefix" "$*" "$prefix" > Makefile
"""


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A source that is built as CPython is, in no time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(pythons.os, "nice", lambda _: 0)
    folder = tmp_path / "a source"
    (folder / "Include").mkdir(parents=True)
    (folder / "Include" / "patchlevel.h").write_text('#define PY_VERSION              "3.15.0rc1+"\n')
    configure = folder / "configure"
    configure.write_text(CONFIGURE)
    configure.chmod(0o755)
    return folder


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True)


def test_a_version_is_built_once_with_the_time_it_took(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pythons.main([str(source), "3.15", "3.15t"]) == 0
    for version, option in (("3.15", ""), ("3.15t", " --disable-gil")):
        home = pythons_folder() / version
        expected = f"--prefix={home} --disable-test-modules{option}"
        assert (home / "bin" / "python3.15").read_text().strip() == expected
    first = capsys.readouterr().err
    assert "3.15: built in 0 s" in first
    assert "3.15t: built in 0 s" in first
    assert pythons.main([str(source), "3.15", "3.15t"]) == 0
    assert capsys.readouterr().err.count("is there") == 2
    assert sorted(path.name for path in pythons_folder().iterdir()) == ["3.15", "3.15t"]


def test_a_git_directory_bare_or_not_is_built_from_its_branch(source: Path, tmp_path: Path) -> None:
    git(source, "init", "--quiet", "--initial-branch=3.15")
    (source / "Doc").mkdir()
    (source / "Doc" / "long.rst").write_text("not needed")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "-m", "one")
    git(tmp_path, "clone", "--quiet", "--bare", str(source), "bare.git")
    for folder in (source, tmp_path / "bare.git"):
        assert pythons.main([str(folder), "3.15"]) == 0
        assert len((pythons_folder() / "3.15" / "source").read_text()) == 40
    assert pythons.main([str(source), "3.16"]) == 4


def test_what_cannot_be_built_is_said_and_leaves_no_python(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pythons.main([str(source), "3.14"]) == 4
    assert "is the source of 3.15.0rc1+, not of 3.14" in capsys.readouterr().err
    (source / "configure").write_text("#!/bin/sh\necho no compiler >&2\nexit 77\n")
    assert pythons.main([str(source), "3.15"]) == 4
    said = capsys.readouterr().err
    assert "ended with exit code 77: see" in said
    assert "no compiler" in (pythons_folder() / "3.15.log").read_text()
    assert not (pythons_folder() / "3.15").exists()
    assert pythons.main([str(source)]) == pythons.main([str(source), "newest"]) == 2
