"""Makes tracks of GIL holds, GIL waits and other waits: bars that follow one another.

    GIL · worker 1      `held · hog`, `waiting · small`     with the thread's function, where the probe knows it
    waits · worker 1    `lock · Thread.join`, `sleep · f`   what the thread blocked on, and in which function
    GIL of main         `worker 1 · hog`                    which thread held the process's GIL

A hold is known only where another thread waited for the GIL; between two bars a thread is on a CPU or waits for one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.tables import WAITS_PROBE, Tables
from tracekit.analysis.timeline.lanes import Ints
from tracekit.analysis.timeline.process_tracks import RunTracks, Track
from tracekit.analysis.timeline.text import format_us, quote, replace_control, shorten_path

STATE_LIMIT = 500_000
"""The most bars in a trace; of more, the longest are kept. A bar is two events of 130 bytes."""

_CHUNK = 50_000
_GIL_KINDS = ("gil", "gil-switch")
_WORDS = {
    "held": "held",
    "gil": "waiting",
    "gil-switch": "giving up",
    "lock": "lock",
    "io-read": "read",
    "io-write": "write",
    "poll": "poll",
    "sleep": "sleep",
    "child-wait": "child",
}
"""The name of a bar, by kind of wait."""


class StateTrack(NamedTuple):
    """One track of states: its process, its title, and its bars in order, which do not overlap.

    `bars` has the columns start and end (ns from the start of the run), name, and for the details kind, function, file,
    line, holder and stack.
    """

    owner: Track
    title: str
    bars: pd.DataFrame
    short: bool = True
    """Whether it belongs into the overview: it is about the GIL."""


def make_state_tracks(
    tables: Tables, tracks: RunTracks, origin: int, limit: int = STATE_LIMIT
) -> tuple[list[StateTrack], int]:
    """Make the tracks of a run (`tables` hold no other), in reading order: the GIL of each process, then each thread's.

    The second value is the shortest duration that is kept, ns; 0 when all bars are.
    """
    waits, holds = _waits(tables, tracks, origin), _holds(tables, tracks, origin)
    least = _least([waits, holds], limit)
    waits, holds = waits[waits["end"] - waits["start"] >= least], holds[holds["end"] - holds["start"] >= least]
    of_gil = waits["kind"].isin(_GIL_KINDS)
    found = [
        *_of_processes(holds, tracks),
        *_of_threads(pd.concat([holds, waits[of_gil]]), tracks, "GIL"),
        *_of_threads(waits[~of_gil], tracks, "waits"),
    ]
    return found, least


def write_state_track(track: StateTrack, title: str) -> Iterator[str]:
    """Write the track as chunks of text, as async events: a bar belongs to no call stack."""
    bars = track.bars
    # This track has one lane, named as the lanes of other tracks are.
    key = quote(f"{title} 0")
    where = f'"pid":{track.owner.shown_pid},"tid":{track.owner.shown_tid},"id2":{{"local":{key}}}'
    begin = format_us(int(bars["start"].iloc[0]))
    yield f'{{"ph":"n","name":{quote(title)},"cat":"track","ts":{begin},{where}}}'
    begins, tails, finishes, codes = _texts(bars, where)
    starts, ends = bars["start"].to_numpy(np.int64), bars["end"].to_numpy(np.int64)
    for at in range(0, len(bars), _CHUNK):
        part = slice(at, at + _CHUNK)
        yield ",\n".join(
            f"{begins[code]}{us}.{ns:03d}{tails[code]},\n{finishes[code]}{end_us}.{end_ns:03d},{where}}}"
            for code, us, ns, end_us, end_ns in zip(
                codes[part].tolist(), *_split(starts[part]), *_split(ends[part]), strict=True
            )
        )


def _waits(tables: Tables, tracks: RunTracks, origin: int) -> pd.DataFrame:
    waits = tables.waits
    waits = waits[waits["start_ns"].notna() & waits["dur_ns"].notna() & waits["tid"].notna()]
    waits = _best(waits)
    starts = waits["start_ns"].to_numpy(np.int64)
    frame = _places(waits, tracks)
    holders = waits["holder_tid"].to_numpy(np.float64, na_value=np.nan)
    frame = frame.assign(
        kind=waits["kind"].astype("str").to_numpy(),
        start=starts,
        end=starts + waits["dur_ns"].to_numpy(np.int64),
        holder=_labels(frame["pid"], holders, tracks),
    )
    frame = frame.assign(stack=_stacks(tables, frame, "start", held=False))
    return _named(_from(frame, origin))


def _holds(tables: Tables, tracks: RunTracks, origin: int) -> pd.DataFrame:
    holds = tables.holds
    holds = _best(holds[holds["start_ns"].notna() & holds["end_ns"].notna() & holds["tid"].notna()])
    frame = _places(holds, tracks)
    frame = frame.assign(
        kind="held",
        start=holds["start_ns"].to_numpy(np.int64),
        end=holds["end_ns"].to_numpy(np.int64),
        holder="",
        object=holds["object"].astype("str").fillna("").to_numpy(),
    )
    frame = frame.assign(stack=_stacks(tables, frame, "end", held=True))
    return _named(_from(frame, origin))


def _stacks(tables: Tables, frame: pd.DataFrame, at: str, *, held: bool) -> list[str]:
    """The stack of each wait or hold, empty where it has none: those of a millisecond and more have one."""
    found = tables.wait_stacks
    found = found[(found["kind"] == "hold") == held]
    places = (found[name].tolist() for name in ("pid", "tid", "at_ns"))
    known = dict(zip(zip(*places, strict=True), found["stack"].tolist(), strict=True))
    return [known.get(place, "") for place in zip(frame["pid"], frame["tid"], frame[at], strict=True)]


def _best(frame: pd.DataFrame) -> pd.DataFrame:
    """The wait probe's rows where there are any, because they have functions; else the kernel's."""
    methods = frame["method"].astype("str")
    return frame[methods == WAITS_PROBE] if (methods == WAITS_PROBE).any() else frame


def _places(frame: pd.DataFrame, tracks: RunTracks) -> pd.DataFrame:
    texts = {name: frame[name].astype("str").fillna("") for name in ("function", "file")}
    lines = frame["line"].to_numpy(np.float64, na_value=np.nan)
    codes, files = pd.factorize(texts["file"])
    short = [shorten_path(file) for file in files]
    return pd.DataFrame(
        {
            "pid": frame["pid"].to_numpy(np.int64),
            "tid": frame["tid"].to_numpy(np.int64),
            "function": texts["function"].to_numpy(),
            "file": np.array([*short, ""], dtype=object)[codes],
            "line": lines,
        }
    )


def _labels(pids: pd.Series[int], tids: np.ndarray[Any, np.dtype[np.float64]], tracks: RunTracks) -> list[str]:
    """The labels of these threads; empty where the id is missing."""
    pairs = list(zip(pids.tolist(), tids.tolist(), strict=True))
    said = {(pid, tid): "" if np.isnan(tid) else _who(tracks, int(pid), int(tid)) for pid, tid in set(pairs)}
    return [said[pair] for pair in pairs]


def _who(tracks: RunTracks, pid: int, tid: int) -> str:
    track = tracks.threads.get((pid, tid))
    return f"thread {tid}" if track is None else tracks.label_thread(track)


def _from(frame: pd.DataFrame, origin: int) -> pd.DataFrame:
    """Shift times to the start of the run; what ended before it is left out."""
    frame = frame.assign(start=np.maximum(frame["start"] - origin, 0), end=frame["end"] - origin)
    return frame[frame["end"] > frame["start"]]


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    words = frame["kind"].map(_WORDS).fillna(frame["kind"])
    return frame.assign(name=words.where(frame["function"] == "", words + " · " + frame["function"]))


def _least(frames: list[pd.DataFrame], limit: int) -> int:
    """The duration, ns, of the shortest bar that is kept."""
    lengths = np.concatenate([(frame["end"] - frame["start"]).to_numpy(np.int64) for frame in frames])
    return 0 if len(lengths) <= limit else int(np.partition(lengths, len(lengths) - limit)[len(lengths) - limit])


def _of_threads(frame: pd.DataFrame, tracks: RunTracks, kind: str) -> Iterator[StateTrack]:
    groups = dict(iter(frame.groupby(["pid", "tid"], sort=False)))
    for (pid, tid), track in tracks.threads.items():
        if (pid, tid) in groups:
            title = f"{kind} · {tracks.label_thread(track)}"
            yield StateTrack(tracks.processes[pid], title, _disjoint(groups[pid, tid]), short=kind == "GIL")


def _of_processes(holds: pd.DataFrame, tracks: RunTracks) -> Iterator[StateTrack]:
    """One track per GIL with known holds: more than one in a process with subinterpreters."""
    groups = dict(iter(holds.groupby("pid", sort=False)))
    for pid, track in tracks.processes.items():
        if pid not in groups:
            continue
        several = groups[pid]["object"].nunique() > 1
        for gil, rows in groups[pid].groupby("object"):
            who = pd.Series([_who(tracks, pid, tid) for tid in rows["tid"].tolist()], index=rows.index)
            bars = rows.assign(name=who.where(rows["function"] == "", who + " · " + rows["function"]))
            name = f"{str(gil).capitalize()} of" if several else "GIL of"
            title = f"{name.replace('Gil', 'GIL')} {tracks.label_process(track)}"
            yield StateTrack(track, title, _disjoint(bars))


def _disjoint(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort the bars; where two overlap, the later one keeps the common part."""
    frame = frame.sort_values(["start", "end"], kind="stable")
    following = np.append(frame["start"].to_numpy(np.int64)[1:], np.iinfo(np.int64).max)
    frame = frame.assign(end=np.minimum(frame["end"].to_numpy(np.int64), following))
    return frame[frame["end"] > frame["start"]]


def _texts(bars: pd.DataFrame, where: str) -> tuple[list[str], list[str], list[str], Ints]:
    """For each distinct bar, the text before and after the time of its begin event, and before that of its end event;
    and each bar's index into these lists.
    """
    keys = ["name", "kind", "file", "line", "holder", "stack"]
    codes: Ints = np.asarray(bars.groupby(keys, dropna=False, sort=False).ngroup(), dtype=np.int64)
    first = bars.assign(code=codes).drop_duplicates("code")
    begins, tails, finishes = [], [], []
    for name, kind, file, line, holder, stack in first[keys].itertuples(index=False, name=None):
        what = f'"name":{quote(str(name))},"cat":"track","ts":'
        begins.append(f'{{"ph":"b",{what}')
        finishes.append(f'{{"ph":"e",{what}')
        args: dict[str, Any] = {"kind": kind}
        if file:
            args["function begins at"] = replace_control(file if np.isnan(line) else f"{file}:{int(line)}")
        if holder:
            args["holder when it began"] = replace_control(str(holder))
        if stack:
            args["stack, innermost first"] = [replace_control(frame) for frame in reversed(stack.split(";"))]
        tails.append(f',{where},"args":{json.dumps(args, ensure_ascii=False)}}}')
    return begins, tails, finishes, codes


def _split(ns: Ints) -> tuple[list[int], list[int]]:
    us, rest = np.divmod(ns, 1000)
    return us.tolist(), rest.tolist()
