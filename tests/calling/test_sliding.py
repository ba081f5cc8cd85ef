"""The calls slide: a free line dials at once, in the file's order, and never is one call too many on the line."""

from __future__ import annotations

import heapq
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concierge_calls.backend import Verdict
from concierge_calls.errors import ComeBackLater
from concierge_calls.lines import Lines
from tests.calling.fakes import Take
from tests.calling.rehearsal import Rehearsal, Rehearse, killed

SECONDS = st.integers(1, 400).map(float)


def greedy(durations: list[float], lines: int) -> list[float]:
    """Return when each call starts if the next one always takes the line that is free first."""
    free, starts = [0.0] * lines, []
    for duration in durations:
        starts.append(heapq.heappop(free))
        heapq.heappush(free, starts[-1] + duration)
    return starts


@settings(max_examples=25, deadline=None)
@given(durations=st.lists(SECONDS, min_size=1, max_size=14), lines=st.integers(1, 6))
def test_every_line_dials_the_moment_it_is_free_and_none_is_one_too_many(
    rehearse: Rehearse, durations: list[float], lines: int
) -> None:
    run = rehearse(len(durations), {index: [Take(talk=talk)] for index, talk in enumerate(durations)})
    run.call_all(lines=lines)

    assert run.backend.starts == greedy(durations, lines)
    assert run.backend.order == list(range(len(durations)))
    assert run.backend.peak == run.peak() == min(lines, len(durations))


def test_the_sixth_call_waits_for_the_shortest_of_five_not_for_the_longest(rehearse: Rehearse) -> None:
    run = rehearse(6, {index: [Take(talk=talk)] for index, talk in enumerate((79, 20, 50, 60, 70, 10))})
    run.call_all(lines=5)
    assert run.backend.starts == [0, 0, 0, 0, 0, 20]


def test_a_line_is_given_back_when_the_call_has_ended_however_long_its_analysis_takes(rehearse: Rehearse) -> None:
    run = rehearse(3, {index: [Take(talk=10, analysis=100)] for index in range(3)})
    run.call_all(lines=1)

    assert run.backend.starts == [0, 10, 20]
    settled = [event.at for event in run.events if event.kind == "call.settled"]
    assert [(at - run.events[0].at).total_seconds() for at in settled] == [110, 120, 130]


def test_a_line_is_given_back_when_the_backend_does_not_know_its_call_and_taken_again_when_it_does(
    rehearse: Rehearse,
) -> None:
    run = rehearse(4, {0: [Take(talk=400, sightings=[180, 220])], 1: [Take(talk=20)], 2: [Take(talk=50)]})
    run.call_all(lines=1)
    # From 220 on there is one call too many, so it takes both to end for the last one.
    assert (run.backend.starts, run.statuses()) == ([0, 180, 200, 400], ["completed"] * 4)


def test_a_call_that_the_backend_never_knows_again_keeps_its_number_and_is_uncertain_in_the_end(
    rehearse: Rehearse,
) -> None:
    run = rehearse(2, {0: [Take(talk=4000, sightings=[180], verdict=Verdict.LOST)]})
    run.call_all(lines=1)
    assert (run.backend.starts, run.statuses()) == ([0, 180], ["uncertain", "completed"])
    assert run.backend.order == [0, 1]


def test_a_call_that_an_earlier_process_left_and_that_the_backend_does_not_know_gives_its_line_back(
    rehearse: Rehearse,
) -> None:
    async def scenario(run: Rehearsal) -> None:
        await killed(run, 5, lines=1)
        await (await run.caller(lines=1)).call_all()

    run = rehearse(3, {0: [Take(talk=4000, sightings=[200], verdict=Verdict.LOST)]})
    run.play(scenario)
    assert (run.backend.starts, run.statuses()) == ([0, 200, 210], ["uncertain", "completed", "completed"])


def test_a_request_that_hangs_stops_no_other_call(rehearse: Rehearse) -> None:
    run = rehearse(6, {0: [Take(after=500, talk=600)]} | {index: [Take(talk=10)] for index in range(1, 6)})
    run.call_all(lines=2)

    assert run.backend.starts == [0, 0, 10, 20, 30, 40]
    assert run.statuses() == ["completed"] * 6


def test_two_dials_are_never_closer_than_the_interval(rehearse: Rehearse) -> None:
    run = rehearse(6, {index: [Take(talk=talk)] for index, talk in enumerate((2, 2, 9, 9, 9, 9))})
    run.call_all(lines=5, start_interval=1.5)
    assert run.backend.starts == [0, 1.5, 3, 4.5, 6, 7.5]
    assert all(later - earlier >= 1.5 for earlier, later in pairwise(run.backend.starts))


def test_lines_that_are_shared_are_shared(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        lines = Lines(3)
        others = [lines.occupy(), lines.occupy()]
        caller = await run.caller(shared=lines)
        await caller.call_all()
        assert lines.busy == len(others)

    run = rehearse(4, {index: [Take(talk=10)] for index in range(4)})
    run.play(scenario)
    assert run.backend.starts == [0, 10, 20, 30]


@pytest.mark.parametrize("account", [1, 4])
@pytest.mark.parametrize(
    "too_many",
    [
        Take(error=ComeBackLater("No line.", "no_line")),
        Take(error=ComeBackLater("No line.", "no_line"), after=0.3),
        Take(verdict=Verdict.NO_LINE, talk=0.5),
    ],
    ids=["refused", "refused a little later", "ended"],
)
def test_on_an_account_with_fewer_lines_than_ours_the_lines_are_as_good_as_never_idle(
    rehearse: Rehearse, account: int, too_many: Take
) -> None:
    durations = [79.0, 20.0, 50.0, 60.0, 70.0, 10.0, 33.0, 45.0, 41.0, 90.0, 12.0, 58.0, 27.0, 64.0, 30.0]
    run = rehearse(len(durations), {index: [Take(talk=talk)] for index, talk in enumerate(durations)})
    run.backend.account_lines, run.backend.too_many = account, too_many
    run.call_all(lines=5)

    assert run.statuses() == ["completed"] * len(durations)
    assert run.backend.peak == account
    ideal = max(map(sum, zip(greedy(durations, account), durations, strict=True)))
    ended = max(call.ended or 0.0 for call in run.backend.calls.values())
    assert ideal <= ended <= ideal + 3


def test_a_run_in_which_nobody_is_left_to_call_ends_at_once(rehearse: Rehearse) -> None:
    run = rehearse(0)
    caller = run.call_all()
    assert (run.backend.sent, caller.stopped, caller.interrupted, caller.on_the_line) == ([], None, False, 0)
