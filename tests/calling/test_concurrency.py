"""How many calls are on the line at once, by the ledger, and what a free line is worth in time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from concierge_calls import CallEvent, EventKind, RunResult
from tests.calling.simulated import Held, Span, StartVapi, Vapi, providers


def held(
    start: StartVapi, endings: str, lines: int, patient: Sequence[int] = (), **options: int
) -> tuple[Vapi, RunResult]:
    """Call so many providers, each of which talks until all the lines that there ought to be are busy."""
    whom = providers(endings)
    vapi = start(stuck={each.phone: "in-progress" for each in whom})
    return vapi, vapi.call(whom, call_timeout=10, observer=Held(vapi, whom, lines, patient), **options)


def makespan(spans: list[Span]) -> float:
    return max(span.end for span in spans) - min(span.start for span in spans)


@pytest.mark.parametrize("lines", [1, 2, 5])
def test_the_most_calls_at_once_are_as_many_as_were_set_and_no_more(
    start: StartVapi, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setenv("VAPI_MAX_CONCURRENT_CALLS", str(lines))
    vapi, run = held(start, "0123012301"[: 2 * lines], lines)
    assert (vapi.peak(), run.stats.peak_concurrent, run.run.max_concurrent) == (lines, lines, lines)


def test_what_the_call_says_wins_over_the_environment(start: StartVapi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPI_MAX_CONCURRENT_CALLS", "1")
    vapi, run = held(start, "012301", 3, max_concurrent=3)
    assert (vapi.peak(), run.stats.peak_concurrent, run.run.max_concurrent) == (3, 3, 3)


def test_five_calls_at_once_is_what_nobody_has_to_ask_for(start: StartVapi) -> None:
    vapi, run = held(start, "01230123", 5)
    assert (vapi.peak(), run.stats.peak_concurrent, run.run.max_concurrent) == (5, 5, 5)


def test_more_lines_than_providers_are_no_more_calls_than_providers(start: StartVapi) -> None:
    vapi, run = held(start, "012", 3, max_concurrent=50)
    assert (vapi.peak(), run.stats.peak_concurrent, run.run.max_concurrent) == (3, 3, 50)


def test_ten_providers_at_five_take_less_than_one_by_one_and_nobody_waits_for_the_longest_of_five(
    start: StartVapi,
) -> None:
    # A long call in each window of five: windows wait for it twice.
    vapi, run = held(start, "0123001230", 5, patient=(0, 5), max_concurrent=5)
    spans = vapi.spans([result.provider for result in run.results])

    assert run.stats.total == len(run.results) == 10
    assert vapi.peak() == run.stats.peak_concurrent == 5
    assert makespan(spans) < sum(span.length for span in spans)
    assert all(span.start < spans[0].end for span in spans)


def test_two_dials_are_an_interval_apart(start: StartVapi) -> None:
    vapi, whom = start(), providers("6666")
    begun: list[float] = []
    dialled: list[int | None] = []

    def watch(event: CallEvent) -> None:
        if event.kind is EventKind.RUN_STARTED:
            begun.append(vapi.now())
        elif event.kind is EventKind.CALL_DIALING:
            dialled.append(event.index)

    vapi.call(whom, max_concurrent=4, start_interval=0.2, observer=watch)
    assert dialled == [0, 1, 2, 3]
    assert max(span.start for span in vapi.spans(whom)) - begun[0] > 0.59  # three intervals, and whatever was slow


def test_a_line_is_free_while_the_analysis_of_its_call_is_awaited(start: StartVapi) -> None:
    vapi, whom = start(analysis_delay=10.0**6), providers("01")

    def analyse_when_the_next_is_called(event: CallEvent) -> None:
        if (event.kind, event.index) == (EventKind.CALL_PLACED, 1):
            vapi.analyse(whom[0])
        elif (event.kind, event.index) == (EventKind.CALL_ENDED, 1):
            vapi.analyse(whom[1])

    run = vapi.call(whom, max_concurrent=1, observer=analyse_when_the_next_is_called)
    calls = [vapi.simulator.ledger()["numbers"][each.phone]["calls"][0] for each in whom]
    assert calls[1]["createdAt"] < calls[0]["analysedAt"]
    assert [result.analysis.status.value for result in run.results] == ["complete", "complete"]


def test_calls_that_are_slow_to_be_placed_do_not_stop_those_on_the_line_from_being_followed(start: StartVapi) -> None:
    vapi, whom = start(create_delay=0.5), providers("6666")
    run = vapi.call(whom, max_concurrent=2)
    assert (vapi.peak() <= 2, run.stats.busy) == (True, 4)
