"""Events of the Chrome JSON trace format, as text ready to be written.

One string may hold many events, joined by commas: a million dicts would cost a minute and gigabytes. The
format is described at
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.timeline.lanes import Ints, lanes, nested_durations, nesting_order
from tracekit.analysis.timeline.process_tracks import Person
from tracekit.analysis.timeline.text import micros, quoted, short_place

_CHUNK = 50_000


class Bar(NamedTuple):
    """One bar of a track: a task, a phase, a worker's start. Nanoseconds from the run's start."""

    start: int
    end: int
    name: str
    category: str
    args: Mapping[str, Any]


def process_metadata(person: Person) -> str:
    """The process's name and its place."""
    return ",\n".join(
        (
            _metadata("process_name", person, f'"name":{quoted(person.label)}'),
            _metadata("process_sort_index", person, f'"sort_index":{person.rank}'),
        )
    )


def thread_metadata(person: Person) -> str:
    """The thread's name and its place."""
    return ",\n".join(
        (
            _metadata("thread_name", person, f'"name":{quoted(person.label)}'),
            _metadata("thread_sort_index", person, f'"sort_index":{person.rank}'),
        )
    )


def track(owner: Person, name: str, bars: Sequence[Bar]) -> Iterator[str]:
    """A track of `owner`'s process with bars that may overlap: Perfetto shows as many rows as it needs.

    Written as async events: a track made of a thread would be shown with a thread id that does not exist.
    """
    places = lanes([(bar.start, bar.end) for bar in bars])
    for lane in range(max(places, default=-1) + 1):
        # Perfetto joins lanes of one name into one track; a lane is called what its first event is called.
        key = quoted(f"{name} {lane}")
        where = f'"pid":{owner.shown_pid},"tid":{owner.shown_tid},"id2":{{"local":{key}}}'
        mine = sorted(bar for bar, place in zip(bars, places, strict=True) if place == lane)
        first = micros(mine[0].start)
        yield f'{{"ph":"n","name":{quoted(name)},"cat":"track","ts":{first},{where}}}'
        for bar in mine:
            what = f'"name":{quoted(bar.name)},"cat":"track"'
            args = json.dumps({"kind": bar.category, **bar.args}, ensure_ascii=False)
            yield f'{{"ph":"b",{what},"ts":{micros(bar.start)},{where},"args":{args}}}'
            yield f'{{"ph":"e",{what},"ts":{micros(bar.end)},{where}}}'


def calls(frame: pd.DataFrame, person: Person, origin_ns: int) -> Iterator[str]:
    """The slices of one thread, in chunks of text; what began before `origin_ns` begins there."""
    starts = integers(frame["start_ns"]) - origin_ns
    ends = starts + np.maximum(integers(frame["dur_ns"]), 0)
    starts = np.maximum(starts, 0)
    durations = np.maximum(ends - starts, 0)
    heads, codes = _heads(frame["name"], frame["category"])
    order = nesting_order(starts, durations, integers(frame["depth"].fillna(0)))
    starts, durations, codes = starts[order], durations[order], codes[order]
    durations = np.array(nested_durations(starts.tolist(), durations.tolist()), dtype=np.int64)
    tail = f'"pid":{person.shown_pid},"tid":{person.shown_tid}}}'
    for at in range(0, len(starts), _CHUNK):
        part = slice(at, at + _CHUNK)
        yield ",\n".join(
            f'{heads[code]}"ts":{us}.{ns:03d},"dur":{dur_us}.{dur_ns:03d},{tail}'
            for code, us, ns, dur_us, dur_ns in zip(
                codes[part].tolist(), *_split(starts[part]), *_split(durations[part]), strict=True
            )
        )


def readings(name: str, unit: str, owner: Person, stamps: Ints, values: Sequence[float]) -> Iterator[str]:
    """One counter's curve, on a track of the process."""
    where = f'"pid":{owner.shown_pid},"tid":{owner.shown_tid}'
    for stamp, value in zip(stamps.tolist(), values, strict=True):
        yield (
            f'{{"ph":"C","name":{quoted(name)},"ts":{micros(stamp)},{where},'
            f'"args":{{{quoted(unit)}:{json.dumps(value)}}}}}'
        )


def integers(series: pd.Series[Any]) -> Ints:
    """A column without missing values as plain integers."""
    return series.to_numpy(dtype=np.int64)


def _metadata(name: str, person: Person, args: str) -> str:
    where = f'"pid":{person.shown_pid},"tid":{person.shown_tid}'
    return f'{{"ph":"M","name":"{name}",{where},"args":{{{args}}}}}'


def _heads(names: pd.Series[Any], categories: pd.Series[Any]) -> tuple[list[str], Ints]:
    """The beginning of an event per distinct (name, category), and which of them each row has."""
    name_codes, name_values = pd.factorize(names, use_na_sentinel=False)
    category_codes, category_values = pd.factorize(categories, use_na_sentinel=False)
    codes, pairs = pd.factorize(name_codes.astype(np.int64) * max(len(category_values), 1) + category_codes)
    heads = []
    for pair in pairs.tolist():
        name, category = divmod(pair, len(category_values))
        what, kind = quoted(short_place(_or_empty(name_values[name]))), quoted(_or_empty(category_values[category]))
        heads.append(f'{{"ph":"X","name":{what},"cat":{kind},')
    return heads, codes.astype(np.int64)


def _or_empty(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _split(ns: Ints) -> tuple[list[int], list[int]]:
    us, rest = np.divmod(ns, 1000)
    return us.tolist(), rest.tolist()
