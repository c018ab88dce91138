"""The table of notices."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tracekit
from tracekit.core.notices import NOTICES, notice

PACKAGE = Path(tracekit.__file__).parent


def calls_of_notice() -> list[tuple[str, set[str]]]:
    """(code, field names) of every `notice("code", field=...)` in the package."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "notice"):
                continue
            if node.args and isinstance(node.args[0], ast.Constant):
                given = {word.arg if word.arg is not None else "**" for word in node.keywords}
                found.append((str(node.args[0].value), given))
    return found


def test_every_notice_that_is_given_is_in_the_table_with_all_its_fields() -> None:
    calls = calls_of_notice()
    assert len(calls) > 5
    for code, fields in calls:
        kind = NOTICES[code]
        if "**" not in fields:
            assert set(re.findall(r"{(\w+)}", kind.cause + kind.remedy)) <= fields, code


def test_every_notice_in_the_table_is_given_somewhere() -> None:
    assert set(NOTICES) == {code for code, _ in calls_of_notice()}


@pytest.mark.parametrize("code", NOTICES)
def test_a_notice_says_cause_effect_and_remedy(code: str) -> None:
    kind = NOTICES[code]
    assert kind.severity in ("info", "warning", "error")
    fields = dict.fromkeys(re.findall(r"{(\w+)}", kind.cause + kind.remedy), "X")
    made = notice(code, **fields)
    assert kind.effect in made.text
    assert "{" not in made.text + made.remedy
    assert made.remedy
