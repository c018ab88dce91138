"""`tracekit` and `python -m tracekit`. Until the command line is imported, Ctrl-C ends the process as any other: an
exception in the middle of an import would be a traceback."""

from __future__ import annotations

import signal


def main() -> None:
    """Import the command line and run it."""
    own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if own:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tracekit import cli  # noqa: PLC0415 - see above

    if own:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
