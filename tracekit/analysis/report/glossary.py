"""The glossary: each term of the report and the documentation in one plain sentence.

The report shows the sentence where the pointer rests on the term in the heading of a table; docs/glossary.md is
generated from here.
"""

from __future__ import annotations

import re

TERMS = {
    "accuracy": "The difference of tracekit's numbers from those that programs know themselves or the kernel counts.",
    "break-even": "The task length, or number of tasks, from which on processes are faster than threads and serial.",
    "bundle": "The folder of one run: its specification, what was recorded, and a manifest that seals it.",
    "capture": "How a run is watched: none, waits, stages, kernel, viztracer or py-spy.",
    "caveat": "A sentence that says when not to trust the numbers of a suite.",
    "cell": "One workload with its parameters, model, worker count, capture, Python and operating system; its repeats "
    "are pooled.",
    "command wrapper": "The program that starts a recorded program and keeps it apart from the tool that traces it.",
    "contention": "Threads that want the GIL, a lock or a CPU while another thread has it.",
    "contention attribution": "The GIL wait of each thread by the thread and function that held the GIL meanwhile.",
    "context switch": "The kernel puts another thread on a CPU.",
    "control": "A workload that measures what the machine can give: the same computing or waiting with nothing shared.",
    "diagnostic": "A rule that looks for one cause of lost time in a recorded program, and says what to try.",
    "finding": "What a diagnostic says of a run, ranked by the time that could be won back.",
    "footprint": "The memory, descriptors, threads and processes of one further worker.",
    "GIL": "The global interpreter lock: the thread that holds it may run Python code, the others wait.",
    "GIL handoff": "The GIL passes from a thread that gives it up to one that waits for it.",
    "GIL held": "From taking the GIL to giving it up.",
    "GIL wait": "The time for which threads were ready to run Python code and waited for the GIL.",
    "handoff latency": "From giving up the GIL until the waiting thread has it.",
    "idle": "Waiting for work, in contrast to waiting because of contention.",
    "interval": "The 95 % interval over the repeats: of a median by bootstrap, of a mean or a ratio by Student's t.",
    "interval timeline": "The states of a thread as intervals that do not overlap, from which the ledger sums.",
    "involuntary context switch": "The kernel takes the CPU from a thread that could have gone on.",
    "ledger": "The time of threads divided into parts that add up to it: on-CPU, GIL wait, other waits, idle.",
    "manifest": "The file that is written last: how a run ended, and the hash of each of its files.",
    "method comparison": "The same number by every method that measured it, the most trusted first.",
    "model": "How the tasks run at the same time: serial, threads, or processes by fork, forkserver or spawn.",
    "notice": "Something that makes a number less certain, with a remedy.",
    "observation": "A number or text that a workload finds out about itself, such as lost updates.",
    "off-CPU": "The time for which a thread is not on a CPU, whatever the reason.",
    "on-CPU": "The time for which a thread is on a CPU.",
    "probe effect": "Traced wall divided by untraced wall: how much a capture slows the run.",
    "process result": "How a measured process ended, with its exit code and wall.",
    "PSS": "Proportional set size: the memory of a process in which each shared page is divided by its users.",
    "repeat": "One of several equal runs of a cell; the report shows their median.",
    "round": "One run of every cell, in turn, so that a slow minute of the machine affects all models alike.",
    "RSS": "Resident set size: the memory of a process in RAM, shared pages counted in full.",
    "run": "One execution of a workload or program.",
    "run-queue wait": "The time for which a thread is ready to run and waits for a CPU.",
    "sample": "The stack of a thread at one moment, taken at regular intervals.",
    "scratch folder": "A temporary folder of tracekit's own, removed afterwards.",
    "share of ceiling": "Speed-up divided by the speed-up of the control, which is what the machine can give.",
    "slice": "One call of a function on a timeline.",
    "span": "A stretch of a thread's time that tracekit stamped at both ends, such as a task.",
    "speed-up": "The wall of serial divided by the wall of this model.",
    "start method": "How multiprocessing starts a process: fork, forkserver or spawn.",
    "steal": "CPU time that the hypervisor gave to other machines while a thread was ready to run.",
    "suite": "All runs that answer one question.",
    "surviving processes": "Processes that outlive the recorded program.",
    "thread lifetime": "From the start of a thread to its end.",
    "track": "One row of a timeline.",
    "unattributed": "Time that no method accounts for.",
    "USS": "Unique set size: the memory that a process shares with no other.",
    "voluntary context switch": "A thread gives up its CPU because it waits.",
    "wall": "The elapsed time of the work, from before the first worker starts until the last one has ended.",
    "warm-up": "A run before the timed repeats, which no timing uses.",
    "watchdog": "The process that starts the measured processes, and ends all that they leave.",
    "what-if": "Predictions: the wall under models that were not run, and from which task on processes pay.",
    "worker": "A thread or process that runs tasks.",
    "workload": "The work that is measured, cut into items that every model runs.",
}
"""Term -> its sentence, by alphabet."""

PATTERN = re.compile(
    rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(TERMS, key=len, reverse=True)))})(?:e?s)?(?![\w-])", re.IGNORECASE
)
"""Finds terms, also in the plural; the longest term first."""

_BY_LOWER = {term.lower(): text for term, text in TERMS.items()}


def explain_term(found: str) -> str:
    """The sentence of a term as PATTERN found it."""
    forms = (found.lower(), found.lower().removesuffix("s"), found.lower().removesuffix("es"))
    return next(_BY_LOWER[form] for form in forms if form in _BY_LOWER)
