"""A run over time: a row for each line, a bar for each call, from which one sees whether a line stood idle."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from concierge_calls.journal import LineSpan
from concierge_calls.models import CallStatus

WIDTH = 1000.0  # of the picture, in its own units
MOST_NAMED = 1_000  # bars that say whose call it was; of more nobody points at one


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One call: which line it had, from where to where, and how it ended."""

    index: int
    line: int
    left: float
    width: float
    status: CallStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All bars of a run; `busy` is the share of the lines' time that was used until the last call was dialled."""

    bars: list[Bar]
    lines: int
    seconds: float
    busy: float

    @property
    def statuses(self) -> list[CallStatus]:
        """How its calls ended, each once, in the order of the document's counts."""
        return [status for status in CallStatus if any(bar.status is status for bar in self.bars)]

    @property
    def is_named(self) -> bool:
        """Whether each bar says whose call it was."""
        return len(self.bars) <= MOST_NAMED


def timeline(spans: Iterable[LineSpan], now: datetime) -> Timeline | None:
    """Draw calls by the time they had their lines, those that go on until `now`; None where nobody was dialled.

    Which line a call had is nobody's knowledge, so each takes the first one that was free.
    """
    known = sorted(spans, key=lambda span: span.begun)
    if not known:
        return None
    begun, last_dial = known[0].begun, known[-1].begun
    seconds = max(1e-3, *((_end(span, now) - begun).total_seconds() for span in known))
    bars, lines = _bars(known, begun, now, WIDTH / seconds)
    used = sum((min(_end(span, now), last_dial) - span.begun).total_seconds() for span in known)
    there = lines * (last_dial - begun).total_seconds()
    return Timeline(bars=bars, lines=lines, seconds=seconds, busy=min(1.0, used / there) if there > 0 else 1.0)


def _bars(spans: Iterable[LineSpan], begun: datetime, now: datetime, scale: float) -> tuple[list[Bar], int]:
    bars: list[Bar] = []
    busy: list[tuple[datetime, int]] = []  # when each line that was ever used is free, the first one first
    free: list[int] = []
    lines = 0
    for span in spans:
        while busy and busy[0][0] <= span.begun:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            line = heapq.heappop(free)
        else:
            line, lines = lines, lines + 1
        end = _end(span, now)
        heapq.heappush(busy, (end, line))
        bars.append(
            Bar(
                index=span.index,
                line=line,
                left=(span.begun - begun).total_seconds() * scale,
                width=(end - span.begun).total_seconds() * scale,
                status=span.status or CallStatus.IN_PROGRESS,
            )
        )
    return bars, lines


def _end(span: LineSpan, now: datetime) -> datetime:
    return max(span.begun, span.ended or now)
