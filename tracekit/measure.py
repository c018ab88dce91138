"""The measured program: `python -m tracekit.measure RUN_FOLDER USERS_FOLDER`.

This file is deliberately empty of everything else: spawned workers and the fork server import the main module again,
and what it imports would be added to the spawn cost that is being measured. The life of the process is in child.py.
"""

from __future__ import annotations

if __name__ == "__main__":
    import os
    import sys

    # `-m` puts the folder it starts in first on the path. Started in the user's own, a `random.py` there, or another
    # checkout of tracekit, would be taken for ours; last on the path it still serves a workload that lives there.
    os.chdir(sys.argv[2])
    sys.path.append(sys.argv[2])

    from tracekit.child import main

    sys.exit(main(sys.argv[1]))
