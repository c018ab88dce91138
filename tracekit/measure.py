"""The measured program: `python -m tracekit.measure SPEC_FOLDER`.

This file is deliberately empty of everything else: spawned workers and the fork server import the main module again,
and what it imports would be added to the spawn cost that is being measured. The life of the process is in child.py.
"""

from __future__ import annotations

if __name__ == "__main__":
    import os
    import sys

    # `-m` puts the current folder first: a `random.py` or a `workloads` package of the user's would be taken for ours.
    # Last it still serves a workload that lives there.
    if sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - pathlib would be imported for this alone
        sys.path.append(sys.path.pop(0))

    from tracekit.child import main

    sys.exit(main(sys.argv[1]))
