"""The frame: whole screens at the sizes that people have, and narrower than the narrowest."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from concierge_calls.display.board import View
from concierge_calls.display.cells import ASCII, UNICODE, Glyphs, cut, rows_taken
from concierge_calls.display.frame import frame
from concierge_calls.display.table import text
from concierge_calls.models import Analysis, CallStatus, Reason
from tests.display.calls import Calls, run, seen

HOSTILE = {
    "n0": "\x1b[31mRed\x1b[2J",
    "n1": "[bold]Markup[/] & Co",
    "n2": "東京配管サービス株式会社",
    "n3": "Blue\u202egnik",
    "n4": "Zoë Drains ❤️ 🔧",
}


def busy() -> View:
    calls = Calls(**HOSTILE)
    said = Analysis(summary="available, tomorrow between 9 and 11 AM, $110 for the visit")
    return seen(
        run(total=12, pending=11, skipped=1, cost=0.4),
        calls.step(0, "dialing", at=118),
        calls.step(1, "dialing", at=80),
        calls.step(1, "talking", at=90),
        calls.step(2, "dialing", at=30),
        calls.step(2, "talking", at=40),
        calls.step(2, "ended", at=110),
        *(
            event
            for index, status, reason, analysis in (
                (3, CallStatus.COMPLETED, "customer-ended-call", said),
                (4, CallStatus.NO_ANSWER, "customer-did-not-answer", Analysis()),
            )
            for event in (
                calls.step(index, "dialing"),
                calls.settled(
                    index,
                    status,
                    at=60,
                    lasted=45 if analysis.summary else 0,
                    ended_reason=reason,
                    analysis=analysis,
                    cost=0.2,
                ),
            )
        ),
        at=120,
    )


def shown(view: View, columns: int, rows: int, glyphs: Glyphs = UNICODE, notice: str = "") -> list[str]:
    lines = [text(line) for line in frame(view, columns, rows, glyphs, notice)]
    assert all(cell_len(line) < columns for line in lines)
    assert all(line == line.rstrip() and line.isprintable() for line in lines)
    return lines


def test_at_80_columns_the_reason_of_the_end_stands_where_nothing_was_said() -> None:
    assert shown(busy(), 80, 24) == [
        "Provider                 Phone  State         Time  What they said",
        "[31mRed[2J               …0100  dialing       0:02",
        "[bold]Markup[/] & Co     …0101  talking       0:30",
        "東京配管サービス株式会…  …0102  analysis      1:10",
        "Zoë Drains ❤ 🔧          …0104  no answer           customer did not answer",
        "Bluegnik                 …0103  completed     0:45  available, tomorrow betwee…",
        "███░░░░░░░░░░░░░░░░  2 of 11 done, 2:00, about 4:10 left, $0.80",
        "2 on the line, 1 in analysis, 6 not yet called, 1 skipped",
    ]


def test_at_120_columns_the_reason_of_the_end_has_a_column_of_its_own() -> None:
    assert shown(busy(), 120, 40) == [
        "Provider                        Phone  State         Time  Ended                What they said",
        "[31mRed[2J                      …0100  dialing       0:02",
        "[bold]Markup[/] & Co            …0101  talking       0:30",
        "東京配管サービス株式会社        …0102  analysis      1:10",
        "Zoë Drains ❤ 🔧                 …0104  no answer           customer did not a…",
        "Bluegnik                        …0103  completed     0:45  customer ended call  "
        "available, tomorrow between 9 and 11 A…",
        "█████░░░░░░░░░░░░░░░░░░░░░░░░  2 of 11 done, 2:00, about 4:10 left, $0.80",
        "2 on the line, 1 in analysis, 6 not yet called, 1 skipped",
    ]


def test_without_unicode_everything_is_spelled_in_ascii() -> None:
    lines = shown(busy(), 80, 24, ASCII)

    assert all(line.isascii() for line in lines)
    assert lines[3:] == [
        "????????????             ...0102  analysis      1:10",
        "Zoe Drains ? ?           ...0104  no answer           customer did not answer",
        "Bluegnik                 ...0103  completed     0:45  available, tomorrow be...",
        "###----------------  2 of 11 done, 2:00, about 4:10 left, $0.80",
        "2 on the line, 1 in analysis, 6 not yet called, 1 skipped",
    ]


def test_on_a_low_screen_those_on_the_line_come_first_and_the_others_are_counted() -> None:
    assert shown(busy(), 80, 8)[1:5] == [
        "[31mRed[2J               …0100  dialing       0:02",
        "[bold]Markup[/] & Co     …0101  talking       0:30",
        "東京配管サービス株式会…  …0102  analysis      1:10",
        "… not shown: 2 ended",
    ]


def test_the_narrowest_screen_still_has_name_number_state_and_time() -> None:
    assert shown(busy(), 40, 12) == [
        "Provider     Phone  State         Time",
        "[31mRed[2J   …0100  dialing       0:02",
        "[bold]Mark…  …0101  talking       0:30",
        "東京配管サ…  …0102  analysis      1:10",
        "Zoë Drains…  …0104  no answer",
        "Bluegnik     …0103  completed     0:45",
        "█░░░░░  2 of 11 done, 2:00, about 4:10…",
        "2 on the line, 1 in analysis, 6 not ye…",
    ]


def test_what_was_announced_stays_in_sight_and_the_end_is_not_foretold_any_more() -> None:
    notice = "Stopping: nobody new is dialled, 2 calls on the line are followed to the end. Once more to leave at once."

    assert shown(busy(), 80, 24, notice=notice)[-4:] == [
        "███░░░░░░░░░░░░░░░░  2 of 11 done, 2:00, $0.80",
        "2 on the line, 1 in analysis, 6 not yet called, 1 skipped",
        "Stopping: nobody new is dialled, 2 calls on the line are followed to the end.",
        "Once more to leave at once.",
    ]


def test_what_was_announced_is_wrapped_by_cells() -> None:
    assert shown(busy(), 40, 24, notice="東京 " * 9 + "end")[-2:] == [" ".join(["東京"] * 8), "東京 end"]


def test_before_the_first_dial_there_is_the_bar() -> None:
    assert shown(seen(run(total=10, pending=10, simulated=True)), 80, 24) == [
        "░░░░░░░░░░░░░░░░░░░  0 of 10 done, 0:00",
        "0 on the line, 10 not yet called",
    ]


def test_a_run_of_many_is_a_screenful() -> None:
    calls = Calls()
    told = [event for index in range(60) for event in (calls.step(index, "dialing"), calls.settled(index))]
    told += [calls.step(index, "dialing") for index in range(60, 90)]
    lines = shown(seen(run(total=20_000, pending=20_000, max_concurrent=30), *told), 80, 24)

    assert len(lines) == 23
    assert lines[-3:] == [
        "… not shown: 11 on the line, 60 ended",
        "░░░░░░░░░░░░░░░░░░░  60 of 20,000 done, 0:00, about 0:01 left, $0.00",
        "30 on the line, 19,910 not yet called",
    ]


@pytest.mark.parametrize("rows", range(12))
@pytest.mark.parametrize("columns", [1, 5, 20, 40, 99, 100, 300])
def test_no_size_is_too_small_or_too_large(columns: int, rows: int) -> None:
    for glyphs in (UNICODE, ASCII):
        lines = frame(busy(), columns, rows, glyphs, "Stopping: nobody new is dialled.")
        assert len(lines) <= max(0, rows - 1)
        assert all(cell_len(text(line)) < columns for line in lines)


def test_what_is_wrong_is_red_and_what_went_well_is_green() -> None:
    calls = Calls()
    error = Reason("call_fault", "A service failed.")
    view = seen(
        run(total=2, pending=2), calls.settled(0, CallStatus.ERROR, error=error), calls.settled(1, CallStatus.COMPLETED)
    )
    styles = {words.strip(): style for line in frame(view, 80, 24, UNICODE) for words, style in line}

    assert (styles["failed"], styles["completed"]) == ("bold red", "green")
    assert styles["A service failed."] == ""


@pytest.mark.parametrize(
    ("words", "width", "fitting"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("ab cd", 4, "ab…"),
        ("東京配管", 6, "東京…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_a_text_is_cut_by_cells(words: str, width: int, fitting: str) -> None:
    assert cut(words, width) == fitting


@pytest.mark.parametrize(
    ("words", "columns", "rows"),
    [("", 5, 1), ("abcde", 5, 1), ("abcdef", 5, 2), ("東京配", 5, 2), ("a東京配", 4, 2), ("a東京配", 3, 3)],
)
def test_a_text_takes_the_rows_that_a_terminal_wraps_it_to(words: str, columns: int, rows: int) -> None:
    assert rows_taken(words, columns) == rows
