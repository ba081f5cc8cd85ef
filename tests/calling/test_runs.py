"""A whole run by real HTTP: who is in the result and how, what the figures say, and who is told."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict

import pytest

from concierge_calls import (
    AccountRefused,
    AnalysisStatus,
    CallEvent,
    CallMethod,
    CallRequest,
    CallResult,
    EventKind,
    PlacementError,
    RunResult,
)
from concierge_calls.beginning import drafted
from concierge_calls.draft import Order, rows_of
from concierge_calls.errors import JournalFull, RunInterrupted
from concierge_calls.journal import RunRecord
from concierge_calls.journals import journals
from concierge_calls.resuming import continued
from concierge_calls.settings.loading import load
from tests.calling.simulated import StartVapi, providers, statuses

COUNTS = (
    "successful", "failed", "timed_out", "no_answer", "busy", "voicemail",
    "uncertain", "cancelled", "skipped", "not_called", "pending", "in_progress",
)  # fmt: skip
ANSWERED = ["completed"] * 5


def test_each_last_digit_ends_as_the_simulator_says_in_the_order_of_the_providers(start: StartVapi) -> None:
    vapi, whom = start(), providers("0123456789")
    run = vapi.call(whom, max_concurrent=10, call_timeout=60)

    assert statuses(run.results) == [*ANSWERED, "no_answer", "busy", "voicemail", "timeout", "error"]
    assert [result.provider.phone for result in run.results] == [each.phone for each in whom]
    assert [result.index for result in run.results] == list(range(10))
    assert vapi.times_rung(whom) == [1] * 10
    assert vapi.asked("create") == 10
    assert [result.call_id for result in run.results] == [
        vapi.simulator.ledger()["numbers"][each.phone]["calls"][0]["id"] for each in whom
    ]


def test_the_figures_are_those_of_the_results_and_the_twelve_counts_add_up(start: StartVapi) -> None:
    whom = [*providers("0123456789"), *providers("0")]
    run = start().call(whom, max_concurrent=10, call_timeout=60)
    figures = asdict(run.stats)

    named = {name: figures[name] for name in COUNTS if figures[name]}
    assert named == {
        "successful": 5, "failed": 1, "timed_out": 1, "no_answer": 1, "busy": 1, "voicemail": 1, "skipped": 1,
    }  # fmt: skip
    assert sum(figures[name] for name in COUNTS) == run.stats.total == len(run.results) == 11
    costs = [result.cost for result in run.results if result.cost is not None]
    assert run.stats.cost == pytest.approx(sum(costs))
    lengths = [result.duration for result in run.results if result.started_at and result.ended_at]
    assert run.stats.average_call_duration == pytest.approx(sum(lengths) / len(lengths))
    assert run.run.finished
    assert run.stats.duration_ms > 0


def test_a_conversation_comes_back_with_what_was_said_and_what_it_means(start: StartVapi) -> None:
    [result] = start().call(providers("0")).results

    assert result.call_method is CallMethod.DIRECT_VAPI
    assert (result.analysis.status, result.analysis.structured_data["availability"]) == (
        AnalysisStatus.COMPLETE,
        "available",
    )
    assert result.transcript
    assert {turn.role for turn in result.messages} >= {"user"}
    assert result.request.service_needed == "plumbing"
    assert result.duration > 0


def test_two_with_one_number_are_one_call(start: StartVapi) -> None:
    vapi, whom = start(), providers("6") * 2
    run = vapi.call(whom)
    assert statuses(run.results) == ["busy", "skipped"]
    assert run.results[1].error is not None
    assert run.results[1].error.code == "duplicate"
    assert vapi.times_rung(whom[:1]) == [1]


def test_each_call_is_told_once_when_its_result_is_final(start: StartVapi) -> None:
    told: list[tuple[CallResult, int]] = []
    run = start().call(
        providers("05675"), max_concurrent=3, on_call_complete=lambda result, index: told.append((result, index))
    )
    assert sorted(index for _, index in told) == [0, 1, 2, 3, 4]
    assert {index: result for result, index in told} == dict(enumerate(run.results))


def test_k_of_n_fail_and_the_others_are_there_in_their_order(start: StartVapi) -> None:
    run = start().call(providers("0919291"), max_concurrent=3)
    assert statuses(run.results) == ["completed", "error", "completed", "error", "completed", "error", "completed"]
    assert (run.stats.successful, run.stats.failed, run.run.finished) == (4, 3, True)
    assert all(result.call_id for result in run.results)


def test_who_could_not_be_placed_is_told_apart_and_nobody_else_is_dialled(start: StartVapi) -> None:
    completed: list[int] = []
    refused: list[tuple[PlacementError, CallRequest, int]] = []
    vapi, whom = start(refuse="credits"), providers("0123")
    run = vapi.call(
        whom,
        max_concurrent=1,
        on_call_complete=lambda _, index: completed.append(index),
        on_call_error=lambda *told: refused.append(told),
    )
    [(error, request, index)] = refused
    assert isinstance(error, AccountRefused)
    assert (request.provider.phone, index, completed) == (whom[0].phone, 0, [])
    assert statuses(run.results) == ["not_called"] * 4
    assert (run.stats.not_called, run.run.finished, vapi.asked("create")) == (4, False, 1)
    assert {result.error for result in run.results} == {run.run.stopped}
    assert run.run.stopped is not None
    assert run.run.stopped.message == error.message


def test_a_callback_for_errors_that_raises_is_logged_and_the_run_stops_in_good_order(
    start: StartVapi, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*told: object) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        run = start(refuse="credits").call(providers("01"), on_call_error=broken)
    assert statuses(run.results) == ["not_called"] * 2
    assert caplog.records


@pytest.mark.parametrize("raising", ["on_call_complete", "observer"])
def test_a_callback_that_raises_is_logged_and_harms_nobody(
    start: StartVapi, caplog: pytest.LogCaptureFixture, raising: str
) -> None:
    def broken(*told: object) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        run = start().call(providers("056"), **{raising: broken})
    assert statuses(run.results) == ["completed", "no_answer", "busy"]
    assert run.run.finished
    assert caplog.records


def test_an_observer_that_raises_harms_no_run_whoever_starts_it(start: StartVapi) -> None:
    def broken(event: CallEvent) -> None:
        raise ZeroDivisionError

    async def started() -> RunResult:
        order = Order(rows=rows_of(providers("6")), source="python", typed={"service": "plumbing"})
        async with drafted(order, load()) as run, run.connected():
            return await run.start(broken)

    start()
    run = asyncio.run(started())
    assert (run.run.finished, statuses(run.results)) == (True, ["busy"])


def test_an_observer_that_raises_keeps_nothing_from_the_other_callback(start: StartVapi) -> None:
    def broken(event: CallEvent) -> None:
        raise ZeroDivisionError

    told: list[int] = []
    start().call(providers("56"), observer=broken, on_call_complete=lambda _, index: told.append(index))
    assert sorted(told) == [0, 1]


def test_an_observer_is_told_of_the_run_from_its_beginning_to_its_end(start: StartVapi) -> None:
    events: list[CallEvent] = []
    run = start().call(providers("6") * 2, observer=events.append)

    kinds = [event.kind for event in events]
    assert (kinds[0], kinds[1], kinds[-1]) == (EventKind.RUN_STARTED, EventKind.CALL_SKIPPED, EventKind.RUN_ENDED)
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert {event.run_id for event in events} == {run.run.id}
    with journals(simulated=[False]) as [journal]:
        assert [row.seq for row in journal.history(run.run.id)] == [event.seq for event in events]


def test_a_call_that_takes_too_long_ends_by_its_own_limit_and_the_others_as_they_please(start: StartVapi) -> None:
    vapi, whom = start(talk=(5.0, 8.0)), providers("0815")
    run = vapi.call(whom, call_timeout=10)

    assert statuses(run.results) == ["completed", "timeout", "completed", "no_answer"]
    assert run.results[1].call_id
    dues = [vapi.simulator.ledger()["numbers"][each.phone]["calls"][0]["dueDuration"] for each in whom]
    assert dues[1] == 10
    assert all(5 <= dues[row] <= 8 for row in (0, 2))


def test_a_run_that_was_stopped_is_finished_by_a_resume_once_it_is_mended(start: StartVapi) -> None:
    async def finish() -> RunResult:
        async with continued(None) as run:
            assert run is not None
            async with run.connected():
                return await run.start(lambda event: None)

    async def nothing_to_do() -> bool:
        async with continued(None) as run:
            return run is None

    vapi, whom = start(refuse="credits"), providers("0566")
    stopped = vapi.call(whom, max_concurrent=2)
    assert (stopped.run.finished, stopped.stats.not_called) == (False, 4)
    vapi.options.refuse = None

    run = asyncio.run(finish())
    assert run.run.id == stopped.run.id
    assert (run.run.finished, run.run.stopped, run.run.max_concurrent) == (True, None, 2)
    assert statuses(run.results) == ["completed", "no_answer", "busy", "busy"]
    assert vapi.times_rung(whom) == [1] * 4
    assert asyncio.run(nothing_to_do())


def test_a_run_whose_end_cannot_be_written_down_is_interrupted_and_a_resume_ends_it(
    start: StartVapi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(record: RunRecord, **_: object) -> None:
        raise JournalFull("The disk is full.")

    async def finish() -> RunResult:
        async with continued(None) as run:
            assert run is not None
            async with run.connected():
                return await run.start(lambda event: None)

    vapi, whom = start(), providers("66")
    with monkeypatch.context() as broken:
        broken.setattr(RunRecord, "finish", full)
        with pytest.raises(RunInterrupted, match=r"The disk is full\. The run stops here") as raised:
            vapi.call(whom)
    assert raised.value.exit_code == 5

    run = asyncio.run(finish())
    assert (run.run.finished, statuses(run.results)) == (True, ["busy", "busy"])
    assert vapi.times_rung(whom) == [1, 1]
