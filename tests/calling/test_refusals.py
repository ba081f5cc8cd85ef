"""Requests to dial that certainly rang nobody: this number's fault, the account's, or just not now."""

from __future__ import annotations

from concierge_calls.errors import AccountRefused, ComeBackLater, NumberRefused
from concierge_calls.models import CallStatus, Reason
from concierge_calls.stopping import OFFLINE_LIMIT
from tests.calling.fakes import Take
from tests.calling.rehearsal import Rehearsal, Rehearse


def test_a_refused_number_is_an_error_and_everybody_else_is_called(rehearse: Rehearse) -> None:
    run = rehearse(3, {1: [Take(error=NumberRefused("No such number.", code="bad_number"))]})
    run.call_all(lines=1)

    assert run.statuses() == ["completed", "error", "completed"]
    refused = run.results()[1]
    assert (refused.error, refused.call_id, refused.call_method) == (
        Reason("bad_number", "No such number."),
        None,
        None,
    )
    assert run.told(1) == ["dialing", "settled"]
    assert run.attempts()[1][:3] == (1, 1, "refused")


def test_a_refused_number_gives_its_line_back_at_once(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [Take(error=NumberRefused(), after=2)]})
    run.call_all(lines=1)
    assert run.backend.starts == [0, 2, 12]


def test_who_could_not_be_placed_is_told_with_the_error_the_request_and_the_index(rehearse: Rehearse) -> None:
    error = NumberRefused("No such number.")
    run = rehearse(3, {1: [Take(error=error)]})
    run.call_all()
    [(told, request, index)] = run.errors
    assert (told, request.provider.name, request.index, index) == (error, "Provider 1", 1, 1)


def test_a_refused_account_stops_the_dialling_and_the_calls_on_the_line_are_followed(rehearse: Rehearse) -> None:
    run = rehearse(6, {0: [Take(talk=50)], 1: [Take(talk=5)], 2: [Take(error=AccountRefused("No credit.", "credit"))]})
    caller = run.call_all(lines=2)

    assert (caller.stopped, caller.interrupted) == (Reason("credit", "No credit."), False)
    assert run.backend.order == [0, 1, 2]
    assert run.statuses() == ["completed", "completed", "pending", "pending", "pending", "pending"]
    assert run.attempts()[2][:3] == (2, 1, "void")


def test_a_row_that_is_put_back_is_told_as_pending_before_it_is_dialled_again(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(error=ComeBackLater("Too many.", "rate_limit"))]})
    run.call_all()

    assert run.told(0) == ["dialing", "pending", "dialing", "placed", "ringing", "in_progress", "ended", "settled"]
    seqs = [event.seq for event in run.events]
    assert seqs == sorted(set(seqs))
    assert (run.events[1].call_id, run.events[1].result) == (None, None)


def test_several_refusals_of_the_account_are_one_reason_to_stop(rehearse: Rehearse) -> None:
    refusals = {index: [Take(error=AccountRefused(f"No. {index}"), after=1 + index)] for index in range(3)}
    run = rehearse(5, refusals)
    caller = run.call_all(lines=3)

    assert caller.stopped == Reason("not_placed", "No. 0")
    assert [index for _, _, index in run.errors] == [0, 1, 2]
    assert run.statuses() == ["pending"] * 5


def test_a_call_that_can_be_placed_later_keeps_its_turn_and_gets_a_new_key(rehearse: Rehearse) -> None:
    run = rehearse(3, {1: [Take(error=ComeBackLater("No line.")), Take(error=ComeBackLater("No line."))]})
    run.call_all(lines=1)

    assert run.backend.order == [0, 1, 1, 1, 2]
    assert run.statuses() == ["completed"] * 3
    assert [attempt[:3] for attempt in run.attempts()] == [
        (0, 1, "settled"),
        (1, 1, "void"),
        (1, 2, "void"),
        (1, 3, "settled"),
        (2, 1, "settled"),
    ]
    assert len({sent.key for sent in run.backend.sent}) == len(run.backend.sent)
    assert run.errors == []  # it was placed after all


def test_a_call_that_can_be_placed_later_is_tried_at_growing_distances(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(error=ComeBackLater())] * 7})
    run.call_all()
    assert run.backend.starts == [0, 1, 3, 7, 15, 31, 61, 91]


def test_once_a_call_has_its_line_the_distances_begin_anew(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(error=ComeBackLater())] * 3, 1: [Take(error=ComeBackLater())]})
    run.call_all(lines=1)
    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [
        (0, 0), (0, 1), (0, 3), (0, 7), (1, 17), (1, 18),
    ]  # fmt: skip


def test_who_waits_for_a_turn_when_a_call_cannot_be_placed_waits_as_long_as_everybody(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(error=ComeBackLater(retry_after=40.0), after=1)]})
    run.backend.turn_takes = 5.0
    run.call_all(lines=2, start_interval=0.001)
    # The second turn came at 10, four seconds after the first request was sent back for forty.
    assert list(zip(run.backend.order, map(round, run.backend.starts), strict=True)) == [(0, 5), (0, 51), (1, 56)]


def test_everybody_waits_as_long_as_was_asked_for(rehearse: Rehearse) -> None:
    run = rehearse(3, {1: [Take(error=ComeBackLater(retry_after=40.0))]})
    run.call_all(lines=3, start_interval=1.0)
    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(0, 0), (1, 1), (1, 41), (2, 42)]


def test_what_cannot_be_placed_for_a_quarter_of_an_hour_is_left_to_a_resume(rehearse: Rehearse) -> None:
    run = rehearse(2, {index: [Take(error=ComeBackLater())] * 100 for index in range(2)})
    caller = run.call_all(lines=2)

    assert (caller.interrupted, caller.stopped) == (True, None)
    assert run.statuses() == ["pending", "pending"]
    assert OFFLINE_LIMIT - 30 <= run.backend.starts[-1] <= OFFLINE_LIMIT + 30


def test_while_a_call_is_on_the_line_no_failure_ends_the_dialling(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(talk=2000)], 1: [Take(error=ComeBackLater())] * 66})
    caller = run.call_all(lines=2)

    assert (caller.interrupted, run.statuses()) == (False, ["completed"] * 2)
    assert run.backend.starts[-1] > OFFLINE_LIMIT


def test_k_of_n_fail_and_the_others_are_there_in_the_files_order(rehearse: Rehearse) -> None:
    takes = {index: [Take(talk=20 - index)] for index in range(10)}
    takes |= {index: [Take(error=NumberRefused())] for index in (2, 3, 7)}
    run = rehearse(10, takes | {5: [Take(status=CallStatus.NO_ANSWER)]})
    run.call_all(lines=4)

    expected = ["completed"] * 10
    for index in (2, 3, 7):
        expected[index] = "error"
    expected[5] = "no_answer"
    assert run.statuses() == expected
    assert [result.provider.name for result in run.results()] == [f"Provider {index}" for index in range(10)]


def test_while_one_waits_for_its_next_attempt_the_lines_of_the_others_go_on(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        caller = await run.caller(lines=2)
        await caller.call_all()
        assert caller.on_the_line == 0

    run = rehearse(3, {0: [Take(talk=30)], 1: [Take(error=ComeBackLater(retry_after=5.0)), Take(talk=5)]})
    run.play(scenario)
    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(0, 0), (1, 0), (1, 5), (2, 10)]


def test_whoever_asks_for_an_hour_is_asked_again_after_a_minute(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(error=ComeBackLater(retry_after=3600.0))]})
    caller = run.call_all(lines=1)

    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(0, 0), (0, 62), (1, 72)]
    assert (caller.interrupted, run.statuses()) == (False, ["completed"] * 2)


def test_a_turn_that_nobody_takes_is_given_back_as_unused_and_no_other_is(rehearse: Rehearse) -> None:
    run = rehearse(3)
    run.call_all(lines=1)
    assert len(run.backend.sent) == 3
    assert run.backend.turns_unused == run.backend.turns_taken - 3 > 0
