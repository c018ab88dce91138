"""kernel: what the kernel records of a run, through a private tracefs instance; needs root.

uprobes on entry and return of CPython's take_gil and drop_gil, every context switch and wake-up of the run's threads,
and the start, exec and end of its processes, all on CLOCK_MONOTONIC. The kernel follows the process tree itself: the
thread that starts the measured process, this one or a watchdog's, is the first of `set_event_pid`, and `event-fork`
adds whatever it forks; that thread is left out when the files are read. The buffers are copied as binary pages and
parsed after the run.

Cost: 4 to 7 µs for each release and take of the GIL, of which an interpreter that starts does some 800, and about 1 µs
for a context switch; nothing in between. A uprobe is in the file: other processes with the same libpython are slowed
down as much meanwhile, though not recorded.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tracekit.bundle.files import write_json
from tracekit.bundle.kernel_files import EVENTS, FOLDER, FORMAT, META
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import CaptureUnavailable
from tracekit.core.notices import Notice, notice
from tracekit.core.owner import read_start_ticks
from tracekit.measure.capture import Capture, Provision
from tracekit.measure.capture.gil_symbols import GilSymbols, base_name, find_gil_symbols
from tracekit.measure.capture.page_reader import PageReader
from tracekit.measure.process.watchdog import starting_process
from tracekit.system import tracefs
from tracekit.system.interpreters import Interpreter

_BUFFER_KB = 8192
"""Of each CPU: some 120,000 context switches. Read when half of it is full."""
_BUFFERS_KB = 512 * 1024
"""Of all CPUs together, on large machines."""
_LEAST_BUFFER_KB = 1024
_OTHER = "tracekit run ... --capture waits"
_LOSSES = ("overrun", "commit overrun", "dropped events")
_numbers = itertools.count()


class KernelCapture(Capture):
    """Records the context switches and the GIL takes of a run in a private tracefs instance."""

    name = "kernel"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> str:
        if sys.platform != "linux" or sys.byteorder != "little":
            raise CaptureUnavailable(
                f"the kernel capture needs Linux on a little-endian machine, this is {sys.platform}",
                _OTHER,
            )
        with ExitStack() as stack:
            _make_instance(stack, find_gil_symbols(interpreter.executable))
        return ""

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        folder = bundle.raw / FOLDER
        folder.mkdir(exist_ok=True)
        # To inspect an interpreter is to run it, and a recorded program runs once: only a known Python is inspected.
        symbols = find_gil_symbols(spec.python) if spec.python else None
        with ExitStack() as stack:
            # Left in reverse: tracing ends and the rest is read before the instance goes.
            instance, owner = _make_instance(stack, symbols)
            meta = _describe_events(instance, owner, symbols)
            # Before this thread's children are followed: the reader is not part of the run.
            reader = PageReader(instance, folder, meta["page_bytes"])
            stack.callback(_finish, instance, reader, folder, meta)
            _switch_on(instance, owner, symbols)
            yield {}

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        meta = json.loads((bundle.raw / FOLDER / META).read_text(encoding="utf-8"))
        found = []
        lost = sum(cpu[kind] for cpu in meta["cpus"].values() for kind in _LOSSES)
        if lost:
            found.append(notice("kernel-lost", lost=f"{lost:,}", run_id=spec.run_id, workload=spec.workload))
        if not meta["uprobes"]:
            found.append(notice("kernel-no-symbols", python=spec.python or spec.workload, run_id=spec.run_id))
        return found


def _make_instance(stack: ExitStack, symbols: GilSymbols | None) -> tuple[Path, tracefs.Owner]:
    """Make an instance, switched off, with its uprobes; `stack` removes both. Raises CaptureUnavailable."""
    root = _find_tracefs()
    pid = os.getpid()
    owner = tracefs.Owner(pid, read_start_ticks(pid) or 0, next(_numbers))
    instance = root / "instances" / owner.instance
    stack.callback(_remove_instance, owner)
    with _explain_refusal(f"make {instance}"):
        instance.mkdir()
        tracefs.write_setting(instance / "tracing_on", "0")
        tracefs.write_setting(instance / "trace_clock", "mono")
    if symbols is not None:
        if not (root / "uprobe_events").exists():
            raise CaptureUnavailable("this kernel has no uprobes (CONFIG_UPROBE_EVENTS)", _OTHER)
        with _explain_refusal(f"put uprobes into {symbols.path}"):
            for line in _probe_lines(owner, symbols):
                tracefs.define_probe(root, line)
    return instance, owner


def _find_tracefs() -> Path:
    """The folder of tracefs. Raises CaptureUnavailable."""
    root = tracefs.find_tracefs()
    if root is None:
        if os.geteuid() != 0:
            raise CaptureUnavailable("the kernel capture needs root to use tracefs", "sudo tracekit run ...")
        raise CaptureUnavailable(
            "tracefs is not mounted on /sys/kernel/tracing", "sudo mount -t tracefs nodev /sys/kernel/tracing"
        )
    if not tracefs.is_in_initial_pid_namespace():
        raise CaptureUnavailable(
            "process ids here are those of a container, and the kernel traces by the host's",
            "docker run --privileged --pid=host -v /sys/kernel/tracing:/sys/kernel/tracing ...",
        )
    return root


@contextmanager
def _explain_refusal(action: str, hint: str = _OTHER) -> Iterator[None]:
    """Turn an error of tracefs into CaptureUnavailable."""
    try:
        yield
    except OSError as error:
        reason = f"tracefs refused to {action}: {error.strerror or error}"
        if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
            raise CaptureUnavailable(f"{reason} (not root)", "sudo tracekit run ...") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            allowed = "docker run --privileged ... (outside a container: cat /sys/kernel/security/lockdown)"
            raise CaptureUnavailable(reason, allowed) from error
        raise CaptureUnavailable(reason, hint) from error


def _remove_instance(owner: tracefs.Owner) -> None:
    with _explain_refusal(f"remove {owner.instance}", "tracekit doctor --clean"):
        tracefs.remove_traces(owner)


def _probe_names(symbols: GilSymbols) -> dict[str, tuple[str, str]]:
    """Probe name -> (p or r, symbol). A clone's suffix is no part of a valid name, so they are numbered."""
    names = {}
    for number, symbol in enumerate(sorted(symbols.offsets)):
        function = base_name(symbol).removesuffix("_gil")
        names[f"{function}{number}"] = ("p", symbol)
        names[f"{function}{number}_return"] = ("r", symbol)
    return names


def _probe_lines(owner: tracefs.Owner, symbols: GilSymbols) -> list[str]:
    lines = []
    for name, (kind, symbol) in _probe_names(symbols).items():
        line = f"{kind}:{owner.group}/{name} {symbols.path}:0x{symbols.offsets[symbol]:x}"
        is_take = kind == "p" and base_name(symbol) == "take_gil"
        lines.append(f"{line} gil={symbols.gil}" if is_take and symbols.gil else line)
    return lines


def _describe_events(instance: Path, owner: tracefs.Owner, symbols: GilSymbols | None) -> dict[str, Any]:
    """The content of meta.json, which the pages are read with; the counts of lost events are added at the end."""
    uprobes = {
        f"{owner.group}/{name}": {
            "function": base_name(symbol),
            "at": "entry" if kind == "p" else "return",
            "symbol": symbol,
        }
        for name, (kind, symbol) in ({} if symbols is None else _probe_names(symbols)).items()
    }
    with _explain_refusal(f"describe {instance.name}"):
        header_page = (instance / "events" / "header_page").read_text(encoding="utf-8")
        formats = {
            name: (instance / "events" / name / "format").read_text(encoding="utf-8") for name in (*EVENTS, *uprobes)
        }
        return {
            "format": FORMAT,
            "clock": "mono",
            "page_bytes": _page_bytes(instance),
            "header_page": header_page,
            "events": formats,
            "uprobes": uprobes,
            "path": "" if symbols is None else symbols.path,
            "pid": starting_process() or os.getpid(),
            "start_tid": _starting_thread(),
        }


def _starting_thread() -> int:
    return starting_process() or threading.get_native_id()


def _page_bytes(instance: Path) -> int:
    """The bytes that one read of a buffer gives: a page of the kernel, or more where larger sub-buffers are set."""
    try:
        return int((instance / "buffer_subbuf_size_kb").read_text()) * 1024
    except FileNotFoundError:
        return os.sysconf("SC_PAGE_SIZE")


def _switch_on(instance: Path, owner: tracefs.Owner, symbols: GilSymbols | None) -> None:
    with _explain_refusal(f"trace in {instance.name}"):
        _size_buffers(instance)
        # The oldest are overwritten when the reader is late: then the pages say where events are missing.
        tracefs.write_setting(instance / "options" / "overwrite", "1")
        tracefs.write_setting(instance / "options" / "event-fork", "1")
        tracefs.write_setting(instance / "set_event_pid", str(_starting_thread()))
        for name in EVENTS:
            tracefs.write_setting(instance / "events" / name / "enable", "1")
        if symbols is not None:
            tracefs.write_setting(instance / "events" / owner.group / "enable", "1")
        tracefs.write_setting(instance / "tracing_on", "1")


def _size_buffers(instance: Path) -> None:
    """Make the buffers as large as memory allows, up to _BUFFER_KB each. Raises OSError."""
    cpus = len(list(instance.glob("per_cpu/cpu[0-9]*")))
    size = max(_LEAST_BUFFER_KB, min(_BUFFER_KB, _BUFFERS_KB // max(cpus, 1)))
    while True:
        try:
            tracefs.write_setting(instance / "buffer_size_kb", str(size))
        except OSError as error:
            if error.errno != errno.ENOMEM or size <= _LEAST_BUFFER_KB:
                raise
            size //= 2
        else:
            return


def _finish(instance: Path, reader: PageReader, folder: Path, meta: dict[str, Any]) -> None:
    """Switch tracing off, read the rest, and write meta.json. Raises OSError where the bundle cannot be written."""
    try:
        with _explain_refusal(f"end tracing in {instance.name}"):
            tracefs.write_setting(instance / "tracing_on", "0")
            meta["cpus"] = {path.name: _count_losses(path) for path in sorted(instance.glob("per_cpu/cpu[0-9]*"))}
    finally:
        reader.finish()
    write_json(folder / META, meta)


def _count_losses(cpu: Path) -> dict[str, int]:
    """The counts of lost events of one CPU's buffer, by kind."""
    lines = (line.partition(":") for line in (cpu / "stats").read_text().splitlines())
    found = {name: value for name, _, value in lines}
    return {kind: int(found.get(kind, 0)) for kind in _LOSSES}


CAPTURE = KernelCapture()
