"""A flame graph as SVG: readable as it is; the page's script zooms and searches in it."""

from __future__ import annotations

from markupsafe import Markup

from tracekit.analysis.report.views import FigureView

LEVEL = 22
"""Height of a level in pixels."""
_LEAST_NAMED = 0.03
"""Part of the width from which on a box has room for a name."""

_BOX = Markup(
    '<svg class="frame" x="{left}%" y="{top}" width="{width}%" height="{height}" data-level="{level}">'
    '<title>{name}: {time}, {share}</title><rect width="100%" height="100%" fill="{colour}"/>'
    '<text x="4" y="15" fill="{ink}"{hidden}>{name} · {time}</text></svg>\n'
)


def draw_flames(figure: FigureView) -> Markup:
    """The boxes, each in an SVG of its own, which clips its name."""
    levels = 1 + max(frame.level for frame in figure.frames)
    boxes = [
        _BOX.format(
            left=f"{frame.left * 100:.4f}",
            top=frame.level * LEVEL,
            width=f"{frame.width * 100:.4f}",
            height=LEVEL - 1,
            level=frame.level,
            name=frame.name,
            time=frame.time,
            share=f"{frame.width * 100:.1f} %",
            colour=frame.colour,
            ink=frame.ink,
            hidden=Markup(' visibility="hidden"') if frame.width < _LEAST_NAMED else "",
        )
        for frame in figure.frames
    ]
    opening = Markup('<svg class="flames" width="100%" height="{}" role="img" aria-label="{}">\n')
    return opening.format(levels * LEVEL, figure.alt) + Markup("").join(boxes) + Markup("</svg>")
