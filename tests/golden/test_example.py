"""The committed example report: all of its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"


def test_every_link_of_the_example_has_its_file() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (EXAMPLE / "report.md").read_text(encoding="utf-8"))
    links += re.findall(r'href="([^"#:]+)"', (EXAMPLE / "index.html").read_text(encoding="utf-8"))
    assert len(links) > 5
    assert [link for link in links if not (EXAMPLE / link).is_file()] == []
