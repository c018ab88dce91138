"""What tests of the command line share: the quickest suite there is, and what an error has to look like."""

from __future__ import annotations

from tests.conftest import Said

QUICK = ("--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--capture", "none", "--workers", "2")


def assert_two_lines(said: Said, code: int, *words: str) -> None:
    """The last two lines of stderr are the error and the remedy; no traceback anywhere."""
    assert said.code == code, said.err
    assert "Traceback" not in said.err + said.out
    error, remedy = said.err.rstrip("\n").splitlines()[-2:]
    assert error.startswith("error: "), said.err
    assert remedy.startswith("  try: "), said.err
    assert len(remedy) > len("  try: ")
    for word in words:
        assert word in error, said.err
