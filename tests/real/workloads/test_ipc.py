"""The workload `ipc`: every channel carries every size whole, and leaves nothing behind."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from pathlib import Path

import pytest

from tests.conftest import Tracekit
from tests.real.leftovers import abandoned_segments, assert_no_segments_left
from workloads.ipc import PICKLES, WORKLOAD, serve
from workloads.ipc_channels import CHANNELS, open_channel

KIB_64 = 1 << 16


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_carries_messages_whole_and_in_order(name: str) -> None:
    """Between processes, as the workload uses it: each message comes back as it went."""
    context = multiprocessing.get_context("spawn")
    channel = open_channel(name, context, 1 << 20)
    control, theirs = context.Pipe()
    make = threading.Thread if channel.threads else context.Process
    peer = make(target=serve, args=(channel.far, theirs), daemon=True)
    peer.start()
    if not channel.threads:
        channel.far.close()
        theirs.close()
    messages = [b"", b"x", bytes(range(256)) * 256, b"y" * (1 << 20), b"z"]
    control.send(("echo", len(messages)))
    for message in messages:
        channel.near.send(message)
        assert channel.near.receive() == message
    control.send(("sink", 3))
    for number in range(3):
        channel.near.send(bytes([number]) * 1000)
    assert control.recv() == 3
    control.send(("end", 0))
    peer.join(30)
    assert not peer.is_alive()
    channel.near.close()
    channel.remove()
    control.close()


def test_every_channel_and_size_is_measured_and_reported(tracekit: Tracekit, tmp_path: Path) -> None:
    before = abandoned_segments()
    said = tracekit("run", "ipc", "--size", "smoke", "--runs", "1")
    assert said.code == 0, said.err
    rows = tracekit.rows("observations")
    seen = {(row["channel"], row["size"], row["what"]): row["value"] for row in rows}
    sizes = WORKLOAD.sizes["smoke"]
    for channel in CHANNELS:
        for size in sizes:
            assert seen[channel, size, "round_trip_p50_ns"] > 0
            # Between threads a reference goes over, whatever the size.
            assert ((channel, size, "throughput_bytes_per_s") in seen) == (channel != "thread-queue")
    for size in sizes:
        assert seen["pickle-out-of-band", size, "pickled_bytes"] < 100
    value = bytes(KIB_64)
    assert seen["pickle-bytes", KIB_64, "pickled_bytes"] == len(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    floats = [number + 0.5 for number in range(KIB_64 // 8)]
    assert seen["pickle-floats", KIB_64, "pickled_bytes"] == len(pickle.dumps(floats, pickle.HIGHEST_PROTOCOL))
    page = next((tmp_path / "reports").glob("*/index.html")).read_text(encoding="utf-8")
    for name in (*CHANNELS, *PICKLES):
        assert name in page
    assert next((tmp_path / "reports").glob("*/round-trips.png")).stat().st_size > 10_000
    assert said.out.startswith("A round trip of 1 B to another process takes")
    assert_no_segments_left(before)
