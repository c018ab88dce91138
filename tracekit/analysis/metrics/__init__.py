"""From tidy tables to one long table of numbers: each metric is a function of an Analysis.

`METRICS` names them; `metric.compute_all` computes them all. analysis.py, which to open first, holds the intermediate
results that metrics share; its imports compute them. The rooms: cells/ (what cells are compared by), gil/, ledger/
(where the time of threads went), switches/ (the scheduler), startup/, predict/.

A number is an Estimate: a value with its interval, its method, and, when it is unavailable, the reason. Four scopes:
`thread`, `process` and `run` rows are about one of them; `cell` rows pool the repeats of one cell and are what a
report prints.

Cells are made of runs that ended ok, without the warm-up: of untraced ones for timings, and also of those of light
captures (`waits`, `kernel`) for where the time went. Other traced runs give `run` rows and `probe_effect`. Where
several methods gave one number each has its row, the best first (methods.py).
"""

from __future__ import annotations

from tracekit.core.registry import Registry

METRIC_ROWS = {
    "wall_ns": ("cells.wall:METRIC", "how long the work took, workers' start and end included"),
    "cpu_ns": ("cells.cpu:METRIC", "CPU time of all measured processes"),
    "speedup": ("cells.speedup:METRIC", "serial wall over this cell's wall"),
    "ceiling_share": ("cells.ceiling:METRIC", "speed-up over the speed-up of the measured control"),
    "load_balance": ("cells.balance:METRIC", "mean work of a worker over that of the busiest one"),
    "gil_wait_ns": ("gil.wait:WAIT", "time threads waited for the GIL, recorded or as an interval"),
    "gil_wait_share": ("gil.wait:SHARE", "the same as a part of the threads' time"),
    "gil_switch_wait_ns": (
        "ledger.waits_by_kind:GIL_SWITCH_WAIT",
        "time forced switches waited for the next holder",
    ),
    "lock_wait_ns": ("ledger.waits_by_kind:LOCK", "time blocked on locks, idle threads included"),
    "io_wait_ns": ("ledger.waits_by_kind:IO", "time in blocking reads and writes"),
    "poll_wait_ns": ("ledger.waits_by_kind:POLL", "time in poll, select and epoll"),
    "sleep_ns": ("ledger.waits_by_kind:SLEEP", "time asleep on purpose"),
    "child_wait_ns": ("ledger.waits_by_kind:CHILD", "time waiting for child processes to end"),
    "gil_hold_ns": ("gil.hold_metrics:HOLD", "time the GIL was held while another thread waited for it"),
    "gil_hold_longest_ns": ("gil.hold_metrics:LONGEST", "the longest such hold"),
    "gil_holds_over_interval": ("gil.hold_metrics:OVER_INTERVAL", "such holds beyond the switch interval"),
    "gil_handoffs": ("gil.handoff_metrics:COUNT", "how often the GIL passed to a thread that waited"),
    "gil_handoff_latency_ns": ("gil.handoff_metrics:LATENCY", "from the drop until the waiter has it"),
    "gil_handoff_latency_p95_ns": ("gil.handoff_metrics:LATENCY_P95", "the same, 95th percentile"),
    "voluntary_switches": ("switches.switches:VOLUNTARY", "context switches to wait for something"),
    "involuntary_switches": ("switches.switches:INVOLUNTARY", "context switches forced by the scheduler"),
    "voluntary_switches_per_s": (
        "switches.switches:VOLUNTARY_PER_S",
        "voluntary switches per second of wall",
    ),
    "involuntary_switches_per_s": (
        "switches.switches:INVOLUNTARY_PER_S",
        "involuntary switches per second of wall",
    ),
    "voluntary_switches_per_task": (
        "switches.switches:VOLUNTARY_PER_TASK",
        "voluntary switches per task",
    ),
    "involuntary_switches_per_task": (
        "switches.switches:INVOLUNTARY_PER_TASK",
        "involuntary switches per task",
    ),
    "gil_waiter_switches": (
        "switches.gil_waiters:WAITERS",
        "voluntary switches of threads that wait for the GIL",
    ),
    "other_voluntary_switches": ("switches.gil_waiters:OTHERS", "all other voluntary switches"),
    "cpu_migrations": ("switches.migrations:METRIC", "how often a thread changed its CPU"),
    "run_queue_wait_ns": ("switches.run_queue:WAIT", "time ready threads waited for a CPU"),
    "timeslices": ("switches.run_queue:TIMESLICES", "how often a thread was put on a CPU"),
    "steal_ns": ("switches.steal:STEAL", "CPU time the hypervisor gave to others"),
    "steal_share": ("switches.steal:SHARE", "the same as a part of the CPU time that was wanted"),
    "spawn_first_instruction_ns": (
        "startup.spawn:FIRST_INSTRUCTION",
        "from asking for a worker to its first instruction",
    ),
    "spawn_first_worker_ns": ("startup.spawn:FIRST_WORKER", "the same for the first worker only"),
    "spawn_total_ns": ("startup.spawn:TOTAL", "start of a worker plus the end of all of them"),
    "teardown_ns": ("startup.spawn:TEARDOWN", "from the request to end until all workers are joined"),
    "spawn_stages": (
        "startup.stages:METRIC",
        "what a worker costs stage by stage: spawn_image_ns, spawn_cold_life_ns, ...",
    ),
    "pickled_bytes": ("cells.pickling:BYTES", "bytes of all items and results that went through pickle"),
    "pickling_ns": ("cells.pickling:TIME", "time that both sides took to pickle and unpickle them"),
    "pickling_share": ("cells.pickling:SHARE", "the same as a part of the CPU time"),
    "queue_wait_ns": ("cells.communication:QUEUE_WAIT", "how long a task waited until a worker began it"),
    "communication_share": ("cells.communication:SHARE", "the part of the workers' time between tasks"),
    "predicted_serial_wall_ns": (
        "predict.prediction:SERIAL",
        "how long what threads did would take in turn",
    ),
    "predicted_fork_wall_ns": ("predict.prediction:FORK", "the same in forked processes"),
    "predicted_forkserver_wall_ns": (
        "predict.prediction:FORKSERVER",
        "the same in those of a fork server",
    ),
    "predicted_spawn_wall_ns": ("predict.prediction:SPAWN", "the same in spawned processes"),
    "break_even_fork_task_ns": (
        "predict.break_even:FORK_LENGTH",
        "the task length from which fork is faster than threads and serial",
    ),
    "break_even_fork_tasks": (
        "predict.break_even:FORK_COUNT",
        "the number of tasks from which fork is",
    ),
    "break_even_forkserver_task_ns": (
        "predict.break_even:FORKSERVER_LENGTH",
        "the task length from which forkserver is faster than threads and serial",
    ),
    "break_even_forkserver_tasks": (
        "predict.break_even:FORKSERVER_COUNT",
        "the number of tasks from which forkserver is",
    ),
    "break_even_spawn_task_ns": (
        "predict.break_even:SPAWN_LENGTH",
        "the task length from which spawn is faster than threads and serial",
    ),
    "break_even_spawn_tasks": (
        "predict.break_even:SPAWN_COUNT",
        "the number of tasks from which spawn is",
    ),
    "uss_bytes": ("cells.memory:USS", "memory that only these processes hold"),
    "pss_bytes": (
        "cells.memory:PSS",
        "memory of these processes, shared pages divided by their users",
    ),
    "observed": (
        "cells.observed:METRIC",
        "observations of the workload about itself: observed.updates_lost, ...",
    ),
    "probe_effect": ("cells.probe_effect:METRIC", "traced wall over untraced wall"),
    "thread_wall_ns": (
        "ledger.thread_time:WALL",
        "all time of the threads that count: the 100 % of the parts below",
    ),
    "thread_on_cpu_ns": ("ledger.thread_time:ON_CPU", "threads: on a CPU, workers in a task"),
    "thread_gil_wait_ns": ("ledger.thread_time:GIL_WAIT", "threads: waiting for the GIL"),
    "thread_lock_wait_ns": ("ledger.thread_time:LOCK_WAIT", "threads: waiting for a lock"),
    "thread_io_wait_ns": ("ledger.thread_time:IO_WAIT", "threads: in a blocking read or write"),
    "thread_poll_ns": ("ledger.thread_time:POLL_WAIT", "threads: in poll, select or epoll"),
    "thread_sleep_ns": ("ledger.thread_time:SLEEPING", "threads: asleep on purpose"),
    "thread_child_wait_ns": ("ledger.thread_time:CHILD_WAIT", "threads: waiting for a child process"),
    "thread_run_queue_ns": ("ledger.thread_time:RUN_QUEUE", "threads: ready, waiting for a CPU"),
    "thread_steal_ns": ("ledger.thread_time:STEAL", "threads: on a CPU that the hypervisor had"),
    "thread_task_blocked_ns": ("ledger.thread_time:BLOCKED", "threads: blocked, the cause not recorded"),
    "thread_idle_ns": ("ledger.thread_time:IDLE", "threads: starting up or waiting for work"),
    "unattributed_ns": ("ledger.thread_time:UNATTRIBUTED", "what no method accounts for"),
}

METRICS = Registry(
    "metric", {name: (f"{__name__}.{target}", summary) for name, (target, summary) in METRIC_ROWS.items()}
)
