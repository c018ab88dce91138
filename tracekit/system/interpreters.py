"""The CPythons of this machine: finding them, inspecting them, and provisioning packages for them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tracekit.core.errors import EnvironmentLacks, UsageError

OLDEST = (3, 9)
"""The oldest CPython that can be measured; tracekit itself needs 3.11."""

_INSPECTION = """
import json, platform, sys, sysconfig
print(json.dumps([
    platform.python_implementation(), list(sys.version_info), sys.executable,
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), sys.version,
]))
"""
_VERSION = re.compile(r"3\.\d+t?")
_NAME = re.compile(r"python3\.\d+t?(\.exe)?")
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """One Python that can be measured. `label` names it in tables and is unique within a suite."""

    executable: str
    version: str
    free_threaded: bool
    build: str
    label: str


def inspect(path: str) -> Interpreter:
    """Run the interpreter at `path` (or of that name on PATH or in pyenv) to find out what it is.

    Raises UsageError when there is none or it is too old, EnvironmentLacks when it does not answer.
    """
    refused: EnvironmentLacks | None = None
    for found in _find_paths(path):
        try:
            return _inspect_path(found)
        except EnvironmentLacks as error:
            refused = refused or error
    if refused is not None:
        raise refused
    raise UsageError(f"no Python at {path!r}", "tracekit list pythons")


def _find_paths(path: str) -> list[str]:
    """The paths that `path`, a path or a name, may mean, the most likely first.

    A name like python3.9 may also be one of pyenv's, whose shim of that name works for the chosen versions only.
    """
    if _VERSION.fullmatch(path):
        path = f"python{path}"
    first = shutil.which(path)
    others = [str(item) for item in _list_candidates() if item.name == path] if _NAME.fullmatch(path) else []
    return list(dict.fromkeys([*([first] if first else []), *others]))


def find_start_hint(error: OSError) -> str:
    """What helps when a Python could not be started: RLIMIT_NPROC is the limit that EAGAIN stands for."""
    return "ulimit -u unlimited" if isinstance(error, BlockingIOError) else "tracekit list pythons"


def _inspect_path(found: str) -> Interpreter:
    try:
        answer = subprocess.run(
            [found, "-I", "-c", _INSPECTION],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            cwd="/",
            # Our stdin belongs to the program that is to be recorded.
            stdin=subprocess.DEVNULL,
        )
        if answer.returncode != 0:
            printed = (answer.stderr.strip().splitlines() or ["nothing"])[0]
            raise ValueError(f"exit code {answer.returncode}, it prints: {printed}")
        implementation, version, executable, free_threaded, build = json.loads(answer.stdout)
    except BlockingIOError as error:
        raise EnvironmentLacks(f"cannot start {found}: {error.strerror}", find_start_hint(error)) from error
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EnvironmentLacks(f"{found} does not answer like a Python: {error}", "tracekit list pythons") from error
    if implementation != "CPython":
        raise UsageError(f"{found} is {implementation}; only CPython is measured", "tracekit list pythons")
    shown = _format_version(*version)
    if tuple(version[:2]) < OLDEST:
        raise UsageError(f"{found} is Python {shown}; the oldest that can be measured is 3.9", "tracekit list pythons")
    text = shown + ("t" if free_threaded else "")
    return Interpreter(
        # The shim of a version manager adds some 50 ms to every start: measure the interpreter behind it.
        executable=executable or found,
        version=text,
        free_threaded=free_threaded,
        build=build.replace("\n", " "),
        label=text,
    )


def _format_version(major: int, minor: int, micro: int, level: str = "final", serial: int = 0) -> str:
    """`3.14.7`; of a pre-release the whole version, `3.15.0rc1`, as two of them differ like two versions."""
    letter = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(level, "")
    return f"{major}.{minor}.{micro}" + (f"{letter}{serial}" if letter else "")


def inspect_own() -> Interpreter:
    """The Python that tracekit itself runs on."""
    return inspect(sys.executable)


def choose(paths: list[str]) -> list[Interpreter]:
    """The interpreters at these paths, each once, with distinct labels. Raises as `inspect`."""
    found: dict[tuple[int, int] | str, Interpreter] = {}
    for path in paths:
        interpreter = inspect(path)
        found.setdefault(_identify(Path(interpreter.executable)), interpreter)
    versions = [item.version for item in found.values()]
    return [
        item
        if versions.count(item.version) == 1
        else Interpreter(
            executable=item.executable,
            version=item.version,
            free_threaded=item.free_threaded,
            build=item.build,
            label=f"{item.version} ({item.executable})",
        )
        for item in found.values()
    ]


def discover() -> list[Interpreter]:
    """Every CPython 3.9 or newer that PATH, pyenv or `make pythons` offers, oldest first; those that do not answer are
    left out."""
    found: dict[tuple[int, int] | str, Interpreter] = {}
    for path in [Path(sys.executable), *_list_candidates()]:
        real = _identify(path)
        if real in found:
            continue
        try:
            found[real] = inspect(str(path))
        except (UsageError, EnvironmentLacks):
            continue
    return sorted(
        found.values(), key=lambda item: ([int(part) for part in re.findall(r"\d+", item.version)], item.executable)
    )


def has_module(interpreter: Interpreter, module: str, extra_path: str = "") -> bool:
    """Whether that interpreter can import `module`, with `extra_path` appended to its path."""
    code = f"import sys; sys.path += [{extra_path!r}] if {extra_path!r} else []; import {module}"
    try:
        done = subprocess.run(
            [interpreter.executable, "-c", code],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            cwd="/",
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def provision_packages(interpreter: Interpreter, requirement: str, cache: Path) -> str:
    """A folder with `requirement` installed for that interpreter, made once and kept in `cache`.

    Returns the folder to append to the measured process's path. Raises EnvironmentLacks when it cannot be made.
    """
    key = re.sub(r"[^A-Za-z0-9.]+", "-", f"{interpreter.executable}-{interpreter.version}-{requirement}").strip("-")
    home = cache / key
    site = home / "packages"
    if (home / "complete").is_file():
        return str(site)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    installer = [sys.executable, "-m", "pip", "--python", interpreter.executable]
    try:
        subprocess.run(
            [*installer, "install", "--quiet", "--target", str(site), requirement],
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentLacks(
            f"{requirement} cannot be installed for CPython {interpreter.version}: {_explain_pip(error, home)}",
            f"{interpreter.executable} -m pip install {requirement}",
        ) from error
    (home / "complete").touch()
    return str(site)


_PIP_SAYS = (
    ("No matching distribution", "no release of it fits this Python"),
    ("Could not find a version", "no release of it fits this Python"),
    ("NewConnectionError", "the package index cannot be reached"),
    ("Failed to build", "it has no wheel for this Python, and its source does not compile here"),
    ("No space left", "no space is left on the disk"),
)


def _explain_pip(error: OSError | subprocess.SubprocessError, home: Path) -> str:
    """Why pip failed, in words of ours; all of pip's are kept in a file."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"pip did not end in {error.timeout:.0f} s"
    if not isinstance(error, subprocess.CalledProcessError):
        return f"pip does not run ({type(error).__name__})"
    printed = str(error.stderr or "")
    log = home / "pip.log"
    log.write_text(printed, encoding="utf-8", errors="replace")
    known = (reason for text, reason in _PIP_SAYS if text in printed)
    return f"{next(known, f'pip ended with exit code {error.returncode}')} (what pip wrote: {log})"


def packages_folder() -> Path:
    """Where provisioned packages are kept: `tracekit/packages` in the user's cache folder ($XDG_CACHE_HOME)."""
    return _cache_folder() / "packages"


def pythons_folder() -> Path:
    """Where `make pythons` keeps what it builds: `tracekit/pythons` in the same folder, one folder per version."""
    return _cache_folder() / "pythons"


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracekit"


def _identify(path: Path) -> tuple[int, int] | str:
    """What tells binaries apart: several names of one, also hard links, are one interpreter; a virtual environment's
    link is its base's."""
    try:
        about = path.stat()
    except OSError:
        return str(path)
    return about.st_dev, about.st_ino


def _list_candidates() -> list[Path]:
    folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    versions = [*_list_folder(pyenv / "versions"), *_list_folder(pythons_folder())]
    folders = [*(version / "bin" for version in versions), *(item for item in folders if item != pyenv / "shims")]
    return [
        path
        for folder in folders
        for path in _list_folder(folder)
        if _NAME.fullmatch(path.name) and os.access(path, os.X_OK)
    ]


def _list_folder(folder: Path) -> list[Path]:
    """What is in the folder; nothing if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
