"""The report as one HTML file that needs nothing else: no network, no script, pictures inside.

Everything that comes from a suite is escaped by the template engine. The page's content security policy allows
only its own style sheet, by hash, and images from `data:` URLs, so that not even a mistake here runs anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from tracekit.analysis.report.figures.style import FAMILY_COLOURS, OTHER_FAMILY
from tracekit.analysis.report.views import ReportView
from tracekit.analysis.report.wording import TOGETHER

_CODE = re.compile(r"`([^`]+)`")


def to_html(view: ReportView, pictures: Mapping[str, bytes]) -> str:
    """The page. `pictures`: slug -> PNG of every figure in the view."""
    css = f"{_colours()}{_file('report.css')}"
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["keep"] = keep_together
    environment.filters["code"] = with_code
    environment.filters["family"] = family_class
    page = environment.from_string(_file("template.html.j2"))
    images = {slug: base64.b64encode(data).decode() for slug, data in pictures.items()}
    # The only text that is not escaped: our own style sheet, whose hash the page carries.
    return page.render(view=view, images=images, css=Markup(css), css_hash=digest)


def keep_together(text: str) -> Markup:
    """The text, escaped, with no line break inside `1.74–1.90`, `1.38 s` or `n = 5`."""
    return _wrapped(text, TOGETHER, '<span class="keep">', "</span>")


def with_code(text: str) -> Markup:
    """The text, escaped, with what stands in `backticks` as code."""
    return _wrapped(text, _CODE, "<code>", "</code>")


def _wrapped(text: str, pattern: re.Pattern[str], opening: str, closing: str) -> Markup:
    parts, end = [], 0
    for match in pattern.finditer(text):
        inside = match.group(1) if pattern.groups else match.group()
        parts += [escape(text[end : match.start()]), Markup(opening), escape(inside), Markup(closing)]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def family_class(family: str) -> str:
    """The CSS class with a family's colour; a name we do not know never reaches the class attribute."""
    return f"family-{family}" if family in (*FAMILY_COLOURS, "plain") else "family-other"


def _colours() -> str:
    pairs = [*FAMILY_COLOURS.items(), ("other", OTHER_FAMILY)]
    return "".join(f".family-{name}{{--family:{value}}}\n" for name, value in pairs)


def _file(name: str) -> str:
    return resources.files("tracekit.analysis.report.render").joinpath(name).read_text(encoding="utf-8")
