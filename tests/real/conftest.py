"""What several files of real runs start from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

FAULTY = Path(__file__).parent.parent / "faulty_workloads.py"


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A folder with the faulty workloads as a user's own module."""
    shutil.copy(FAULTY, tmp_path / "faulty.py")
    return tmp_path
