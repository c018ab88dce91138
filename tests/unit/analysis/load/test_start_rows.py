"""One start from what parent, worker and stage probe each stamped of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.parse import record_struct
from tracekit.analysis.load.starts import add_starts
from tracekit.analysis.load.streams import Stream
from tracekit.analysis.tables import records
from tracekit.bundle import stages_file, stream_schema
from tracekit.bundle.stages_file import EXEC, EXIT, FORKED, IMAGE, INTERPRETER, SITE

EndRecord = record_struct(stream_schema.EndRecord)
MetaRecord = record_struct(stream_schema.MetaRecord)
SpanRecord = record_struct(stream_schema.SpanRecord)
StartRecord = record_struct(stream_schema.StartRecord)
ThreadRecord = record_struct(stream_schema.ThreadRecord)

MAIN, WORKER, SERVER = 100, 200, 300
WINDOW = Window(1_000, 10**12)


def probed(*rows: tuple[int, int, int, int]) -> np.ndarray[Any, Any]:
    """(kind, stamp, pid, ppid) of each record."""
    found = np.zeros(len(rows), dtype=stages_file.RECORD)
    for number, (kind, stamp, pid, ppid) in enumerate(rows):
        found[number] = (0x53474154, kind, stamp, pid, ppid, 0)
    return found


def main(*starts: StartRecord, threads: tuple[ThreadRecord, ...] = (), spans: tuple[SpanRecord, ...] = ()) -> Stream:
    return Stream(
        path=Path("100.jsonl"),
        meta=MetaRecord(format=1, role="main", pid=MAIN),
        pid=MAIN,
        starts=list(starts),
        threads=list(threads),
        spans=list(spans),
    )


def worker(**meta: Any) -> Stream:
    return Stream(
        path=Path("200.jsonl"),
        meta=MetaRecord(format=1, role="worker", pid=WORKER, worker=0, interpreter_ready_ns=8_000, **meta),
        pid=WORKER,
        spans=[SpanRecord(tid=WORKER, name="task", start_ns=8_200, dur_ns=10)],
        stamps={"recording": 8_100, "done": 8_500},
        end=EndRecord(count=1, exit_ns=8_600),
    )


def row_of(stages: np.ndarray[Any, Any], *streams: Stream) -> dict[str, Any]:
    columns = Columns()
    add_starts(columns, "run", streams, stages, WINDOW)
    (row,) = records(columns.frame("starts"))
    return row


ASKED = StartRecord(worker=0, pid=WORKER, tid=WORKER, requested_ns=5_000, returned_ns=5_100, joined_ns=9_000, item=0)


def test_a_spawned_worker() -> None:
    stages = probed(
        (EXEC, 5_050, WORKER, MAIN),
        (EXEC, 5_060, WORKER, MAIN),
        (IMAGE, 5_500, WORKER, MAIN),
        (INTERPRETER, 6_000, WORKER, MAIN),
        (SITE, 6_500, WORKER, MAIN),
        (EXIT, 8_700, WORKER, MAIN),
    )
    row = row_of(stages, main(ASKED), worker(main_begun_ns=7_000, main_imported_ns=7_100, unpickled_ns=7_500))
    assert row["exec_ns"] == 5_060, "an exec that failed comes before the one that did not"
    assert (row["image_ns"], row["interpreter_ns"], row["site_ns"]) == (5_500, 6_000, 6_500)
    assert (row["main_begun_ns"], row["main_imported_ns"], row["unpickled_ns"]) == (7_000, 7_100, 7_500)
    assert (row["first_instruction_ns"], row["recording_ns"], row["first_task_ns"]) == (8_000, 8_100, 8_200)
    assert (row["done_ns"], row["recorded_ns"], row["exit_ns"], row["joined_ns"]) == (8_500, 8_600, 8_700, 9_000)
    assert row["forked_ns"] is None


def test_a_forked_worker_has_no_image() -> None:
    stages = probed((IMAGE, 2_000, MAIN, 1), (FORKED, 5_050, WORKER, MAIN))
    row = row_of(stages, main(ASKED), worker())
    assert row["forked_ns"] == 5_050
    assert [row[f"{name}_ns"] for name in ("exec", "image", "interpreter", "site", "exit")] == [None] * 5


def test_the_first_worker_of_a_fork_server_waited_for_the_server() -> None:
    stages = probed(
        (EXEC, 5_050, SERVER, MAIN),
        (IMAGE, 5_100, SERVER, MAIN),
        (INTERPRETER, 5_200, SERVER, MAIN),
        (SITE, 5_300, SERVER, MAIN),
        (FORKED, 6_000, WORKER, SERVER),
    )
    row = row_of(stages, main(ASKED), worker())
    assert [row[f"{name}_ns"] for name in ("exec", "image", "interpreter", "site", "forked")] == [
        5_050,
        5_100,
        5_200,
        5_300,
        6_000,
    ]


def test_a_later_worker_of_a_fork_server_did_not() -> None:
    stages = probed((IMAGE, 4_000, SERVER, MAIN), (SITE, 4_500, SERVER, MAIN), (FORKED, 5_050, WORKER, SERVER))
    row = row_of(stages, main(ASKED), worker(main_begun_ns=4_700, main_imported_ns=4_800))
    assert (row["image_ns"], row["site_ns"], row["forked_ns"]) == (None, None, 5_050)
    assert (row["main_begun_ns"], row["main_imported_ns"]) == (None, None), "the server had imported it before"


def test_another_process_of_the_same_pid_is_not_meant() -> None:
    stages = probed((IMAGE, 4_000, WORKER, 1), (FORKED, 5_050, WORKER, MAIN), (EXIT, 9_500, WORKER, 1))
    row = row_of(stages, main(ASKED), worker())
    assert (row["image_ns"], row["forked_ns"], row["exit_ns"]) == (None, 5_050, None)


def test_a_thread_did_the_task_of_its_own_item() -> None:
    """A thread id may come round: an earlier worker had it too."""
    asked = StartRecord(worker=1, pid=MAIN, tid=MAIN + 1, requested_ns=5_000, result_ns=5_400, joined_ns=5_500, item=1)
    threads = (
        ThreadRecord(tid=MAIN + 1, role="worker", worker=0, start_ns=3_000),
        ThreadRecord(tid=MAIN + 1, role="worker", worker=1, start_ns=5_200),
    )
    spans = (
        SpanRecord(tid=MAIN + 1, name="task", item=0, start_ns=3_100, dur_ns=10),
        SpanRecord(tid=MAIN + 1, name="task", item=1, start_ns=5_300, dur_ns=10),
    )
    row = row_of(probed(), main(asked, threads=threads, spans=spans))
    assert (row["first_instruction_ns"], row["first_task_ns"], row["result_ns"]) == (5_200, 5_300, 5_400)


def test_stamps_outside_the_run_are_left_out() -> None:
    stages = probed((FORKED, 10**13, WORKER, MAIN), (IMAGE, -5, WORKER, MAIN))
    start = StartRecord(worker=0, pid=WORKER, tid=WORKER, requested_ns=5_000)
    row = row_of(stages, main(start), worker())
    assert (row["forked_ns"], row["image_ns"]) == (None, None)
