"""Finding take_gil and drop_gil in ELF files that a compiler really made."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tracekit.measure.capture import gil_symbols
from tracekit.measure.capture.gil_symbols import base_name, find_gil_symbols, read_offsets

SOURCE = """
int state;
__attribute__((noinline)) static int take(int a) __asm__("take_gil.lto_priv.0");
static int take(int a) { return a + state; }
__attribute__((noinline)) static int part(int a) __asm__("take_gil.constprop.0.part.3");
static int part(int a) { return a * 3 + state; }
__attribute__((noinline)) static int cold(int a) __asm__("take_gil.cold");
static int cold(int a) { return a - state; }
__attribute__((noinline)) static int other(int a) __asm__("retake_gil");
static int other(int a) { return a - 2 * state; }
__attribute__((noinline)) static int drop(int a) __asm__("drop_gil");
static int drop(int a) { return a ^ state; }
int both(int a) { return take(a) + drop(a) + part(a) + cold(a) + other(a); }
"""
WANTED = {"take_gil.lto_priv.0", "take_gil.constprop.0.part.3", "drop_gil"}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}; try: apt install gcc binutils")
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared library whose code lies at another address than in the file."""
    folder = tmp_path_factory.mktemp("elf")
    (folder / "gil.c").write_text(SOURCE)
    path = folder / "libpythonlike.so"
    options = ["-O1", "-shared", "-fPIC", "-Wl,--build-id=sha1", "-Wl,-Ttext-segment=0x40000"]
    subprocess.run([tool("gcc"), *options, "-o", str(path), str(folder / "gil.c")], check=True)
    return path


def code_at(path: Path, symbol: str) -> bytes:
    """The function's first bytes according to objdump, which knows addresses and not offsets."""
    told = subprocess.run(
        [tool("objdump"), "-d", f"--disassemble={symbol}", str(path)], capture_output=True, text=True, check=True
    )
    lines = told.stdout.partition(f"<{symbol}>:\n")[2].partition("\n\n")[0].splitlines()
    return b"".join(bytes.fromhex(line.split("\t")[1]) for line in lines if line.count("\t") >= 1)


def test_every_clone_is_found_where_its_code_is(library: Path) -> None:
    offsets = read_offsets(library)
    assert set(offsets) == WANTED
    data = library.read_bytes()
    for symbol, offset in offsets.items():
        code = code_at(library, symbol)
        assert len(code) > 2
        assert data[offset : offset + len(code)] == code


def test_a_stripped_file_has_none(library: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.so"
    subprocess.run([tool("strip"), "-o", str(stripped), str(library)], check=True)
    assert read_offsets(stripped) == {}


def test_symbols_in_a_separate_debug_file_are_found(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripped = tmp_path / "stripped.so"
    subprocess.run([tool("strip"), "-o", str(stripped), str(library)], check=True)
    notes = subprocess.run([tool("readelf"), "-n", str(library)], capture_output=True, text=True, check=True).stdout
    build_id = notes.partition("Build ID: ")[2].split()[0]
    separate = tmp_path / "debug" / build_id[:2] / f"{build_id[2:]}.debug"
    separate.parent.mkdir(parents=True)
    subprocess.run([tool("objcopy"), "--only-keep-debug", str(library), str(separate)], check=True)
    monkeypatch.setattr(gil_symbols, "_DEBUG_FILES", tmp_path / "debug")
    assert read_offsets(stripped) == read_offsets(library)


def test_symbols_in_a_compressed_section_are_found(library: Path, tmp_path: Path) -> None:
    """Fedora's way: the symbol table as an ELF file, packed by xz, in a section of the stripped file."""
    plain, stripped, packed = tmp_path / "mini.debug", tmp_path / "stripped.so", tmp_path / "packed.so"
    subprocess.run([tool("objcopy"), "--only-keep-debug", str(library), str(plain)], check=True)
    subprocess.run([tool("xz"), str(plain)], check=True)
    subprocess.run([tool("strip"), "-o", str(stripped), str(library)], check=True)
    add = f".gnu_debugdata={plain}.xz"
    subprocess.run([tool("objcopy"), "--add-section", add, str(stripped), str(packed)], check=True)
    assert read_offsets(packed) == read_offsets(library)


@pytest.mark.parametrize(
    "data",
    [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF" + b"\2\1\1" + bytes(57), b"\x7fELF" + b"\xff" * 200],
    ids=["empty", "a script", "cut off", "an empty header", "nonsense"],
)
def test_what_is_no_elf_file_has_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert read_offsets(path) == {}
    assert read_offsets(tmp_path / "missing") == {}


def test_a_damaged_file_has_none_or_some(library: Path, tmp_path: Path) -> None:
    """Whatever one word of the header says, there is no traceback."""
    data = library.read_bytes()
    path = tmp_path / "damaged.so"
    for at in range(16, 64, 4):
        for value in (0, 3, 0x7FFFFFFF, 0xFFFFFFFF):
            path.write_bytes(data[:at] + struct.pack("<I", value) + data[at + 4 :])
            assert set(read_offsets(path)) <= WANTED


def test_the_interpreter_says_which_file_it_maps() -> None:
    found = find_gil_symbols(sys.executable)
    if found is None:
        pytest.skip(f"{sys.executable} has no symbols; try a Python from pyenv")
    assert {base_name(symbol) for symbol in found.offsets} <= {"take_gil", "drop_gil"}
    assert any(base_name(symbol) == "take_gil" for symbol in found.offsets)
    assert Path(found.path).read_bytes()[:4] == b"\x7fELF"


def test_what_is_no_interpreter_has_none(tmp_path: Path) -> None:
    assert find_gil_symbols("/bin/true") is None
    assert find_gil_symbols(str(tmp_path / "missing")) is None
