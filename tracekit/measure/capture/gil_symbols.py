"""Finds `take_gil` and `drop_gil` of an interpreter: the file that holds them, and their offsets in it.

Both are local functions, so only a full symbol table names them: the file's own, Fedora's compressed one in
`.gnu_debugdata`, or that of a separate debug file found by build id. The compiler may have split or cloned a function
(`.constprop.0`, `.isra.0`, `.lto_priv.0`, `.part.0`); `.cold` is no entry.
"""

from __future__ import annotations

import io
import json
import lzma
import platform
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

FUNCTIONS = ("take_gil", "drop_gil")

_SYMBOL = re.compile(r"(take_gil|drop_gil)(?:\.(?:lto_priv|constprop|isra|part)\.\d+)*")
_DEBUG_FILES = Path("/usr/lib/debug/.build-id")
_INSPECTION = """
import json, os, struct, sys
def offsets():
    try:
        import ctypes
        api = ctypes.pythonapi
        for function in (api.PyThreadState_Get, api.PyInterpreterState_Get):
            function.restype = ctypes.c_void_p
        state, interpreter = api.PyThreadState_Get(), api.PyInterpreterState_Get()
        memory = os.open("/proc/self/mem", os.O_RDONLY)
    except (ImportError, AttributeError, OSError):
        return None
    def words(address, count):
        try:
            return struct.unpack("%dQ" % count, os.pread(memory, 8 * count, address))
        except (OSError, OverflowError, struct.error):
            return ()
    first = words(state, 8)
    for place, pointer in enumerate(words(interpreter, 256)):
        # A GIL begins with its switch interval in us, 5000 unless somebody set it, and who had it last.
        if interpreter in first and words(pointer, 2) == (5000, state):
            return [8 * first.index(interpreter), 8 * place]
with open("/proc/self/maps", "rb") as file:
    lines = [line.rstrip(b"\\n").split(None, 5) for line in file]
paths = dict.fromkeys(os.fsdecode(words[5]) for words in lines if len(words) == 6 and b"x" in words[1])
print(json.dumps([offsets(), [path for path in paths if path.startswith("/")]]))
"""
_TIMEOUT_S = 30

_FIRST_ARGUMENT = {"x86_64": "%di", "aarch64": "%x0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GilSymbols:
    """Where the uprobes go: `offsets` are positions in the file `path`, by the symbol's full name."""

    path: str
    offsets: dict[str, int]
    gil: str = ""
    """The argument of a uprobe on take_gil that reads which GIL is taken; empty where it cannot be read."""


@lru_cache(maxsize=64)
def find_gil_symbols(executable: str) -> GilSymbols | None:
    """The symbols of that interpreter, None where there are none.

    The interpreter is run to list the files that it maps, since only the loader knows which library it takes.
    """
    places, paths = _inspect(executable)
    for path in paths:
        offsets = read_offsets(path)
        # Where drop_gil went into its callers, as in free-threaded builds, the waits are known and the holds are not.
        if any(base_name(name) == "take_gil" for name in offsets):
            return GilSymbols(path=str(path), offsets=offsets, gil=_format_gil_argument(places, offsets))
    return None


def _format_gil_argument(places: list[int] | None, offsets: dict[str, int]) -> str:
    register = _FIRST_ARGUMENT.get(platform.machine())
    # A clone or a part of a function may be called with other arguments.
    plain = all(re.fullmatch(r"\w+(\.lto_priv\.\d+)?", name) for name in offsets)
    if not (places and register and plain):
        return ""
    interpreter, gil = places
    return f"+{gil}(+{interpreter}({register})):x64"


def base_name(symbol: str) -> str:
    """`take_gil.lto_priv.0` -> `take_gil`."""
    return symbol.partition(".")[0]


def read_offsets(path: Path) -> dict[str, int]:
    """Symbol -> offset in the file, for every symbol of FUNCTIONS; empty when the file has none or is no ELF file."""
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            for table in _symbol_tables(elf):
                addresses = _addresses(table)
                offsets = {name: at for name, address in addresses.items() if (at := _offset(elf, address)) is not None}
                if offsets:
                    return offsets
    # What the parser raises on damaged files is not one family.
    except (OSError, ELFError, ValueError, KeyError, IndexError, AttributeError, lzma.LZMAError, EOFError):
        return {}
    return {}


def _inspect(executable: str) -> tuple[list[int] | None, list[Path]]:
    """Run the interpreter to inspect itself.

    Returns the offset of the interpreter in a thread state and that of the pointer to its GIL in the interpreter, None
    before 3.12, where a process has one GIL; and the files that it maps, the likeliest first.
    """
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-c", _INSPECTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
            cwd="/",
        )
        places, names = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None, []
    paths = [Path(name) for name in names]
    return places, sorted(paths, key=lambda path: (not path.name.startswith("libpython"), "python" not in path.name))


def _symbol_tables(elf: ELFFile) -> Iterator[ELFFile]:
    """ELF files whose .symtab may name the functions, with the same addresses as `elf`."""
    yield elf
    packed = elf.get_section_by_name(".gnu_debugdata")
    if packed is not None:
        yield ELFFile(io.BytesIO(lzma.decompress(packed.data())))
    note = elf.get_section_by_name(".note.gnu.build-id")
    # The note's header is 16 bytes long: three sizes and the name "GNU".
    build_id = b"" if note is None else note.data()[16:]
    if build_id:
        name = build_id.hex()
        separate = _DEBUG_FILES / name[:2] / f"{name[2:]}.debug"
        if separate.is_file():
            with separate.open("rb") as file:
                yield ELFFile(file)


def _addresses(elf: ELFFile) -> dict[str, int]:
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return {}
    return {
        symbol.name: symbol["st_value"]
        for symbol in table.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"] and _SYMBOL.fullmatch(symbol.name)
    }


def _offset(elf: ELFFile, address: int) -> int | None:
    """Where in the file that address is, by the segment that the loader maps there."""
    for segment in elf.iter_segments("PT_LOAD"):
        start = segment["p_vaddr"]
        if start <= address < start + segment["p_filesz"]:
            return int(address - start + segment["p_offset"])
    return None
