"""The measured program: `python -m tracekit.measure.inside.measured RUN_FOLDER USERS_FOLDER`.

This file is deliberately empty of everything else: spawned workers and the fork server import the main module again,
and what it imports would be added to the spawn cost that is being measured. The process itself is in
main_process.py.

What a user's main module would import stands in TRACEKIT_MAIN_IMPORTS, module names with blanks between them: the
workload `start-stop` sets it, to show what such imports cost. Where Python is asked to print how long imports take
(-X importtime), marks tell those of the main module from the others.
"""

from __future__ import annotations

import os
import time

BEGUN_NS = time.monotonic_ns()

if __name__ == "__main__":
    import sys

    # `-m` puts the folder it starts in first on the path. Started in the user's own, a `random.py` there, or another
    # checkout of tracekit, would be imported instead of ours; last on the path it still serves a workload there.
    os.chdir(sys.argv[2])
    sys.path.append(sys.argv[2])

    from tracekit.measure.inside.main_process import main

    sys.exit(main(sys.argv[1]))

_MARKS = "PYTHONPROFILEIMPORTTIME" in os.environ

if _MARKS:
    os.write(2, b"tracekit: main module begins\n")

for _name in os.environ.get("TRACEKIT_MAIN_IMPORTS", "").split():
    __import__(_name)

if _MARKS:
    os.write(2, b"tracekit: main module ends\n")

IMPORTED_NS = time.monotonic_ns()
