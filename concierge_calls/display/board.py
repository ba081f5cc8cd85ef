"""What is known of a run while it goes on, folded from its events; only what can still be shown is kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from concierge_calls.models import (
    CallEvent,
    CallRequest,
    CallResult,
    CallStatus,
    EventKind,
    RunResult,
    RunStats,
)
from concierge_calls.plain import shown
from concierge_calls.unsettled import STAGES

LATEST = 200  # ended calls that are kept to be shown, more than any screen has rows
LONGEST = 300  # characters of other people's text that are kept
ENOUGH = 3  # calls that must have ended, and one for each line, before the end can be told

ORDER = {kind: number for number, kind in enumerate(STAGES)}
STATUSES = list(CallStatus)
OPEN = frozenset({CallStatus.NOT_CALLED, CallStatus.PENDING, CallStatus.IN_PROGRESS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One provider's row of the table, safe to show."""

    index: int
    seq: int  # of the event that told the latest of it
    stage: int
    name: str
    tail: str  # the number's last four digits; empty without a number
    state: str
    dialed_at: datetime
    since: datetime  # from when its time counts: the dial, then the first word
    seconds: float | None = None  # None while the time runs
    ended_reason: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A board at one moment: as many rows as were asked for, and its figures."""

    at: datetime
    live: tuple[Row, ...]
    analysed: tuple[Row, ...]
    ended: tuple[Row, ...]
    on_the_line: int
    in_analysis: int
    done: int  # of those to be called
    skipped: int
    pending: int
    elapsed: float  # seconds
    seconds_left: float | None  # None while it cannot be told
    cost: float | None  # None where nothing is spent

    @property
    def to_call(self) -> int:
        """How many are or were to be called."""
        return self.done + self.on_the_line + self.in_analysis + self.pending


class Board:
    """Folds a run's events, in whatever order and however often they come.

    The journal's figures at the beginning tell of every row; from then on one byte is kept for each, so that the
    time and memory of a frame do not depend on how many there are.
    """

    def __init__(self, heard: Callable[[CallResult], str]) -> None:
        self._heard = heard
        self._live: dict[int, Row] = {}
        self._analysed: dict[int, Row] = {}
        self._latest: deque[Row] = deque(maxlen=LATEST)
        self._counts: Counter[CallStatus] = Counter()
        self._status = bytearray()  # by index: 0, or one more than the place among STATUSES
        self._doubtful: dict[int, int] = {}  # index -> seq of the event that left the call in doubt
        self._put_back: dict[int, int] = {}  # index -> seq of the event that had the row wait again
        self._inherited = self._in_doubt = 0  # calls of an earlier process that were not heard of yet
        self._paid: dict[int, float] = {}  # index -> what the figures have already of a call that is not settled
        self._total = self._lines = 0
        self._cost: float | None = 0.0
        self._began: datetime | None = None
        self._line_seconds, self._line_ends = 0.0, 0
        self._dials: tuple[int, float] = 0, 0.0  # since this began, and the seconds from there to the latest of them

    def __repr__(self) -> str:
        return f"<Board {len(self._live)} on the line, {len(self._analysed)} in analysis, {self._counts.total()} done>"

    def begin(self, result: RunResult, live: Iterable[CallEvent], now: datetime) -> None:
        """Take over the journal's figures, and the calls that are on the line already."""
        stats = result.stats
        self._began, self._total, self._lines = now, stats.total, result.run.max_concurrent
        for event in live:
            self.fold(event)
        self._inherited = max(0, stats.in_progress - len(self._live) - len(self._analysed))
        self._in_doubt = stats.uncertain
        self._counts.update(_counts(stats))
        self._cost = None if result.run.simulated else stats.cost
        if self._cost is not None:
            self._paid = {index: result.results[index].cost or 0.0 for index in self._analysed}

    def fold(self, event: CallEvent) -> None:
        """Take note of an event; what is older than what is known changes nothing."""
        if event.index is None or event.request is None or not self._is_news(event, event.index):
            return
        if event.kind is EventKind.CALL_PENDING:
            self._wait(event.seq, event.index)
        elif event.result is not None:
            self._settle(event, event.request, event.result)
        elif event.kind in STAGES:
            self._step(event, event.request)

    def view(self, limit: int, now: datetime) -> View:
        """Return the board as it is now, with at most so many rows of each kind."""
        skipped = self._counts[CallStatus.SKIPPED]
        done = self._counts.total() - skipped
        pending = self._pending()
        return View(
            at=now,
            live=tuple(islice(self._live.values(), limit)),
            analysed=tuple(islice(self._analysed.values(), limit)),
            ended=tuple(islice(self._latest, limit)),
            on_the_line=len(self._live),
            in_analysis=len(self._analysed),
            done=done,
            skipped=skipped,
            pending=pending,
            elapsed=_between(self._began or now, now),
            seconds_left=self._time_left(pending, now),
            cost=None if self._cost is None else max(0.0, self._cost),
        )

    def _pending(self) -> int:
        return max(0, self._total - self._counts.total() - len(self._live) - len(self._analysed))

    # A call's steps

    def _is_news(self, event: CallEvent, index: int) -> bool:
        row = self._live.get(index) or self._analysed.get(index)
        if row is not None:
            return event.seq > row.seq
        if self._known_status(index) is None:
            return event.seq > self._put_back.get(index, -1)
        return event.seq > self._doubtful.get(index, event.seq)

    def _step(self, event: CallEvent, asked: CallRequest) -> None:
        index, dials = asked.index, event.kind is EventKind.CALL_DIALING
        row = self._live.get(index) or self._analysed.get(index)
        if row is None:
            self._take_up(index, was_pending=dials)
        elif not dials and ORDER[event.kind] <= row.stage:
            return
        if dials and self._began is not None and event.at >= self._began:
            self._dials = self._dials[0] + 1, max(self._dials[1], _between(self._began, event.at))
        if row is None or dials:
            self._analysed.pop(index, None)
            row = _new_row(event, asked)
        self._place(_advanced(row, event))

    def _wait(self, seq: int, index: int) -> None:
        if self._live.pop(index, None) is None and self._analysed.pop(index, None) is None:
            self._take_up(index, was_pending=False)
        self._spend(index, None)
        self._put_back[index] = seq

    def _place(self, row: Row) -> None:
        if row.stage == ORDER[EventKind.CALL_ENDED]:
            self._live.pop(row.index, None)
            self._analysed[row.index] = row
            self._line_free(row)
        else:
            self._live[row.index] = row

    def _line_free(self, row: Row) -> None:
        self._line_ends += 1
        self._line_seconds += _between(row.dialed_at, row.since) + (row.seconds or 0.0)

    # Its end

    def _settle(self, event: CallEvent, asked: CallRequest, result: CallResult) -> None:
        index = asked.index
        live = self._live.pop(index, None)
        row = live or self._analysed.pop(index, None)
        if row is None:
            self._take_up(index, was_pending=event.kind is EventKind.CALL_SKIPPED)
            row = _new_row(event, asked)
        elif live is not None and result.call_id is not None:  # a call that was refused says nothing of their length
            self._line_free(_advanced(live, event))
        if event.kind is not EventKind.CALL_SKIPPED or asked.skip is None:  # the plan's are in the journal's figures
            self._counts[result.status] += 1
        self._know(index, result.status, event.seq)
        self._spend(index, result.cost)
        self._latest.appendleft(self._ended(row, event, result))

    def _spend(self, index: int, cost: float | None) -> None:
        if self._cost is not None:
            self._cost += (cost or 0.0) - self._paid.pop(index, 0.0)

    def _ended(self, row: Row, event: CallEvent, result: CallResult) -> Row:
        reason = result.ended_reason or event.ended_reason or ""
        return replace(
            row,
            seq=event.seq,
            state=result.status.words,
            seconds=result.duration,
            ended_reason=shown(reason.rsplit(".", 1)[-1].replace("-", " ").replace("_", " "), LONGEST),
            said=shown(self._heard(result), LONGEST),
        )

    # Which rows are counted already

    def _take_up(self, index: int, *, was_pending: bool) -> None:
        if self._doubtful.pop(index, None) is not None:
            self._counts[CallStatus.UNCERTAIN] -= 1
            self._status[index] = 0
            self._latest = deque((row for row in self._latest if row.index != index), LATEST)
        elif was_pending and self._pending() > self._inherited:
            return
        elif self._inherited and not was_pending:
            self._inherited -= 1
        elif self._in_doubt:  # found again, or dialled again because somebody asked for it
            self._in_doubt -= 1
            self._counts[CallStatus.UNCERTAIN] -= 1

    def _known_status(self, index: int) -> CallStatus | None:
        code = self._status[index] if index < len(self._status) else 0
        return STATUSES[code - 1] if code else None

    def _know(self, index: int, status: CallStatus, seq: int) -> None:
        self._status.extend(bytes(max(0, index + 1 - len(self._status))))
        self._status[index] = 1 + STATUSES.index(status)
        self._put_back.pop(index, None)
        if status is CallStatus.UNCERTAIN:
            self._doubtful[index] = seq

    # When it ends

    def _time_left(self, pending: int, now: datetime) -> float | None:
        if not self._lines or self._line_ends < max(ENOUGH, self._lines) or not (pending or self._live):
            return None
        usual = self._line_seconds / self._line_ends
        rest = [max(0.0, usual - _between(row.dialed_at, now)) for row in self._live.values()]
        dials, seconds = self._dials
        by_pace = pending * seconds / dials + usual if pending and dials else 0.0  # dials are spaced, too
        return max((pending * usual + sum(rest)) / self._lines, by_pace, *rest, 0.0)


def _counts(stats: RunStats) -> dict[CallStatus, int]:
    return {status: getattr(stats, status.counted_as) for status in CallStatus if status not in OPEN}


def _new_row(event: CallEvent, asked: CallRequest) -> Row:
    provider = asked.provider
    return Row(
        index=asked.index,
        seq=event.seq,
        stage=-1,
        name=shown(provider.name, LONGEST) or "(no name)",
        tail=provider.last_four,
        state="dialing",
        dialed_at=event.at,
        since=event.at,
    )


def _advanced(row: Row, event: CallEvent) -> Row:
    stage, state = ORDER.get(event.kind, row.stage), STAGES.get(event.kind, row.state)
    if event.kind is EventKind.CALL_IN_PROGRESS:
        return replace(row, seq=event.seq, stage=stage, state=state, since=event.at)
    if event.kind in (EventKind.CALL_ENDED, EventKind.CALL_SETTLED):
        return replace(row, seq=event.seq, stage=stage, state=state, seconds=_between(row.since, event.at))
    return replace(row, seq=event.seq, stage=stage, state=state)


def _between(earlier: datetime, later: datetime) -> float:
    return max(0.0, (later - earlier).total_seconds())
