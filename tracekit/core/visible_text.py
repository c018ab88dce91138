"""Characters that act instead of being seen, as text. Names come from other people's programs and may hold anything.

An ESC commands a terminal, a bidirectional override turns text around, half a surrogate pair fits in no file. Each
becomes its escape as Python writes it, `\\x1b`: nothing is hidden, and nothing acts.
"""

from __future__ import annotations

import re

_ACTS = (
    "\0-\x08\x0b-\x1f\x7f-\x9f"  # control characters, of which a line break and a tab are layout
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # unseen
    "\ud800-\udfff"  # halves of surrogate pairs
)
_TEXT, _LINE = re.compile(f"[{_ACTS}]"), re.compile(f"[\t\n{_ACTS}]")


def make_visible(text: str, *, one_line: bool = False) -> str:
    """The text with every character that acts as its escape; with `one_line` also tabs and line breaks."""
    return (_LINE if one_line else _TEXT).sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
