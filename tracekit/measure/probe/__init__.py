"""The probes: C libraries that are preloaded into measured programs.

In: the C sources. Out: the path of a compiled library, for the captures `waits` and `stages`. waits.c records waits and
includes its parts from waits/, stages.c records how far a new process has come. Open docs/probe.md first, then
compile.py, which finds and compiles the libraries; write_offsets.py writes waits/offsets.h.
"""
