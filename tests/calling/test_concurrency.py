"""How many calls are on the line at once, by the ledger, and what a free line is worth in time."""

from __future__ import annotations

import heapq

import pytest

from tests.calling.simulated import Span, StartVapi, providers

# Calls that are long enough for all lines to be busy at once, however slow the machine is.
LONG = {"speed": 80.0, "talk": (40.0, 45.0)}


def makespan(spans: list[Span]) -> float:
    return max(span.end for span in spans) - min(span.start for span in spans)


def in_windows(spans: list[Span], lines: int) -> float:
    """How long the same calls take when each window of them waits for its longest."""
    lengths = [span.length for span in spans]
    return sum(max(lengths[start : start + lines]) for start in range(0, len(lengths), lines))


def sliding(spans: list[Span], lines: int) -> float:
    """How long the same calls take at best, in the same order, when a free line dials at once."""
    free = [0.0] * lines
    for span in spans:
        heapq.heappush(free, heapq.heappop(free) + span.length)
    return max(free)


@pytest.mark.parametrize("lines", [1, 2, 5])
def test_the_most_calls_at_once_are_as_many_as_were_set_and_no_more(
    start: StartVapi, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    vapi = start(**LONG)
    monkeypatch.setenv("VAPI_MAX_CONCURRENT_CALLS", str(lines))
    run = vapi.call(providers("0123012301"[: 2 * lines]))
    assert (vapi.peak(), run.stats.peak_concurrent, run.run.max_concurrent) == (lines, lines, lines)


def test_what_the_call_says_wins_over_the_environment(start: StartVapi, monkeypatch: pytest.MonkeyPatch) -> None:
    vapi = start(**LONG)
    monkeypatch.setenv("VAPI_MAX_CONCURRENT_CALLS", "1")
    run = vapi.call(providers("012301"), max_concurrent=3)
    assert (vapi.peak(), run.stats.peak_concurrent, run.run.max_concurrent) == (3, 3, 3)


def test_five_calls_at_once_is_what_nobody_has_to_ask_for(start: StartVapi) -> None:
    vapi = start(**LONG)
    run = vapi.call(providers("01230123"))
    assert (vapi.peak(), run.stats.peak_concurrent, run.run.max_concurrent) == (5, 5, 5)


def test_more_lines_than_providers_are_no_more_calls_than_providers(start: StartVapi) -> None:
    vapi = start(**LONG)
    run = vapi.call(providers("012"), max_concurrent=50)
    assert (vapi.peak(), run.stats.peak_concurrent, run.run.max_concurrent) == (3, 3, 50)


def test_ten_providers_at_five_take_less_than_one_by_one_and_less_than_two_windows_of_five(start: StartVapi) -> None:
    # A long call, which only its own limit ends, in each window of five: windows wait for it twice.
    whom = providers("86666" + "86666")
    vapi = start()
    run = vapi.call(whom, max_concurrent=5, call_timeout=200)
    spans = vapi.spans(whom)

    assert run.stats.total == len(run.results) == 10
    assert vapi.peak() <= run.stats.peak_concurrent == 5
    assert makespan(spans) < sum(span.length for span in spans)
    assert makespan(spans) < in_windows(spans, 5)
    assert spans[5].start < spans[0].end  # the sixth did not wait for the slowest of five


def test_two_dials_are_an_interval_apart(start: StartVapi) -> None:
    vapi, whom = start(), providers("6666")
    vapi.call(whom, max_concurrent=4, start_interval=0.2)
    starts = [span.start for span in vapi.spans(whom)]
    assert starts == sorted(starts)
    assert starts[-1] - starts[0] > 0.2  # three intervals, less what the first request was slower than the last


def test_a_line_is_free_while_the_analysis_of_its_call_is_awaited(start: StartVapi) -> None:
    vapi, whom = start(analysis_delay=200.0), providers("01")
    run = vapi.call(whom, max_concurrent=1)
    calls = [vapi.simulator.ledger()["numbers"][each.phone]["calls"][0] for each in whom]
    assert calls[1]["createdAt"] < calls[0]["analysedAt"]
    assert [result.analysis.status.value for result in run.results] == ["complete", "complete"]


def test_calls_that_are_slow_to_be_placed_do_not_stop_those_on_the_line_from_being_followed(start: StartVapi) -> None:
    vapi, whom = start(create_delay=0.5), providers("6666")
    run = vapi.call(whom, max_concurrent=2)
    assert (vapi.peak() <= 2, run.stats.busy) == (True, 4)
