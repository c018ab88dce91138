"""What each thread did with the GIL and what else it waited for, as tracks of states: bars that follow one another.

    GIL · worker 1      `held · hog`, `waiting · small`     the thread's own function, where the probe knows it
    waits · worker 1    `lock · Thread.join`, `sleep · f`   what it blocked on, and in which function
    GIL of main         `worker 1 · hog`                    who held it, for the GIL of a process

A hold is known only where somebody waited for it to end; between two bars a thread runs, or waits for a CPU.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.tables import WAITS_PROBE, Tables
from tracekit.analysis.timeline.lanes import Ints
from tracekit.analysis.timeline.process_tracks import Cast, Person
from tracekit.analysis.timeline.text import micros, quoted, short_file, visible

STATE_LIMIT = 500_000
"""How many bars of states a trace may hold; of more, the longest. Each is two events of 130 bytes."""

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
"""What a bar is called, by kind of wait."""


class StateTrack(NamedTuple):
    """One track: whose process it stands in, its title, and its bars in order, none over another.

    `bars`: start, end (ns from the run's begin), name, and kind, function, place and holder for the details.
    """

    owner: Person
    title: str
    bars: pd.DataFrame
    short: bool = True
    """It is about the GIL, and not one of many waits."""


def state_tracks(tables: Tables, cast: Cast, origin: int, limit: int = STATE_LIMIT) -> tuple[list[StateTrack], int]:
    """The tracks of a run (`tables` hold no other), in reading order: each process's GIL, then thread by thread; and
    how short bars have to be to be left out, 0 when all are there.
    """
    waits, holds = _waits(tables, cast, origin), _holds(tables, cast, origin)
    least = _least([waits, holds], limit)
    waits, holds = waits[waits["end"] - waits["start"] >= least], holds[holds["end"] - holds["start"] >= least]
    of_gil = waits["kind"].isin(_GIL_KINDS)
    tracks = [
        *_of_processes(holds, cast),
        *_of_threads(pd.concat([holds, waits[of_gil]]), cast, "GIL"),
        *_of_threads(waits[~of_gil], cast, "waits"),
    ]
    return tracks, least


def written(track: StateTrack, title: str) -> Iterator[str]:
    """The track as events, in chunks of text; async events, because a bar belongs to no stack."""
    bars = track.bars
    # The one lane of this track, called as those of other tracks are.
    key = quoted(f"{title} 0")
    where = f'"pid":{track.owner.shown_pid},"tid":{track.owner.shown_tid},"id2":{{"local":{key}}}'
    begin = micros(int(bars["start"].iloc[0]))
    yield f'{{"ph":"n","name":{quoted(title)},"cat":"track","ts":{begin},{where}}}'
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


def _waits(tables: Tables, cast: Cast, origin: int) -> pd.DataFrame:
    waits = tables.waits
    waits = waits[waits["start_ns"].notna() & waits["dur_ns"].notna() & waits["tid"].notna()]
    waits = _best(waits)
    starts = waits["start_ns"].to_numpy(np.int64)
    frame = _places(waits, cast)
    holders = waits["holder_tid"].to_numpy(np.float64, na_value=np.nan)
    frame = frame.assign(
        kind=waits["kind"].astype("str").to_numpy(),
        start=starts,
        end=starts + waits["dur_ns"].to_numpy(np.int64),
        holder=_labels(frame["pid"], holders, cast),
    )
    return _named(_from(frame, origin))


def _holds(tables: Tables, cast: Cast, origin: int) -> pd.DataFrame:
    holds = tables.holds
    holds = _best(holds[holds["start_ns"].notna() & holds["end_ns"].notna() & holds["tid"].notna()])
    frame = _places(holds, cast).assign(
        kind="held",
        start=holds["start_ns"].to_numpy(np.int64),
        end=holds["end_ns"].to_numpy(np.int64),
        holder="",
        object=holds["object"].astype("str").fillna("").to_numpy(),
    )
    return _named(_from(frame, origin))


def _best(frame: pd.DataFrame) -> pd.DataFrame:
    """Of two watchers the probe's rows, which know functions."""
    methods = frame["method"].astype("str")
    return frame[methods == WAITS_PROBE] if (methods == WAITS_PROBE).any() else frame


def _places(frame: pd.DataFrame, cast: Cast) -> pd.DataFrame:
    texts = {name: frame[name].astype("str").fillna("") for name in ("function", "file")}
    lines = frame["line"].to_numpy(np.float64, na_value=np.nan)
    codes, files = pd.factorize(texts["file"])
    short = [short_file(file) for file in files]
    return pd.DataFrame(
        {
            "pid": frame["pid"].to_numpy(np.int64),
            "tid": frame["tid"].to_numpy(np.int64),
            "function": texts["function"].to_numpy(),
            "file": np.array([*short, ""], dtype=object)[codes],
            "line": lines,
        }
    )


def _labels(pids: pd.Series[int], tids: np.ndarray[Any, np.dtype[np.float64]], cast: Cast) -> list[str]:
    """Who these threads are; empty for nobody."""
    pairs = list(zip(pids.tolist(), tids.tolist(), strict=True))
    said = {(pid, tid): "" if np.isnan(tid) else _who(cast, int(pid), int(tid)) for pid, tid in set(pairs)}
    return [said[pair] for pair in pairs]


def _who(cast: Cast, pid: int, tid: int) -> str:
    person = cast.threads.get((pid, tid))
    return f"thread {tid}" if person is None else cast.said(person)


def _from(frame: pd.DataFrame, origin: int) -> pd.DataFrame:
    """Times from the run's begin; what ended before it is left out."""
    frame = frame.assign(start=np.maximum(frame["start"] - origin, 0), end=frame["end"] - origin)
    return frame[frame["end"] > frame["start"]]


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    words = frame["kind"].map(_WORDS).fillna(frame["kind"])
    return frame.assign(name=words.where(frame["function"] == "", words + " · " + frame["function"]))


def _least(frames: list[pd.DataFrame], limit: int) -> int:
    """The shortest bar that is still drawn, ns."""
    lengths = np.concatenate([(frame["end"] - frame["start"]).to_numpy(np.int64) for frame in frames])
    return 0 if len(lengths) <= limit else int(np.partition(lengths, len(lengths) - limit)[len(lengths) - limit])


def _of_threads(frame: pd.DataFrame, cast: Cast, kind: str) -> Iterator[StateTrack]:
    groups = dict(iter(frame.groupby(["pid", "tid"], sort=False)))
    for (pid, tid), person in cast.threads.items():
        if (pid, tid) in groups:
            title = f"{kind} · {cast.said(person)}"
            yield StateTrack(cast.processes[pid], title, _disjoint(groups[pid, tid]), short=kind == "GIL")


def _of_processes(holds: pd.DataFrame, cast: Cast) -> Iterator[StateTrack]:
    """One track per GIL that somebody held: more than one in a process with subinterpreters."""
    groups = dict(iter(holds.groupby("pid", sort=False)))
    for pid, person in cast.processes.items():
        if pid not in groups:
            continue
        several = groups[pid]["object"].nunique() > 1
        for gil, rows in groups[pid].groupby("object"):
            who = pd.Series([_who(cast, pid, tid) for tid in rows["tid"].tolist()], index=rows.index)
            bars = rows.assign(name=who.where(rows["function"] == "", who + " · " + rows["function"]))
            name = f"{str(gil).capitalize()} of" if several else "GIL of"
            title = f"{name.replace('Gil', 'GIL')} {cast.role(person)}"
            yield StateTrack(person, title, _disjoint(bars))


def _disjoint(frame: pd.DataFrame) -> pd.DataFrame:
    """In order; where stamps cross by a moment, the later bar keeps the common part."""
    frame = frame.sort_values(["start", "end"], kind="stable")
    following = np.append(frame["start"].to_numpy(np.int64)[1:], np.iinfo(np.int64).max)
    frame = frame.assign(end=np.minimum(frame["end"].to_numpy(np.int64), following))
    return frame[frame["end"] > frame["start"]]


def _texts(bars: pd.DataFrame, where: str) -> tuple[list[str], list[str], list[str], Ints]:
    """Per distinct bar: what stands before and after the time of its begin, and before that of its end; and which of
    them each bar is.
    """
    keys = ["name", "kind", "file", "line", "holder"]
    codes: Ints = np.asarray(bars.groupby(keys, dropna=False, sort=False).ngroup(), dtype=np.int64)
    first = bars.assign(code=codes).drop_duplicates("code")
    begins, tails, finishes = [], [], []
    for name, kind, file, line, holder in first[keys].itertuples(index=False, name=None):
        what = f'"name":{quoted(str(name))},"cat":"track","ts":'
        begins.append(f'{{"ph":"b",{what}')
        finishes.append(f'{{"ph":"e",{what}')
        args = {"kind": kind}
        if file:
            args["function begins at"] = visible(file if np.isnan(line) else f"{file}:{int(line)}")
        if holder:
            args["holder when it began"] = visible(str(holder))
        tails.append(f',{where},"args":{json.dumps(args, ensure_ascii=False)}}}')
    return begins, tails, finishes, codes


def _split(ns: Ints) -> tuple[list[int], list[int]]:
    us, rest = np.divmod(ns, 1000)
    return us.tolist(), rest.tolist()
