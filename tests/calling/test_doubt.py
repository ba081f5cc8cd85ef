"""A reply that was lost: the call is looked for, adopted or reported, and never placed again."""

from __future__ import annotations

from concierge_calls.errors import PlacementInDoubt
from concierge_calls.models import CallMethod, CallStatus, Reason
from tests.calling.fakes import Take, now
from tests.calling.rehearsal import Rehearsal, Rehearse

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


def test_several_calls_in_doubt_are_each_looked_for_and_none_is_placed_twice(rehearse: Rehearse) -> None:
    takes = {index: [lost(dials=index % 2 == 0, shown=index * 3.0)] for index in range(6)}
    run = rehearse(6, takes)
    run.call_all(lines=6)

    assert run.statuses() == ["completed", "uncertain"] * 3
    assert run.backend.order == list(range(6))
    assert len(run.backend.calls) == 3
