"""What is known of a run while it goes on, folded from its events; only what can still be shown is kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from concierge_calls.models import CallEvent, CallRequest, CallResult, CallStatus, EventKind, RunResult, RunStats
from concierge_calls.plain import masked, one_line

LATEST = 200  # ended calls that are kept to be shown, more than any screen has rows
LONGEST_READ = 1_000  # characters of other people's text that are looked at
LONGEST_KEPT = 300
ENOUGH = 3  # calls that must have ended, and one for each line, before the end can be told

STAGES = {
    EventKind.CALL_DIALING: "dialing",
    EventKind.CALL_PLACED: "dialing",
    EventKind.CALL_RINGING: "ringing",
    EventKind.CALL_IN_PROGRESS: "talking",
    EventKind.CALL_ENDED: "analysis",
}
ORDER = {kind: number for number, kind in enumerate(STAGES)}
STATUSES = list(CallStatus)
COUNTED = {
    CallStatus.COMPLETED: "successful",
    CallStatus.NO_ANSWER: "no_answer",
    CallStatus.BUSY: "busy",
    CallStatus.VOICEMAIL: "voicemail",
    CallStatus.TIMEOUT: "timed_out",
    CallStatus.ERROR: "failed",
    CallStatus.UNCERTAIN: "uncertain",
    CallStatus.CANCELLED: "cancelled",
    CallStatus.SKIPPED: "skipped",
}


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
    left: float | None  # seconds; None while it cannot be told
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
        self._left = self._in_doubt = 0  # calls of an earlier process that were not heard of yet
        self._total = self._lines = 0
        self._cost: float | None = 0.0
        self._began: datetime | None = None
        self._line_seconds, self._line_ends = 0.0, 0

    def __repr__(self) -> str:
        return f"<Board {len(self._live)} on the line, {len(self._analysed)} in analysis, {self._counts.total()} done>"

    def begin(self, result: RunResult, live: Iterable[CallEvent], now: datetime) -> None:
        """Take over the journal's figures, and the calls that are on the line already."""
        stats = result.stats
        self._began, self._total, self._lines = now, stats.total, result.run.max_concurrent
        self._cost = None if result.run.simulated else stats.cost
        self._left, self._in_doubt = stats.in_progress, stats.uncertain
        self._counts.update(_counts(stats))
        for event in live:
            self.fold(event)

    def fold(self, event: CallEvent) -> None:
        """Take note of an event; what is older than what is known changes nothing."""
        if event.index is None or event.request is None:
            return
        if event.result is not None:
            self._settle(event, event.request, event.result)
        elif event.kind in STAGES:
            self._step(event, event.request)

    def view(self, limit: int, now: datetime) -> View:
        """Return the board as it is now, with at most so many rows of each kind."""
        skipped = self._counts[CallStatus.SKIPPED]
        done = self._counts.total() - skipped
        pending = max(0, self._total - self._counts.total() - len(self._live) - len(self._analysed))
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
            left=self._time_left(pending, now),
            cost=self._cost,
        )

    # A call's steps

    def _step(self, event: CallEvent, asked: CallRequest) -> None:
        index = asked.index
        row = self._live.get(index) or self._analysed.get(index)
        begins_again = event.kind is EventKind.CALL_DIALING and row is not None and event.seq > row.seq
        if row is None or begins_again:
            if not self._may_begin(event, index):
                return
            self._analysed.pop(index, None)
            row = self._begun(event, asked)
        elif ORDER[event.kind] <= row.stage:
            return
        self._place(_advanced(row, event))

    def _may_begin(self, event: CallEvent, index: int) -> bool:
        if self._known_status(index) is None:
            return True
        return event.seq > self._doubtful.get(index, event.seq)

    def _begun(self, event: CallEvent, asked: CallRequest) -> Row:
        self._take_up(asked.index, dialed=event.kind is EventKind.CALL_DIALING)
        return _new_row(event, asked)

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
        if not self._may_begin(event, index):
            return
        live = self._live.pop(index, None)
        row = live or self._analysed.pop(index, None)
        if row is None:
            self._take_up(index, dialed=event.kind is EventKind.CALL_SKIPPED)
            row = _new_row(event, asked)
        elif live is not None and result.call_id is not None:  # a call that was refused says nothing of their length
            self._line_free(_advanced(live, event))
        if event.kind is not EventKind.CALL_SKIPPED or asked.skip is None:  # the plan's are in the journal's figures
            self._counts[result.status] += 1
        self._know(index, result.status, event.seq)
        if self._cost is not None:
            self._cost += result.cost or 0.0
        self._latest.appendleft(self._ended(row, event, result))

    def _ended(self, row: Row, event: CallEvent, result: CallResult) -> Row:
        reason = (result.ended_reason or event.ended_reason or "")[:LONGEST_READ]
        return replace(
            row,
            seq=event.seq,
            state=result.status.value.replace("_", " "),
            seconds=result.duration,
            ended_reason=_safe(reason.rsplit(".", 1)[-1].replace("-", " ").replace("_", " ")),
            said=_safe(self._heard(result)),
        )

    # Which rows are counted already

    def _take_up(self, index: int, *, dialed: bool) -> None:
        if self._doubtful.pop(index, None) is not None:
            self._counts[CallStatus.UNCERTAIN] -= 1
            self._status[index] = 0
            self._latest = deque((row for row in self._latest if row.index != index), LATEST)
        elif not dialed and self._left:  # an earlier process left it on the line
            self._left -= 1
        elif not dialed and self._in_doubt:
            self._in_doubt -= 1
            self._counts[CallStatus.UNCERTAIN] -= 1

    def _known_status(self, index: int) -> CallStatus | None:
        code = self._status[index] if index < len(self._status) else 0
        return STATUSES[code - 1] if code else None

    def _know(self, index: int, status: CallStatus, seq: int) -> None:
        self._status.extend(bytes(max(0, index + 1 - len(self._status))))
        self._status[index] = 1 + STATUSES.index(status)
        if status is CallStatus.UNCERTAIN:
            self._doubtful[index] = seq

    # When it ends

    def _time_left(self, pending: int, now: datetime) -> float | None:
        if not self._lines or self._line_ends < max(ENOUGH, self._lines) or not (pending or self._live):
            return None
        usual = self._line_seconds / self._line_ends
        rest = [max(0.0, usual - _between(row.dialed_at, now)) for row in self._live.values()]
        return max((pending * usual + sum(rest)) / self._lines, *rest, 0.0)


def _counts(stats: RunStats) -> dict[CallStatus, int]:
    return {status: getattr(stats, name) for status, name in COUNTED.items()}


def _new_row(event: CallEvent, asked: CallRequest) -> Row:
    provider = asked.provider
    return Row(
        index=asked.index,
        seq=event.seq,
        stage=-1,
        name=_safe(provider.name) or "(no name)",
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


def _safe(text: str) -> str:
    return masked(one_line(text[:LONGEST_READ]))[:LONGEST_KEPT]


def _between(earlier: datetime, later: datetime) -> float:
    return max(0.0, (later - earlier).total_seconds())
