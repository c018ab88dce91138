"""The kernel capture's files to rows: pages of the ring buffers (`raw/kernel/cpu*.bin`) to the tables `sched`, `waits`
and `holds`, and to what the kernel knows of processes and threads.

In: raw/kernel of one bundle. Out: rows in Columns, and the run's processes with their threads. Read `rows` first. From
below: `pages` gives events, `trace` the events of all CPUs by kind, `lineage` processes and threads, `thread_events`
the events of each thread in order, `sched` and `gil` the tables.
"""
