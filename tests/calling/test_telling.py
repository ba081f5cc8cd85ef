"""What is written before what is told, in which order, and whom a failing listener harms: nobody."""

from __future__ import annotations

import logging

import pytest

from concierge_calls.errors import JournalFull, NumberRefused
from concierge_calls.models import CallEvent, Provider
from tests.calling.fakes import Take, now
from tests.calling.rehearsal import Rehearsal, Rehearse


def test_the_intent_to_dial_is_committed_before_the_request_leaves(rehearse: Rehearse) -> None:
    run = rehearse(4)
    run.call_all(lines=2)
    assert [(sent.row, sent.committed) for sent in run.backend.sent] == [(index, "dialing") for index in range(4)]


def test_the_calls_id_is_committed_as_soon_as_it_is_known(rehearse: Rehearse) -> None:
    seen = []

    def look(event: CallEvent) -> None:
        if event.kind == "call.placed":
            seen.append((now(), event.call_id, run.attempts()[0].state, run.attempts()[0].call_id))

    run = rehearse(1, {0: [Take(after=2, talk=100)]})
    run.observer = look
    run.call_all()
    assert seen == [(2, "call-1", "placed", "call-1")]


def test_each_step_of_a_call_is_told_once_in_its_order_when_it_is_committed(rehearse: Rehearse) -> None:
    run = rehearse(3)
    run.call_all()

    for index in range(3):
        assert run.told(index) == ["dialing", "placed", "ringing", "in_progress", "ended", "settled"]
    seqs = [event.seq for event in run.events]
    assert seqs == sorted(set(seqs))
    assert {event.run_id for event in run.events} == {run.run_id}
    assert [event.call_id for event in run.events if event.index == 0] == [None] + ["call-1"] * 5


def test_what_is_told_last_is_the_result_that_the_journal_has(rehearse: Rehearse) -> None:
    run = rehearse(2, {1: [Take(error=NumberRefused("No such number."))]})
    run.call_all()
    told = {event.index: event.result for event in run.events if event.kind == "call.settled"}
    assert [told[0], told[1]] == list(run.results())


def test_an_observer_that_raises_is_logged_and_harms_no_call(
    rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: CallEvent) -> None:
        raise ZeroDivisionError(event.kind)

    run = rehearse(3)
    run.observer = broken
    with caplog.at_level(logging.ERROR):
        run.call_all()
    assert run.statuses() == ["completed"] * 3
    assert len(caplog.records) == 3 * 6


def test_a_callback_for_errors_that_raises_is_logged_and_harms_no_call(
    rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*told: object) -> None:
        raise KeyError(*told)

    run = rehearse(3, {1: [Take(error=NumberRefused())]})
    run.on_error = broken
    with caplog.at_level(logging.ERROR):
        run.call_all()
    assert run.statuses() == ["completed", "error", "completed"]
    assert len(caplog.records) == 1


def test_a_bug_of_the_backend_escapes(rehearse: Rehearse) -> None:
    run = rehearse(3)
    run.backend.bug = LookupError("a bug")
    with pytest.raises(ExceptionGroup) as raised:
        run.call_all()
    assert raised.group_contains(LookupError, match="a bug")
    assert not run.backend.is_open


def test_a_bug_in_placing_escapes_and_the_row_stays_dialing(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(error=AssertionError("a bug"))]})  # type: ignore[arg-type]
    with pytest.raises(ExceptionGroup) as raised:
        run.call_all(lines=1)
    assert raised.group_contains(AssertionError, match="a bug")
    assert [attempt.state for attempt in run.attempts()] == ["dialing"]


def test_a_record_that_cannot_be_kept_ends_the_calling_and_the_calls_are_found_by_a_resume(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        run.broken = lambda method: JournalFull() if method == "ended" and now() < 15 else None
        with pytest.raises(ExceptionGroup) as raised:
            await (await run.caller(lines=2)).call_all()
        assert raised.group_contains(JournalFull)
        run.die()
        assert [attempt.state for attempt in run.attempts()] == ["placed", "placed"]
        run.broken = lambda method: None
        await (await run.caller(lines=2)).call_all()

    run = rehearse(4, {0: [Take(talk=10)], 1: [Take(talk=30)]})
    run.play(scenario)
    assert (run.statuses(), run.backend.order) == (["completed"] * 4, [0, 1, 2, 3])


def test_an_intent_that_cannot_be_committed_leaves_nobodys_phone_ringing(rehearse: Rehearse) -> None:
    run = rehearse(2)
    run.broken = lambda method: JournalFull() if method == "claim" else None
    with pytest.raises(ExceptionGroup):
        run.call_all()
    assert (run.backend.sent, run.backend.turns_out) == ([], 0)


def test_a_number_that_may_not_be_called_any_more_is_skipped_in_its_turn_with_the_reason(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        caller = await run.caller(lines=1)
        await run.do_not_call(1)
        await caller.call_all()

    run = rehearse(3)
    run.play(scenario)
    assert (run.statuses(), run.backend.order) == (["completed", "skipped", "completed"], [0, 2])
    [event] = [event for event in run.events if event.index == 1]
    assert (event.kind, event.result) == ("call.skipped", run.results()[1])
    assert event.result is not None
    assert event.result.error is not None
    assert event.result.error.code == "do_not_call"


def test_a_run_whose_every_row_is_held_back_in_its_turn_ends(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        caller = await run.caller(lines=2)
        for row in range(3):
            await run.do_not_call(row)
        await caller.call_all()

    run = rehearse(3)
    run.play(scenario)
    assert (run.statuses(), run.backend.sent) == (["skipped"] * 3, [])


def test_nothing_that_is_told_shows_a_number_in_full_when_it_is_printed(rehearse: Rehearse) -> None:
    told: list[object] = []
    run = rehearse(2, {1: [Take(error=NumberRefused())]})
    run.observer = told.append
    run.on_error = lambda *error: told.append(error)
    run.call_all()

    shown = repr([told, list(run.results())])
    assert shown.count("Provider 0") > 2
    assert "555010" not in shown


def test_a_provider_does_not_show_its_number_in_either_form() -> None:
    provider = Provider(name="Ace Plumbing", phone="+18645550101", phone_given="(864) 555-0101", line=2)
    assert repr(provider) == "Provider(name='Ace Plumbing', extension=None, id=None, line=2, extra={})"
    assert provider.last_four == "0101"
