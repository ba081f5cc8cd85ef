"""A reply that was lost: the call is looked for, adopted or reported, and never placed again."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime

import pytest

from concierge_calls.backend import Placed, Verdict
from concierge_calls.errors import ComeBackLater, NumberRefused, PlacementInDoubt, ReadRefused
from concierge_calls.models import CallMethod, CallStatus, Reason
from tests.calling.fakes import Take, now
from tests.calling.rehearsal import Rehearsal, Rehearse
from tests.calling.simulated import StartVapi, providers, statuses

MOMENTS = [1, 3, 10, 30, 60, 120]


def lost(*, shown: float = 0.0, dials: bool = True, talk: float = 10.0) -> Take:
    return Take(error=PlacementInDoubt("The reply was lost.", "reply_lost"), shown=shown, dials=dials, talk=talk)


def test_a_call_in_doubt_is_looked_for_at_growing_distances_and_once_more_at_the_end(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [lost(dials=False)]})
    run.call_all()

    key = frozenset({run.backend.sent[0].key})
    assert run.backend.looks == [(at, key) for at in [*MOMENTS, 120]]


def test_what_is_not_found_is_uncertain_and_never_placed_again(rehearse: Rehearse) -> None:
    run = rehearse(3, {1: [lost(dials=False)]})
    run.call_all(lines=1)

    assert run.statuses() == ["completed", "uncertain", "completed"]
    assert run.backend.order == [0, 1, 2]
    assert run.results()[1].error == Reason("reply_lost", "The reply was lost.")
    assert (run.results()[1].call_id, run.results()[1].call_method) == (None, None)
    assert run.told(1) == ["dialing", "settled"]
    assert [(error.code, index) for error, _, index in run.errors] == [("reply_lost", 1)]


def test_what_is_found_is_followed_as_if_nothing_had_happened(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [lost(shown=8, talk=50)]})
    run.call_all()

    assert [at for at, _ in run.backend.looks] == [1, 3, 10]
    assert run.told(0) == ["dialing", "placed", "ringing", "in_progress", "ended", "settled"]
    result = run.results()[0]
    assert (result.status, result.call_id, result.call_method) == (
        CallStatus.COMPLETED,
        "call-1",
        CallMethod.DIRECT_VAPI,
    )
    assert run.errors == []


def test_a_call_that_is_found_when_it_is_over_already_is_settled(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [lost(shown=100, talk=10)]})
    run.call_all()

    assert run.statuses() == ["completed"]
    assert run.told(0) == ["dialing", "placed", "ended", "settled"]


def test_a_call_in_doubt_holds_its_line_until_it_is_given_up(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [lost(dials=False)]})
    run.call_all(lines=1)
    assert run.backend.starts == [0, 120]


def test_a_call_in_doubt_that_is_found_holds_its_line_until_it_has_ended(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [lost(shown=2, talk=47)]})
    run.call_all(lines=1)
    assert run.backend.starts == [0, 47]


def test_a_call_in_doubt_stops_nobody_on_another_line(rehearse: Rehearse) -> None:
    run = rehearse(4, {0: [lost(dials=False)]})
    run.call_all(lines=2)
    assert run.backend.starts == [0, 0, 10, 20]


def test_a_look_that_fails_is_no_proof_and_the_next_one_is_taken(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        run.backend.unreadable = True

        def mend(event: object) -> None:
            if now() > 5:
                run.backend.unreadable = False

        run.observer = mend
        await (await run.caller(lines=2)).call_all()

    # The second row ends at 20, whereupon the list can be read again.
    run = rehearse(2, {0: [lost(talk=200)], 1: [Take(talk=20)]})
    run.play(scenario)
    assert [at for at, _ in run.backend.looks] == [1, 3, 10, 30]
    assert run.statuses() == ["completed"] * 2


def test_a_call_that_shows_itself_late_is_found_at_the_end_of_the_run(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [lost(shown=121, talk=150)], 1: [Take(talk=130)]})
    run.call_all(lines=2)

    assert [at for at, _ in run.backend.looks] == [*MOMENTS, 130]
    assert run.statuses() == ["completed"] * 2
    assert run.told(0) == ["dialing", "settled", "placed", "ringing", "in_progress", "ended", "settled"]
    assert run.backend.order == [0, 1]


def test_a_call_that_is_found_at_the_end_of_the_run_and_never_got_a_line_is_placed_again(rehearse: Rehearse) -> None:
    never_dialled = Take(error=PlacementInDoubt(), verdict=Verdict.NO_LINE, shown=130, talk=300)
    run = rehearse(2, {0: [never_dialled, Take()], 1: [Take(talk=130)]})
    find = run.backend.find

    async def slowly(keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        await asyncio.sleep(5)
        return await find(keys, since, until)

    run.backend.find = slowly  # type: ignore[method-assign]
    run.call_all(lines=2)
    assert (run.backend.starts, run.statuses()) == ([0, 0, 301], ["completed", "completed"])


def test_several_calls_in_doubt_are_each_looked_for_and_none_is_placed_twice(rehearse: Rehearse) -> None:
    takes = {index: [lost(dials=index % 2 == 0, shown=index * 3.0)] for index in range(6)}
    run = rehearse(6, takes)
    run.call_all(lines=6)

    assert run.statuses() == ["completed", "uncertain"] * 3
    assert run.backend.order == list(range(6))
    assert len(run.backend.calls) == 3


# When the looks are not answered


def unreadable_until(run: Rehearsal, seconds: float) -> None:
    """Have every look fail until then."""
    find = run.backend.find

    async def look(keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        run.backend.unreadable = now() < seconds
        return await find(keys, since, until)

    run.backend.find = look  # type: ignore[method-assign]


def test_a_last_look_that_is_not_answered_is_taken_until_it_is_and_the_line_is_free_meanwhile(
    rehearse: Rehearse,
) -> None:
    run = rehearse(3, {0: [lost(dials=False)], 1: [Take(talk=400)]})
    unreadable_until(run, 300)
    run.call_all(lines=2)

    assert [at for at, _ in run.backend.looks] == [*MOMENTS, 150, 180, 210, 240, 270, 300, 400]
    assert run.backend.starts == [0, 0, 120]
    assert run.statuses() == ["uncertain", "completed", "completed"]


def test_a_call_that_is_found_after_its_line_was_given_back_has_it_again(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [lost(talk=500)], 1: [Take(talk=200)]})
    unreadable_until(run, 170)
    run.call_all(lines=1)
    # The second had the line from 120 on; with the first one found at 180, it took both to end for the third.
    assert (run.backend.starts, run.statuses()) == ([0, 120, 500], ["completed"] * 3)


def test_looks_that_go_unanswered_for_a_quarter_of_an_hour_leave_the_call_to_a_resume(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [lost(dials=False)], 1: [Take(talk=100)]})
    unreadable_until(run, 10**6)
    run.call_all(lines=2)

    assert [attempt.state for attempt in run.attempts()] == ["dialing", "settled"]
    assert run.statuses() == ["in_progress", "completed"]


def test_a_call_that_was_searched_for_in_full_is_looked_for_once_more_and_that_look_decides(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [lost(dials=False)], 1: [Take(talk=2000)]})
    unreadable_until(run, 1500)
    run.call_all(lines=2)

    assert [at for at, _ in run.backend.looks if at > 850] == [870, 2000]
    assert (run.statuses(), run.results()[0].error) == (
        ["uncertain", "completed"],
        Reason("reply_lost", "The reply was lost."),
    )


def test_whoever_refuses_to_tell_of_calls_is_asked_no_longer_than_any_other(rehearse: Rehearse) -> None:
    async def refuse(keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        raise ReadRefused(status=401)

    run = rehearse(2, {0: [lost(dials=False)]})
    run.backend.find = refuse  # type: ignore[method-assign]
    run.call_all(lines=1)
    assert (run.backend.starts, run.statuses()) == ([0, 120], ["uncertain", "completed"])


# When replies are lost in a row

STOPPED = (
    "Vapi does not answer requests to dial, and {} calls in a row are in doubt, so nobody else is dialled. "
    "Those calls are still looked for; once Vapi is well, go on with: concierge-calls resume {}"
)


def stops(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Why the runs were stopped, as was said."""
    return [record.getMessage() for record in caplog.records if record.name == "concierge_calls.stopping"]


def test_after_three_calls_in_a_row_that_were_lost_and_not_found_nobody_else_is_dialled(
    rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    run = rehearse(30, {index: [lost(dials=False)] for index in range(30)})
    caller = run.call_all(lines=5, start_interval=1.0)

    # The third leaves when the looks for the first are over, and each is looked for ten seconds first.
    assert run.backend.starts == [0, 1, 10]
    assert run.statuses() == ["uncertain"] * 3 + ["pending"] * 27
    assert (caller.interrupted, caller.stopped, stops(caplog)) == (True, None, [STOPPED.format(3, run.run_id)])


def test_requests_that_left_together_before_the_first_was_lost_are_in_doubt_together(
    rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    take = Take(error=PlacementInDoubt("The reply was lost.", "reply_lost"), after=5.0, dials=False)
    run = rehearse(30, {index: [take] for index in range(30)})
    caller = run.call_all(lines=4)

    assert (run.backend.starts, caller.interrupted) == ([0] * 4, True)
    assert stops(caplog) == [STOPPED.format(4, run.run_id)]


def test_after_the_stop_the_calls_are_looked_for_as_long_as_ever_and_one_that_is_found_is_followed(
    rehearse: Rehearse,
) -> None:
    run = rehearse(5, {index: [lost(shown=40, talk=70)] for index in range(5)})
    caller = run.call_all(lines=3, start_interval=1.0)

    assert (caller.interrupted, run.backend.starts) == (True, [0, 1, 10])
    assert run.statuses() == ["completed"] * 3 + ["pending"] * 2


def test_a_call_that_is_found_after_the_stop_is_not_hung_up_though_ctrl_c_would(rehearse: Rehearse) -> None:
    run = rehearse(5, {index: [lost(shown=40, talk=70)] for index in range(5)})
    run.call_all(lines=3, hang_up=True)
    assert (run.backend.hung_up, run.statuses()) == ([], ["completed"] * 3 + ["pending"] * 2)


def test_after_two_replies_that_were_lost_nobody_is_dialled_until_the_first_call_is_found(rehearse: Rehearse) -> None:
    run = rehearse(5, {0: [lost(shown=2, talk=100)], 1: [lost(dials=False)]})
    run.call_all(lines=5, start_interval=1.0)

    assert run.backend.starts == [0, 1, 3, 4, 5]
    assert run.statuses() == ["completed", "uncertain", "completed", "completed", "completed"]


def test_whoever_waits_for_a_turn_while_a_second_reply_is_lost_is_not_dialled_after_all(rehearse: Rehearse) -> None:
    slowly = Take(error=PlacementInDoubt(), after=3.0, dials=False)
    run = rehearse(4, {0: [slowly], 1: [slowly], 2: [Take(after=30.0, talk=40.0)]})
    run.backend.turn_takes = 2.0
    run.call_all(lines=4, start_interval=0.001)
    # The second reply is lost at 7, so the turn that comes at 8 is given back. The looks for the first end at 15, but
    # the third request might be lost, too, until it is answered at 36.
    assert [round(start) for start in run.backend.starts] == [2, 4, 6, 38]


def test_a_single_reply_that_was_lost_holds_nobody_up(rehearse: Rehearse) -> None:
    run = rehearse(5, {0: [lost(dials=False)], 2: [lost(dials=False)], 4: [lost(dials=False)]})
    caller = run.call_all(lines=5, start_interval=1.0)
    assert (run.backend.starts, caller.interrupted) == ([0, 1, 2, 3, 4], False)


def test_a_call_that_arrives_ends_the_row_and_a_refused_number_does_not(rehearse: Rehearse) -> None:
    refused = Take(error=NumberRefused("No such number.", "number_refused"))
    run = rehearse(
        9,
        {0: [lost(dials=False)], 1: [lost(dials=False)], 3: [lost(dials=False)], 4: [refused], 5: [lost(dials=False)]},
    )
    caller = run.call_all(lines=9, start_interval=1.0)

    assert run.backend.starts == [0, 1, 10, 11, 12, 13, 21, 22, 23]
    assert caller.interrupted is False


def test_while_the_looks_are_not_answered_nobody_is_dialled_and_then_all_goes_on(rehearse: Rehearse) -> None:
    run = rehearse(6, {index: [lost(dials=False)] for index in range(3)})
    unreadable_until(run, 50)
    caller = run.call_all(lines=6, start_interval=1.0)

    assert run.backend.starts == [0, 1, 60, 61, 62, 63]
    assert (caller.interrupted, run.statuses()) == (False, ["uncertain"] * 3 + ["completed"] * 3)


def test_looks_that_go_unanswered_for_good_hold_nobody_up_for_ever(
    rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    run = rehearse(6, {0: [Take(talk=5000)], **{index: [lost(dials=False)] for index in range(1, 6)}})
    unreadable_until(run, 10**6)
    caller = run.call_all(lines=6, start_interval=1.0)

    # Each is looked for for a quarter of an hour.
    assert run.backend.starts == [0, 1, 2, 901]
    assert run.statuses() == ["completed"] + ["in_progress"] * 3 + ["pending"] * 2
    assert (caller.interrupted, stops(caplog)) == (True, [STOPPED.format(3, run.run_id)])


# What a lost reply costs


@pytest.mark.parametrize("busy", [[], [Take(talk=400)]], ids=["alone", "one on the line"])
def test_a_try_for_one_line_more_whose_reply_is_lost_keeps_no_other_line_idle(
    rehearse: Rehearse, busy: list[Take]
) -> None:
    takes = [*busy, Take(error=ComeBackLater("No line.", "no_line"))]
    run = rehearse(6, {index: [take] for index, take in enumerate(takes)} | {len(busy): [takes[-1], lost(dials=False)]})
    run.call_all(lines=5)
    assert max(run.backend.starts) <= 20


def test_a_lost_reply_keeps_no_line_longer_than_two_minutes_after_it_and_the_others_go_on(rehearse: Rehearse) -> None:
    takes = {index: [lost(dials=False)] for index in (0, 7, 13)}
    run = rehearse(20, takes)
    run.call_all(lines=4)

    idle = 120 * len(takes)
    assert max(call.ended or 0.0 for call in run.backend.calls.values()) <= (17 * 10 + idle) / 4 + 120
    assert [run.statuses()[index] for index in takes] == ["uncertain"] * 3
    assert run.statuses().count("completed") == 17


def test_at_the_simulator_replies_that_are_lost_cost_a_second_each_and_nobody_is_uncertain(start: StartVapi) -> None:
    vapi, whom = start(lose_replies=0.4, speed=20.0, talk=(30.0, 40.0)), providers("0123012301")
    run = vapi.call(whom, max_concurrent=3)

    assert (statuses(run.results), vapi.times_rung(whom)) == (["completed"] * 10, [1] * 10)
    assert vapi.peak() <= 3
