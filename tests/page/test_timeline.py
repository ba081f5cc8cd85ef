"""The picture of a run over time: which line each call had, and how much of the lines' time was used."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from concierge_calls.journal import LineSpan
from concierge_calls.models import CallStatus
from concierge_calls.page.timeline import WIDTH, Timeline, timeline

START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=40)


def span(index: int, begun: float, ended: float | None, status: CallStatus | None = CallStatus.COMPLETED) -> LineSpan:
    end = None if ended is None else START + timedelta(seconds=ended)
    return LineSpan(index=index, begun=START + timedelta(seconds=begun), ended=end, status=status)


def drawn(*spans: LineSpan, now: float = 100.0) -> Timeline:
    picture = timeline(spans, START + timedelta(seconds=now))
    assert picture is not None
    return picture


def test_a_run_that_dialled_nobody_has_no_picture() -> None:
    assert timeline([], START) is None


def test_the_next_call_has_the_line_that_was_free_first() -> None:
    picture = drawn(span(0, 0, 10), span(1, 1, 4), span(2, 4, 8), span(3, 10, 12))
    assert [(bar.index, bar.line) for bar in picture.bars] == [(0, 0), (1, 1), (2, 1), (3, 0)]
    assert picture.lines == 2
    assert picture.seconds == 12


def test_a_bar_begins_with_the_dial_and_ends_with_the_call() -> None:
    bar = drawn(span(0, 0, 5), span(1, 5, 20)).bars[1]
    assert (bar.left, bar.width) == (WIDTH / 4, WIDTH * 3 / 4)


def test_a_call_that_goes_on_reaches_until_now() -> None:
    bar = drawn(span(0, 0, None, None), now=30).bars[0]
    assert (round(bar.width, 6), bar.status) == (WIDTH, CallStatus.IN_PROGRESS)


def test_a_line_that_stood_idle_is_told() -> None:
    assert drawn(span(0, 0, 5), span(1, 10, 20)).busy == 0.5


def test_lines_that_are_free_when_nobody_is_left_to_call_are_not_idle() -> None:
    assert drawn(span(0, 0, 100), span(1, 0, 1)).busy == 1.0


@given(SPANS)
def test_no_two_calls_are_drawn_over_each_other(calls: list[tuple[int, int]]) -> None:
    picture = drawn(*(span(index, begun, begun + length) for index, (begun, length) in enumerate(calls)))
    for line in range(picture.lines):
        bars = sorted((bar for bar in picture.bars if bar.line == line), key=lambda bar: (bar.left, bar.width))
        assert all(one.left + one.width <= two.left + 1e-6 for one, two in pairwise(bars))


@given(SPANS)
def test_no_more_lines_are_drawn_than_were_in_use_at_once(calls: list[tuple[int, int]]) -> None:
    picture = drawn(*(span(index, begun, begun + length) for index, (begun, length) in enumerate(calls)))
    most = max(sum(begun <= at < begun + length for begun, length in calls) for at, _ in calls)
    assert picture.lines == most
