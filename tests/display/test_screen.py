"""Drawing in place, proved on a small terminal: what stands on it after updates and resizes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from concierge_calls.display.screen import Screen
from concierge_calls.display.table import Line, text
from tests.display.emulator import Emulator


class Drawing:
    """A screen on a terminal, with three sentences above it."""

    def __init__(self, columns: int, rows: int, *, reflows: bool = True) -> None:
        self.terminal = Emulator(columns, rows)
        self.screen = Screen(text, reflows=reflows)
        self.terminal.write("one\r\ntwo\r\nthree\r\n")

    def draw(self, lines: Sequence[str], said: str = "") -> str:
        """Draw, and return what that took."""
        drawn: list[Line] = [((line, ""),) for line in lines]
        written = self.screen.update(drawn, self.terminal.size(), said)
        self.terminal.write(written)
        return written

    def erase(self) -> None:
        """Take the lines away."""
        self.terminal.write(self.screen.erase(self.terminal.size()))


def numbered(count: int, columns: int) -> list[str]:
    return [f"{number} ".ljust(columns - 1, "=") for number in range(count)]


def test_lines_are_drawn_below_what_was_said_and_the_cursor_waits_under_them() -> None:
    drawing = Drawing(20, 10)
    drawing.draw(["alpha", "beta"])

    assert drawing.terminal.lines == ["one", "two", "three", "alpha", "beta"]
    assert (drawing.terminal.x, drawing.terminal.y) == (0, 5)


def test_only_the_lines_that_changed_are_written() -> None:
    drawing = Drawing(20, 10)
    drawing.draw(["alpha", "beta", "gamma", "delta"])
    written = drawing.draw(["alpha", "BE", "gamma", "delta"])

    assert written == "\r\x1b[3ABE\x1b[K\r\n\r\n\r\n"
    assert drawing.terminal.lines[3:] == ["alpha", "BE", "gamma", "delta"]
    assert drawing.terminal.y == 7


def test_nothing_is_written_when_nothing_changed() -> None:
    drawing = Drawing(20, 10)
    drawing.draw(["alpha", "beta"])

    assert drawing.draw(["alpha", "beta"]) == ""


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (3, 9), (9, 1), (2, 0)])
def test_a_frame_that_grows_or_shrinks_leaves_nothing_behind(before: int, after: int) -> None:
    drawing = Drawing(20, 10)
    drawing.draw([f"old {number}" for number in range(before)])
    drawing.draw([f"new {number}" for number in range(after)])

    expected = ["one", "two", "three", *(f"new {number}" for number in range(after))]
    assert [line for line, _ in drawing.terminal.history] + drawing.terminal.lines == expected


def test_what_is_said_stays_above_the_frame() -> None:
    drawing = Drawing(20, 10)
    drawing.draw(["alpha", "beta"])
    drawing.draw(["alpha", "beta"], said="four\r\nfive\r\n")
    drawing.draw(["alpha", "gamma"])

    assert drawing.terminal.lines == ["one", "two", "three", "four", "five", "alpha", "gamma"]


def test_what_was_said_on_a_full_screen_can_be_scrolled_back_to() -> None:
    drawing = Drawing(20, 6)
    for number in range(8):
        drawing.draw([f"line {place}" for place in range(5)], said=f"said {number}\r\n")

    assert [line for line, _ in drawing.terminal.history] == [
        "one",
        "two",
        "three",
        *(f"said {number}" for number in range(8)),
    ]
    assert drawing.terminal.lines == [f"line {place}" for place in range(5)]


def test_after_120_columns_become_80_nothing_of_the_old_frame_remains() -> None:
    drawing = Drawing(120, 40)
    drawing.draw(numbered(10, 120))
    drawing.terminal.resize(80, 40)
    assert len(drawing.terminal.lines) == 3 + 20
    drawing.draw(numbered(10, 80))

    assert drawing.terminal.lines == ["one", "two", "three", *numbered(10, 80)]
    assert drawing.terminal.history == []


def test_after_80_columns_become_120_and_80_again_there_is_one_frame() -> None:
    drawing = Drawing(80, 24)
    for columns in (80, 120, 80, 200, 81):
        drawing.terminal.resize(columns, 24)
        drawing.draw(numbered(6, columns))

        assert drawing.terminal.lines == ["one", "two", "three", *numbered(6, columns)]


def test_wide_characters_are_wrapped_as_the_terminal_wraps_them() -> None:
    drawing = Drawing(20, 20)
    drawing.draw(["a" + "東" * 8, "東" * 9])
    drawing.terminal.resize(6, 20)
    drawing.draw(["short"])

    assert drawing.terminal.lines == ["one", "two", "three", "short"]


def test_a_window_that_becomes_lower_and_higher_again_shows_one_frame() -> None:
    drawing = Drawing(20, 20)
    drawing.draw([f"line {place}" for place in range(19)])
    drawing.terminal.resize(20, 8)
    drawing.draw([f"line {place}" for place in range(7)])
    assert drawing.terminal.lines == [f"line {place}" for place in range(7)]

    drawing.terminal.resize(20, 20)
    drawing.draw([f"line {place}" for place in range(19)])
    assert drawing.terminal.lines == [f"line {place}" for place in range(19)]
    assert [line for line, _ in drawing.terminal.history].count("line 0") == 0


def test_a_terminal_that_cuts_its_lines_loses_nothing_that_was_said() -> None:
    drawing = Drawing(120, 40, reflows=False)
    drawing.draw(numbered(4, 120))
    drawing.terminal.columns = 80
    drawing.terminal.screen = [(line[:80], False) for line, _ in drawing.terminal.screen]
    drawing.draw(numbered(4, 80))

    assert drawing.terminal.lines == ["one", "two", "three", *numbered(4, 80)]


def test_the_frame_is_taken_away_and_what_was_said_stays() -> None:
    drawing = Drawing(20, 10)
    drawing.draw(["alpha", "beta"])
    drawing.erase()
    drawing.erase()

    assert drawing.terminal.lines == ["one", "two", "three"]
    assert (drawing.terminal.x, drawing.terminal.y) == (0, 3)


def test_after_somebody_else_has_written_the_frame_is_drawn_anew_below() -> None:
    drawing = Drawing(20, 12)
    drawing.draw(["alpha"])
    drawing.terminal.write("[1]+  Stopped\r\n$ fg\r\n")
    drawing.screen.forget()
    drawing.draw(["beta"])

    assert drawing.terminal.lines == ["one", "two", "three", "alpha", "[1]+  Stopped", "$ fg", "beta"]
