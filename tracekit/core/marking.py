"""`tracekit.mark`, for any program: it works on Python 3.8, and imports only what every Python has loaded."""

import os
import time
from _thread import get_native_id

_file = os.environ.get("TRACEKIT_MARKS", "")
"""Where marks go; empty where nothing records."""


def mark(name: str) -> None:
    """Record this moment under a name: for `tracekit view`, for the report, and for `tracekit report --window`.

    Where nothing records it does nothing. It raises nothing: a mark that cannot be written is lost. Of a name, the
    first 200 characters count. The mark is written by one small write, which gives the GIL up as any write does.
    """
    if not _file:
        return
    stamp = time.monotonic_ns()
    text = str(name)[:200].replace("\n", " ")
    # As bundle/marks_file.py describes it.
    line = f'\n{stamp} {os.getpid()} {get_native_id()} "{text}"\n'.encode("utf-8", "backslashreplace")
    try:
        # Opened anew each time: a forked child, and a program that closes all descriptors, need nothing to be right.
        file = os.open(_file, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, line)
        finally:
            os.close(file)
    except OSError:
        pass
