"""From the tables of a recorded program to findings: what cost it time, in one sentence, and what to try.

In: an `Analysis`. Out: a `Diagnosis` (engine.py, which to open first): the findings of every diagnostic, the one with
most time to win back first. A diagnostic (finding.py) is one file: what it looks for, from when on it speaks, its
sentence with numbers, names and lines, and a concrete next step. It says only what the data tell; where they do not
tell, the sentence says so, or there is none. `DIAGNOSTICS` names them.
"""

from __future__ import annotations

from tracekit.core.registry import Registry

_ROWS = {
    "hang": ("hang", "nothing moved any more when the program was asked to end, or was killed"),
    "long-gil-holds": ("long_gil_holds", "one function keeps the GIL far beyond the switch interval"),
    "gil-convoy": ("gil_convoy", "a thread that hardly computes waits for the GIL after each of its other waits"),
    "gil-turns": ("gil_turns", "threads that compute in Python take turns"),
    "lock-contention": ("lock_contention", "threads wait for a lock that another thread keeps"),
    "event-loop": ("event_loop", "an event loop blocked in something else than its poll"),
    "io-bound": ("io_bound", "a thread mostly reads and writes"),
    "child-programs": ("child_programs", "a thread waits for programs without Python"),
    "sleeping-work": ("sleeping_work", "threads take an item, sleep, and take the next one"),
    "idle-run": ("idle_run", "nearly nothing happened: the threads slept or waited for something to come"),
    "uneven-workers": ("uneven_workers", "one process works while its siblings wait for work"),
    "start-data": ("start_data", "processes start late because of what they are handed"),
    "no-cpu": ("no_cpu", "a thread is ready and has no CPU"),
    "one-thread": ("one_thread", "one thread computes nearly all the time, nothing else uses a CPU"),
}

DIAGNOSTICS = Registry(
    "diagnostic", {name: (f"{__name__}.{module}:DIAGNOSTIC", summary) for name, (module, summary) in _ROWS.items()}
)

ABOUT_THE_GIL = ("long-gil-holds", "gil-convoy", "gil-turns")
"""Those that say who held the GIL while whom waited."""
