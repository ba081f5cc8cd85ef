"""Stopping early: what is the account's fault at once, and what is so when three calls in a row end alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from concierge_calls import report
from concierge_calls.backend import Fault, Stage, Verdict
from concierge_calls.caller import Caller
from concierge_calls.models import CallStatus, Reason
from tests.calling.fakes import Take
from tests.calling.rehearsal import Rehearsal, Rehearse, killed
from tests.calling.simulated import StartVapi, providers, statuses

WHY = Reason("repeated_failure", "Three calls in a row ended alike.")
MIDCALL = Take(status=CallStatus.ERROR, reason="model-quota", fault=Fault(reason=WHY))
CONNECT = replace(MIDCALL, reason="carrier", fault=Fault(reason=WHY, before=Stage.RINGING))
AT_ONCE = replace(MIDCALL, reason="assistant", fault=Fault(reason=Reason("configuration", "Mend it."), times=1))
OTHER = replace(MIDCALL, reason="voice-quota")
COMPLETED = Take()
NO_ANSWER = Take(status=CallStatus.NO_ANSWER)
BAD_NUMBER = Take(status=CallStatus.ERROR, reason="misdialed")


def one_by_one(rehearse: Rehearse, ends: Sequence[Take], rows: int = 9) -> tuple[Rehearsal, Caller]:
    run = rehearse(rows, {index: [take] for index, take in enumerate(ends)})
    return run, run.call_all(lines=1)


@pytest.mark.parametrize("take", [MIDCALL, CONNECT])
def test_three_calls_in_a_row_that_end_for_the_same_reason_stop_the_run(rehearse: Rehearse, take: Take) -> None:
    run, caller = one_by_one(rehearse, [COMPLETED, take, take, take])

    assert (caller.stopped, caller.interrupted) == (WHY, False)
    assert run.statuses() == ["completed", "error", "error", "error", *["pending"] * 5]


@pytest.mark.parametrize(
    "ends",
    [
        [MIDCALL, MIDCALL, COMPLETED, MIDCALL, MIDCALL],
        [MIDCALL, MIDCALL, Take(status=CallStatus.VOICEMAIL), MIDCALL],
        [MIDCALL, OTHER, MIDCALL, OTHER, MIDCALL, OTHER],
        [CONNECT, CONNECT, NO_ANSWER, CONNECT, CONNECT],
        [CONNECT, CONNECT, Take(status=CallStatus.BUSY), CONNECT],
        [NO_ANSWER] * 5,
        [BAD_NUMBER] * 5,
    ],
    ids=["success", "voicemail", "other reasons", "it rang", "it was busy", "no answer", "bad number"],
)
def test_what_is_no_row_of_three_stops_nothing(rehearse: Rehearse, ends: list[Take]) -> None:
    run, caller = one_by_one(rehearse, ends)
    assert (caller.stopped, "pending" in run.statuses()) == (None, False)


@pytest.mark.parametrize("between", [NO_ANSWER, BAD_NUMBER, Take(status=CallStatus.BUSY)])
def test_who_did_not_answer_says_nothing_of_what_fails_in_the_middle_of_calls(
    rehearse: Rehearse, between: Take
) -> None:
    run, caller = one_by_one(rehearse, [MIDCALL, between, MIDCALL, between, MIDCALL])
    assert (caller.stopped, run.statuses().count("pending")) == (WHY, 4)


def test_it_is_the_order_of_ending_that_counts(rehearse: Rehearse) -> None:
    talks = [(0, 50.0, MIDCALL), (1, 10.0, MIDCALL), (2, 20.0, COMPLETED), (3, 30.0, MIDCALL), (4, 40.0, MIDCALL)]
    run = rehearse(5, {index: [replace(take, talk=talk)] for index, talk, take in talks})
    assert run.call_all(lines=5).stopped == WHY


def test_those_on_the_line_are_followed_to_their_end(rehearse: Rehearse) -> None:
    run = rehearse(6, {0: [Take(talk=300)]} | {index: [MIDCALL] for index in (1, 2, 3)})
    caller = run.call_all(lines=2)

    assert caller.stopped == WHY
    assert run.statuses() == ["completed", "error", "error", "error", "pending", "pending"]
    assert run.backend.hung_up == []


def test_a_start_that_fails_counts_each_time_and_the_third_row_is_left_to_a_resume(rehearse: Rehearse) -> None:
    failed = replace(CONNECT, verdict=Verdict.START_FAILED, talk=1.0)
    run = rehearse(4, {index: [failed, failed] for index in range(4)})
    caller = run.call_all(lines=1)

    assert (caller.stopped, run.backend.order) == (WHY, [0, 0, 1])
    assert run.statuses() == ["error", "pending", "pending", "pending"]


def test_a_fault_that_every_call_would_have_stops_the_run_although_its_own_outcome_stands(rehearse: Rehearse) -> None:
    run, caller = one_by_one(rehearse, [AT_ONCE], rows=3)
    assert caller.stopped == Reason("configuration", "Mend it.")
    assert run.statuses() == ["error", "pending", "pending"]


def test_a_resume_goes_on_and_counts_anew(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> list[Reason | None]:
        stopped = []
        for _ in range(2):
            caller = await run.caller(lines=1)
            await caller.call_all()
            stopped.append(caller.stopped)
            run.die()
        return stopped

    run = rehearse(6, {index: [MIDCALL] for index in range(5)})
    assert run.play(scenario) == [WHY, None]
    assert run.statuses() == ["error"] * 5 + ["completed"]


def test_what_had_ended_under_an_earlier_process_is_not_counted_again(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> Caller:
        await killed(run, 15, lines=2)
        caller = await run.caller(lines=1)
        await caller.call_all()
        return caller

    slow = replace(MIDCALL, analysis=100.0)
    run = rehearse(3, {0: [slow], 1: [slow], 2: [replace(MIDCALL, talk=30.0)]})
    assert run.play(scenario).stopped is None
    assert run.statuses() == ["error"] * 3


QUOTA = "pipeline-error-eleven-labs-quota-exceeded"


def test_at_the_simulator_the_third_call_with_the_same_fault_ends_the_run_with_4_and_says_what_to_mend(
    start: StartVapi,
) -> None:
    whom = providers("000000")
    vapi = start(endings={each.phone or "": QUOTA for each in whom})
    run = vapi.call(whom, max_concurrent=1)

    assert (report.exit_code(run), run.run.finished) == (4, False)
    assert run.run.stopped == Reason(
        "repeated_failure",
        "Three calls in a row ended alike, so nobody else is dialled: a service behind the assistant refused to work. "
        f"Mend its key, its quota or the model in Vapi's dashboard. Vapi's reason: {QUOTA}.",
    )
    assert statuses(run.results) == ["error"] * 3 + ["not_called"] * 3
    assert [result.error for result in run.results[3:]] == [run.run.stopped] * 3


@pytest.mark.parametrize(
    ("reason", "code", "first"),
    [
        ("call.start.error-subscription-frozen", "account", "not_called"),
        ("call.start.error-get-assistant", "configuration", "not_called"),
        ("assistant-not-found", "configuration", "error"),
        ("call.in-progress.error-configfault-model-unsupported-in-squad", "configuration", "error"),
    ],
)
def test_at_the_simulator_one_call_whose_fault_is_the_accounts_ends_the_run_with_4(
    start: StartVapi, reason: str, code: str, first: str
) -> None:
    whom = providers("000")
    vapi = start(endings={each.phone or "": reason for each in whom})
    run = vapi.call(whom, max_concurrent=1)

    assert (report.exit_code(run), run.run.finished, vapi.asked("create")) == (4, False, 1)
    assert statuses(run.results) == [first, "not_called", "not_called"]
    assert run.run.stopped is not None
    assert run.run.stopped.code == code
    assert reason in run.run.stopped.message
    assert "dashboard" in run.run.stopped.message
