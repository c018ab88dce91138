"""The measured program: `python -m tracekit.measure SPEC_FOLDER`.

This file is deliberately empty of everything else: spawned workers and the fork server import the main module again,
and what it imports would be added to the spawn cost that is being measured. The life of the process is in child.py.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys

    from tracekit.child import main

    sys.exit(main(sys.argv[1]))
