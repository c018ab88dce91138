"""py-spy: `py-spy record` around the run, sampling from outside, with children, idle threads and native frames.

Idle threads matter here: py-spy counts a thread that waits for the GIL as idle and drops it otherwise. The output is
`speedscope`, which keeps the samples' order and opens at speedscope.app; py-spy's chrometrace draws idle as busy.
py-spy returns 0 whatever its child returned, so the exit code comes from the child's own end record.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import STDERR_LOG, STDOUT_LOG, Bundle
from tracekit.core.errors import CaptureUnavailable, EnvironmentLacks, RunFailed
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture, Provision
from tracekit.measure.process.launch import launch
from tracekit.measure.process.watchdog import scratch_prefix, start_watchdog
from tracekit.system.interpreters import Interpreter

MOST_ERRORS = 0.02
_SUMMARY = re.compile(rb"Samples: (\d{1,18}) Errors: (\d{1,18})")
_SUMMARY_BYTES = 65_536
"""py-spy's last lines lie within that, also where the program's own stderr follows."""
_TRIAL_S = 30


class PySpyCapture(Capture):
    """Samples the stacks of all threads from outside."""

    name = "py-spy"
    passes_exit_code = False

    def preflight(self, interpreter: Interpreter, provision: Provision) -> str:
        if interpreter.free_threaded:
            raise CaptureUnavailable(
                f"py-spy cannot read the free-threaded build {interpreter.executable}",
                "tracekit run ... --capture viztracer",
            )
        # Whether the system lets py-spy read another process depends on user, ptrace_scope and container, and whether
        # py-spy knows that Python on its version: only a short trial shows it.
        trial = [interpreter.executable, "-c", "import time; time.sleep(0.2)"]
        words = [_find_binary(), "record", "--rate", "50", "--format", "raw", "--output", os.devnull, "--native", "--"]
        try:
            # Killed, it leaves a file of its own and its child.
            with start_watchdog() as watchdog, tempfile.TemporaryDirectory(prefix=scratch_prefix()) as folder:
                done = launch(
                    [*words, *trial],
                    env=os.environ,
                    cwd=Path.cwd(),
                    folder=Path(folder),
                    timeout_s=_TRIAL_S,
                    watchdog=watchdog,
                )
                logs = [Path(folder, name).read_text(errors="replace") for name in (STDERR_LOG, STDOUT_LOG)]
        except (OSError, EnvironmentLacks, RunFailed) as error:
            raise CaptureUnavailable(f"py-spy does not run: {error}", "pip install py-spy") from error
        if done.timed_out:
            raise CaptureUnavailable(
                f"py-spy does not end: its trial took more than {_TRIAL_S} s", "pip install py-spy"
            )
        if done.exit_code != 0:
            printed = "\n".join(logs).strip().splitlines()
            reason = printed[0] if printed else f"exit code {done.exit_code}"
            raise CaptureUnavailable(
                f"py-spy was refused: {reason}",
                "sudo sysctl kernel.yama.ptrace_scope=1 (or a container with --cap-add SYS_PTRACE)",
            )
        return ""

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        return [
            _find_binary(),
            "record",
            "--rate",
            str(spec.rate_hz),
            "--format",
            "speedscope",
            "--output",
            str(bundle.pyspy_profile.absolute()),
            "--subprocesses",
            "--idle",
            "--threads",
            "--native",
            "--",
            *argv,
        ]

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        output = bundle.pyspy_profile
        if output.is_file() and output.stat().st_size > 0:
            return list(_tell_errors(spec, bundle))
        return [notice("capture-incomplete", capture=self.name, missing="the whole run", run_id=spec.run_id)]


def _tell_errors(spec: RunSpec, bundle: Bundle) -> Iterator[Notice]:
    """A notice when py-spy says that it could not read more than MOST_ERRORS of its samples."""
    try:
        with bundle.tool_log.open("rb") as log:
            log.seek(max(0, bundle.tool_log.stat().st_size - _SUMMARY_BYTES))
            found = _SUMMARY.findall(log.read())
    except OSError:
        return
    samples, errors = map(int, found[-1]) if found else (0, 0)
    if errors > MOST_ERRORS * (samples + errors):
        # Its unwinding of native frames stumbles over the page through which a uprobe returns.
        remedy = "leave out capture kernel" if "kernel" in spec.capture.split("+") else "lower --rate"
        yield notice("samples-failed", errors=f"{errors:,}", samples=f"{samples:,}", run_id=spec.run_id, remedy=remedy)


def _find_binary() -> str:
    """py-spy beside tracekit's own Python, else on PATH. Raises CaptureUnavailable."""
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        raise CaptureUnavailable("py-spy is not installed", "pip install py-spy")
    return found


CAPTURE = PySpyCapture()
