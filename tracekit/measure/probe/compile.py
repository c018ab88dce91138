"""Compiling the probes, and finding the compiled ones. The package's build hook uses it: standard library only.

A library carries a digest of its sources, so that one that was made from others is noticed. The installed package may
hold the libraries; where it does not, they are compiled on first use into the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
"""The folder of the sources."""
LIBRARIES = HERE
"""The folder of the libraries that were compiled when tracekit was installed."""


class ProbeLibrary(NamedTuple):
    """A library that is preloaded into measured programs: its name for readers, and the stem of its files."""

    title: str
    stem: str

    @property
    def source(self) -> Path:
        """The file to compile."""
        return HERE / f"{self.stem}.c"

    @property
    def sources(self) -> list[Path]:
        """All files that it is compiled from: the source, its header and the parts in the folder of its name."""
        header = HERE / f"{self.stem}.h"
        return [self.source, *([header] if header.is_file() else []), *sorted((HERE / self.stem).glob("*.h"))]

    @property
    def installed(self) -> Path:
        """The library of the installed package, which may not be there."""
        return LIBRARIES / f"{self.stem}.so"

    @property
    def mark(self) -> str:
        """The text before the digest in the library."""
        return f"tracekit-{self.stem}-sources:"


WAITS = ProbeLibrary("wait probe", "waits")
STAGES = ProbeLibrary("stage probe", "stages")
PROBES = (WAITS, STAGES)

FLAGS = ("-std=c11", "-O2", "-g1", "-fPIC", "-fno-plt", "-fvisibility=hidden", "-fexceptions", "-Wall", "-Wextra")
"""-fexceptions: a thread that is cancelled inside a call is unwound through our frames. -fno-plt: one jump less per
call."""

STRICT = ("-Werror", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Wvla", "-Wcast-align", "-Wundef")
"""The warnings that the tests compile with. Users do not: a warning that only their newer compiler gives is no reason
to have no probe."""

INSTALL_COMPILER = "install one: sudo apt install gcc libc6-dev"
OTHER_CACHE = "XDG_CACHE_HOME=<a folder of your own> tracekit ..."

_TIMEOUT_S = 300


class CannotCompile(Exception):
    """There is no compiler, it fails, or there is no safe folder for the library; `hint` says how to change that."""

    def __init__(self, reason: str, hint: str = INSTALL_COMPILER) -> None:
        super().__init__(reason)
        self.hint = hint


def explain_unsupported() -> str:
    """The reason why no probe can work here, "" if they can."""
    if sys.platform != "linux":
        return f"the probes work on Linux only, not on {platform.system()}"
    if platform.libc_ver()[0] != "glibc":
        return "the probes need glibc, and this Python runs on another libc"
    return ""


def compute_digest(wanted: ProbeLibrary = WAITS) -> str:
    """The digest of the sources as they are now."""
    digest = hashlib.sha256()
    for path in wanted.sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(library: Path, wanted: ProbeLibrary = WAITS) -> bool:
    """Whether the library exists and was made from these sources."""
    try:
        return f"{wanted.mark}{compute_digest(wanted)}".encode() in library.read_bytes()
    except OSError:
        return False


def find_compiler() -> list[str]:
    """The command of the C compiler: $CC, else cc, gcc or clang. Raises CannotCompile."""
    named = shlex.split(os.environ.get("CC", ""))
    for candidate in [named] if named else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(candidate[0]):
            return candidate
    raise CannotCompile(f"there is no C compiler ({named[0] if named else 'cc, gcc, clang'})")


def compile_probe(library: Path, extra: tuple[str, ...] = (), wanted: ProbeLibrary = WAITS) -> Path:
    """Compile the probe to `library`, whole or not at all. Raises CannotCompile."""
    compiler = find_compiler()
    mark = f'-D{wanted.stem.upper()}_SOURCES="{wanted.mark}{compute_digest(wanted)}"'
    try:
        # A folder of its own beside the target: two processes may compile at the same time, and the last one wins.
        with tempfile.TemporaryDirectory(prefix=f".{library.name}.", dir=library.parent) as folder:
            unfinished = Path(folder) / library.name
            command = [*compiler, *FLAGS, *extra, mark, "-shared", "-o", str(unfinished), str(wanted.source)]
            done = subprocess.run(
                [*command, "-ldl", "-lpthread"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            if done.returncode != 0:
                lines = done.stderr.splitlines()
                first = next((line for line in lines if "error" in line), done.stderr.strip()[:200])
                raise CannotCompile(f"{compiler[0]} refused {wanted.source.name}: {first}", "CC=<another compiler>")
            if not is_current(unfinished, wanted):
                raise CannotCompile(f"{compiler[0]} left the digest out of {library.name}", "CC=<another compiler>")
            unfinished.chmod(0o755)
            unfinished.replace(library)
    except subprocess.SubprocessError as error:
        raise CannotCompile(f"{compiler[0]} does not run: {error}", "CC=<another compiler>") from error
    except OSError as error:
        raise CannotCompile(f"{library} cannot be written: {error}", OTHER_CACHE) from error
    return library


def find_library(wanted: ProbeLibrary) -> Path:
    """The compiled probe: the installed one, else the one in the user's cache, which is made now if need be.

    Raises CannotCompile.
    """
    if is_current(wanted.installed, wanted):
        return wanted.installed
    name = f"{wanted.stem}-{compute_digest(wanted)[:16]}"
    try:
        compiler = find_compiler()
    except CannotCompile:
        # There may have been one once: any library of these sources will do.
        if os.access(_cache_folder(), os.R_OK):
            for library in sorted(_prepare_cache().glob(f"{name}-*.so")):
                if _is_private(library) and is_current(library, wanted):
                    return library
        raise
    library = _prepare_cache() / f"{name}-{_build_digest(compiler)}.so"
    if not (_is_private(library) and is_current(library, wanted)):
        compile_probe(library, wanted=wanted)
    return library


def _build_digest(compiler: list[str]) -> str:
    """A digest of what a build depends on beside the sources: compiler, flags, machine and libc."""
    program = Path(shutil.which(compiler[0]) or compiler[0]).resolve()
    about = program.stat()
    facts = [*compiler, program, about.st_size, about.st_mtime_ns, FLAGS, platform.machine(), platform.libc_ver()]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _cache_folder() -> Path:
    """$XDG_CACHE_HOME/tracekit/probes, by default in ~/.cache. Raises CannotCompile."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
        return root.resolve() / "tracekit" / "probes"
    except (OSError, RuntimeError) as error:
        raise CannotCompile(f"there is no folder for compiled probes: {error}", OTHER_CACHE) from error


def _prepare_cache() -> Path:
    """The cache folder, made if need be, into which nobody else can put a library. Raises CannotCompile."""
    folder = _cache_folder()
    try:
        for each in reversed([folder, *folder.parents]):
            if not each.exists():
                with suppress(FileExistsError):
                    each.mkdir(mode=0o700)
        for each in (folder, folder.parent):
            if not _is_private(each):
                raise CannotCompile(f"{each} can be changed by others: no probe is loaded from it", OTHER_CACHE)
        for each in folder.parents[1:-1]:
            about = each.stat()
            if about.st_uid not in (0, os.geteuid()) or about.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
                raise CannotCompile(f"{each} belongs to others: no probe is loaded from there", OTHER_CACHE)
    except OSError as error:
        raise CannotCompile(f"{folder} cannot be used: {error}", OTHER_CACHE) from error
    return folder


def _is_private(path: Path) -> bool:
    """Whether it exists, is no link, is the user's own and can be changed by nobody else."""
    try:
        about = path.lstat()
    except OSError:
        return False
    return about.st_uid == os.geteuid() and not stat.S_ISLNK(about.st_mode) and not about.st_mode & 0o022
