"""Compares what tracekit measures with references: programs that know their own answers, and the kernel's trace.

In: cases (`cases`), interpreters. Out: comparisons with verdicts, as a table and a file. Read `runner` first; `checks/`
has one file per check, `programs/` one per reference program. Nothing is imported here: the measured interpreter loads
this file on its way to the programs.
"""
