"""What the kernel capture leaves in `raw/kernel`, and how it is read: cpuN.bin, pages of one CPU's ring buffer as the
kernel wrote them, and meta.json, which holds the kernel's own description of each event.

Read by both sides of the wall: `capture` to say which processes there were, `load` to make tables. Any of these files
may be cut off, half written or not ours at all.
"""

FOLDER = "kernel"
"""Below the bundle's `raw`."""

META = "meta.json"
FORMAT = 1

EVENTS = (
    "sched/sched_switch",
    "sched/sched_wakeup",
    "sched/sched_process_exec",
    "sched/sched_process_exit",
    "task/task_newtask",
)
"""Recorded besides the uprobes. task_newtask tells new threads from new processes, sched_process_fork does not."""
