"""What the wait probe's files have beside waits: who ended them, and the stacks of the long ones."""

from __future__ import annotations

from pathlib import Path

from tests.table_factory import BOOT_NS, MS
from tests.unit.analysis.load.made_bundles import MAIN
from tests.unit.analysis.load.made_waits import site_slots, slot, text_slots
from tests.unit.analysis.load.test_waits import LOCK, THREAD, codes, loaded
from tracekit.analysis.tables import check, records


def test_who_ended_a_wait_is_a_row_of_its_own(tmp_path: Path) -> None:
    """One of a thread that no system gives, and one that ends after the run, are left out."""
    slots = [
        *site_slots(3, "Store.put", "/app/store.py", 12),
        slot("lock", 10, 6, tid=THREAD, of=LOCK),
        slot("wakeup", 10, 5, tid=THREAD, of=LOCK, other=MAIN, site=3),
        slot("wakeup", 20, 5, tid=THREAD, of=LOCK, other=2**30),
        slot("wakeup", 20, 10**7, tid=THREAD, of=LOCK, other=MAIN),
    ]
    tables = loaded(tmp_path, slots)
    assert records(tables.wakeups) == [
        {
            "run_id": "001-matmul-fork",
            "pid": MAIN,
            "tid": THREAD,
            "start_ns": BOOT_NS + 10 * MS,
            "woken_ns": BOOT_NS + 15 * MS,
            "waker_tid": MAIN,
            "object": hex(LOCK),
            "function": "Store.put",
            "file": "/app/store.py",
            "line": 12,
        }
    ]
    assert codes(tables) == ["waits-outside"]
    check("wakeups", tables.wakeups)


def test_a_long_wait_or_hold_has_its_stack(tmp_path: Path) -> None:
    """Outermost first; a frame whose line is not known has that of its def, one without a function spoils its stack."""
    slots = [
        *site_slots(3, "wait", "/lib/threading.py", 300),
        *site_slots(4, "main", "/app/a;b.py", 5),
        *site_slots(5, "<interpreter trampoline>", "<shim>", 1),
        *text_slots(2**30 + 1, "3:312 4:9 5:0"),
        *text_slots(2**30 + 2, "4:0"),
        *text_slots(2**30 + 3, "4:7 77:1"),
        slot("lock", 10, 6, tid=THREAD, of=LOCK, site=3),
        slot("stack", 10, tid=THREAD, of=3, site=2**30 + 1),
        slot("stack", 20, tid=MAIN, of=17, site=2**30 + 2),
        slot("stack", 30, tid=MAIN, of=7, site=2**30 + 3),
        slot("stack", 40, tid=MAIN, of=99, site=2**30 + 2),
        slot("stack", 10**7, tid=MAIN, of=7, site=2**30 + 2),
    ]
    tables = loaded(tmp_path, slots)
    assert [(row["tid"], row["kind"], row["at_ns"] - BOOT_NS, row["stack"]) for row in records(tables.wait_stacks)] == [
        (THREAD, "lock", 10 * MS, "main (/app/a,b.py:9);wait (/lib/threading.py:312)"),
        (MAIN, "hold", 20 * MS, "main (/app/a,b.py:5)"),
    ]
    check("wait_stacks", tables.wait_stacks)
