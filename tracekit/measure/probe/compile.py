"""Compiling the probes. The package's build hook does it at set-up; standard library only, as it runs there.

A library carries a digest of the sources it was made from, so that one which does not fit them is noticed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
"""Where the sources are."""
LIBRARIES = HERE
"""Where the compiled libraries are."""


class Probe(NamedTuple):
    """A library that is preloaded: what a reader calls it, the stem of its file, and its sources, the .c first."""

    title: str
    stem: str
    sources: tuple[str, ...]

    @property
    def library(self) -> Path:
        """Where it is when it is compiled."""
        return LIBRARIES / f"{self.stem}.so"

    @property
    def mark(self) -> str:
        """What stands in the library before the digest."""
        return f"tracekit-{self.stem}-sources:"


WAITS = Probe("wait probe", "waits", ("waits.c", "waits.h"))
STAGES = Probe("stage probe", "stages", ("stages.c",))
PROBES = (WAITS, STAGES)

FLAGS = ("-std=c11", "-O2", "-g1", "-fPIC", "-fno-plt", "-fvisibility=hidden", "-fexceptions", "-Wall", "-Wextra")
"""-fexceptions: a thread that is cancelled inside a call is unwound through our frames. -fno-plt: one jump less per
call."""

STRICT = ("-Werror", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Wvla", "-Wcast-align", "-Wundef")
"""What the tests compile with. Not what users do: a warning that only their newer compiler has is no reason to have no
probe."""

_TIMEOUT_S = 120


class CannotCompile(Exception):
    """No compiler, or one that refuses: the text says which and what it said."""


def supported() -> str:
    """Empty where the probes can work, else the reason why they cannot."""
    if sys.platform != "linux":
        return f"what tracekit preloads works on Linux only, not on {platform.system()}"
    if platform.libc_ver()[0] != "glibc":
        return "what tracekit preloads needs glibc, and this Python runs on another libc"
    return ""


def digest(probe: Probe = WAITS) -> str:
    """Of the sources as they are now."""
    found = hashlib.sha256()
    for name in probe.sources:
        found.update((HERE / name).read_bytes())
    return found.hexdigest()


def is_current(library: Path, probe: Probe = WAITS) -> bool:
    """Whether the library is there and was made from these sources."""
    try:
        return f"{probe.mark}{digest(probe)}".encode() in library.read_bytes()
    except OSError:
        return False


def compiler() -> list[str]:
    """$CC, else cc, gcc or clang. Raises CannotCompile."""
    named = shlex.split(os.environ.get("CC", ""))
    for candidate in [named] if named else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(candidate[0]):
            return candidate
    raise CannotCompile(f"there is no C compiler ({named[0] if named else 'cc, gcc, clang'})")


def compile_probe(library: Path, extra: tuple[str, ...] = (), probe: Probe = WAITS) -> Path:
    """Compile the probe to `library`, whole or not at all. Raises CannotCompile."""
    unfinished = library.with_name(f".{library.name}.{os.getpid()}")
    mark = f'-D{probe.stem.upper()}_SOURCES="{probe.mark}{digest(probe)}"'
    source = probe.sources[0]
    command = [*compiler(), *FLAGS, *extra, mark, "-shared", "-o", str(unfinished), str(HERE / source)]
    try:
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
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
            raise CannotCompile(f"{command[0]} refused {source}: {said}")
        unfinished.replace(library)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotCompile(f"{command[0]} does not run: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return library
