"""Writes waits/offsets.h: where CPython keeps what the wait probe reads, from the headers of the installed Pythons.

    .venv/bin/python -m tracekit.measure.probe.write_offsets

Standard library and a C compiler. A version whose headers are not installed keeps the values it has in the file. Each
value stands beside the C expression it comes from, so that the file checks itself against any version's headers: see
`check_offsets`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tracekit.measure.probe.compile import HERE, find_compiler
from tracekit.system import interpreters

HEADER = HERE / "waits" / "offsets.h"

_TYPES = {"type_members": "offsetof(PyTypeObject, tp_members) - offsetof(PyObject, ob_type)"}
_STRINGS = {
    **_TYPES,
    "object_type": "offsetof(PyObject, ob_type)",
    "string_length": "offsetof(PyASCIIObject, length)",
    "string_state": "offsetof(PyASCIIObject, state)",
    "ascii_size": "sizeof(PyASCIIObject)",
    "compact_size": "sizeof(PyCompactUnicodeObject)",
}
_FRAME_OBJECTS = {
    "thread_frame": "offsetof(PyThreadState, frame)",
    "cframe_frame": "-1",
    "frame_code": "offsetof(PyFrameObject, f_code)",
    "frame_previous": "offsetof(PyFrameObject, f_back)",
    "frame_locals": "offsetof(PyFrameObject, f_localsplus)",
    "frame_instruction": "offsetof(PyFrameObject, f_lasti)",
    "code_instructions": "0",
    "code_filename": "offsetof(PyCodeObject, co_filename)",
    "code_name": "offsetof(PyCodeObject, co_name)",
    "code_firstlineno": "offsetof(PyCodeObject, co_firstlineno)",
    **_STRINGS,
}
_INTERPRETER_FRAMES = {
    "thread_frame": "offsetof(PyThreadState, cframe)",
    "cframe_frame": "offsetof(_PyCFrame, current_frame)",
    "frame_code": "offsetof(_PyInterpreterFrame, f_code)",
    "frame_previous": "offsetof(_PyInterpreterFrame, previous)",
    "frame_locals": "offsetof(_PyInterpreterFrame, localsplus)",
    "frame_instruction": "offsetof(_PyInterpreterFrame, prev_instr)",
    "code_instructions": "offsetof(PyCodeObject, co_code_adaptive)",
    "code_filename": "offsetof(PyCodeObject, co_filename)",
    "code_name": "offsetof(PyCodeObject, co_qualname)",
    "code_firstlineno": "offsetof(PyCodeObject, co_firstlineno)",
    **_STRINGS,
}
_DEBUG_OFFSETS = {
    name: f"offsetof(_Py_DebugOffsets, {member}) / 8"
    for name, member in {
        "thread_frame": "thread_state.current_frame",
        "frame_code": "interpreter_frame.executable",
        "frame_previous": "interpreter_frame.previous",
        "frame_locals": "interpreter_frame.localsplus",
        "frame_instruction": "interpreter_frame.instr_ptr",
        "code_instructions": "code_object.co_code_adaptive",
        "code_filename": "code_object.filename",
        "code_name": "code_object.qualname",
        "code_firstlineno": "code_object.firstlineno",
        "object_type": "pyobject.ob_type",
        "string_length": "unicode_object.length",
        "string_state": "unicode_object.state",
        "ascii_size": "unicode_object.asciiobject_size",
    }.items()
} | _TYPES

Version = tuple[int, int]

VERSIONS: dict[Version, tuple[str, dict[str, str]]] = {
    (3, 9): ("frameobject.h", _FRAME_OBJECTS),
    (3, 10): ("frameobject.h", _FRAME_OBJECTS),
    (3, 11): ("internal/pycore_frame.h", _INTERPRETER_FRAMES),
    (3, 12): ("internal/pycore_frame.h", _INTERPRETER_FRAMES),
    (3, 13): ("internal/pycore_runtime.h", _DEBUG_OFFSETS),
    (3, 14): ("internal/pycore_debug_offsets.h", _DEBUG_OFFSETS),
    (3, 15): ("internal/pycore_debug_offsets.h", _DEBUG_OFFSETS),
}
"""By version: the header that has what Python.h has not, and field -> C expression. From 3.13 on _PyRuntime begins with
the offsets themselves, and the fields are their places in it, in words of 8 bytes."""


def find_headers() -> list[tuple[Version, Path]]:
    """The folder of Python.h of each known version that is installed with its headers; a free-threaded build has its
    own."""
    found: list[tuple[Version, Path]] = []
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    for python in interpreters.discover():
        major, minor = (int(part) for part in python.version.split(".")[:2])
        words = [python.executable, "-I", "-c", code]
        include = Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
        if (include / "internal").is_dir() and (major, minor) in VERSIONS:
            found.append(((major, minor), include))
    return found


def _compile(version: Version, include: Path, text: str, *words: str) -> str:
    """Compile C with that version's headers; returns what the compiler printed, "" if it accepted the text."""
    more, _ = VERSIONS[version]
    includes = "".join(f"#include <{name}>\n" for name in ("stddef.h", "stdio.h", "Python.h", more))
    source = f"#define Py_BUILD_CORE 1\n{includes}{text}\n"
    command = [
        *find_compiler(),
        "-std=gnu11",
        "-w",
        "-I",
        str(include),
        "-I",
        str(include / "internal"),
        "-x",
        "c",
        "-",
    ]
    done = subprocess.run([*command, *words], input=source, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr


def check_offsets(version: Version, include: Path, header: Path = HEADER) -> str:
    """Compile the header's static assertions with that version's headers; returns what fails, "" if nothing does."""
    return _compile(version, include, f'#include "{header}"', "-fsyntax-only")


def measure_offsets(version: Version, include: Path) -> dict[str, int]:
    """Field -> value of one version, from a program compiled with its headers. Raises OSError, ValueError.

    Of a table of _PyRuntime also `since`, the oldest PY_VERSION_HEX with these places: until a final version they move.
    """
    final = version[0] << 24 | version[1] << 16 | 0xF0
    expressions = dict(VERSIONS[version][1])
    if VERSIONS[version][1] is _DEBUG_OFFSETS:
        expressions["since"] = f"PY_VERSION_HEX < {final} ? PY_VERSION_HEX : {final}"
    prints = "".join(f'printf("{name} %ld\\n", (long)({text}));' for name, text in expressions.items())
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "offsets"
        refused = _compile(version, include, f"int main(void) {{ {prints} return 0; }}", "-o", str(program))
        if refused:
            raise ValueError(f"the headers in {include} do not compile: {refused[:400]}")
        lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def read_offsets(text: str) -> dict[Version, dict[str, int]]:
    """The values that a header of ours has."""
    found: dict[Version, dict[str, int]] = {}
    for major, minor, body in re.findall(r"#define OFFSETS_(\d+)_(\d+)\(X\) \\\n((?:.*\\\n)*.*\n)", text):
        found[int(major), int(minor)] = {name: int(value) for name, value in re.findall(r"X\((\w+), (-?\d+),", body)}
    for major, minor, since in re.findall(r"X\((\d+), (\d+), (0x\w+)\)", text):
        found[int(major), int(minor)]["since"] = int(since, 16)
    return found


def format_header(values: dict[Version, dict[str, int]]) -> str:
    """The text of the header."""
    lines = [
        "/* Where CPython keeps what the probe reads. Written by tracekit/measure/probe/write_offsets.py: do not edit.",
        " *",
        " * X(field, value, expression): after a version's Python.h the expressions are checked against the values.",
        " * X(major, minor, since): the oldest PY_VERSION_HEX with these places.",
        " */",
    ]
    for version, known in values.items():
        expressions = VERSIONS[version][1]
        rows = [f"    X({name}, {known[name]}, {text})" for name, text in expressions.items() if name in known]
        lines += ["", f"#define OFFSETS_{version[0]}_{version[1]}(X) \\", " \\\n".join(rows)]
    tables = [version for version in values if VERSIONS[version][1] is _DEBUG_OFFSETS]
    constants = [version for version in values if version not in tables]
    lines += ["", "#define CONSTANT_VERSIONS(X) " + " ".join(f"X({major}, {minor})" for major, minor in constants)]
    rows = [f"X({major}, {minor}, {values[major, minor]['since']:#010x})" for major, minor in tables]
    lines += ["", "#define TABLE_VERSIONS(X) " + " ".join(rows)]
    lines += [
        "",
        "#ifdef PY_VERSION_HEX",
        "#define CHECK(field, value, expression) _Static_assert((expression) == (value), #field);",
    ]
    for number, (major, minor) in enumerate(values):
        test = f"PY_MAJOR_VERSION == {major} && PY_MINOR_VERSION == {minor}"
        lines += [f"#{'elif' if number else 'if'} {test}", f"OFFSETS_{major}_{minor}(CHECK)"]
    lines += ["#endif", "#undef CHECK", "#endif"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the header; stderr names the versions that were read anew."""
    headers = find_headers()
    values: dict[Version, dict[str, int]] = {version: {} for version in VERSIONS}
    values |= read_offsets(HEADER.read_text() if HEADER.is_file() else "")
    for version, include in headers:
        values[version] = measure_offsets(version, include)
    HEADER.write_text(format_header(values))
    for version, include in headers:
        refused = check_offsets(version, include)
        sys.stderr.write(f"{include}: {'does not fit: ' + refused[:200] if refused else 'fits'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
