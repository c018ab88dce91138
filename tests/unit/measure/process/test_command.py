"""What a command names: program, Python, short name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tracekit.core.errors import ProgramNotExecutable, ProgramNotFound
from tracekit.measure.process.command import describe_command

ENV = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["app.py", "--flag"], "app.py"),
        (["-u", "folder/app.py"], "app.py"),
        (["-m", "package.module", "x"], "package.module"),
        (["-um", "package.module"], "package.module"),
        (["-mpackage"], "package"),
        (["-c", "print(1)"], "python-c"),
        (["-Wc", "-X", "dev", "-W", "error", "app.py"], "app.py"),
        (["-Xdev", "-E", "app.py", "-m", "other"], "app.py"),
        (["--check-hash-based-pycs", "never", "app.py"], "app.py"),
        (["-", "app.py"], "python"),
        ([], "python"),
        (["-i"], "python"),
    ],
)
def test_the_name_is_what_python_runs(tmp_path: Path, arguments: list[str], name: str) -> None:
    found = describe_command(["python", *arguments], ENV, tmp_path)
    assert found.name == name
    assert found.argv == ("python", *arguments)
    assert found.interpreter is not None
    assert found.interpreter.executable == sys.executable


def made(folder: Path, name: str, text: bytes, mode: int = 0o755) -> str:
    path = folder / name
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    "first",
    [
        "#!PYTHON",
        "#! PYTHON -E",
        "#!/usr/bin/env python",
        "#!/usr/bin/env -S python -u",
        "#!/usr/bin/env MODE=x python",
        "#!/bin/sh\n'''exec' PYTHON \"$0\" \"$@\"\n' '''",
    ],
)
def test_the_python_of_a_script_is_in_its_first_line(tmp_path: Path, first: str) -> None:
    """No blank can be in a path that the kernel or a shell without quotes reads: hence a link to this Python."""
    link = tmp_path / "python3"
    link.symlink_to(sys.executable)
    text = f"{first}\nprint(1)\n".replace("PYTHON", str(link))
    found = describe_command([made(tmp_path, "tool", text.encode())], ENV, tmp_path)
    assert found.interpreter is not None
    assert found.interpreter.executable in (str(link), sys.executable)
    assert found.name == "tool"


def test_the_python_of_a_script_may_have_blanks_in_its_path(tmp_path: Path) -> None:
    """As pip writes it then: a shell that runs it in quotes."""
    link = tmp_path / "a folder" / "python3"
    link.parent.mkdir()
    link.symlink_to(sys.executable)
    text = f"#!/bin/sh\n'''exec' \"{link}\" \"$0\" \"$@\"\n' '''\nprint(1)\n"
    found = describe_command([made(tmp_path, "tool", text.encode())], ENV, tmp_path)
    assert found.interpreter is not None
    assert found.interpreter.executable == str(link)


@pytest.mark.parametrize(
    "text", [b"#!/bin/sh\nexec python app.py\n", b"\x7fELF", b"", b"#!", b"#!/usr/bin/env", b"#!/no/such/python3\n"]
)
def test_other_programs_have_no_python_that_we_know(tmp_path: Path, text: bytes) -> None:
    assert describe_command([made(tmp_path, "tool", text)], ENV, tmp_path).interpreter is None


def test_where_a_program_is_looked_for(tmp_path: Path) -> None:
    made(tmp_path, "tool", b"")
    made(tmp_path, "data", b"", mode=0o644)
    assert describe_command(["./tool"], ENV, tmp_path).executable == str(tmp_path / "./tool")
    assert describe_command(["tool"], {"PATH": str(tmp_path)}, Path("/")).executable == str(tmp_path / "tool")
    with pytest.raises(ProgramNotFound) as found:
        describe_command(["tool"], ENV, tmp_path)
    assert found.value.exit_code == 127
    with pytest.raises(ProgramNotExecutable) as refused:
        describe_command(["./data"], ENV, tmp_path)
    assert refused.value.exit_code == 126


def test_a_program_where_nobody_may_look_is_not_executable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Path.exists raises where a folder above may not be searched; root may search every folder."""

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(ProgramNotExecutable, match=r"^/root/bin/app is in a folder that you may not read$"):
        describe_command(["/root/bin/app"], ENV, tmp_path)
