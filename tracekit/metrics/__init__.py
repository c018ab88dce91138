"""From tidy tables to one long table of numbers: one idea per file, each a pure function of Tables.

`METRICS` names them; `tracekit.metrics.compute.compute_all` computes them all. A number is an Estimate: a
value with its interval, how it came about, and, when it is not known, why. Four scopes: `thread`, `process`
and `run` rows say what one of them did; `cell` rows pool the repeats of one cell and are what a report
prints.

Cells are made of untraced runs that ended ok, without the warm-up. A traced run gives `run` rows and
`probe_effect`.
"""

from __future__ import annotations

from tracekit.registry import Registry

_HERE = "tracekit.metrics"

METRICS = Registry(
    "metric",
    {
        "wall_ns": (f"{_HERE}.wall:METRIC", "how long the work took, workers' start and end included"),
        "cpu_ns": (f"{_HERE}.cpu:METRIC", "CPU time of all measured processes"),
        "speedup": (f"{_HERE}.speedup:METRIC", "serial wall over this cell's wall"),
        "ceiling_share": (f"{_HERE}.ceiling:METRIC", "speed-up over the speed-up of the measured control"),
        "load_balance": (f"{_HERE}.balance:METRIC", "mean work of a worker over that of the busiest one"),
        "gil_wait_ns": (f"{_HERE}.gil_wait:METRIC", "time tasks waited for the GIL, as an interval"),
        "gil_wait_share": (f"{_HERE}.gil_wait_share:METRIC", "the same as a part of the worker threads' time"),
        "voluntary_switches": (f"{_HERE}.switches:VOLUNTARY", "context switches asked for by waiting"),
        "involuntary_switches": (f"{_HERE}.switches:INVOLUNTARY", "context switches forced by the scheduler"),
        "voluntary_switches_per_s": (
            f"{_HERE}.switches:VOLUNTARY_PER_S",
            "voluntary switches per second of wall",
        ),
        "involuntary_switches_per_s": (
            f"{_HERE}.switches:INVOLUNTARY_PER_S",
            "involuntary switches per second of wall",
        ),
        "voluntary_switches_per_task": (
            f"{_HERE}.switches:VOLUNTARY_PER_TASK",
            "voluntary switches per task",
        ),
        "involuntary_switches_per_task": (
            f"{_HERE}.switches:INVOLUNTARY_PER_TASK",
            "involuntary switches per task",
        ),
        "run_queue_wait_ns": (f"{_HERE}.run_queue:WAIT", "time ready threads waited for a CPU"),
        "timeslices": (f"{_HERE}.run_queue:TIMESLICES", "how often a thread was put on a CPU"),
        "steal_ns": (f"{_HERE}.steal:METRIC", "CPU time the hypervisor gave to others"),
        "spawn_first_instruction_ns": (
            f"{_HERE}.spawn:FIRST_INSTRUCTION",
            "from asking for a worker to its first instruction",
        ),
        "spawn_first_worker_ns": (f"{_HERE}.spawn:FIRST_WORKER", "the same for the first worker only"),
        "spawn_total_ns": (f"{_HERE}.spawn:TOTAL", "start of a worker plus the end of all of them"),
        "teardown_ns": (f"{_HERE}.spawn:TEARDOWN", "from the request to end until all workers are joined"),
        "uss_bytes": (f"{_HERE}.memory:USS", "memory that only these processes hold"),
        "pss_bytes": (
            f"{_HERE}.memory:PSS",
            "memory of these processes, shared pages divided by their users",
        ),
        "probe_effect": (f"{_HERE}.probe_effect:METRIC", "traced wall over untraced wall"),
        "thread_wall_ns": (
            f"{_HERE}.ledger:WALL",
            "all time of the worker threads: the 100 % of the parts below",
        ),
        "thread_on_cpu_ns": (f"{_HERE}.ledger:ON_CPU", "worker threads: in a task and on a CPU"),
        "thread_run_queue_ns": (
            f"{_HERE}.ledger:RUN_QUEUE",
            "worker threads: in a task, ready, waiting for a CPU",
        ),
        "thread_task_blocked_ns": (
            f"{_HERE}.ledger:BLOCKED",
            "worker threads: in a task and neither of the two",
        ),
        "thread_idle_ns": (f"{_HERE}.ledger:IDLE", "worker threads: starting up or waiting for work"),
        "unattributed_ns": (f"{_HERE}.ledger:UNATTRIBUTED", "what the clocks leave over of the parts above"),
    },
)
