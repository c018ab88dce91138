"""A Python that is laid out otherwise than the probe expects: no function is read, and the reason is said."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import MakeOnce
from tests.probe.conftest import PYTHONS, Watching, functions, of_kind, run, version
from tests.probe.test_pythons import NAMES
from tracekit.bundle import waits_file
from tracekit.measure.probe import compile as probe
from tracekit.system.interpreters import Interpreter

PLACES = (
    "thread_frame",
    "cframe_frame",
    "frame_code",
    "frame_previous",
    "code_filename",
    "code_name",
    "code_firstlineno",
    "object_type",
    "string_length",
    "string_state",
    "ascii_size",
)
"""What the probe has to know of a Python: fields of its offsets.h."""


@pytest.fixture(scope="session", params=[*PLACES, "since", "version"])
def falsified(request: pytest.FixtureRequest, make_once: MakeOnce) -> tuple[str, Path]:
    """The probe, compiled with one place in every version's table changed to a wrong one."""
    place = request.param
    return place, make_once(f"falsified-{place}", lambda folder: compile_falsified(place, folder)) / "waits.so"


def compile_falsified(place: str, folder: Path) -> None:
    sources = folder / "probe"
    shutil.copytree(probe.HERE, sources, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    offsets = sources / "waits" / "offsets.h"
    text = offsets.read_text(encoding="utf-8")
    if place == "version":
        changed = text.replace("X(3, ", "X(2, ").replace("OFFSETS_3_", "OFFSETS_2_").replace(", 0x03", ", 0x02")
    elif place == "since":
        changed = re.sub(r"(X\(3, \d+, 0x....)....\)", r"\1ffff)", text)
    else:
        # Where the place itself stands in a table of words, and elsewhere by bytes.
        changed = re.sub(rf"X\({place}, (\d+), (.*)", move_a_word, text)
    assert changed != text
    offsets.write_text(changed, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "HERE", sources)
        probe.compile_probe(folder / "waits.so", ("-O0",))


def move_a_word(found: re.Match[str]) -> str:
    step = 1 if "_Py_DebugOffsets" in found[2] else 8
    return found[0].replace(f", {found[1]}, ", f", {int(found[1]) + step}, ")


@pytest.mark.parametrize("python", PYTHONS)
def test_no_function_is_read_in_a_python_that_is_laid_out_otherwise(
    falsified: tuple[str, Path], watching: Watching, python: Interpreter
) -> None:
    place, library = falsified
    seen = run(Watching(preload=str(library), folder=watching.folder), python, NAMES)
    file, reasons = seen.first, waits_file.NO_FUNCTIONS
    sleeps = of_kind(file, "sleep")
    assert len(sleeps) == 15
    known = {"version": reasons[3], "since": reasons[4] if version(python) >= (3, 13) else ""}
    known["cframe_frame"] = reasons[7] if version(python) in ((3, 11), (3, 12)) else ""
    if known.get(place) == "":
        assert file.header.no_functions == ""
        return
    assert file.header.no_functions in (known.get(place), reasons[2], *(reasons[number] for number in (6, 7, 8)))
    assert set(functions(file, sleeps)) == {""}
