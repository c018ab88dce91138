"""thread_*_ns: where the time of threads went, as parts of one whole.

The whole (thread_wall_ns) is the lifetime of every thread that counts inside the run window (lifetimes.py). It is cut
into

    thread_on_cpu_ns         on a CPU                       thread_idle_ns    nothing to do
    thread_gil_wait_ns       for the GIL                    thread_steal_ns   running, but the hypervisor had the CPU
    thread_lock_wait_ns      on a lock                      thread_run_queue_ns   ready, waiting for a CPU
    thread_io_wait_ns        reading or writing             thread_task_blocked_ns   blocked, cause not recorded
    thread_poll_ns           in poll, select, epoll         unattributed_ns   what no method accounts for
    thread_sleep_ns          asleep because it asked to
    thread_child_wait_ns     for a child process to end

which add up to the whole by construction, in integers, for every thread, process, run and cell. A part that a method
cannot separate is unavailable; its time is then in thread_task_blocked_ns or unattributed_ns. How a run was recorded
decides which method cuts:

    kernel-sched   from_sched.py      exactly, from the kernel's scheduling record and the waits
    waits-probe    from_waits.py      from the recorded waits, the threads' CPU time and their run-queue wait
    schedstat      from_counters.py   untraced suites: blocked time is one part
                   from_waits.py      programs recorded without either: the same

Pooled by the mean of the runs, because means of parts add up to the mean of the whole and medians do not.
"""

from __future__ import annotations

from functools import partial

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import pooled_mean, unavailable
from tracekit.analysis.metrics.ledger import parts as ledger_parts
from tracekit.analysis.metrics.ledger.parts import WALL as WHOLE
from tracekit.analysis.metrics.metric import EVERYWHERE, LINUX, Metric
from tracekit.analysis.metrics.rows import rows_of_methods
from tracekit.analysis.metrics.thread_sums import join_methods

_NO_FUNCTIONS = "not separated here: the functions of its Python could not be read"
_NO_THREAD = unavailable("no worker thread was recorded")
_UNAVAILABLE = {
    ledger_parts.BLOCKED: unavailable("nothing is left of it: its parts are known"),
    ledger_parts.GIL: unavailable("not separated here: see gil_wait_ns for its bound, or use capture waits"),
    ledger_parts.STEAL: unavailable("not separated here: steal_ns has that of the machine"),
}
_NOT_RECORDED = unavailable("not separated here: capture waits sees what threads block on")


def compute(part: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell of one part."""
    found = analysis.thread_time(part)
    whole = analysis.thread_time(WHOLE)
    lacking = {
        (run["run_id"],): _UNAVAILABLE.get(part, _NOT_RECORDED)
        for run in analysis.usable_runs
        if (run["run_id"],) in whole and (run["run_id"],) not in found
    }
    unread = analysis.without_functions if part in ledger_parts.BY_FUNCTION else {}
    lacking |= {
        place: unavailable(f"{_NO_FUNCTIONS}: {unread[place[0]]}")
        for place in whole
        if place[0] in unread and place not in found
    }
    return rows_of_methods(analysis, part, "ns", join_methods(found, lacking), pool=pooled_mean, missing=_NO_THREAD)


def _metric(name: str, summary: str, method: str, *, better: str = "neither", valid_on: str = LINUX) -> Metric:
    return Metric(
        name=name,
        unit="ns",
        better=better,
        needs=("threads", "spans", "counters", "waits", "sched"),
        valid_on=valid_on,
        summary=summary,
        method=f"{method} Sum over worker threads, of programs over all Python threads; cell: mean of the runs, so "
        "that parts add up.",
        compute=partial(compute, name),
    )


WALL = _metric(
    ledger_parts.WALL,
    "All time of the worker threads in the run window; of a program, of all its Python threads.",
    "From a worker's request, or a thread's start, to its end.",
    valid_on=EVERYWHERE,
)
ON_CPU = _metric(
    ledger_parts.ON_CPU,
    "Threads: on a CPU; workers: in a task and on a CPU.",
    "CPU time of the tasks or of the thread; kernel-sched: running, less steal.",
    valid_on=EVERYWHERE,
)
GIL_WAIT = _metric(
    ledger_parts.GIL,
    "Threads: waiting for the GIL, a forced switch included, in tasks and between them.",
    "Waits of kinds gil and gil-switch: gil_wait_ns + gil_switch_wait_ns, less what they share with waits that began "
    "before. kernel-sched: less running inside them. waits-probe: a forced switch that slept in libc unseen is in the "
    "run queue, steal or unattributed time instead.",
    better="lower",
)
LOCK_WAIT = _metric(
    ledger_parts.LOCK, "Threads: waiting for a lock.", "Waits of kind lock that are not idle.", better="lower"
)
IO_WAIT = _metric(
    ledger_parts.IO,
    "Threads: in a blocking read or write.",
    "Waits of kinds io-read and io-write that are not idle, less CPU time inside them; kernel-sched: also blocked on a "
    "disk without a call, as in a page fault.",
    better="lower",
)
POLL_WAIT = _metric(
    ledger_parts.POLL, "Threads: in poll, select or epoll.", "Waits of kind poll that are not idle.", better="lower"
)
SLEEPING = _metric(
    ledger_parts.SLEEP, "Threads: asleep because they asked to.", "Waits of kind sleep that are not idle."
)
CHILD_WAIT = _metric(
    ledger_parts.CHILD,
    "Threads: waiting for a child process to end.",
    "Waits of kind child-wait that are not idle.",
    better="lower",
)
RUN_QUEUE = _metric(
    ledger_parts.RUN_QUEUE,
    "Threads: ready, waiting for a CPU, and for nothing else.",
    "kernel-sched: runnable outside waits. Else schedstat's delay of the thread, at most what CPU time and waits "
    "leave.",
    better="lower",
)
STEAL = _metric(
    ledger_parts.STEAL,
    "Threads: on a CPU that the hypervisor had given to others.",
    "At most what the machine lost in the run window, shared out by what is left of each thread's time: kernel-sched: "
    "running - CPU time; else after waits, CPU time and run queue.",
    better="lower",
)
BLOCKED = _metric(
    ledger_parts.BLOCKED,
    "Threads: blocked, the cause not recorded; workers: in a task, neither on a CPU nor waiting for one.",
    "Task wall - task CPU - run-queue wait - our own readings; lower end: less the readings once more; upper end: "
    "task wall - task CPU. Of programs without waits: life - CPU time - run-queue wait. kernel-sched without the "
    "probe: blocked outside GIL waits.",
    better="lower",
    valid_on=EVERYWHERE,
)
IDLE = _metric(
    ledger_parts.IDLE,
    "Threads: nothing to do; workers: starting up or waiting for work.",
    "Suites: life of the thread - its task spans - GIL waits outside them + our own readings at their ends. Programs: "
    "waits in functions of the standard library's queues, joins, executors, events and event loops.",
    valid_on=EVERYWHERE,
)
UNATTRIBUTED = _metric(
    ledger_parts.UNATTRIBUTED,
    "What no method accounts for; may be negative where clocks disagree.",
    "Whole - the parts.",
    valid_on=EVERYWHERE,
)
