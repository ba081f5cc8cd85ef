"""Real runs that are stopped: before anybody is dialled nothing is kept, later only what waits is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from concierge_calls import CallEvent, EventKind, RunResult
from concierge_calls.beginning import drafted
from concierge_calls.draft import Order, rows_of
from concierge_calls.errors import JournalFull, NobodyDialled, RunInterrupted
from concierge_calls.journal import RunRecord
from concierge_calls.models import Provider
from concierge_calls.resuming import continued
from concierge_calls.settings.loading import load
from concierge_calls.stopping import Worker
from tests.calling.simulated import StartVapi, kept, providers, statuses

ELSEWHERE = "+13125550199"  # called by somebody else on the same account

OnEvent = Callable[[Worker, CallEvent], object]


def stopped(
    whom: list[Provider],
    on_event: OnEvent = lambda caller, event: None,
    *,
    on_caller: Callable[[Worker], object] = lambda caller: None,
) -> RunResult:
    """Begin a run that may be stopped as soon as there is somebody to stop, and whenever something is told."""
    callers: list[Worker] = []

    def found(caller: Worker) -> None:
        callers.append(caller)
        on_caller(caller)

    async def start() -> RunResult:
        order = Order(rows=rows_of(whom), source="python", typed={"service": "plumbing"})
        async with drafted(order, load({"max_concurrent": 2})) as run, run.connected():
            return await run.start(lambda event: on_event(callers[0], event), on_caller=found)

    return asyncio.run(start())


def resumed(*, on_caller: Callable[[Worker], object] = lambda caller: None) -> RunResult:
    async def finish() -> RunResult:
        async with continued(None) as run:
            assert run is not None
            async with run.connected():
                return await run.start(lambda event: None, on_caller=on_caller)

    return asyncio.run(finish())


def drain_at(kind: EventKind) -> OnEvent:
    return lambda caller, event: caller.drain() if event.kind is kind else None


def test_a_run_that_is_stopped_after_the_check_has_dialled_nobody_and_leaves_nothing(
    start: StartVapi, state: Path
) -> None:
    vapi = start()
    with pytest.raises(NobodyDialled) as raised:
        stopped(providers("01"), on_caller=lambda caller: caller.drain())

    assert raised.value.exit_code == 2
    assert (vapi.asked("phone-number"), vapi.asked("create"), kept(state)) == (1, 0, [])


@pytest.mark.parametrize("skipped", ["", "6"])
def test_a_run_that_is_stopped_when_it_has_begun_and_nobody_is_dialled_leaves_nothing(
    start: StartVapi, state: Path, skipped: str
) -> None:
    vapi = start()
    with pytest.raises(NobodyDialled):
        stopped(providers("0" + skipped) + providers(skipped), drain_at(EventKind.RUN_STARTED))

    assert (vapi.asked("create"), kept(state)) == (0, [])


def test_a_run_that_is_stopped_at_its_first_dial_is_kept_and_can_be_finished(start: StartVapi, state: Path) -> None:
    vapi, whom = start(), providers("666")
    run = stopped(whom, drain_at(EventKind.CALL_DIALING))

    assert (statuses(run.results)[0], run.run.finished) == ("busy", False)
    assert kept(state) != []
    assert statuses(resumed().results) == ["busy"] * 3
    assert vapi.times_rung(whom) == [1, 1, 1]


def test_a_run_that_is_taken_up_and_stopped_before_it_dials_is_kept(start: StartVapi, state: Path) -> None:
    vapi, whom = start(), providers("666")
    first = stopped(whom, drain_at(EventKind.CALL_DIALING))
    again = resumed(on_caller=lambda caller: caller.drain())

    assert again.run.id == first.run.id
    assert statuses(again.results) == statuses(first.results)
    assert statuses(resumed().results) == ["busy"] * 3
    assert vapi.times_rung(whom) == [1, 1, 1]


def test_a_run_that_began_without_a_dial_and_is_taken_up_and_stopped_is_kept(
    start: StartVapi, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(record: RunRecord, **_: object) -> None:
        raise JournalFull("The disk is full.")

    vapi, whom = start(), providers("66")
    with monkeypatch.context() as broken:
        broken.setattr(RunRecord, "claim", full)
        with pytest.raises(RunInterrupted):
            stopped(whom)
    again = resumed(on_caller=lambda caller: caller.drain())

    assert (statuses(again.results), again.run.finished) == (["pending", "pending"], False)
    assert kept(state) != []
    assert statuses(resumed().results) == ["busy", "busy"]
    assert vapi.times_rung(whom) == [1, 1]


def test_on_leaving_a_call_that_waits_at_vapi_is_taken_back_and_the_one_that_rings_goes_on(start: StartVapi) -> None:
    whom = providers("01")
    # Whichever request comes first gets the account's only line.
    vapi = start(lines=1, lines_shape="blocked", stuck={each.phone: "ringing" for each in whom})
    placed, ringing = set[int | None](), set[int | None]()
    leaving: list[asyncio.Future[None]] = []

    def leave(caller: Worker, event: CallEvent) -> None:
        {EventKind.CALL_PLACED: placed, EventKind.CALL_RINGING: ringing}.get(event.kind, set()).add(event.index)
        if not leaving and (len(placed), len(ringing)) == (2, 1):
            leaving.append(asyncio.ensure_future(caller.leave()))

    run = stopped(whom, leave)

    first, second = sorted(whom, key=lambda each: whom.index(each) not in ringing)
    assert [run.results[whom.index(each)].status.value for each in (first, second)] == ["in_progress", "pending"]
    assert (vapi.asked("create"), vapi.asked("delete"), vapi.asked("control")) == (2, 1, 0)
    calls = [vapi.simulator.ledger()["numbers"][each.phone]["calls"][0] for each in (first, second)]
    assert (calls[0]["status"], calls[1]["endedReason"]) == ("ringing", "scheduled-call-deleted")
    assert vapi.times_rung([first, second]) == [1, 0]


def test_on_leaving_a_call_whose_reply_is_under_way_and_that_waits_at_vapi_is_taken_back_too(start: StartVapi) -> None:
    whom = providers("0")
    vapi = start(lines=1, lines_shape="blocked", stuck={ELSEWHERE: "ringing"})
    vapi.dial(ELSEWHERE)
    vapi.options.create_delay = 0.2
    leaving: list[asyncio.Future[None]] = []

    def leave(caller: Worker, event: CallEvent) -> None:
        if event.kind is EventKind.CALL_DIALING:
            leaving.append(asyncio.ensure_future(caller.leave()))

    run = stopped(whom, leave)

    assert statuses(run.results) == ["pending"]
    assert (vapi.asked("create"), vapi.asked("delete"), vapi.asked("control")) == (2, 1, 0)
    assert vapi.times_rung(whom) == [0]
