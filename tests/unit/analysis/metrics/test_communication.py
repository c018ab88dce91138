"""How long tasks wait in the queue and workers between tasks, computed by hand."""

from __future__ import annotations

from typing import Any

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import all_rows, one_row


def pool(maker: Maker, *starts_ms: int, model: str = "fork", **values: Any) -> dict[str, Any]:
    """Tasks of 10 ms of one worker that began so long after the run; each was submitted a ms after the one before."""
    run = maker.run(model, 500 * MS, **values)
    main, worker = run["main_pid"], run["main_pid"] + 1
    for item, start in enumerate(starts_ms):
        maker.span(run, main, main, "submit", run["start_ns"] + item * MS, MS // 2, item=item)
        maker.span(run, worker, worker, "task", run["start_ns"] + start * MS, 10 * MS, item=item, cpu_ns=MS)
    return run


def test_a_task_waits_from_the_return_of_submit() -> None:
    maker = Maker()
    pool(maker, 5, 20, 40)
    # 5 - 0.5, 20 - 1.5, 40 - 2.5.
    row = one_row(maker.tables(), "queue_wait_ns", scope="run")
    assert (row["value"], row["n"]) == (18.5 * MS, 3)


def test_a_task_that_began_before_submit_returned_waited_for_nothing() -> None:
    maker = Maker()
    pool(maker, 0)
    assert one_row(maker.tables(), "queue_wait_ns", scope="run")["value"] == 0


def test_the_share_between_tasks() -> None:
    maker = Maker()
    pool(maker, 0, 15, 30)
    # 0-10, 15-25, 30-40: 10 of 40 ms.
    assert one_row(maker.tables(), "communication_share", scope="run")["value"] == 0.25


def test_a_worker_of_one_task_says_nothing_of_what_is_between_tasks() -> None:
    maker = Maker()
    pool(maker, 5)
    row = one_row(maker.tables(), "communication_share", scope="run")
    assert (row["quality"], row["reason"]) == ("unavailable", "no worker did two tasks, between which it could wait")


def test_serial_has_no_queue() -> None:
    maker = Maker()
    run = maker.run("serial", 100 * MS)
    maker.span(run, run["main_pid"], run["main_pid"], "task", run["start_ns"], 10 * MS, item=0)
    for metric in ("queue_wait_ns", "communication_share"):
        assert all(row["quality"] == "unavailable" for row in all_rows(maker.tables(), metric))
