"""Whatever happens in whatever order, the journal says what a plain dictionary of rows would say."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from concierge_calls.errors import IllegalTransition
from concierge_calls.journal import Attempt, Claim, Journal, NewRun, RunRecord
from concierge_calls.models import (
    CallOutcome,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    EventKind,
    Provider,
    Reason,
    ServiceRequest,
)

T = TypeVar("T")

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ROWS = 4  # the same numbers in each run, so that runs meet
RUNS = st.integers(0, 1)
PICKS = st.integers(0, ROWS - 1)
WHY = Reason("why", "Because.")

SHOWN = {
    CallState.PENDING: CallStatus.PENDING,
    CallState.DIALING: CallStatus.IN_PROGRESS,
    CallState.PLACED: CallStatus.IN_PROGRESS,
    CallState.ENDED: CallStatus.IN_PROGRESS,
    CallState.SETTLED: CallStatus.COMPLETED,
    CallState.REFUSED: CallStatus.ERROR,
    CallState.UNCERTAIN: CallStatus.UNCERTAIN,
    CallState.SKIPPED: CallStatus.SKIPPED,
}
LIVE = {CallState.DIALING, CallState.PLACED, CallState.ENDED}
WITH_A_RESULT = {CallState.SETTLED, CallState.REFUSED, CallState.UNCERTAIN}
OFF_THE_LINE = {CallState.ENDED, CallState.SETTLED, CallState.UNCERTAIN}
MOVES: dict[str, tuple[set[CallState], CallState]] = {
    "placed": ({CallState.DIALING}, CallState.PLACED),
    "adopted": ({CallState.DIALING, CallState.UNCERTAIN}, CallState.PLACED),
    "ended": ({CallState.PLACED}, CallState.ENDED),
    "settled": ({CallState.ENDED}, CallState.SETTLED),
    "refused": ({CallState.DIALING}, CallState.REFUSED),
    "uncertain": ({CallState.DIALING, CallState.PLACED, CallState.ENDED}, CallState.UNCERTAIN),
    "void": ({CallState.DIALING, CallState.PLACED, CallState.ENDED}, CallState.PENDING),
}


@dataclass
class Try:
    """What the journal ought to say of an attempt."""

    attempt: Attempt
    rang: bool = False  # it got a call id and is not void
    withdrawing: bool = False  # it was to be taken back


@dataclass
class Row:
    """What the journal ought to say of a row."""

    state: CallState = CallState.PENDING
    attempts: int = 0
    latest: Try | None = None
    doubts: list[Try] = field(default_factory=list)  # earlier ones that may have rung
    told: list[EventKind] = field(default_factory=list)

    @property
    def error(self) -> Reason | None:
        """What its result says went wrong."""
        return _what_became_of(self.latest.attempt) if self.latest and self.state in WITH_A_RESULT else None


def _number(index: int) -> str:
    return f"+1864555010{index}"


def _since_the_dial(told: list[EventKind]) -> list[EventKind]:
    latest = len(told) - told[::-1].index(EventKind.CALL_DIALING) - 1
    return [kind for kind in told[latest:] if kind is not EventKind.CALL_SETTLED]


def _outcome(attempt: Attempt, status: CallStatus) -> CallResult:
    return CallResult.of(attempt.asked, CallOutcome(status=status, error=_what_became_of(attempt)))


def _what_became_of(attempt: Attempt) -> Reason:
    return Reason("why", f"Attempt {attempt.ordinal} ended so.")


class JournalMachine(RuleBasedStateMachine):
    """Two runs that call the same numbers, in one file that is closed and opened again at any moment."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.journal = Journal(self.folder / "runs.db")
        self.records = [self.do(self._begin()) for _ in range(2)]
        self.rows = [[Row() for _ in range(ROWS)] for _ in range(2)]
        self.unwanted: set[str] = set()

    def teardown(self) -> None:
        self.journal.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def _begin(self) -> RunRecord:
        new = NewRun(owner="cli", via="direct", simulated=False, max_concurrent=2, source="a.csv", version="0.1.0")
        record = await self.journal.draft(new)
        providers = [Provider(name="A", phone=_number(index)) for index in range(ROWS)]
        await record.add(
            [CallRequest(index=i, provider=one, request=ServiceRequest()) for i, one in enumerate(providers)]
        )
        await record.start()
        return record

    @rule(run=RUNS, guarded=st.booleans())
    def claim(self, run: int, guarded: bool) -> None:
        since = WHEN - timedelta(hours=12) if guarded else None
        claim: Claim = self.do(self.records[run].claim(redial_after=since, at=WHEN))
        skipped = {asked.index: reason.code for _, asked, reason in claim.skipped}
        for index, row in enumerate(self.rows[run]):
            if row.state is not CallState.PENDING:
                continue
            why = self._why_not(index, self.rows[1 - run][index], guarded)
            assert skipped.pop(index, None) == why
            if why is None:
                assert claim.attempt is not None
                self._dialled(run, index, row, claim.attempt)
                break
            row.state = CallState.SKIPPED
            row.told.append(EventKind.CALL_SKIPPED)
        else:
            assert claim.attempt is None
        assert not skipped

    def _why_not(self, index: int, other: Row, guarded: bool) -> str | None:
        if _number(index) in self.unwanted:
            return "do_not_call"
        if other.state in (CallState.DIALING, CallState.PLACED):
            return "on_the_line"
        called = other.doubts or other.state is CallState.UNCERTAIN or (other.latest is not None and other.latest.rang)
        return "called_lately" if guarded and called else None

    def _dialled(self, run: int, index: int, row: Row, attempt: Attempt) -> None:
        row.attempts += 1
        assert (attempt.asked.index, attempt.ordinal) == (index, row.attempts)
        assert attempt.key == f"{self.records[run].id}-{index}-{row.attempts}"
        row.state, row.latest = CallState.DIALING, Try(attempt)
        row.told.append(EventKind.CALL_DIALING)

    @rule(run=RUNS, index=PICKS)
    def redial(self, run: int, index: int) -> None:
        row = self.rows[run][index]
        if row.latest is None:
            return
        asking = self.records[run].redial(row.latest.attempt, at=WHEN)
        if (why := self._why_not(index, self.rows[1 - run][index], guarded=False)) is not None:
            held_back = self.do(asking)
            assert isinstance(held_back, Reason)
            assert held_back.code == why
        elif row.state is not CallState.UNCERTAIN:
            with pytest.raises(IllegalTransition):
                self.do(asking)
        else:
            claim = self.do(asking)
            assert isinstance(claim, Claim)
            assert claim.attempt is not None
            row.doubts.append(row.latest)
            self._dialled(run, index, row, claim.attempt)

    @rule(run=RUNS, index=PICKS, move=st.sampled_from(sorted(MOVES)))
    def move(self, run: int, index: int, move: str) -> None:
        row = self.rows[run][index]
        if row.latest is None:
            return
        expected, to = MOVES[move]
        step = self._step(self.records[run], row.latest.attempt, move)
        if row.state not in expected:
            with pytest.raises(IllegalTransition):
                self.do(step)
            return
        self.do(step)
        row.latest.rang = (row.latest.rang or move in ("placed", "adopted")) and move != "void"
        if move in ("void", "refused") and row.doubts:
            row.latest, to = row.doubts.pop(), CallState.UNCERTAIN
        row.state = to
        final = to in (CallState.REFUSED, CallState.UNCERTAIN, CallState.SETTLED)
        row.told.append(EventKind.CALL_SETTLED if final else EventKind(f"call.{to}"))

    def _step(self, record: RunRecord, attempt: Attempt, move: str) -> Coroutine[Any, Any, object]:
        match move:
            case "placed" | "adopted":
                return record.placed(attempt, "call-1", WHEN, adopted=move == "adopted")
            case "ended":
                return record.ended(attempt, CallOutcome(status=CallStatus.COMPLETED))
            case "void":
                return record.void(attempt, WHY)
            case "settled":
                return record.settled(attempt, _outcome(attempt, CallStatus.COMPLETED))
            case "refused":
                return record.refused(attempt, _outcome(attempt, CallStatus.ERROR))
            case _:
                return record.uncertain(attempt, _outcome(attempt, CallStatus.UNCERTAIN))

    @rule(run=RUNS, index=PICKS)
    def be_about_to_take_back(self, run: int, index: int) -> None:
        row = self.rows[run][index]
        if row.latest is None:
            return
        if row.state is not CallState.PLACED:
            with pytest.raises(IllegalTransition):
                self.do(self.records[run].withdrawing(row.latest.attempt))
            return
        self.do(self.records[run].withdrawing(row.latest.attempt))
        row.latest.withdrawing = True

    def _in(self, *states: CallState) -> list[tuple[int, int]]:
        return [(run, i) for run, rows in enumerate(self.rows) for i, row in enumerate(rows) if row.state in states]

    @precondition(lambda self: self._in(*LIVE))
    @rule(pick=st.integers(0, 99))
    def lose(self, pick: int) -> None:
        live = self._in(*LIVE)
        self.move(*live[pick % len(live)], "uncertain")

    @precondition(lambda self: self._in(CallState.UNCERTAIN))
    @rule(pick=st.integers(0, 99), placed=st.booleans(), how=st.sampled_from(["void", "refused"]))
    def redial_in_vain(self, pick: int, placed: bool, how: str) -> None:
        in_doubt = self._in(CallState.UNCERTAIN)
        which = in_doubt[pick % len(in_doubt)]
        self.redial(*which)
        if placed:
            self.move(*which, "placed")
        self.move(*which, how)

    @rule(index=PICKS)
    def want_no_call(self, index: int) -> None:
        self.do(self.journal.add_do_not_call(_number(index), "asked so"))
        self.unwanted.add(_number(index))

    @precondition(lambda self: self.unwanted)
    @rule()
    def want_calls_again(self) -> None:
        number = self.unwanted.pop()
        assert self.do(self.journal.remove_do_not_call(number))

    @rule()
    def come_back(self) -> None:
        for record in self.records:
            record.close()
        self.journal.close()
        self.journal = Journal(self.folder / "runs.db")
        self.records = [self.do(self.journal.open_run(record.id)) for record in self.records]
        for record, rows in zip(self.records, self.rows, strict=True):
            found = {attempt.index: attempt for attempt in self.do(record.unfinished())}
            for index, row in enumerate(rows):
                if row.state in (CallState.DIALING, CallState.PLACED, CallState.ENDED, CallState.UNCERTAIN):
                    assert row.latest is not None
                    ordinal, row.latest.attempt = row.latest.attempt.ordinal, found.pop(index)
                    assert (row.latest.attempt.state, row.latest.attempt.ordinal) == (row.state, ordinal)
                    assert row.latest.attempt.withdrawing == row.latest.withdrawing
            assert not found

    @invariant()
    def rows_are_where_they_ought_to_be(self) -> None:
        for record, rows in zip(self.records, self.rows, strict=True):
            counts = self.do(record.counts())
            assert {state: counts[state] for state in CallState} == {
                state: sum(row.state is state for row in rows) for state in CallState
            }
            seen = self.journal.result(record.id)
            assert [result.status for result in seen.results] == [SHOWN[row.state] for row in rows]
            errors = [row.error for row in rows]
            assert [None if result.status is CallStatus.SKIPPED else result.error for result in seen.results] == errors
            assert seen.stats.in_progress == sum(SHOWN[row.state] is CallStatus.IN_PROGRESS for row in rows)

    @invariant()
    def all_that_happened_is_told_in_order(self) -> None:
        for record, rows in zip(self.records, self.rows, strict=True):
            told: list[list[EventKind]] = [[] for _ in rows]
            for event in record.history(limit=1000):
                if event.index is not None:
                    told[event.index].append(event.kind)
            assert told == [row.told for row in rows]

    @invariant()
    def live_calls_are_told_again_and_the_others_have_a_line_time(self) -> None:
        for record, rows in zip(self.records, self.rows, strict=True):
            told: list[list[EventKind]] = [[] for _ in rows]
            for event in self.journal.live(record.id):
                assert event.index is not None
                told[event.index].append(event.kind)
            assert told == [_since_the_dial(row.told) if row.state in LIVE else [] for row in rows]
            assert len(list(self.journal.line_times(record.id))) == sum(row.state in OFF_THE_LINE for row in rows)

    @invariant()
    def who_may_have_been_rung_is_not_about_to_be_dialled(self) -> None:
        sql = """
            SELECT * FROM rows JOIN attempts ON attempts.run_id = rows.run_id AND attempts.idx = rows.idx
            WHERE rows.state IN ('pending', 'refused') AND attempts.state = 'uncertain'
        """
        assert self.journal._reader.fetch(sql) == []

    @invariant()
    def nobody_is_on_two_lines_unless_one_was_adopted(self) -> None:
        sql = "SELECT number FROM attempts WHERE state IN ('dialing', 'placed') AND NOT adopted"
        live = [row["number"] for row in self.journal._reader.fetch(sql)]
        assert len(live) == len(set(live))


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
