"""Reference programs: each reports at its end how long its threads waited for what, and which children it had.

    python -m tracekit.accuracy.programs spinners --threads 4
    python3.9 PATH/tracekit/accuracy/programs spinners --threads 4      on a Python that has no tracekit

Standard library only; they run unchanged on CPython 3.9 and newer. Every program is a module with `run(known, options)`
and, where it has options, `add_options(parser)`; what it prints is described in known.py.
"""
