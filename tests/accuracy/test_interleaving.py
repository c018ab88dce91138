"""Two processes that take turns: never both at once, and nobody is left stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tracekit.accuracy.interleaving import Interleaver, Started, interleave

BUSY = """
import time
while time.process_time() < 0.3:
    pass
print(time.process_time_ns())
"""


def running(code: str, pids: list[int]) -> Callable[[Started], tuple[int, str]]:
    """A side: a Python process that leads a group of its own; its exit code and what it printed."""

    def side(started: Started) -> tuple[int, str]:
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            pids.append(process.pid)
            started(process.pid)
            out, _ = process.communicate(timeout=60)
        return process.returncode, out

    return side


def test_only_one_of_the_two_runs_at_a_time() -> None:
    begin_ns = time.monotonic_ns()
    results, interleaver = interleave([running(BUSY, []), running(BUSY, [])])
    end_ns = time.monotonic_ns()
    own = [interleaver.own_ns(side, begin_ns, end_ns) for side in (0, 1)]
    for side, (code, out) in enumerate(results):
        assert code == 0
        # With the CPU time of both in the turns of one it would be about twice its turns, on any machine.
        assert 0 < int(out) < 1.5 * own[side]
    assert sum(own) <= end_ns - begin_ns


def test_turns_are_cut_to_the_time_span_that_is_asked_for() -> None:
    _, interleaver = interleave([running("pass", []), running("pass", [])], first=1)
    assert interleaver.own_ns(0, 0, 1) == 0
    begin_ns = time.monotonic_ns()
    assert interleaver.own_ns(1, begin_ns, begin_ns + 10**9) == 0


def test_both_may_use_the_same_cpu() -> None:
    cpu = max(os.sched_getaffinity(0))
    ask = "import os, time; time.sleep(0.1); print(*os.sched_getaffinity(0))"
    results, _ = interleave([running(ask, []), running(ask, [])], cpu=cpu)
    assert [out.split() for _, out in results] == [[str(cpu)]] * 2


def test_a_side_that_cannot_start_does_not_hold_up_the_other() -> None:
    pids: list[int] = []

    def refuses(_started: Started) -> tuple[int, str]:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        interleave([refuses, running("pass", pids)])
    assert len(pids) == 1


def test_who_stops_it_leaves_no_stopped_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Interleaver, first: int) -> None:
        raise KeyboardInterrupt

    pids: list[int] = []
    monkeypatch.setattr(Interleaver, "alternate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        interleave([running("import time; time.sleep(60)", pids)] * 2)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
