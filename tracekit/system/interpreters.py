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
    platform.python_implementation(), list(sys.version_info[:3]), sys.executable,
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
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EnvironmentLacks(f"{found} does not answer like a Python: {error}", "tracekit list pythons") from error
    if implementation != "CPython":
        raise UsageError(f"{found} is {implementation}; only CPython is measured", "tracekit list pythons")
    if tuple(version[:2]) < OLDEST:
        shown = ".".join(map(str, version))
        raise UsageError(f"{found} is Python {shown}; the oldest that can be measured is 3.9", "tracekit list pythons")
    text = ".".join(map(str, version)) + ("t" if free_threaded else "")
    return Interpreter(
        # The shim of a version manager adds some 50 ms to every start: measure the interpreter behind it.
        executable=executable or found,
        version=text,
        free_threaded=free_threaded,
        build=build.replace("\n", " "),
        label=text,
    )


def inspect_own() -> Interpreter:
    """The Python that tracekit itself runs on."""
    return inspect(sys.executable)


def choose(paths: list[str]) -> list[Interpreter]:
    """The interpreters at these paths, each once, with distinct labels. Raises as `inspect`."""
    found: dict[str, Interpreter] = {}
    for path in paths:
        interpreter = inspect(path)
        found.setdefault(interpreter.executable, interpreter)
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
    """Every CPython 3.9 or newer that PATH or pyenv offers, oldest first; those that do not answer are left out."""
    found: dict[Path, Interpreter] = {}
    for path in [Path(sys.executable), *_list_candidates()]:
        # Several names of one binary are one interpreter; a virtual environment's link is its base's.
        real = path.resolve()
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
        printed = getattr(error, "stderr", None) or str(error)
        raise EnvironmentLacks(
            f"{requirement} cannot be installed for {interpreter.executable}: {str(printed).strip().splitlines()[-1]}",
            f"{interpreter.executable} -m pip install {requirement}",
        ) from error
    (home / "complete").touch()
    return str(site)


def packages_folder() -> Path:
    """Where provisioned packages are kept: `tracekit/packages` in the user's cache folder ($XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracekit" / "packages"


def _list_candidates() -> list[Path]:
    folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [*sorted(pyenv.glob("versions/*/bin")), *(item for item in folders if item != pyenv / "shims")]
    paths = []
    for folder in folders:
        try:
            paths += sorted(
                path for path in folder.iterdir() if _NAME.fullmatch(path.name) and os.access(path, os.X_OK)
            )
        except OSError:
            continue
    return paths
