"""What runs inside the measured process is read by every Python from 3.9 on."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tracekit.core.errors import TracekitError
from tracekit.system.interpreters import OLDEST, Interpreter, discover, inspect

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("tracekit/core", "tracekit/bundle", "tracekit/measure/inside", "tracekit/accuracy/programs", "workloads")
PACKAGE_FILES = ("tracekit", "tracekit/core", "tracekit/bundle", "tracekit/measure", "tracekit/measure/inside")
"""The packages whose own files a spawned worker imports, in addition to the modules that test_imports lists."""

FILES = sorted(
    {
        *(path for room in ROOMS for path in (ROOT / room).rglob("*.py")),
        *(ROOT / package / "__init__.py" for package in PACKAGE_FILES),
        ROOT / "tracekit/workload.py",
    }
)
IMPORTED = [path for path in FILES if "accuracy" not in path.parts]
NAMES = [str(path.relative_to(ROOT)) for path in FILES]


@cache
def oldest_python() -> Interpreter:
    """A CPython of the oldest version that can be measured; skips the test where there is none."""
    wanted = ".".join(map(str, OLDEST))
    for found in discover():
        if found.version.startswith(f"{wanted}.") and not found.free_threaded:
            return found
    try:
        return inspect(f"python{wanted}")
    except TracekitError as error:
        pytest.skip(f"{error}; try: {error.hint}")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_syntax_is_that_of_the_oldest_python(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=OLDEST)


def test_the_oldest_python_compiles_every_file() -> None:
    code = "import sys\nfor path in sys.argv[1:]:\n    compile(open(path, encoding='utf-8').read(), path, 'exec')"
    done = subprocess.run(
        [oldest_python().executable, "-I", "-c", code, *map(str, FILES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_oldest_python_imports_every_module() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in IMPORTED
        if path.name != "__main__.py"
    ]
    code = "import importlib, sys\nsys.path.insert(0, sys.argv[1])\nlist(map(importlib.import_module, sys.argv[2:]))"
    done = subprocess.run(
        [oldest_python().executable, "-I", "-c", code, str(ROOT), *modules], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", PACKAGE_FILES)
def test_the_package_files_that_a_spawned_worker_imports_do_nothing_when_they_are_imported(package: str) -> None:
    """Nor do they import anything: a docstring; in tracekit's own also its version, and how to get at `mark`."""
    body = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body
    for node in body:
        value = node.value if isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign)) else None
        is_mark = isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        assert isinstance(value, ast.Constant) or (package == "tracekit" and is_mark)
    assert isinstance(body[0], ast.Expr)
    assert len(body) == 1 or package == "tracekit"
