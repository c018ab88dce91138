"""Everything tracekit raises on purpose. Only the command line prints it and picks the exit code.

    TracekitError                  2   what went wrong, and the command that fixes it
    ├── UsageError                 2   an unknown name, an impossible count, a path that cannot be used
    │   ├── ProgramNotFound      127   what is to be recorded does not exist; the code that a shell gives for it
    │   └── ProgramNotExecutable 126   it exists and cannot be run; the shell's code again
    ├── MeasurementError           3   a measurement exists and must not be used
    │   ├── RunFailed              3   the measured program failed, hung or was killed
    │   ├── ChecksumMismatch       3   two models computed different results
    │   ├── BundleUnfinished       3   no manifest: the run did not finish
    │   ├── BundleCorrupt          3   a file of the bundle is not what the manifest says
    │   └── BundleTooNew           3   written by a newer tracekit
    ├── EnvironmentLacks           4   this machine cannot do it
    │   ├── CaptureUnavailable     4   the tool is missing or the system refused it
    │   └── OutputUnwritable       4   the folder cannot be written, or the disk is full
    └── NothingToDo                5   there is no suite, no trace, no row

Exit codes: 0 ok, 1 gate failed, 2 usage, 3 measurement refused or invalid, 4 environment cannot,
5 nothing to do, 129 hung up, 130 interrupted, 143 terminated.
"""

from __future__ import annotations


class TracekitError(Exception):
    """What went wrong, with the value (`str(error)`), and the command that fixes it (`hint`)."""

    exit_code = 2

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(TracekitError):
    """The arguments do not fit: the user can correct them at once."""


class ProgramNotFound(UsageError):
    """The program that is to be recorded does not exist."""

    exit_code = 127


class ProgramNotExecutable(UsageError):
    """The program that is to be recorded is there, but the system cannot run it."""

    exit_code = 126


class MeasurementError(TracekitError):
    """A measurement exists but must not be used."""

    exit_code = 3


class RunFailed(MeasurementError):
    """The measured program failed, hung or was killed."""


class ChecksumMismatch(MeasurementError):
    """Two models computed different results from the same items."""


class BundleUnfinished(MeasurementError):
    """The bundle has no manifest: its run did not finish."""


class BundleCorrupt(MeasurementError):
    """A file of the bundle is missing, truncated or altered."""


class BundleTooNew(MeasurementError):
    """The bundle's format is newer than this tracekit understands."""


class EnvironmentLacks(TracekitError):
    """This machine cannot do it; the hint says what would enable it."""

    exit_code = 4


class CaptureUnavailable(EnvironmentLacks):
    """The capture's tool is missing, or the system refused it."""


class OutputUnwritable(EnvironmentLacks):
    """A result cannot be written: no permission, or no space left."""


class NothingToDo(TracekitError):
    """The request is valid, but there is no data for it."""

    exit_code = 5
