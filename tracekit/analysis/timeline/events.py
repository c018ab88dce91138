"""Formats events of the Chrome JSON trace format as text.

One string may have many events, joined by commas: a million dicts would take a minute and gigabytes. The format is
described at https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.timeline.lanes import Ints, assign_lanes, clip_nested, sort_by_nesting
from tracekit.analysis.timeline.process_tracks import Track
from tracekit.analysis.timeline.text import format_us, quote, shorten_call

_CHUNK = 50_000


class Bar(NamedTuple):
    """One bar of a track: a task, a phase, a worker's start. Times are ns from the start of the run."""

    start: int
    end: int
    name: str
    category: str
    args: Mapping[str, Any]


def process_metadata(track: Track) -> str:
    """The events that give a process its name and its place in the UI."""
    return ",\n".join(
        (
            _metadata("process_name", track, f'"name":{quote(track.label)}'),
            _metadata("process_sort_index", track, f'"sort_index":{track.rank}'),
        )
    )


def thread_metadata(track: Track) -> str:
    """The events that give a thread its name and its place in the UI."""
    return ",\n".join(
        (
            _metadata("thread_name", track, f'"name":{quote(track.label)}'),
            _metadata("thread_sort_index", track, f'"sort_index":{track.rank}'),
        )
    )


def write_track(owner: Track, name: str, bars: Sequence[Bar]) -> Iterator[str]:
    """Write a track in `owner`'s process with bars that may overlap: Perfetto shows as many rows as needed.

    Uses async events: a track made of a thread would be shown with a thread id that does not exist.
    """
    places = assign_lanes([(bar.start, bar.end) for bar in bars])
    for lane in range(max(places, default=-1) + 1):
        # Perfetto joins lanes with one name into one track; a lane is named after its first event.
        key = quote(f"{name} {lane}")
        where = f'"pid":{owner.shown_pid},"tid":{owner.shown_tid},"id2":{{"local":{key}}}'
        mine = sorted(bar for bar, place in zip(bars, places, strict=True) if place == lane)
        first = format_us(mine[0].start)
        yield f'{{"ph":"n","name":{quote(name)},"cat":"track","ts":{first},{where}}}'
        for bar in mine:
            what = f'"name":{quote(bar.name)},"cat":"track"'
            args = json.dumps({"kind": bar.category, **bar.args}, ensure_ascii=False)
            yield f'{{"ph":"b",{what},"ts":{format_us(bar.start)},{where},"args":{args}}}'
            yield f'{{"ph":"e",{what},"ts":{format_us(bar.end)},{where}}}'


def write_calls(frame: pd.DataFrame, track: Track, origin_ns: int) -> Iterator[str]:
    """Write the slices of one thread as chunks of text; one that began before `origin_ns` begins there."""
    starts = integers(frame["start_ns"]) - origin_ns
    ends = starts + np.maximum(integers(frame["dur_ns"]), 0)
    starts = np.maximum(starts, 0)
    durations = np.maximum(ends - starts, 0)
    heads, codes = _heads(frame["name"], frame["category"])
    order = sort_by_nesting(starts, durations, integers(frame["depth"].fillna(0)))
    starts, durations, codes = starts[order], durations[order], codes[order]
    durations = np.array(clip_nested(starts.tolist(), durations.tolist()), dtype=np.int64)
    tail = f'"pid":{track.shown_pid},"tid":{track.shown_tid}}}'
    for at in range(0, len(starts), _CHUNK):
        part = slice(at, at + _CHUNK)
        yield ",\n".join(
            f'{heads[code]}"ts":{us}.{ns:03d},"dur":{dur_us}.{dur_ns:03d},{tail}'
            for code, us, ns, dur_us, dur_ns in zip(
                codes[part].tolist(), *_split(starts[part]), *_split(durations[part]), strict=True
            )
        )


def write_mark(name: str, stamp: int, owner: Track, *, whole: bool) -> str:
    """Write a moment that the program named, on the track of a thread or, with `whole`, of its process."""
    where = f'"pid":{owner.shown_pid},"tid":{owner.shown_tid},"s":"{"p" if whole else "t"}"'
    return f'{{"ph":"i","name":{quote(name)},"cat":"mark","ts":{format_us(stamp)},{where}}}'


def write_counter(name: str, unit: str, owner: Track, stamps: Ints, values: Sequence[float]) -> Iterator[str]:
    """Write the readings of one counter, on a track of the process. `stamps` are ns from the start of the run."""
    where = f'"pid":{owner.shown_pid},"tid":{owner.shown_tid}'
    for stamp, value in zip(stamps.tolist(), values, strict=True):
        yield (
            f'{{"ph":"C","name":{quote(name)},"ts":{format_us(stamp)},{where},'
            f'"args":{{{quote(unit)}:{json.dumps(value)}}}}}'
        )


def integers(series: pd.Series[Any]) -> Ints:
    """A column without missing values as an int64 array."""
    return series.to_numpy(dtype=np.int64)


def _metadata(name: str, track: Track, args: str) -> str:
    where = f'"pid":{track.shown_pid},"tid":{track.shown_tid}'
    return f'{{"ph":"M","name":"{name}",{where},"args":{{{args}}}}}'


def _heads(names: pd.Series[Any], categories: pd.Series[Any]) -> tuple[list[str], Ints]:
    """The first part of an event for each distinct (name, category), and each row's index into these parts."""
    name_codes, name_values = pd.factorize(names, use_na_sentinel=False)
    category_codes, category_values = pd.factorize(categories, use_na_sentinel=False)
    codes, pairs = pd.factorize(name_codes.astype(np.int64) * max(len(category_values), 1) + category_codes)
    heads = []
    for pair in pairs.tolist():
        name, category = divmod(pair, len(category_values))
        what, kind = quote(shorten_call(_or_empty(name_values[name]))), quote(_or_empty(category_values[category]))
        heads.append(f'{{"ph":"X","name":{what},"cat":{kind},')
    return heads, codes.astype(np.int64)


def _or_empty(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _split(ns: Ints) -> tuple[list[int], list[int]]:
    us, rest = np.divmod(ns, 1000)
    return us.tolist(), rest.tolist()
