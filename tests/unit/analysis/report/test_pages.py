"""Report pages: found by name or as module:attribute, and replaced by the comparison where a suite has no numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.analysis.report.made_numbers import typical
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.report.build import build
from tracekit.analysis.report.glossary import PATTERN, TERMS, explain_term
from tracekit.analysis.report.pages import COMPARISON, PAGES, load_page
from tracekit.analysis.report.pages.comparison import page as comparison
from tracekit.analysis.report.render.html import with_terms
from tracekit.analysis.report.views import PageView
from tracekit.analysis.tables import Tables
from tracekit.core.errors import UsageError


def made_page(analysis: Analysis) -> PageView:
    """A page of somebody's own."""
    return replace(comparison.build_page(analysis), caveats=("made",))


def suite(page: str) -> Tables:
    tables = typical().tables()
    tables.suite["page"] = page
    return tables


def test_a_page_of_ones_own_is_named_by_its_module() -> None:
    assert build(suite(f"{__name__}:made_page")).caveats == ("made",)


@pytest.mark.parametrize("page", [name for name in PAGES if name != COMPARISON and name != "claims"])
def test_a_suite_without_the_numbers_of_its_page_is_compared(page: str) -> None:
    assert load_page(page)(Analysis(suite(page))) is None
    assert build(suite(page)).verdicts == build(suite("")).verdicts


def test_an_unknown_page_is_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(UsageError, match="unknown page 'footprin': did you mean 'footprint'"):
        build(suite("footprin"))


def test_every_term_is_found_also_in_the_plural_and_explained() -> None:
    for term, text in TERMS.items():
        for form in (term, f"{term}s", term.upper()):
            match = PATTERN.search(f"the {form}, here")
            assert match is not None
            assert match.group() == form
            assert explain_term(form) == text
    assert list(TERMS) == sorted(TERMS, key=str.lower)


def test_a_term_in_a_heading_is_an_abbreviation_and_all_text_is_escaped() -> None:
    assert with_terms("<b>GIL waits") == (f'&lt;b&gt;<abbr title="{TERMS["GIL wait"]}">GIL waits</abbr>')
