"""The figures, by their artists and their words."""

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.lines import Line2D

from tests.unit.analysis.report.made_numbers import MS, Suite, typical
from tracekit.analysis.report.build import build
from tracekit.analysis.report.cells import CellGroup
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.comparison import speedup_figure as speedup
from tracekit.analysis.report.pages.comparison import switches_figure as switches
from tracekit.analysis.report.pages.comparison import thread_time_figure as thread_time
from tracekit.analysis.report.pages.comparison import walls_figure as walls
from tracekit.analysis.report.pages.comparison import worker_start_figure as spawn
from tracekit.analysis.report.views import FigureView, MissingFigure


def the_group(suite: Suite) -> CellGroup:
    (group,) = groups(suite.tables())
    return group


def drawn(made: FigureView | MissingFigure) -> tuple[FigureView, Axes]:
    assert isinstance(made, FigureView), made
    return made, made.figure.axes[0]


def along(line: Artist) -> list[float]:
    assert isinstance(line, Line2D)
    return [float(x) for x in np.asarray(line.get_xdata())]


def up(line: Artist) -> list[float]:
    assert isinstance(line, Line2D)
    return [float(y) for y in np.asarray(line.get_ydata())]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def scaling() -> Suite:
    suite = Suite().cell("serial", speedup=(1.0, 1.0, 1.0))
    for workers, value in ((1, 0.99), (2, 1.9), (4, 3.5)):
        interval = (value, value - 0.1, value + 0.2)
        share = {"ceiling_share": ((value / (workers * 0.98), 0.9, 1.0), "share")}
        suite.cell("fork", workers, speedup=interval, numbers=share)
        suite.cell("threads", workers, speedup=(1.0, 0.9, 1.1))
    return suite


def test_speedup_over_workers_has_error_bars_the_ideal_and_the_ceiling() -> None:
    view, axes = drawn(speedup.figure(the_group(scaling()), "matmul"))
    lines = {line.get_label(): line for line in axes.lines}
    assert along(lines["ideal"]) == up(lines["ideal"]) == [1, 4]
    assert up(lines["ceiling"]) == pytest.approx([0.98, 1.96, 3.92])
    bars = {item.get_label(): item for item in axes.containers if isinstance(item, ErrorbarContainer)}
    assert set(bars) == {"threads", "processes (fork)"}
    assert up(bars["processes (fork)"].lines[0]) == [0.99, 1.9, 3.5]
    (collection,) = bars["processes (fork)"].lines[2]
    segments = [sorted(float(y) for _, y in segment) for segment in collection.get_segments()]
    assert segments == [pytest.approx(ends) for ends in ([0.89, 1.19], [1.8, 2.1], [3.4, 3.7])]
    assert "processes (fork) 3.50x" in texts(axes)
    assert "n = 5" in view.figure.texts[1].get_text()
    assert "2 threads" not in view.alt
    assert "4 threads 1.00x (0.90–1.10)" in view.alt
    assert "0.98x with 1 worker, 1.96x with 2 workers" in view.alt


def test_no_interval_of_a_speedup_leaves_the_picture() -> None:
    wide = scaling().cell("spawn", 4, speedup=(3.0, 1.5, 6.5))
    _, axes = drawn(speedup.figure(the_group(wide), "matmul"))
    assert axes.get_ylim()[1] > 6.5


def test_speedup_at_one_worker_count_is_a_row_per_model() -> None:
    view, axes = drawn(speedup.figure(the_group(typical()), "matmul"))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        "threads",
        "processes\n(fork)",
        "processes\n(spawn)",
    ]
    assert {"0.99x", "1.82x", "1.51x", "serial", "ideal", "ceiling"} <= set(texts(axes))
    assert "2 processes (fork) 1.82x (1.74–1.90)" in view.alt


def test_a_model_has_one_colour_in_every_figure() -> None:
    for block in build(typical().tables()).figures:
        for view in block.figures:
            axes = view.figure.axes[0]
            for tick in axes.get_yticklabels():
                family = tick.get_text().split("\n")[0]
                assert tick.get_color() == style.colour(family), (view.slug, family)


def test_thread_time_fills_100_percent_and_names_its_parts() -> None:
    view, axes = drawn(thread_time.figure(the_group(typical()), "matmul"))
    bars = [item for item in axes.containers if isinstance(item, BarContainer)]
    widths: dict[float, float] = {}
    for container in bars:
        for patch in container.patches:
            row = round(patch.get_y() + patch.get_height() / 2)
            widths[row] = widths.get(row, 0.0) + patch.get_width()
    assert list(widths.values()) == pytest.approx([1.0] * 4)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["on-CPU", "blocked", "idle"]
    assert "1.62 s" in texts(axes)
    assert "2 threads (1.62 s in all): on-CPU 49 %, blocked 49 %, idle 1 %" in view.alt
    assert "wait for the GIL" in view.caption


def test_tasks_that_block_by_themselves_are_not_said_to_wait_for_the_gil() -> None:
    suite = Suite("sleep", "io")
    blocked = {"thread_on_cpu_ns": ((MS, MS, MS), "ns"), "thread_task_blocked_ns": ((9 * MS, MS, 9 * MS), "ns")}
    suite.cell("threads", numbers=blocked)
    view, _ = drawn(thread_time.figure(the_group(suite), "sleep"))
    assert view.caption.startswith("Blocked in a task is sleep, I/O, locks and GIL wait together")


def test_worker_start_is_logarithmic_with_its_values_written() -> None:
    view, axes = drawn(spawn.figure(groups(typical().tables()), "matmul"))
    assert axes.get_xscale() == "log"
    assert texts(axes) == ["200 µs / 2.00 ms", "3.00 ms / 2.00 ms", "90.0 ms / 2.00 ms"]
    # n counts runs, in each of which several workers start.
    assert "median of n = 5 repeats" in view.figure.texts[1].get_text()
    marks = {line.get_label(): along(line)[0] for line in axes.lines}
    assert marks["threads, filled"] == pytest.approx(0.2 * MS)
    assert marks["processes (spawn), filled"] == pytest.approx(90 * MS)
    assert "2 threads 200 µs" in view.alt


def test_worker_start_of_several_interpreters_is_one_figure() -> None:
    start = {"spawn_first_instruction_ns": ((3 * MS, 2 * MS, 4 * MS), "ns")}
    suite = Suite().cell("fork", numbers=start).cell("fork", python="3.14", numbers=start)
    _, axes = drawn(spawn.figure(groups(suite.tables()), "matmul"))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        "processes (fork)\nLinux · Python 3.13",
        "processes (fork)\nLinux · Python 3.14",
    ]


def test_switches_that_never_happened_have_a_place() -> None:
    view, axes = drawn(switches.figure(the_group(typical()), "matmul"))
    assert axes.get_xscale() == "symlog"
    assert texts(axes) == ["298 / 11", "25 / 0", "25 / 0"]
    marks = {line.get_label(): along(line)[0] for line in axes.lines}
    assert marks["processes (fork), hollow"] == 0
    assert "serial (not part of this suite)" in view.caption


def test_every_repeat_is_a_point_and_the_median_a_tick() -> None:
    view, axes = drawn(walls.figure(the_group(typical()), "matmul"))
    points = {line.get_label(): along(line) for line in axes.lines}
    assert points["processes (fork)"] == [wall * MS for wall in (438, 439, 440, 441, 442)]
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlabel() == "wall (ms)"
    assert "440 ms" in texts(axes)
    assert "5 runs: 438–442 ms" in view.alt


def test_what_cannot_be_drawn_says_why() -> None:
    suite = Suite().cell("serial", lacks={"thread_on_cpu_ns": "no worker thread was recorded"})
    group = the_group(suite)
    assert speedup.figure(group, "x") == MissingFigure(title=speedup.TITLE, reason="only serial was run")
    missing = thread_time.figure(group, "x")
    assert isinstance(missing, MissingFigure)
    assert missing.reason == "no worker thread was recorded"
    missing = spawn.figure((group,), "x")
    assert isinstance(missing, MissingFigure)
    assert missing.reason == "only serial was run, which starts no worker"
    no_serial = the_group(Suite().cell("threads", lacks={"speedup": "?"}))
    missing = speedup.figure(no_serial, "x")
    assert isinstance(missing, MissingFigure)
    assert missing.reason == "a speed-up needs a serial run, and this suite has none"


def test_a_dollar_sign_is_no_mathematics() -> None:
    suite = Suite("$\\frac$").cell("serial").cell("$\\sqrt$", speedup=(1.0, 0.9, 1.1))
    for block in build(suite.tables()).figures:
        for view in block.figures:
            assert style.png(view.figure).startswith(b"\x89PNG")


def test_equal_data_give_equal_bytes() -> None:
    first, again = (speedup.figure(the_group(typical()), "matmul") for _ in range(2))
    assert style.png(drawn(first)[0].figure) == style.png(drawn(again)[0].figure)


def test_labels_are_moved_apart_and_keep_their_order() -> None:
    moved = style.spread([1.0, 1.01, 1.02, 5.0], 0.5)
    assert moved == pytest.approx([0.51, 1.01, 1.51, 5.0])
    assert style.spread([3.0, 1.0], 0.5) == [3.0, 1.0]
