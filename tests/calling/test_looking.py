"""What a look at a dead run makes of each call that Vapi shows: over, never rung, not known yet, or left as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from concierge_calls.backend import Backend, Placed, Progress, Stage, Verdict
from concierge_calls.errors import BackendUnreachable, ReadFailed, ReadRefused
from concierge_calls.journal import Attempt, Journal, NewRun, Owner, RunRecord, looks
from concierge_calls.looking import check_again, look_at
from concierge_calls.models import (
    Analysis,
    AnalysisStatus,
    CallOutcome,
    CallRequest,
    CallState,
    CallStatus,
    EventKind,
    Message,
    Provider,
    Reason,
    ServiceRequest,
)
from concierge_calls.settings.loading import load

NUMBER = "+13125550100"
DIALED = datetime(2026, 1, 1, 10, tzinfo=UTC)
ENDED = DIALED + timedelta(seconds=60)
AWAITED = timedelta(seconds=120)  # for so long an analysis may come
TALKED = CallOutcome(
    status=CallStatus.COMPLETED,
    started_at=DIALED,
    ended_at=ENDED,
    messages=(Message(role="assistant", message="Hello."), Message(role="user", message="Hello.")),
)
ANALYSED = replace(TALKED, analysis=Analysis(status=AnalysisStatus.COMPLETE, summary="They talked."))


class Shown:
    """A backend that shows a dead run's calls as the test says."""

    def __init__(self, *, age: float = 0.0) -> None:
        """Be asked so many seconds after the call's end."""
        self.over: Progress | None = None
        self.fault: Exception | None = None
        self._age = age

    def now(self) -> datetime:
        return ENDED + timedelta(seconds=self._age)

    def latest_analysis(self, ended_at: datetime) -> datetime:
        return ended_at + AWAITED

    def latest_end(self, created_at: datetime) -> datetime:
        return created_at + timedelta(seconds=600)

    async def find(self, keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        if self.fault is not None:
            raise self.fault
        return {key: Placed(call_id="call-1", created_at=DIALED, over=self.over) for key in keys}


def ended(verdict: Verdict, outcome: CallOutcome) -> Progress:
    return Progress(stage=Stage.ENDED, outcome=outcome, verdict=verdict)


class Left:
    """A dead run with one call on the line, and a look at it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.run_id = ""

    def looked_at(self, backend: Shown, before: Callable[[RunRecord, Attempt], Awaitable[object]]) -> tuple[str, bool]:
        """Look at the run after this happened to its call; returns its row's state and whether the number is free."""

        async def look() -> tuple[str, bool]:
            with Journal(self.path) as journal:
                await self._leave(journal, before)
                await look_at(journal, self.run_id, load(), cast(Backend, backend))
                return await self._state(journal)

        return asyncio.run(look())

    def state(self) -> tuple[str, bool]:
        """Return the row's state now, and whether its number is free."""

        async def read() -> tuple[str, bool]:
            with Journal(self.path) as journal:
                return await self._state(journal)

        return asyncio.run(read())

    async def _leave(self, journal: Journal, before: Callable[[RunRecord, Attempt], Awaitable[object]]) -> None:
        new = NewRun(owner=Owner.CLI, via="direct", simulated=False, max_concurrent=1, source="a.csv", version="0")
        record = await journal.draft(new)
        provider = Provider(name="Blue Ridge", phone=NUMBER, line=2)
        await record.add([CallRequest(index=0, provider=provider, request=ServiceRequest(service_needed="plumbing"))])
        await record.start()
        self.run_id = record.id
        attempt = (await record.claim(redial_after=None, at=DIALED)).attempt
        assert attempt is not None
        await before(record, attempt)
        record.close()

    async def _state(self, journal: Journal) -> tuple[str, bool]:
        record = await journal.open_run(self.run_id)
        [state] = [state.value for state, rows in (await record.counts()).items() if rows]
        record.close()
        return state, journal.on_the_line(NUMBER, but="another") is None


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path)


async def dialling(record: RunRecord, attempt: Attempt) -> None:
    """Leave it as it is after the claim."""


async def placed(record: RunRecord, attempt: Attempt) -> None:
    await record.placed(attempt, "call-1", DIALED)


async def ringing(record: RunRecord, attempt: Attempt) -> None:
    await placed(record, attempt)
    await record.progressed(attempt, EventKind.CALL_RINGING)


async def withdrawing(record: RunRecord, attempt: Attempt) -> None:
    await placed(record, attempt)
    await record.withdrawing(attempt)


async def started_twice(record: RunRecord, attempt: Attempt) -> None:
    await placed(record, attempt)
    await record.void(attempt, Reason("start_failed", "It never began."))
    again = (await record.claim(redial_after=None, at=DIALED)).attempt
    assert again is not None
    await record.placed(again, "call-1", DIALED)


@pytest.mark.parametrize(
    ("verdict", "before", "state"),
    [
        (Verdict.NO_LINE, placed, CallState.PENDING),
        (Verdict.NO_LINE, dialling, CallState.PENDING),
        (Verdict.ACCOUNT, placed, CallState.PENDING),
        (Verdict.START_FAILED, placed, CallState.PENDING),
        (Verdict.START_FAILED, started_twice, CallState.ENDED),
        (Verdict.WITHDRAWN, withdrawing, CallState.PENDING),
        (Verdict.WITHDRAWN, placed, CallState.ENDED),
        (Verdict.NO_LINE, ringing, CallState.ENDED),
        (Verdict.FINAL, placed, CallState.ENDED),
    ],
)
def test_a_call_that_is_over_keeps_its_number_no_longer_and_waits_again_if_it_certainly_never_rang(
    left: Left, verdict: Verdict, before: Callable[[RunRecord, Attempt], Awaitable[object]], state: CallState
) -> None:
    backend = Shown()
    backend.over = ended(verdict, CallOutcome(status=CallStatus.ERROR, ended_at=ENDED))
    assert left.looked_at(backend, before) == (state, True)


def test_a_call_that_goes_on_stays_as_it_is(left: Left) -> None:
    assert left.looked_at(Shown(), placed) == ("placed", False)


@pytest.mark.parametrize(
    "outcome",
    [
        TALKED,
        replace(TALKED, status=CallStatus.ERROR),
        replace(TALKED, status=CallStatus.NO_ANSWER, messages=()),
        replace(TALKED, ended_at=None),
    ],
    ids=["talked", "broke off", "nothing written down", "no end written down"],
)
def test_a_call_whose_analysis_may_still_bring_a_wish_keeps_its_number_and_is_to_be_looked_at_again(
    left: Left, outcome: CallOutcome
) -> None:
    backend = Shown(age=119)
    backend.over = ended(Verdict.FINAL, outcome)
    with pytest.raises(ReadFailed) as raised:
        left.looked_at(backend, placed)

    assert raised.value.message == f"A call of run {left.run_id} is over, and what was said in it is not known yet."
    assert left.state() == ("placed", False)


@pytest.mark.parametrize(
    ("age", "outcome"),
    [
        (0.0, ANALYSED),
        (0.0, replace(TALKED, status=CallStatus.NO_ANSWER, messages=TALKED.messages[:1])),
        (0.0, replace(TALKED, status=CallStatus.VOICEMAIL)),
        (120.0, TALKED),
        (540.0, replace(TALKED, ended_at=None)),
    ],
    ids=["analysed", "nobody spoke", "a machine", "waited long enough", "waited as long as a call may take"],
)
def test_a_call_of_which_nothing_more_is_awaited_keeps_its_number_no_longer(
    left: Left, age: float, outcome: CallOutcome
) -> None:
    backend = Shown(age=age)
    backend.over = ended(Verdict.FINAL, outcome)
    assert left.looked_at(backend, placed) == ("ended", True)


@pytest.mark.parametrize("fault", [ReadFailed(), TimeoutError()], ids=["failed", "too late"])
def test_a_look_that_was_not_answered_says_so(left: Left, fault: Exception) -> None:
    backend = Shown()
    backend.fault = fault
    with pytest.raises(ReadFailed) as raised:
        left.looked_at(backend, placed)

    assert raised.value.message == f"Vapi did not say whether the calls of run {left.run_id} are over."
    assert left.state() == ("placed", False)


def test_a_look_that_was_refused_is_answered(left: Left) -> None:
    backend = Shown()
    backend.fault = ReadRefused()
    assert left.looked_at(backend, placed) == ("placed", False)


def test_a_run_at_which_another_process_looks_for_long_is_to_be_looked_at_again_and_one_that_is_worked_on_is_not(
    left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    left.looked_at(Shown(), placed)

    async def look(backend: Any) -> None:
        with Journal(left.path) as journal:
            monkeypatch.setattr(looks, "LONGEST_LOOK", 0.0)
            async with journal.looking_at(left.run_id):
                with pytest.raises(ReadFailed) as raised:
                    await look_at(journal, left.run_id, load(), backend)
            assert raised.value.message == f"Another process has been looking at run {left.run_id} for long."
            record = await journal.open_run(left.run_id)
            await look_at(journal, left.run_id, load(), backend)
            record.close()

    asyncio.run(look(Shown()))


def test_a_number_in_doubt_is_not_dialled_again_while_nobody_knows_whether_a_dead_run_has_it(left: Left) -> None:
    async def in_doubt(record: RunRecord, attempt: Attempt) -> None:
        await placed(record, attempt)
        doubted.append(attempt)

    async def check() -> None:
        async def look(run_id: str) -> None:
            raise ReadFailed(f"Vapi did not say whether the calls of run {run_id} are over.")

        with Journal(left.path) as journal:
            await check_again(journal, "another", doubted, look)

    doubted: list[Attempt] = []
    left.looked_at(Shown(), in_doubt)
    with pytest.raises(BackendUnreachable) as raised:
        asyncio.run(check())
    assert raised.value.message == (
        f"{NUMBER} is not dialled again, and nobody was dialled. Vapi did not say whether the calls of run"
        f" {left.run_id} are over. Run the same command again in a moment."
    )
