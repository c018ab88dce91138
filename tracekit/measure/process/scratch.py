"""The temporary folders of a tracekit: named so that another process can remove them when it was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def own_prefix() -> str:
    """What the temporary folders of this process begin with, by which a guard that outlives it knows them."""
    return f"tk-{os.getpid()}-"


def remove_folders(pid: int) -> None:
    """Remove the temporary folders of a process that has ended."""
    for path in Path(tempfile.gettempdir()).glob(f"tk-{pid}-*"):
        shutil.rmtree(path, ignore_errors=True)
