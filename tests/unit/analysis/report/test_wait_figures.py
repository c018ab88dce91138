"""Ledgers, blame and wait time as figures, by their artists and their words."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.container import BarContainer
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.typing import ColorType

from tests.table_factory import MS
from tests.unit.analysis.report import made_program as made
from tests.unit.analysis.report.made_program import FEEDER, HOG, loaded, rows, view
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.names import names_of
from tracekit.analysis.report.figures import attribution_matrix, flame, style
from tracekit.analysis.report.figures import ledger_bars as ledger
from tracekit.analysis.report.figures.ledger_bars import LedgerBar
from tracekit.analysis.report.ledger import NAMES, PARTS, LedgerRows
from tracekit.analysis.report.sections.contention_attribution import read_attribution
from tracekit.analysis.report.views import FigureView


def axes_of(slug: str) -> Axes:
    (found,) = [figure for figure in view().every_figure if figure.slug == slug]
    return found.figure.axes[0]


def widths(axes: Axes) -> dict[str, list[float]]:
    """Each part's widths, row by row."""
    found: dict[str, list[float]] = {}
    for container in axes.containers:
        assert isinstance(container, BarContainer)
        name = str(container.get_label()).lstrip("_")
        found.setdefault(name, []).extend(patch.get_width() for patch in container.patches)
    return found


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def a_ledger(**parts: float) -> LedgerRows:
    """`on_cpu=5` means thread_on_cpu_ns of 5 ms."""
    by_name = {name.replace("-", "_").replace(" ", "_").replace("/", ""): part for part, name in NAMES.items()}
    found = {by_name[name]: value * MS for name, value in parts.items()}
    return LedgerRows(
        parts=found, whole=sum(found.values()), method="waits-probe", n=1, idle_rule="", unseen="", lacking={}
    )


def test_the_bars_of_threads_hold_all_parts_and_fill_100_percent() -> None:
    axes = axes_of("thread-time")
    found = widths(axes)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        "all together",
        "thread 101\nhog",
        "feeder\nsmall",
        "process 200",
        "main thread",
    ]
    assert [sum(part[row] for part in found.values()) for row in range(5)] == pytest.approx([1.0] * 5)
    assert found["GIL wait"] == pytest.approx([0.22, 0.07, 0.7, 0.0, 0.0])
    assert found["sleep"] == pytest.approx([0.04, 0.0, 0.14, 0.0, 0.0])
    assert found["idle"] == pytest.approx([9 / 35, 0.0, 0.0, 0.0, 0.9])


def test_the_sum_and_the_unattributed_share_are_printed_beside_each_bar() -> None:
    bars = [LedgerBar("one", style.INK, a_ledger(on_CPU=96, unattributed=4))]
    axes = ledger.draw(bars, "title", "subtitle").axes[0]
    assert {"100 ms", "4.0 %", "96 %"} <= set(texts(axes))
    assert widths(axes)["unattributed"] == pytest.approx([0.04])


def test_a_negative_unattributed_is_printed_and_the_bar_stays_within_100_percent() -> None:
    axes = ledger.draw([LedgerBar("one", style.INK, a_ledger(on_CPU=102, unattributed=-2))], "t", "s").axes[0]
    assert "-2.0 %" in texts(axes)
    assert sum(sum(part) for part in widths(axes).values()) == pytest.approx(1.0)


def test_every_part_has_a_name_and_a_colour_of_its_own() -> None:
    assert set(NAMES) == set(style.STATE_COLOURS) == set(PARTS)
    assert len(set(style.STATE_COLOURS.values())) == len(PARTS)


def test_neighbours_that_a_grey_print_would_not_tell_apart_differ_in_hatch() -> None:
    def grey(part: str) -> float:
        red, green, blue = (int(style.STATE_COLOURS[part][at : at + 2], 16) / 255 for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for part, following in pairwise(PARTS):
        alike = abs(grey(part) - grey(following)) < 0.04
        assert not alike or style.STATE_HATCHES.get(part) != style.STATE_HATCHES.get(following), (part, following)


def contrast(ground: ColorType, ink: ColorType) -> float:
    """As WCAG defines it: 1 for the same colour, 21 for black on white."""

    def luminance(colour: ColorType) -> float:
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ground) + 0.05, luminance(ink) + 0.05), reverse=True)
    return light / dark


def test_text_on_a_part_can_be_read() -> None:
    for part, colour in style.STATE_COLOURS.items():
        # WCAG's least for text that is neither large nor bold.
        assert contrast(colour, style.STATE_TEXT.get(part, style.INK)) >= 4.5, part


def heat(found: made.Rows) -> tuple[FigureView, Axes]:
    tables = loaded(found)
    seen = read_attribution(Analysis(tables), made.RUN, names_of(tables, made.RUN))
    assert seen is not None
    drawn = attribution_matrix.figure(seen, "app.py")
    return drawn, drawn.figure.axes[0]


def test_the_heat_map_has_waiters_down_and_holders_along_with_time_and_share() -> None:
    drawn, axes = heat(rows())
    (image,) = [item for item in axes.get_children() if isinstance(item, AxesImage)]
    assert np.asarray(image.get_array()).tolist() == [[700 * MS, 0], [0, 70 * MS]]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["feeder\nsmall", "thread 101\nhog"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["thread 101\nhog", "feeder\nsmall"]
    assert texts(axes) == ["700 ms\n100 %", "70.0 ms\n100 %"]
    assert "feeder in small waited 700 ms (100 %) while thread 101 in hog held it" in drawn.alt


def test_text_on_the_longest_wait_can_be_read() -> None:
    _, axes = heat(rows())
    (image,) = [item for item in axes.get_children() if isinstance(item, AxesImage)]
    values = np.asarray(image.get_array())
    row, column = np.unravel_index(values.argmax(), values.shape)
    (text,) = [text for text in axes.texts if text.get_position() == (column, row)]
    red, green, blue, _ = image.to_rgba(values)[row, column]
    assert contrast((red, green, blue), text.get_color()) >= 4.5


def test_many_functions_become_the_largest_and_others_and_nothing_is_lost() -> None:
    found = rows()
    at = 920.0
    for index in range(40):
        found["waits"].append(made.wait(FEEDER, "gil", at, 1, f"waiter_{index:02}", holder=HOG))
        found["holds"].append(made.hold(HOG, at, at + 1, f"holder_{index:02}"))
        at += 1.5
    drawn, axes = heat(found)
    (image,) = [item for item in axes.get_children() if isinstance(item, AxesImage)]
    matrix = np.asarray(image.get_array())
    assert matrix.shape == (8, 5)
    assert matrix.sum() == (770 + 40) * MS
    assert axes.get_yticklabels()[-1].get_text() == axes.get_xticklabels()[-1].get_text() == "others"
    assert "attribution.csv has all of them" in drawn.caption


def test_names_under_the_heat_map_are_inside_the_figure() -> None:
    found = rows()
    for row in (*found["waits"], *found["holds"]):
        row["function"] = "a_rather_long_name.of_a_method" if row["tid"] == HOG else row["function"]
    drawn, axes = heat(found)
    style.png(drawn.figure)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        box = text.get_window_extent()
        assert box.y0 >= 0
        assert box.x0 >= 0


LINES = [
    "app 1;worker;f (a.py:1);[gil wait held by main in g] 600",
    "app 1;worker;f (a.py:1);[lock] 300",
    "app 1;main;[sleep] 100",
]


def test_a_flame_graph_is_a_tree_whose_widths_are_times() -> None:
    boxes = {(box.level, box.node.name): box for box in flame.placed(flame.tree(LINES))}
    assert boxes[0, "all waits"].width == 1
    assert boxes[1, "app 1"].node.ns == 1_000_000
    assert [boxes[2, name].width for name in ("worker", "main")] == pytest.approx([0.9, 0.1])
    assert boxes[2, "main"].left == pytest.approx(0.9)
    assert boxes[4, "[lock]"].left == pytest.approx(0.6)
    assert boxes[4, "[gil wait held by main in g]"].width == pytest.approx(0.6)
    for box in boxes.values():
        assert sum(node.ns for node in box.node.below.values()) in (0, box.node.ns)


def test_a_flame_graph_is_drawn_as_boxes_in_the_colours_of_the_ledger() -> None:
    drawn = flame.figure(LINES, "app.py")
    assert drawn is not None
    boxes = [patch for patch in drawn.figure.axes[0].patches if isinstance(patch, Rectangle) and patch.get_width() > 0]
    assert len(boxes) == 8
    colours = {to_hex(patch.get_facecolor()) for patch in boxes}
    assert len(colours) == 4
    legend = drawn.figure.axes[0].get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"GIL wait", "lock wait", "sleep"}
    assert "600 µs in app 1, worker, f (a.py:1), [gil wait held by main in g]" in drawn.alt


def test_slivers_and_rubbish_do_not_break_a_flame_graph() -> None:
    assert flame.figure([], "x") is None
    assert flame.figure(["no number", ""], "x") is None
    many = [f"app;thread {index};[lock] 1" for index in range(5000)]
    boxes = list(flame.placed(flame.tree([*many, "app;big;[unheard of] 5000"])))
    assert [box.node.name for box in boxes] == ["all waits", "app", "big", "[unheard of]"]
    assert flame.colour("[unheard of]") == flame.colour("app")


@pytest.mark.parametrize("hostile", ["$\\frac{", "a" * 300, "<b>", "\N{SNOWMAN}", "x;y z"])
def test_a_hostile_function_name_can_be_drawn(hostile: str) -> None:
    found = rows()
    for row in (*found["waits"], *found["holds"]):
        row["function"] = hostile
    drawn, _ = heat(found)
    assert style.png(drawn.figure).startswith(b"\x89PNG")
    made_of = flame.figure([f"p;t;{hostile.replace(';', ' ')};[lock] 9"], hostile)
    assert made_of is not None
    assert style.png(made_of.figure).startswith(b"\x89PNG")
