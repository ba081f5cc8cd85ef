"""What is said when a run is over: how many, how long, what else it would have taken, what to do; the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from concierge_calls import report
from concierge_calls.models import RunInfo, RunResult, RunStats
from tests.report.samples import REFUSED, RUN, START

CUT = replace(RUN, finished=False)


def summary(run: RunInfo = RUN, line_times: Iterable[float] = (), **stats: Any) -> list[str]:
    return list(report.summary(RunResult(run=run, stats=RunStats(**stats), results=()), line_times))


def code(run: RunInfo = RUN, **stats: int) -> int:
    return report.exit_code(RunResult(run=run, stats=RunStats(**stats), results=()))


def took(seconds: float, **facts: Any) -> RunInfo:
    """A run that took so long, in one go."""
    return replace(RUN, ended_at=START + timedelta(seconds=seconds), **facts)


def compared(run: RunInfo, line_times: Iterable[float], **stats: Any) -> list[str]:
    """What is said beyond the counts and the facts of a run that took 100 seconds of work."""
    return summary(run, line_times, **{"total": 7, "successful": 7, "duration_ms": 100_000} | stats)[2:]


@pytest.mark.parametrize(
    ("expected", "run", "stats"),
    [
        (0, RUN, {"successful": 1, "no_answer": 1, "busy": 1, "voicemail": 1, "skipped": 1}),
        (3, RUN, {"successful": 1, "failed": 1}),
        (3, RUN, {"timed_out": 1}),
        (3, RUN, {"uncertain": 1}),
        (3, RUN, {"cancelled": 1}),
        (3, RUN, {"skipped": 1, "unusable": 1}),
        (5, CUT, {"pending": 1}),
        (4, replace(CUT, stopped=REFUSED), {"not_called": 1, "failed": 1}),
        (0, replace(CUT, dry_run=True), {"pending": 1}),
        (3, replace(CUT, dry_run=True), {"pending": 1, "skipped": 1, "unusable": 1}),
    ],
)
def test_the_exit_code_is_the_worst_that_fits(expected: int, run: RunInfo, stats: dict[str, int]) -> None:
    assert code(run, **stats) == expected


def test_the_closing_lines_say_how_many_how_long_and_what_it_cost() -> None:
    counts: dict[str, Any] = {"total": 10, "successful": 6, "failed": 1, "no_answer": 1, "voicemail": 1, "skipped": 1}
    figures: dict[str, Any] = {
        "duration_ms": 318_000,
        "average_call_duration": 142.5,
        "peak_concurrent": 5,
        "cost": 1.37,
    }

    assert summary(**counts, **figures) == [
        "10 providers: 6 completed, 1 no answer, 1 voicemail, 1 failed, 1 skipped.",
        "5:18 in all, at most 5 calls at once, 2:22 a conversation on average, $1.37.",
    ]


def test_the_closing_lines_say_what_to_do_next() -> None:
    resume = "concierge-calls resume 20260504-abcdefgh"

    assert summary(CUT, total=3, successful=1, pending=1, in_progress=1)[-1] == f"To finish this run: {resume}"
    assert summary(replace(CUT, stopped=REFUSED), total=1, not_called=1)[-2:] == [
        "Stopped: Vapi wants to be paid first.",
        f"To finish this run once that is mended: {resume}",
    ]
    assert summary(total=2, uncertain=2)[-1] == (
        "2 phones may have rung although nothing was heard of the call; nobody is called again by itself."
        f" Look them up in Vapi's dashboard, or look once more: {resume}"
    )
    assert summary(CUT, total=3, uncertain=1, pending=2)[-2] == (
        "1 phone may have rung although nothing was heard of the call; nobody is called again by itself. Look them up"
        f" in Vapi's dashboard, or look once more, which also calls the 2 providers left in it: {resume}"
    )
    assert summary(replace(CUT, simulated=True), total=1, pending=1)[-1] == (
        "A simulated run is not finished later, since its simulator is gone; start it again."
    )
    assert summary(replace(CUT, dry_run=True), total=3, pending=2, skipped=1) == [
        "3 providers: 2 would be called, 1 not."
    ]


@pytest.mark.parametrize(
    ("stats", "line"),
    [
        ({"average_call_duration": 42.0, "cost": 0.12}, "1:40 in all, 0:42 of conversation, $0.12."),
        ({"cost": 0.004}, "1:40 in all, less than a cent."),
        ({"cost": 4200.0}, "1:40 in all, $4,200.00."),
        ({}, "1:40 in all."),
    ],
)
def test_of_a_single_call_nothing_is_said_that_takes_two(stats: dict[str, Any], line: str) -> None:
    assert summary(total=1, successful=1, peak_concurrent=1, duration_ms=100_000, **stats)[1:] == [line]


def test_a_simulated_run_says_that_nothing_was_spent_and_names_no_price() -> None:
    simulated = replace(RUN, simulated=True)

    assert summary(simulated, total=2, busy=2, peak_concurrent=2, duration_ms=9_000, cost=0.4)[1:] == [
        "0:09 in all, at most 2 calls at once. Simulated: no phone rang, nothing was spent."
    ]


def test_nothing_is_said_of_time_and_money_where_nobody_was_called() -> None:
    assert summary(total=3, skipped=3, duration_ms=1_000) == ["3 providers: 3 skipped."]


def test_what_the_same_calls_would_have_taken_otherwise_is_said() -> None:
    times = [60.0, 20.0, 10.0, 90.0, 30.0, 40.0, 50.0]

    assert compared(took(100, max_concurrent=3), times) == [
        "One after the other, the same calls would have taken 5:00; in fixed windows of 3, 3:20."
    ]


@pytest.mark.parametrize("close", [100.0, 100.9, 99.1, 102.0])
def test_a_pause_too_short_to_matter_hides_nothing(close: float) -> None:
    assert compared(took(close), [60.0, 60.0]) == ["One after the other, the same calls would have taken 2:00."]


@pytest.mark.parametrize(
    ("run", "times", "stats"),
    [
        pytest.param(took(100), [], {}, id="nothing is known"),
        pytest.param(took(100), [400.0], {"total": 1, "successful": 1}, id="a single call"),
        pytest.param(took(100), [50.0, 50.9], {}, id="it would not have taken longer"),
        pytest.param(took(100, max_concurrent=1), [60.0, 60.0], {}, id="a single line"),
        pytest.param(took(3_700), [3_600.0, 60.0], {}, id="it was taken up again after a pause"),
        pytest.param(took(-3_500), [60.0, 60.0], {}, id="the clock was set back"),
        pytest.param(replace(RUN, ended_at=None), [60.0, 60.0], {}, id="it has not ended"),
    ],
)
def test_nothing_is_compared_where_that_would_not_be_true(
    run: RunInfo, times: list[float], stats: dict[str, int]
) -> None:
    assert compared(run, times, **stats) == []


def test_a_run_with_a_call_still_on_the_line_is_not_compared() -> None:
    resume = "To finish this run: concierge-calls resume 20260504-abcdefgh"

    assert compared(took(100, finished=False), [60.0, 60.0], in_progress=1) == [resume]


def test_windows_that_would_have_been_as_fast_are_said_to_be() -> None:
    assert compared(took(100), [60.0, 60.0, 60.0, 60.0, 60.0, 30.0]) == [
        "One after the other, the same calls would have taken 5:30; in fixed windows of 5, about as long as this."
    ]


def test_the_comparison_stands_before_what_to_do_next() -> None:
    assert compared(took(100, finished=False, stopped=REFUSED), [60.0, 60.0])[:2] == [
        "One after the other, the same calls would have taken 2:00.",
        "Stopped: Vapi wants to be paid first.",
    ]


def test_line_times_are_taken_one_at_a_time() -> None:
    assert compared(took(100, max_concurrent=50), (0.5 for _ in range(100_000))) == [
        "One after the other, the same calls would have taken 13:53:20; in fixed windows of 50, 16:40."
    ]
