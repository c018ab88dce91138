"""Tables made by hand, so that a test knows every answer before it asks.

`suite()` is a whole suite as `load_suite` would return it: 2 workers, matmul, five models, two controls, five
repeats and a warm-up each, two captures. `Maker` is what it is made of, for a test that needs three runs and
no more. Stamps are nanoseconds of a CLOCK_MONOTONIC that began at BOOT_NS; every run starts a second after
the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekit.analysis import tables
from tracekit.analysis.tables import Tables

MS = 1_000_000
SECOND = 1_000 * MS
BOOT_NS = 1_000 * SECOND

PROCESS_MODELS = ("fork", "spawn", "forkserver")
MODELS = ("serial", "threads", *PROCESS_MODELS)
STARTUP_NS = {"serial": 0, "threads": MS // 5, "fork": 3 * MS, "spawn": 90 * MS, "forkserver": 20 * MS}
SWITCHES = {"serial": 2, "threads": 30, "fork": 2, "spawn": 2, "forkserver": 2}
"""Voluntary switches of a task: a thread that waits for the GIL wakes every 5 ms to ask for it."""

ENVIRONMENT: dict[str, Any] = {
    "os": "Linux",
    "os_release": "Debian GNU/Linux 12",
    "kernel": "6.18.0",
    "machine": "x86_64",
    "cpu_model": "made CPU",
    "logical_cpus": 2,
    "affinity_cpus": 2,
    "cgroup_cpus": None,
    "usable_cpus": 2,
    "load_before": 0.1,
    "load_after": 1.2,
    "steal_before_ns": 0,
    "steal_after_ns": 0,
    "clocks": {"monotonic_ns": BOOT_NS, "boottime_ns": BOOT_NS, "realtime_ns": 1_700_000_000 * SECOND},
    "tools": {"viztracer": "1.1.1", "py-spy": "0.4.1"},
    "python_label": "3.13",
    "python": {
        "implementation": "CPython",
        "version": "3.13.0",
        "executable": "/usr/bin/python3.13",
        "build": "main, Oct  7 2024",
        "free_threaded_build": False,
        "gil_enabled": True,
        "switch_interval_s": 0.005,
        "start_method_default": "fork",
    },
}


class Maker:
    """Collects rows and makes them a Tables. Every method takes what a test cares about and fills in the
    rest.
    """

    def __init__(self, suite_id: str = "20250101-000000-matmul", workload: str = "matmul", page: str = "") -> None:
        self.facts: dict[str, Any] = {
            "suite_id": suite_id,
            "workload": workload,
            "size": "default",
            "command": ["tracekit", "run", workload],
            "page": page,
            "status": "ok",
            "environments": [ENVIRONMENT],
        }
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tables.COLUMNS}
        self._next_pid = 1_000
        self._next_start = BOOT_NS

    def tables(self) -> Tables:
        """What was collected so far."""
        frames = {name: tables.from_rows(name, rows) for name, rows in self.rows.items()}
        return Tables(suite=dict(self.facts), **frames)

    def row(self, table: str, **values: Any) -> dict[str, Any]:
        """Add one raw row to any table; it stays editable until `tables()`."""
        self.rows[table].append(values)
        return values

    def pid(self) -> int:
        """A process id nobody has yet."""
        self._next_pid += 10
        return self._next_pid

    def run(self, model: str, wall_ns: int, **values: Any) -> dict[str, Any]:
        """One run with its `run` span and its main process; returns the run's row (with `main_pid`, not a
        column).
        """
        main_pid = self.pid()
        start = self._next_start
        self._next_start += max(wall_ns, 0) + SECOND
        defaults: dict[str, Any] = {
            "suite_id": self.facts["suite_id"],
            "workload": self.facts["workload"],
            "size": self.facts["size"],
            "parameters": "",
            "model": model,
            "workers": 1 if model == "serial" else 2,
            "start_method": model if model in PROCESS_MODELS else "",
            "capture": "none",
            "os": "Linux",
            "python": "3.13",
            "kind": "cpu",
            "control": False,
            "repeat": 1,
            "warmup": False,
            "gil_enabled": True,
            "status": "ok",
            "exit_code": 0,
            "items": 8,
            "checksum": "c0ffee",
            "start_ns": start,
            "wall_ns": wall_ns,
        }
        row = {**defaults, **values}
        row.setdefault(
            "run_id",
            f"{len(self.rows['runs']):03d}-{row['workload']}-{model}-{row['capture']}-r{row['repeat']}",
        )
        row["main_pid"] = main_pid
        self.rows["runs"].append(row)
        self.process(row, main_pid, "main", exit_ns=start + wall_ns + MS)
        self.span(row, main_pid, main_pid, "run", start, wall_ns)
        return row

    def process(self, run: Mapping[str, Any], pid: int, role: str, **values: Any) -> dict[str, Any]:
        """One process of a run. Give workers `worker`, `spawn_requested_ns` and `interpreter_ready_ns`."""
        defaults = {"ppid": 1 if role == "main" else run["main_pid"], "start_ticks": 100, "exit_code": 0}
        return self.row("processes", run_id=run["run_id"], pid=pid, role=role, **{**defaults, **values})

    def thread(
        self, run: Mapping[str, Any], pid: int, tid: int, start_ns: int, end_ns: int, **values: Any
    ) -> dict[str, Any]:
        """One thread; `role` is worker unless told otherwise."""
        defaults = {"name": f"thread-{tid}", "role": "worker"}
        times = {"start_ns": start_ns, "end_ns": end_ns}
        return self.row("threads", run_id=run["run_id"], pid=pid, tid=tid, **times, **{**defaults, **values})

    def start(self, run: Mapping[str, Any], worker: int, requested_ns: int, **stamps: int) -> dict[str, Any]:
        """One start of a worker with the stamps of table `starts` that were taken."""
        pid = self.pid()
        place = {"run_id": run["run_id"], "worker": worker, "pid": pid, "tid": pid}
        return self.row("starts", **place, requested_ns=requested_ns, **stamps)

    def span(
        self, run: Mapping[str, Any], pid: int, tid: int, name: str, start_ns: int, dur_ns: int, **values: Any
    ) -> dict[str, Any]:
        """One span: `task`, `run` or `shutdown`."""
        times = {"start_ns": start_ns, "dur_ns": dur_ns}
        return self.row("spans", run_id=run["run_id"], pid=pid, tid=tid, name=name, **times, **values)

    def wait(
        self, run: Mapping[str, Any], pid: int, tid: int, kind: str, start_ns: int, dur_ns: int, **values: Any
    ) -> dict[str, Any]:
        """One wait that the probe saw; of kinds gil and gil-switch for the process's only GIL."""
        gil = {"object": "gil 1"} if kind.startswith("gil") else {}
        place = {"run_id": run["run_id"], "pid": pid, "tid": tid, "kind": kind}
        times = {"start_ns": start_ns, "dur_ns": dur_ns}
        return self.row("waits", **place, **times, **{"method": "waits-probe", **gil, **values})

    def hold(
        self, run: Mapping[str, Any], pid: int, tid: int, start_ns: int | None, end_ns: int, **values: Any
    ) -> dict[str, Any]:
        """One hold of the process's only GIL that ended while somebody waited; no start: it is not known."""
        place = {"run_id": run["run_id"], "pid": pid, "tid": tid, "start_ns": start_ns, "end_ns": end_ns}
        return self.row("holds", **place, **{"object": "gil 1", "method": "waits-probe", **values})

    def scheduled(
        self, run: Mapping[str, Any], pid: int, tid: int, start_ns: int, *parts: tuple[str, int], cpu: int = 0
    ) -> None:
        """Scheduling intervals one after the other, each a state (tables.SCHED_STATES) and its length."""
        for state, dur_ns in parts:
            on = cpu if state == "running" else None
            place = {"run_id": run["run_id"], "pid": pid, "tid": tid, "cpu": on, "state": state}
            self.row("sched", **place, start_ns=start_ns, dur_ns=dur_ns)
            start_ns += dur_ns

    def counter(
        self,
        run: Mapping[str, Any],
        pid: int,
        counter: str,
        start: float | None,
        end: float | None,
        **values: Any,
    ) -> None:
        """The two readings of one counter, at the ends of the run window; a None is a reading that was not
        taken.
        """
        unit = values.pop("unit", "ns" if counter.endswith("_ns") else "count")
        defaults = {"scope": "process", "source": "linux", "unit": unit, "counter": counter}
        times = {"start": run["start_ns"], "end": run["start_ns"] + run["wall_ns"]}
        for at, value in (("start", start), ("end", end)):
            if value is not None:
                stamp = {"ts_ns": times[at], "at": at, "value": float(value)}
                self.row("counters", run_id=run["run_id"], pid=pid, **stamp, **{**defaults, **values})

    def memory(self, run: Mapping[str, Any], pid: int, uss_bytes: int, pss_bytes: int) -> None:
        """What the parent read from outside about one process."""
        fixed = {"unit": "bytes", "scope": "process", "source": "psutil", "ts_ns": run["start_ns"] + MS}
        for counter, value in (("uss_bytes", uss_bytes), ("pss_bytes", pss_bytes)):
            self.row("counters", run_id=run["run_id"], pid=pid, counter=counter, value=float(value), **fixed)


def full_run(
    maker: Maker, model: str, *, task_ns: int, cpu_share: float = 1.0, items: int = 8, **values: Any
) -> dict[str, Any]:
    """One complete run of any of the five models: processes, threads, tasks, counters and, in a warm-up,
    memory.

    Each worker runs its share of `items` tasks of `task_ns` back to back, `cpu_share` of which is on a CPU.
    """
    workers = 1 if model == "serial" else int(values.pop("workers", 2))
    startup, shutdown = STARTUP_NS[model], 0 if model == "serial" else 2 * MS
    per_worker = [items // workers + (index < items % workers) for index in range(workers)]
    wall = startup + max(per_worker) * task_ns + shutdown
    run = maker.run(model, wall, workers=workers, items=items, **values)
    begin = run["start_ns"]
    pids = [run["main_pid"]]
    if model != "serial":
        maker.thread(run, pids[0], pids[0], begin, begin + wall, name="MainThread", role="main", cpu_ns=MS)
    for index, count in enumerate(per_worker):
        pid, tid = _worker_ids(maker, run, model, index)
        ready = begin + startup
        end = ready + count * task_ns
        if pid != run["main_pid"]:
            pids.append(pid)
            _worker_process(maker, run, pid, index, ready, end)
        _worker_thread(maker, run, pid, tid, index, ready, end, int(count * task_ns * cpu_share))
        for item in range(count):
            start = ready + item * task_ns
            switches = {"voluntary_switches": SWITCHES[model], "involuntary_switches": 1}
            cpu = {"cpu_ns": int(task_ns * cpu_share)}
            maker.span(run, pid, tid, "task", start, task_ns, item=item * workers + index, **cpu, **switches)
    if shutdown:
        maker.span(run, run["main_pid"], run["main_pid"], "shutdown", begin + wall - shutdown, shutdown)
    _process_counters(maker, run, pids, model, per_worker, int(task_ns * cpu_share))
    return run


def suite(
    *,
    models: Sequence[str] = MODELS,
    captures: Sequence[str] = ("viztracer", "py-spy"),
    repeats: int = 5,
    controls: bool = True,
    workload: str = "matmul",
    kind: str = "cpu",
) -> Tables:
    """A suite of 2 workers: serial takes 800 ms, threads do not speed up (GIL), processes do, minus their
    start-up.
    """
    maker = Maker(workload=workload)
    named: list[tuple[str, str, bool]] = [(workload, kind, False)]
    if controls:
        named += [("spin", "cpu", True), ("sleep", "io", True)]
    for name, of_kind, control in named:
        for repeat in range(repeats + 1):
            for model in models:
                common: dict[str, Any] = {"workload": name, "kind": of_kind, "control": control}
                work = _work(name, model, repeat)
                full_run(maker, model, **work, **common, repeat=repeat, warmup=repeat == 0)
        for capture in () if control else captures:
            for model in models:
                work = _work(name, model, 1)
                work["task_ns"] = int(work["task_ns"] * (3 if capture == "viztracer" else 1.1))
                run = full_run(maker, model, **work, workload=name, kind=of_kind, capture=capture)
                _trace(maker, run)
    return maker.tables()


def _work(workload: str, model: str, repeat: int) -> dict[str, Any]:
    """Task time and share of it on a CPU: two threads of Python code take turns, two processes do not."""
    jitter = (0, 1, -1, 2, -2, 0)[repeat % 6] * MS
    if workload == "sleep":
        return {"task_ns": 100 * MS + jitter // 4, "cpu_share": 0.01}
    if model == "threads":
        return {"task_ns": 204 * MS + jitter, "cpu_share": 0.49}
    return {"task_ns": 100 * MS + jitter, "cpu_share": 0.99}


def _worker_ids(maker: Maker, run: Mapping[str, Any], model: str, index: int) -> tuple[int, int]:
    main = int(run["main_pid"])
    if model == "serial":
        return main, main
    if model in PROCESS_MODELS:
        pid = maker.pid()
        return pid, pid
    return main, main + 1 + index


def _worker_process(maker: Maker, run: Mapping[str, Any], pid: int, index: int, ready: int, end: int) -> None:
    stamps = {"spawn_requested_ns": run["start_ns"], "interpreter_ready_ns": ready, "first_task_ns": ready}
    maker.process(run, pid, "worker", worker=index, **stamps, last_task_ns=end, exit_ns=end + MS)


def _worker_thread(
    maker: Maker, run: Mapping[str, Any], pid: int, tid: int, index: int, ready: int, end: int, cpu_ns: int
) -> None:
    main = run["main_pid"]
    role = {"role": "main"} if tid == main else {"worker": index, "spawn_requested_ns": run["start_ns"]}
    last = run["start_ns"] + run["wall_ns"] if tid == main else end
    maker.thread(run, pid, tid, ready, last, cpu_ns=cpu_ns, **role)
    for counter, value in (("run_queue_wait_ns", 2 * MS), ("timeslices", 40), ("cpu_ns", cpu_ns)):
        maker.counter(run, pid, counter, 0, value, tid=tid, scope="thread")


def _process_counters(
    maker: Maker, run: Mapping[str, Any], pids: list[int], model: str, per_worker: list[int], task_cpu_ns: int
) -> None:
    main = run["main_pid"]
    for index, pid in enumerate(pids):
        alone = model in PROCESS_MODELS
        count = (0 if index == 0 else per_worker[index - 1]) if alone else sum(per_worker)
        threads = 1 if model == "serial" or index else 3
        maker.counter(run, pid, "cpu_ns", 0, MS + count * task_cpu_ns)
        maker.counter(run, pid, "voluntary_switches", 10, 10 + SWITCHES[model] * count + 4)
        maker.counter(run, pid, "involuntary_switches", 5, 5 + count + 1)
        maker.counter(run, pid, "threads", 1, threads)
        if run["warmup"] and run["capture"] == "none":
            maker.memory(run, pid, 10 << 20, 12 << 20)
    maker.counter(run, main, "steal_ns", 0, 0, scope="machine")
    maker.counter(run, main, "throttled_ns", 0, 0, scope="machine")


def _trace(maker: Maker, run: Mapping[str, Any]) -> None:
    """What the traced run adds: nested calls from VizTracer, or weighted stacks from py-spy."""
    main, run_id = run["main_pid"], run["run_id"]
    if run["capture"] == "viztracer":
        for depth, name in enumerate(("main (child.py:1)", "task (matmul.py:10)", "dot (matmul.py:20)")):
            start, dur = run["start_ns"] + depth * MS, 50 * MS - 2 * depth * MS
            place = {"run_id": run_id, "pid": main, "tid": main, "depth": depth, "category": "python"}
            maker.row("slices", **place, start_ns=start, dur_ns=dur, name=name)
        return
    for index in range(10):
        place = {"run_id": run_id, "pid": main, "tid": main, "weight_ns": 10 * MS, "state": "unknown"}
        maker.row("samples", **place, leaf="dot (matmul.py:20)", stack_id=f"s{index % 2}")


_BY_STAGE_PROBE = ("exec_ns", "image_ns", "interpreter_ns", "site_ns", "forked_ns", "exit_ns")


def stamps_of(took: Mapping[str, int], requested_ns: int = BOOT_NS, *, watched: bool = True) -> dict[str, int]:
    """Stamps of one start in which each of `took`, in this order, came so many ns after the one before it; `watched`:
    by the stage probe."""
    found, now = {"requested_ns": requested_ns}, requested_ns
    for name, length in took.items():
        now += length
        if watched or name not in _BY_STAGE_PROBE:
            found[name] = now
    return found
