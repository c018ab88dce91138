"""The report as one HTML file that needs nothing else: no network, no library, pictures embedded.

Everything that comes from a suite is escaped by the template engine. The page's content security policy allows
only its own style sheet and its own script, by hash, and images from `data:` URLs, so that not even a mistake here runs
anything. The script sorts, filters and folds what the page has; without it the page says the same.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping
from functools import partial
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from tracekit.analysis.report.figures.style import FAMILY_COLOURS, OTHER_FAMILY
from tracekit.analysis.report.glossary import PATTERN, explain_term
from tracekit.analysis.report.render.flame_svg import draw_flames
from tracekit.analysis.report.render.links import find_phrases, find_place, has_figures, list_contents, list_places
from tracekit.analysis.report.render.values import find_value
from tracekit.analysis.report.views import ReportView, TableField, Verdict
from tracekit.analysis.report.wording import TOGETHER

_CODE = re.compile(r"`([^`]+)`")


def to_html(view: ReportView, pictures: Mapping[str, bytes]) -> str:
    """The page. `pictures`: slug -> PNG of every figure in the view."""
    css, script = f"{_colours()}{_file('report.css')}", _file("report.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["prose"] = set_prose
    environment.filters["family"] = family_class
    environment.filters["terms"] = with_terms
    environment.filters["value"] = value_attribute
    places = list_places(view)
    environment.filters["linked"] = partial(link_words, places=places)
    page = environment.from_string(_file("template.html.j2"))
    # The only text that is not escaped: our own style sheet and script, whose hashes the page carries.
    return page.render(
        view=view,
        images={slug: base64.b64encode(data).decode() for slug, data in pictures.items()},
        contents=list_contents(view),
        has_figures=has_figures(view),
        place=partial(find_place, places),
        verdict=partial(link_verdict, places=places, first=_first_place(view)),
        flames=draw_flames,
        css=Markup(css),
        css_hash=_digest(css),
        script=Markup(script),
        script_hash=_digest(script),
    )


def keep_together(text: str) -> Markup:
    """The text, escaped, with no line break inside `1.74–1.90`, `1.38 s` or `n = 5`."""
    return _wrapped(text, TOGETHER, '<span class="keep">', "</span>")


def set_prose(text: str) -> Markup:
    """The same, with what stands in `backticks` as code."""
    pieces = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if index % 2 else keep_together(piece)
        for index, piece in enumerate(pieces)
    )


def link_verdict(verdict: Verdict, number: int, places: Collection[str], first: str) -> Markup:
    """The verdict with links; to `first` where no words of it are known. `number`: which of several verdicts it is."""
    if verdict.outcome == "compared":
        # The table right below has both interpreters; each figure is about one.
        places, first = (), "summary"
    lead, rest = (link_words(text, places, number) for text in (verdict.lead, verdict.rest))
    if "<a " not in lead + rest:
        lead = _link(first, lead)
    return Markup("<strong>{}</strong>{}").format(lead, rest)


def link_words(text: str, places: Collection[str], number: int = 1) -> Markup:
    """The text with a link from what it says to the part of the page that explains it."""
    parts, end = [], 0
    # Words inside code are somebody's names.
    for begin, stop, place in find_phrases(_CODE.sub(lambda found: "`" * len(found[0]), text), places, number):
        parts += [set_prose(text[end:begin]), _link(place, set_prose(text[begin:stop]))]
        end = stop
    return Markup("").join([*parts, set_prose(text[end:])])


def _link(place: str, text: Markup) -> Markup:
    return Markup('<a href="#{}">{}</a>').format(place, text)


def _first_place(view: ReportView) -> str:
    """Where the page begins to explain."""
    return next((section.slug for section in view.sections), "figures" if has_figures(view) else "summary")


def value_attribute(field: TableField | str) -> Markup:
    """What a script sorts the field by; words are sorted as words."""
    if isinstance(field, TableField) and field.words:
        return Markup("")
    value = find_value(field if isinstance(field, str) else field.main)
    return Markup("") if value is None else Markup(' data-value="{}"').format(f"{value:.12g}")


def with_terms(text: str) -> Markup:
    """The text, escaped, with each term of the glossary as an abbreviation that shows its sentence."""
    parts, end = [], 0
    for match in PATTERN.finditer(text):
        term = match.group()
        meaning = Markup('<abbr title="{}">{}</abbr>').format(explain_term(term), term)
        parts += [escape(text[end : match.start()]), meaning]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _wrapped(text: str, pattern: re.Pattern[str], opening: str, closing: str) -> Markup:
    parts, end = [], 0
    for match in pattern.finditer(text):
        parts += [escape(text[end : match.start()]), Markup(opening), escape(match.group()), Markup(closing)]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def family_class(family: str) -> str:
    """The CSS class with a family's colour; a name we do not know never reaches the class attribute."""
    return f"family-{family}" if family in (*FAMILY_COLOURS, "plain") else "family-other"


def _colours() -> str:
    pairs = [*FAMILY_COLOURS.items(), ("other", OTHER_FAMILY)]
    return "".join(f".family-{name}{{--family:{value}}}\n" for name, value in pairs)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _file(name: str) -> str:
    return resources.files("tracekit.analysis.report.render").joinpath(name).read_text(encoding="utf-8")
