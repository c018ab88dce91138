"""Finding a compiled probe: the installed one, the one in the user's cache, one that is compiled now, or the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.real.quick import AS_A_USER
from tracekit.measure.probe import compile as probe

STAGES = probe.STAGES


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache and no installed library."""
    if probe.explain_unsupported():
        pytest.skip(probe.explain_unsupported())
    try:
        probe.find_compiler()
    except probe.CannotCompile as error:
        pytest.skip(f"{error}; try: {error.hint}")
    monkeypatch.setattr(probe, "LIBRARIES", tmp_path / "package")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_installed_library_is_used_if_it_is_of_these_sources(cache: Path) -> None:
    STAGES.installed.parent.mkdir()
    probe.compile_probe(STAGES.installed, wanted=STAGES)
    assert probe.find_library(STAGES) == STAGES.installed
    assert not cache.exists()
    STAGES.installed.write_bytes(STAGES.installed.read_bytes().replace(STAGES.mark.encode(), b"other"))
    assert probe.find_library(STAGES).is_relative_to(cache)


def test_it_is_compiled_once_and_only_the_user_can_change_it(cache: Path) -> None:
    library = probe.find_library(STAGES)
    assert library.parent == cache / "tracekit" / "probes"
    assert [path.stat().st_mode & 0o777 for path in (cache, library.parent.parent, library.parent)] == [0o700] * 3
    assert not library.stat().st_mode & 0o022
    written = library.stat().st_mtime_ns
    assert probe.find_library(STAGES) == library
    assert library.stat().st_mtime_ns == written
    assert list(library.parent.iterdir()) == [library]


def test_without_a_cache_variable_it_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for named in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert probe.find_library(STAGES).parent == tmp_path / "home" / ".cache" / "tracekit" / "probes"


def test_another_compiler_makes_another_library(monkeypatch: pytest.MonkeyPatch) -> None:
    first = probe.find_library(STAGES)
    monkeypatch.setenv("CC", f"{probe.find_compiler()[0]} -O1")
    assert probe.find_library(STAGES) != first


def test_without_a_compiler_the_kept_library_is_used(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    with pytest.raises(probe.CannotCompile, match="/nonexistent/cc") as caught:
        probe.find_library(STAGES)
    assert "gcc" in caught.value.hint
    assert not cache.exists()
    monkeypatch.delenv("CC")
    library = probe.find_library(STAGES)
    monkeypatch.setenv("CC", "/nonexistent/cc")
    assert probe.find_library(STAGES) == library


def test_several_first_uses_at_once_all_get_a_whole_library(cache: Path) -> None:
    code = "from tracekit.measure.probe import compile as p; import sys, pathlib; p.LIBRARIES = pathlib.Path('/none'); "
    code += "print(p.find_library(p.STAGES))"

    def use_first(_: int) -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(use_first, range(4)))
    [library] = [Path(name) for name in found]
    assert probe.is_current(library, STAGES)
    assert list(library.parent.iterdir()) == [library]


@pytest.mark.parametrize("level", ["tracekit", "tracekit/probes"])
def test_a_folder_that_others_can_write_is_not_used(cache: Path, level: str) -> None:
    probe.find_library(STAGES)
    (cache / level).chmod(0o777)
    with pytest.raises(probe.CannotCompile, match="can be changed by others") as caught:
        probe.find_library(STAGES)
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_a_cache_below_a_folder_of_everybody_is_used_only_if_nobody_can_rename_it(cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(probe.CannotCompile, match="belongs to others"):
        probe.find_library(STAGES)
    cache.chmod(0o1777)
    assert probe.find_library(STAGES).is_relative_to(cache)


def test_a_link_in_the_place_of_the_folder_is_not_followed(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (cache / "tracekit").mkdir(parents=True, mode=0o700)
    (cache / "tracekit" / "probes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(probe.CannotCompile, match="can be changed by others"):
        probe.find_library(STAGES)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_library_that_others_put_there_is_compiled_anew(cache: Path) -> None:
    library = probe.find_library(STAGES)
    library.chmod(0o666)
    assert not probe.find_library(STAGES).stat().st_mode & 0o022
    library.write_bytes(b"not a library")
    assert probe.is_current(probe.find_library(STAGES), STAGES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away; try: sudo make test")
def test_another_users_folder_is_not_used(cache: Path) -> None:
    cache.mkdir(mode=0o755)
    os.chown(cache, 1234, 1234)
    with pytest.raises(probe.CannotCompile, match="belongs to others"):
        probe.find_library(STAGES)


def test_a_cache_that_cannot_be_made_is_the_reason(cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(probe.CannotCompile, match="cannot be used"):
        probe.find_library(STAGES)


def test_a_cache_that_may_not_be_read_is_none(cache: Path, tmp_path: Path) -> None:
    cache.mkdir()
    cache.chmod(0)
    code = """
import sys
from pathlib import Path
from tests.real.quick import AS_A_USER
from tracekit.measure.probe import compile as probe
probe.LIBRARIES = Path(sys.argv[1])
try:
    probe.find_library(probe.STAGES)
except probe.CannotCompile as error:
    print(error)
"""
    done = subprocess.run(
        [*AS_A_USER, sys.executable, "-c", code, str(tmp_path / "package")],
        env={**os.environ, "CC": "/nonexistent/cc"},
        capture_output=True,
        text=True,
        check=False,
    )
    cache.chmod(0o700)
    assert done.stdout == "there is no C compiler (/nonexistent/cc)\n", done.stderr
