"""The offsets of CPython's versions: what the committed header says is what the installed headers say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracekit.measure.probe import compile as probe
from tracekit.measure.probe import write_offsets

ROW = "X(code_firstlineno, "


def find_headers() -> list[tuple[write_offsets.Version, Path]]:
    return write_offsets.find_headers()


@pytest.fixture(autouse=True)
def has_compiler() -> None:
    try:
        probe.find_compiler()
    except probe.CannotCompile as error:
        pytest.skip(f"{error}; try: {error.hint}")


HEADERS = pytest.mark.parametrize(("version", "include"), find_headers(), ids=str)


@HEADERS
def test_the_header_holds_for_every_python_whose_headers_are_here(
    version: write_offsets.Version, include: Path, tmp_path: Path
) -> None:
    assert write_offsets.check_offsets(version, include) == ""
    wrong = tmp_path / "offsets.h"
    wrong.write_text(write_offsets.HEADER.read_text().replace(ROW, f"{ROW}1"))
    assert "code_firstlineno" in write_offsets.check_offsets(version, include, wrong)


@HEADERS
def test_the_values_are_those_that_a_program_with_these_headers_prints(
    version: write_offsets.Version, include: Path
) -> None:
    assert write_offsets.read_offsets(write_offsets.HEADER.read_text())[version] == (
        write_offsets.measure_offsets(version, include)
    )


def test_the_header_is_written_from_what_it_holds() -> None:
    text = write_offsets.HEADER.read_text()
    values = write_offsets.read_offsets(text)
    assert values.keys() == write_offsets.VERSIONS.keys()
    assert write_offsets.format_header(values) == text
