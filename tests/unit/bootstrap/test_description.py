"""The long description of the package: README.md as an index can show it."""

from __future__ import annotations

import re
from typing import Any

from hatch_build import ReadmeHook
from tests.conftest import ROOT


def test_the_long_description_has_no_picture_and_no_link_into_the_repository() -> None:
    metadata: dict[str, Any] = {}
    ReadmeHook(str(ROOT), {}).update(metadata)
    text = metadata["readme"]["text"]
    assert text.startswith("# tracekit\n")
    assert re.findall(r"\]\((?!https?://)[^)]*\)", text) == []
    # Links to other projects stay, and so do the words of those that went.
    assert "[VizTracer](https://" in text
    assert "docs/metrics.md derives each of them" in text
