"""Compiling the wait probe and packing it: what is built with a compiler, without one, and from changed sources."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from hatch_build import MANYLINUX_GLIBC, choose_tag, read_needed_glibc
from tests.conftest import MakeOnce
from tracekit.measure.probe import compile as probe

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def can_compile() -> None:
    if probe.explain_unsupported():
        pytest.skip(probe.explain_unsupported())
    try:
        probe.find_compiler()
    except probe.CannotCompile as error:
        pytest.skip(f"{error}; try: sudo apt install gcc libc6-dev")


def test_the_sources_give_no_warning_in_the_strictest_mode(tmp_path: Path) -> None:
    for more in (("-O2",), ("-O0",), ("-O3", "-DNDEBUG")):
        assert probe.compile_probe(tmp_path / "waits.so", (*probe.STRICT, *more)).is_file()


@pytest.fixture
def library(make_once: MakeOnce) -> Path:
    """The wait probe as it is compiled for a user."""
    return make_once("compiled-as-usual", lambda folder: _compile(folder, probe.WAITS)) / probe.WAITS.installed.name


@pytest.fixture
def stages(make_once: MakeOnce) -> Path:
    """The same of the stage probe."""
    return make_once("stages-as-usual", lambda folder: _compile(folder, probe.STAGES)) / probe.STAGES.installed.name


def _compile(folder: Path, wanted: probe.ProbeLibrary) -> None:
    probe.compile_probe(folder / wanted.installed.name, wanted=wanted)


def test_a_library_is_current_until_its_sources_change(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probe.is_current(library)
    assert not probe.is_current(tmp_path / "other.so")
    sources = shutil.copytree(probe.HERE, tmp_path / "sources", ignore=shutil.ignore_patterns("*.so"))
    monkeypatch.setattr(probe, "HERE", sources)
    for name in ("waits.c", "waits.h", "waits/gil.h"):
        assert probe.is_current(library)
        text = (sources / name).read_text()
        (sources / name).write_text(text + "/* */\n")
        assert not probe.is_current(library)
        (sources / name).write_text(text)


def test_what_the_compiler_said_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "waits.c").write_text("int main(void) { return nonsense; }\n")
    (tmp_path / "waits.h").touch()
    monkeypatch.setattr(probe, "HERE", tmp_path)
    with pytest.raises(probe.CannotCompile, match="nonsense"):
        probe.compile_probe(tmp_path / "waits.so")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["waits.c", "waits.h"]


def test_a_failed_build_leaves_the_library_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "waits.so"
    library.write_bytes(b"before")
    monkeypatch.setenv("CC", "/nonexistent/cc")
    with pytest.raises(probe.CannotCompile, match="/nonexistent/cc"):
        probe.compile_probe(library)
    assert library.read_bytes() == b"before"


def test_cc_may_hold_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = probe.find_compiler()[0]
    monkeypatch.setenv("CC", f"{plain} -pipe")
    assert probe.find_compiler() == [plain, "-pipe"]
    assert probe.compile_probe(tmp_path / "stages.so", wanted=probe.STAGES).is_file()


def test_it_exports_nothing_but_names_of_libc(library: Path) -> None:
    """A misspelt one would stand beside the function that it is meant to stand before."""
    with library.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym")
        exported = [symbol.name for symbol in symbols.iter_symbols() if symbol["st_shndx"] != "SHN_UNDEF"]
    libc = ctypes.CDLL(None)
    assert len(exported) > 50
    assert [name for name in exported if not hasattr(libc, name)] == []


def undefined_symbols(library: Path) -> set[str]:
    with library.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym")
        return {symbol.name for symbol in symbols.iter_symbols() if symbol["st_shndx"] == "SHN_UNDEF"}


def test_a_hook_in_a_signal_handler_calls_nothing_that_may_lock(library: Path, stages: Path) -> None:
    """No formatting, scanning, streams or heap of libc: none of them is async-signal-safe."""
    for one in (library, stages):
        undefined = undefined_symbols(one)
        assert "memcpy" in undefined or "strlen" in undefined
        assert not {
            name for name in undefined if re.search(r"printf|scanf|strto|alloc|free|^f(open|write|read|puts)", name)
        }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a build needs of this checkout, without anything that was built."""
    root = tmp_path / "checkout"
    root.mkdir()
    built = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("tracekit", "workloads"):
        shutil.copytree(ROOT / name, root / name, ignore=built)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", ".gitignore"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, root)
    return root


def wheel_of(checkout: Path, **more: str) -> Path:
    """Build as `pip wheel` does."""
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(checkout.parent), **more}
    out = checkout.parent / "wheels"
    words = ["wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [wheel] = out.glob("*.whl")
    return wheel


def test_a_wheel_holds_the_libraries_and_says_for_which_machines(checkout: Path, tmp_path: Path) -> None:
    wheel = wheel_of(checkout)
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        packed.extractall(tmp_path / "site")
        [about] = [name for name in names if name.endswith(".dist-info/WHEEL")]
        assert "Root-Is-Purelib: false" in packed.read(about).decode()
    folder = tmp_path / "site" / "tracekit" / "measure" / "probe"
    libraries = [folder / wanted.installed.name for wanted in probe.PROBES]
    assert all(probe.is_current(library, wanted) for library, wanted in zip(libraries, probe.PROBES, strict=True))
    assert choose_tag(libraries) in wheel.name
    assert {path.relative_to(probe.HERE) for wanted in probe.PROBES for path in wanted.sources} < {
        path.relative_to(folder) for path in folder.rglob("*")
    }


def test_a_wheel_is_for_every_linux_only_if_its_libraries_are(tmp_path: Path) -> None:
    def compile_text(name: str, text: str) -> Path:
        (tmp_path / f"{name}.c").write_text(text)
        library = tmp_path / f"{name}.so"
        words = [*probe.find_compiler(), "-shared", "-fPIC", "-o", str(library), str(tmp_path / f"{name}.c")]
        subprocess.run(words, check=True)
        return library

    old = compile_text("old", "#include <unistd.h>\nint old(void) { return getppid(); }\n")
    new = compile_text(
        "new", "#define _GNU_SOURCE\n#include <sys/mman.h>\nint new(void) { return memfd_create(0, 0); }\n"
    )
    assert read_needed_glibc(old) <= MANYLINUX_GLIBC < read_needed_glibc(new) == (2, 27)
    assert "manylinux_2_17_" in choose_tag([old])
    assert "manylinux" not in choose_tag([old, new])


def test_a_pure_wheel_can_be_asked_for(checkout: Path) -> None:
    wheel = wheel_of(checkout, TRACEKIT_WHEEL="pure")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert not [name for name in packed.namelist() if name.endswith(".so")]


def test_without_a_compiler_there_is_a_wheel_without_the_probe(checkout: Path) -> None:
    wheel = wheel_of(checkout, CC="/nonexistent/cc")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert not [name for name in packed.namelist() if name.endswith(".so")]
        assert "tracekit/measure/probe/waits.c" in packed.namelist()
