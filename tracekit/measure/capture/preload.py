"""Preloading a probe into a measured program: find its library, try it, and make the loader's variable."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tracekit.core.errors import CaptureUnavailable
from tracekit.measure.capture import PRELOAD
from tracekit.measure.probe import compile as probe
from tracekit.measure.probe.compile import ProbeLibrary
from tracekit.measure.process.watchdog import make_scratch_folder
from tracekit.system.interpreters import Interpreter

_TRIAL_S = 30
_LEAST_FILE_BYTES = 1 << 20
"""A file of the probe that may not grow to this size may be why the trial left none."""
_SEPARATORS = " :;\t\n"
"""The characters that end a name in LD_PRELOAD, which has no quotes."""


def find_library(wanted: ProbeLibrary, instead: str) -> Path:
    """The compiled probe. Raises CaptureUnavailable, with the hint `instead` where nothing can be done."""
    reason = probe.explain_unsupported()
    if reason:
        raise CaptureUnavailable(reason, instead)
    try:
        return probe.find_library(wanted)
    except probe.CannotCompile as error:
        raise CaptureUnavailable(f"the {wanted.title} is not compiled: {error}", error.hint) from error


def run_preloaded(
    library: Path, interpreter: Interpreter, code: str, variables: Mapping[str, str], instead: str
) -> str:
    """Run `code` in that Python with the library preloaded, and return its stderr.

    Raises CaptureUnavailable for a Python into which nothing is preloaded, or that does not run.
    """
    if Path(interpreter.executable).stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise CaptureUnavailable(
            f"{interpreter.executable} is setuid or setgid: the loader preloads nothing into it",
            "measure another interpreter: tracekit list pythons",
        )
    with _path_for_loader(library) as name:
        try:
            done = subprocess.run(
                [interpreter.executable, "-I", "-S", "-c", code],
                env={**os.environ, PRELOAD: name, **variables},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TRIAL_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise CaptureUnavailable(f"{interpreter.executable} does not run: {error}", instead) from error
    return done.stderr


def make_refusal(wanted: ProbeLibrary, interpreter: Interpreter, stderr: str, instead: str) -> CaptureUnavailable:
    """The error for a trial in which the probe wrote nothing; `stderr` is what the interpreter printed."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if not stderr.strip() and 0 <= limit < _LEAST_FILE_BYTES:
        return CaptureUnavailable(
            f"the {wanted.title} cannot write its file: no file may have more than {limit:,} bytes here (ulimit -f)",
            "ulimit -f unlimited",
        )
    first = (stderr.strip().splitlines() or ["it is static, or made for another libc"])[0]
    return CaptureUnavailable(
        f"{interpreter.executable} does not let the {wanted.title} be preloaded: {first}", instead
    )


@contextmanager
def preload(library: Path) -> Iterator[dict[str, str]]:
    """The variable that preloads the library before those of the user. Raises CaptureUnavailable."""
    with _path_for_loader(library) as name:
        theirs = os.environ.get(PRELOAD)
        yield {PRELOAD: f"{name}:{theirs}" if theirs else name}


@contextmanager
def _path_for_loader(library: Path) -> Iterator[str]:
    """The path of the library, or of a link to it, without a character that ends a name in LD_PRELOAD."""
    if not any(char in str(library) for char in _SEPARATORS):
        yield str(library)
        return
    with make_scratch_folder() as folder:
        link = folder / library.name
        if any(char in str(link) for char in _SEPARATORS):
            raise CaptureUnavailable(
                f"nothing can be preloaded from a folder with a space or colon in its name: {link}",
                "TMPDIR=/tmp tracekit ...",
            )
        link.symlink_to(library)
        yield str(link)
