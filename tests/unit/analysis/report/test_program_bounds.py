"""The report of a recorded program where only a range of a number is known."""

from __future__ import annotations

from tests.table_factory import MS
from tests.unit.analysis.report.made_program import CHILD, rows, tables
from tracekit.analysis.report.build import build
from tracekit.core.notices import notice


def test_a_number_of_which_only_one_end_is_known_says_so() -> None:
    """A child was killed 300 ms after its clock was read, and the program's wall is that of its tool."""
    found = rows()
    child = next(row for row in found["threads"] if row["pid"] == CHILD)
    child["cpu_read_ns"] = child["end_ns"] - 300 * MS
    child["cpu_ns"] -= 300 * MS
    given = notice("wall-of-tool", program="app.py", run_id=found["runs"][0]["run_id"])
    found["notices"].append({"run_id": found["runs"][0]["run_id"], **given._asdict()})
    shown = build(tables(found))
    assert "took at most 1.00 s" in shown.verdicts[0].lead
    assert "CPUs busy" not in shown.verdicts[0].rest
    assert "on-CPU at least " in shown.verdicts[0].rest
    whole, *others = shown.summary.groups[0].rows
    assert whole.fields[0].main == "≤ 1.00 s"
    (killed,) = [row for row in others if row.fields[0].sub == "SIGKILL"]
    assert killed.fields[1].main.startswith("≥ ")
    assert whole.fields[1].main.startswith("≥ ")
    assert not others[0].fields[1].main.startswith("≥ ")


def test_a_program_without_a_capture_that_sees_waits_has_a_bound_and_says_so() -> None:
    found = rows()
    found["waits"], found["holds"] = [], []
    found["runs"][0]["capture"] = "none"
    shown = build(tables(found))
    field = shown.summary.groups[0].rows[0].fields[2]
    assert (field.main, field.tag) == ("0–2.00 s", "bound")
    (unwatched,) = shown.sections
    assert (unwatched.slug, unwatched.tables) == ("sites", ())
    assert unwatched.sentences[0].startswith("Without capture waits, ")
    assert unwatched.sentences[1] == "`tracekit record --capture waits -- ...` records the waits."
    assert any(text.startswith("As a GIL wait: it is a range") for text in shown.caveats)
    assert any("blocked" in figure.alt for block in shown.figures for figure in block.figures)
