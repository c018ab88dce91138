"""Every notice that tracekit can give, in one table: its cause, its effect on the numbers, and the remedy.

A notice is data: it is stored in the manifest or made by a metric, and the report and the terminal print it.
`docs/notices.md` is generated from NOTICES.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class NoticeKind(NamedTuple):
    """One row of the table. `cause` and `remedy` are str.format templates over the fields given to `notice`."""

    severity: str
    """`info`: for information; `warning`: a number is less certain or absent; `error`: a run is not usable."""
    cause: str
    effect: str
    remedy: str
    effect_of_program: str = ""
    """The effect on a recorded program, where it differs: it has no speed-up and no intervals."""
    remedy_of_program: str = ""


class Notice(NamedTuple):
    """One notice with its fields filled in: `text` has cause and effect."""

    code: str
    severity: str
    text: str
    remedy: str


NOTICES: dict[str, NoticeKind] = {
    "models-left-out": NoticeKind(
        "warning",
        "models {models} cannot run it: {reason}",
        "they are missing from the comparison",
        "{remedy}",
    ),
    "forked-with-threads": NoticeKind(
        "warning",
        "{model} forked workers from a process that had {threads} threads",
        "a forked worker has only the thread that forked: a lock that another thread held stays locked in it, and "
        "fork itself takes longer; Python 3.12 and newer warn of it",
        "start processes before threads, or use --models forkserver,spawn",
    ),
    "capture-unavailable": NoticeKind(
        "warning",
        "capture {capture} could not be used: {reason}",
        "its traced runs, pictures and probe effect are missing; timings are not affected",
        "{remedy}",
    ),
    "capture-incomplete": NoticeKind(
        "warning",
        "capture {capture} left no usable file for {missing} ({run_id})",
        "the trace lacks these processes; timings are not affected",
        "let workers exit normally: os._exit and SIGKILL lose what a tracer holds in memory",
    ),
    "samples-failed": NoticeKind(
        "warning",
        "py-spy could not read the process {errors} times, and read {samples} stacks ({run_id})",
        "its shares are of the samples that it has; their intervals contain what the others may have been",
        "{remedy}",
    ),
    "trace-overflow": NoticeKind(
        "warning",
        "VizTracer's ring of {entries} calls was full in {processes}, and the trace lacks {lacks} ({run_id})",
        "earlier calls are missing from the picture and from `slices`; timings are not affected",
        "tracekit run {workload} --trace-entries {needed} (an estimate), or --size smoke",
        remedy_of_program="tracekit record --trace-entries {needed} (an estimate), or record a shorter time",
    ),
    "trace-misaligned": NoticeKind(
        "warning",
        "the calls in {file} lie {distance} outside the run ({run_id}), so they use another clock",
        "they are left out of the picture; timings are not affected",
        "tracekit run {workload} --capture {capture}",
    ),
    "waits-lost": NoticeKind(
        "warning",
        "the wait probe had no room for {lost} records of process {pid} ({run_id})",
        "its waits are too low, and some of its holds and threads are missing",
        "measure a shorter time, or free disk space where the bundle is written",
    ),
    "waits-outside": NoticeKind(
        "warning",
        "{count} records of the wait probe in process {pid} are outside the run or impossible ({run_id})",
        "they are left out, so its waits are too low",
        "measure again: the file is damaged, or the process has its own clock (a time namespace)",
    ),
    "no-functions": NoticeKind(
        "warning",
        "the functions of CPython {version} in process {pid} could not be read: {reason} ({run_id})",
        "GIL waits are by thread only, and there are no wait sites",
        "measure with a CPython whose functions can be read (3.9 to 3.15), or with a newer tracekit",
        "idleness cannot be told from waits for locks, I/O and the like, so these are one blocked part; GIL waits are "
        "by thread only, and there are no wait sites",
    ),
    "kernel-lost": NoticeKind(
        "warning",
        "the kernel's buffers overflowed and lost {lost} events ({run_id})",
        "GIL waits and context switches from the kernel are too low, and some thread states too long",
        "tracekit run {workload} --size smoke",
    ),
    "kernel-unrecorded": NoticeKind(
        "warning",
        "the kernel did not record {unseen} of {runs} switches to the run's threads, as some virtual machines' kernels "
        "do not ({run_id})",
        "when those threads began to run is concluded from the events around: their CPU time and run-queue wait by "
        "kernel-sched may be off by that; switches, GIL waits and holds are not",
        "compare with the probe's rows in metrics.csv: --capture waits,kernel",
    ),
    "kernel-no-symbols": NoticeKind(
        "info",
        "{python} has no symbol table that names take_gil ({run_id})",
        "the kernel capture recorded its context switches, but no GIL take",
        "measure a Python that was built with symbols (pyenv's are), or --capture waits+kernel",
    ),
    "runs-missing": NoticeKind(
        "warning",
        "{count} of {planned} planned runs are missing: {runs} ({why})",
        "medians and intervals stand on fewer runs than were planned, and a model may be missing",
        "tracekit run {workload} --size {size}",
    ),
    "suite-unsealed": NoticeKind(
        "warning",
        "the manifest of suite {suite_id} is missing, though the suite ended as {status}",
        "whether its runs are those that were measured cannot be checked",
        "restore {path}, or measure again",
    ),
    "run-failed": NoticeKind(
        "error",
        "run {run_id} ended as {status}: {reason}",
        "it contributes no number",
        "{remedy}",
        "what it did until then is recorded",
    ),
    "stream-truncated": NoticeKind(
        "warning",
        "the stream of process {pid} has no end record ({run_id})",
        "the process was killed or left by os._exit: its last tasks and counters are missing",
        "look at stderr.log in the bundle",
    ),
    "exit-code-unknown": NoticeKind(
        "warning",
        "the exit code of {program} is not known: py-spy does not pass it on ({run_id})",
        "a run of a suite counts as killed; tracekit record ends with code 3",
        "repeat it with --capture waits",
    ),
    "wall-of-tool": NoticeKind(
        "warning",
        "when {program} began or ended is not known: py-spy started it ({run_id})",
        "its wall is an upper bound: py-spy's own start and end are in it",
        "record it with --capture waits",
    ),
    "processes-left": NoticeKind(
        "info",
        "{program} ended before its processes {pids} ({run_id})",
        "they go on running, and what they do from then on is not recorded",
        "let the program end them, or wait for them",
    ),
    "daemons-not-ended": NoticeKind(
        "info",
        "this system gives no process the orphans of its descendants (prctl PR_SET_CHILD_SUBREAPER, Linux)",
        "a daemon that a task starts is not found and goes on running after its run",
        "end it yourself, or measure on Linux",
    ),
    "steal": NoticeKind(
        "warning",
        "the hypervisor took {stolen} of CPU time during {runs} ({share} of what they used)",
        "walls are longer than on a dedicated machine, and the GIL-wait interval is wider",
        "repeat on an idle machine",
        "its wall is longer than on a dedicated machine",
        "record it again on an idle machine",
    ),
    "load": NoticeKind(
        "warning",
        "the machine was already busy: load average {load} on {cpus} CPUs when the {what} began",
        "walls and run-queue waits are too long, speed-ups too low and intervals too wide",
        "end other work, then repeat",
        "its wall and run-queue waits are too long",
    ),
    "busy": NoticeKind(
        "warning",
        "serial waited for a CPU {share} of its time ({waited}), so other work was running on this machine",
        "walls are too long, speed-ups too low and intervals too wide",
        "wait until the machine is idle, then repeat",
    ),
    "throttled": NoticeKind(
        "warning",
        "the cgroup's CPU quota stopped the processes for {throttled}",
        "walls contain that pause, which is no property of the model",
        "raise the quota (cpu.max), or use fewer workers",
    ),
    "no-schedstat": NoticeKind(
        "info",
        "the kernel gives no run-queue delay per thread here (source {source})",
        "the upper end of the GIL-wait interval also contains time spent waiting for a CPU",
        "measure on Linux with CONFIG_SCHED_INFO to narrow it",
    ),
    "few-repeats": NoticeKind(
        "warning",
        "{cell} has too few usable repeats ({n})",
        "an interval of the median needs at least 5, so none is given",
        "{again} --runs 7",
    ),
    "uneven-rounds": NoticeKind(
        "warning",
        "{count} of {cells} speed-ups are too uncertain to be claimed; that of {cell} may be anything from {lower} to "
        "{upper}{allowed}",
        "from round to round the machine was too uneven to say how much faster a model is",
        "{remedy}",
    ),
    "no-memory": NoticeKind(
        "info",
        "memory of the workers was not read: {reason}",
        "uss_bytes and pss_bytes are unavailable",
        "keep the warm-up round (--warmup 1): memory is read there, so that no timing is affected",
    ),
    "short-runs": NoticeKind(
        "warning",
        "the serial run of {workload} lasts only {wall}",
        "starting the workers and clock noise weigh more than the work",
        "{again} --size {size}",
    ),
    "no-control": NoticeKind(
        "info",
        "the suite has no {control} control at {workers} workers",
        "the share of the ceiling is unavailable",
        "run the suite without --no-controls",
    ),
    "methods-differ": NoticeKind(
        "warning",
        "in {metric} of {place}, {other} differs by {apart} from {best}, which gives {value} (in {threads} threads)",
        "one of the two is wrong about these threads; the report shows the better-ranked one",
        "compare the rows of {metric} in metrics.csv, and repeat on an idle machine",
    ),
    "ledger-open": NoticeKind(
        "warning",
        "{time} of the threads' time in {run_id} is in no part of the ledger ({share}; too much in {runs} runs)",
        "the parts shown add up to less than the whole",
        "{remedy}",
    ),
    "gil-switched": NoticeKind(
        "warning",
        "the GIL was off at the start of {run_id} and on at its end; enabled on importing {module}",
        "the run mixes two modes",
        "PYTHON_GIL=0 keeps it off, at the extension's risk",
    ),
}


def notice(code: str, of_program: bool = False, /, **fields: Any) -> Notice:
    """Make the notice `code` from its fields; `of_program`: about a recorded program."""
    kind = NOTICES[code]
    effect = (of_program and kind.effect_of_program) or kind.effect
    remedy = (of_program and kind.remedy_of_program) or kind.remedy
    text = f"{kind.cause.format(**fields)}: {effect}"
    return Notice(code=code, severity=kind.severity, text=text, remedy=remedy.format(**fields))
