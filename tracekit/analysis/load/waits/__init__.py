"""The wait probe's files, `waits/*.bin`, to rows: the tables `waits` and `holds`, processes and threads.

In: the files of one bundle. Out: rows in Columns, and what the probe knows in ProcessLifetimes. Read `rows` first;
`slots` reads a file, `processes` and `threads` take lifetimes from it, `intervals` blocking waits and GIL holds.
"""
