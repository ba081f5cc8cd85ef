"""What the end of a call means for its row: final, placed again with a new key, or uncertain."""

from __future__ import annotations

import pytest

from concierge_calls.backend import Verdict
from concierge_calls.caller import Caller
from concierge_calls.errors import AccountRefused, PlacementInDoubt
from concierge_calls.models import CallStatus, Reason
from concierge_calls.stopping import OFFLINE_LIMIT
from tests.calling.fakes import Take
from tests.calling.rehearsal import Rehearsal, Rehearse


def never_dialled(verdict: Verdict, talk: float = 3.0) -> Take:
    return Take(verdict=verdict, talk=talk, status=CallStatus.ERROR)


@pytest.mark.parametrize("verdict", [Verdict.NO_LINE, Verdict.WITHDRAWN])
def test_a_call_that_found_no_line_is_placed_again_later_with_a_new_key(rehearse: Rehearse, verdict: Verdict) -> None:
    run = rehearse(3, {1: [never_dialled(verdict), never_dialled(verdict)]})
    run.call_all(lines=1)

    assert run.backend.order == [0, 1, 1, 1, 2]
    assert run.statuses() == ["completed"] * 3
    assert [(a.ordinal, a.state, a.call_id) for a in run.attempts() if a.row == 1] == [
        (1, "void", "call-2"),
        (2, "void", "call-3"),
        (3, "settled", "call-4"),
    ]
    assert len({sent.key for sent in run.backend.sent}) == 5
    assert run.results()[1].call_id == "call-4"


def test_after_a_call_that_found_no_line_everybody_waits_a_little(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [never_dialled(Verdict.NO_LINE, talk=2)]})
    run.call_all(lines=1)
    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(0, 0), (0, 3), (1, 13)]


def test_an_account_without_a_free_line_is_asked_less_and_less_often(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [never_dialled(Verdict.NO_LINE, talk=0.5)] * 4})
    run.call_all()
    assert run.backend.starts == [0, 1.5, 4, 8.5, 17]


def test_a_quarter_of_an_hour_without_a_free_line_does_not_end_the_run(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [never_dialled(Verdict.NO_LINE, talk=0.5)] * 40})
    caller = run.call_all()
    assert run.backend.starts[-1] > OFFLINE_LIMIT
    assert (caller.interrupted, run.statuses()) == (False, ["completed"])


def test_a_start_that_failed_is_tried_once_more(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [never_dialled(Verdict.START_FAILED)]})
    run.call_all(lines=1)

    assert run.backend.order == [0, 0, 1]
    assert run.statuses() == ["completed"] * 2
    assert run.attempts()[0].state == "void"


def test_a_start_that_failed_twice_is_an_error_and_not_tried_again(rehearse: Rehearse) -> None:
    run = rehearse(3, {1: [never_dialled(Verdict.START_FAILED)] * 2})
    run.call_all(lines=1)

    assert run.backend.order == [0, 1, 1, 2]
    assert run.statuses() == ["completed", "error", "completed"]
    assert run.results()[1].call_id == "call-3"
    assert run.told(1) == ["dialing", "placed", "pending", "dialing", "placed", "ended", "settled"]


def test_each_row_has_its_own_one_more_try(rehearse: Rehearse) -> None:
    run = rehearse(3, {index: [never_dialled(Verdict.START_FAILED)] for index in range(3)})
    run.call_all(lines=3)
    assert (sorted(run.backend.order), run.statuses()) == ([0, 0, 1, 1, 2, 2], ["completed"] * 3)


def test_a_call_that_ended_for_the_accounts_fault_stops_the_run_and_its_row_is_left(rehearse: Rehearse) -> None:
    run = rehearse(4, {0: [Take(talk=30)], 1: [never_dialled(Verdict.ACCOUNT, talk=5)]})
    caller = run.call_all(lines=2)

    assert caller.stopped == Reason("account", "It is account.")
    assert run.backend.order == [0, 1]
    assert run.statuses() == ["completed", "pending", "pending", "pending"]
    assert run.attempts()[1].state == "void"


def test_a_call_that_the_backend_lost_is_uncertain_keeps_its_id_and_is_not_placed_again(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(verdict=Verdict.LOST, shown=10**6)]})
    run.call_all(lines=1)

    assert run.statuses() == ["uncertain", "completed"]
    lost = run.results()[0]
    assert (lost.call_id, lost.error) == ("call-1", Reason("lost", "It is lost."))
    assert run.backend.order == [0, 1]
    assert run.backend.starts == [0, 10]


def test_a_row_that_comes_back_when_nobody_else_is_left_is_called_all_the_same(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [never_dialled(Verdict.NO_LINE, talk=500)]})
    run.call_all(lines=2)
    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(0, 0), (1, 0), (0, 501)]
    assert run.statuses() == ["completed"] * 2


@pytest.mark.parametrize("verdict", [Verdict.NO_LINE, Verdict.WITHDRAWN, Verdict.START_FAILED])
def test_a_call_in_doubt_that_is_found_at_the_end_and_was_never_dialled_is_dialled_in_the_same_run(
    rehearse: Rehearse, verdict: Verdict
) -> None:
    lost = PlacementInDoubt("The reply was lost.", "reply_lost")
    found = Take(error=lost, shown=121, verdict=verdict, talk=200, status=CallStatus.ERROR)
    run = rehearse(2, {0: [found], 1: [Take(talk=130)]})
    caller = run.call_all(lines=2)

    assert (run.statuses(), run.backend.order, caller.interrupted) == (["completed"] * 2, [0, 1, 0], False)
    assert [(a.row, a.ordinal, a.state) for a in run.attempts()] == [
        (0, 1, "void"),
        (0, 2, "settled"),
        (1, 1, "settled"),
    ]


def test_who_was_lost_and_whom_the_account_kept_from_being_dialled_is_told_as_an_error(rehearse: Rehearse) -> None:
    lost = Take(verdict=Verdict.LOST, talk=2, shown=10**6)
    run = rehearse(3, {0: [lost], 1: [never_dialled(Verdict.ACCOUNT, talk=5)]})
    run.call_all(lines=1)

    assert [(type(error), error.code, error.message, index) for error, _, index in run.errors] == [
        (PlacementInDoubt, "lost", "It is lost.", 0),
        (AccountRefused, "account", "It is account.", 1),
    ]
    assert [request.index for _, request, _ in run.errors] == [0, 1]


@pytest.mark.parametrize("verdict", [Verdict.NO_LINE, Verdict.WITHDRAWN, Verdict.START_FAILED])
def test_who_was_never_dialled_and_is_dialled_later_is_no_error_to_tell(rehearse: Rehearse, verdict: Verdict) -> None:
    run = rehearse(2, {0: [never_dialled(verdict)]})
    run.call_all()
    assert (run.errors, run.statuses()) == ([], ["completed"] * 2)


def test_a_backend_that_tells_of_no_call_any_more_stops_the_run_and_the_calls_go_on(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> Caller:
        caller = await run.caller(lines=2, hang_up=True)
        run.backend.bug = AccountRefused("Nothing is told any more.", "key")
        await caller.call_all()
        return caller

    run = rehearse(4, {index: [Take(talk=300)] for index in range(4)})
    caller = run.play(scenario)
    assert (caller.stopped, caller.interrupted) == (Reason("key", "Nothing is told any more."), False)
    assert run.statuses()[0] == "in_progress"
    # A claim that was being committed at that moment is taken back, and was never sent.
    assert {attempt.state for attempt in run.attempts()} - {"void"} == {"placed"}
    assert (run.backend.hung_up, run.backend.withdrawn) == ([], [])
