"""tracekit: what threads and what processes cost, measured.

Every measured child process imports this file, so it stays empty of imports. It works on Python 3.8.
"""

__version__ = "0.1.0"

_marks_file: "str | None" = None
"""Where marks go; empty where nothing records, None before anybody looked."""


def mark(name: str) -> None:
    """Record this moment under a name: for `tracekit view`, for the report, and for `tracekit report --window`.

    Where nothing records it does nothing. It raises nothing: a mark that cannot be written is lost. Of a name, the
    first 200 characters count. The mark is written by one small write, which gives the GIL up as any write does.
    """
    if _marks_file != "":
        _write_mark(name)


def _write_mark(name: str) -> None:
    """One line as bundle/marks_file.py describes it."""
    import os  # noqa: PLC0415
    import time  # noqa: PLC0415

    stamp = time.monotonic_ns()
    global _marks_file
    if _marks_file is None:
        _marks_file = os.environ.get("TRACEKIT_MARKS", "")
    if not _marks_file:
        return
    from _thread import get_native_id  # noqa: PLC0415

    text = str(name)[:200].replace("\n", " ")
    line = f'\n{stamp} {os.getpid()} {get_native_id()} "{text}"\n'.encode("utf-8", "backslashreplace")
    try:
        # Opened anew each time: a forked child, and a program that closes all descriptors, need nothing to be right.
        file = os.open(_marks_file, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, line)
        finally:
            os.close(file)
    except OSError:
        pass
