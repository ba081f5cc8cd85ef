"""A board as the lines of a screen: a screenful of rows, and under them how far the run is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from concierge_calls.display.board import Row, View
from concierge_calls.display.cells import Glyphs, cut, padded, wrapped
from concierge_calls.display.table import GAP, LEAST, STYLES, Line, Span, joined, text
from concierge_calls.models import CallStatus
from concierge_calls.plain import clock

WIDE = 120  # columns from which on the reason of the end has a column of its own
STATE_WIDTH = 9
TIME_WIDTH = 7
LEAST_SAID = 8  # under so many cells nothing that they said is readable
SPARE = 1  # column, since terminals differ over what is in the last one, and over how wide an emoji is


@dataclass(frozen=True, slots=True)
class Widths:
    """How many cells each column of the table has; 0 for one that is not shown."""

    name: int
    phone: int
    reason: int
    said: int

    @classmethod
    def within(cls, room: int, glyphs: Glyphs) -> Widths:
        """Share out so many cells."""
        phone = len(glyphs.ellipsis) + 4
        others = phone + STATE_WIDTH + TIME_WIDTH + 3 * GAP
        name = max(LEAST, min(30, room * 3 // 10, room - others))
        reason = min(20, room // 6) if room + SPARE >= WIDE else 0
        said = room - sum(width + GAP for width in (name, phone, STATE_WIDTH, TIME_WIDTH, reason) if width)
        return cls(name, phone, reason, said if said >= LEAST_SAID else 0)


def frame(view: View, columns: int, rows: int, glyphs: Glyphs, notice: str = "") -> list[Line]:
    """Return the lines to be drawn, each narrower than the screen, and fewer than it has rows.

    `notice` is a sentence that is to be seen as long as the frame is.
    """
    room, height = columns - SPARE, rows - 1  # the cursor waits under the frame
    if room < 1 or height < 1:
        return []
    if notice:  # what was announced may have changed when it ends
        view = replace(view, seconds_left=None)
    below = [_bar(view, room, glyphs), _counts(view, room, glyphs), *_notice(notice, room, glyphs)]
    table = _table(view, Widths.within(room, glyphs), height - len(below), glyphs)
    return [_clipped(line, room) for line in [*table, *below][-height:]]


def _table(view: View, widths: Widths, height: int, glyphs: Glyphs) -> list[Line]:
    known = [*view.live, *view.analysed, *view.ended]
    if not known or height < 2:
        return []
    shown = known[: height - 1]
    if rest := _rest(view, shown, glyphs):
        shown = known[: max(1, height - 2)]
        rest = _rest(view, shown, glyphs)
    lines = [_titles(widths), *(_row(view, row, widths, glyphs) for row in shown)]
    return [*lines, ((rest, "dim"),)] if rest else lines


def _titles(widths: Widths) -> Line:
    titles = [("Provider", widths.name), ("Phone", widths.phone), ("State", STATE_WIDTH)]
    cells = [padded(cut(title, width), width) for title, width in titles]
    cells += [padded("Time", TIME_WIDTH, right=True)]
    cells += [
        padded(title, width) for title, width in (("Ended", widths.reason), ("What they said", widths.said)) if width
    ]
    return joined([(cell, "bold") for cell in cells])


def _row(view: View, row: Row, widths: Widths, glyphs: Glyphs) -> Line:
    tail = f"{glyphs.ellipsis}{row.tail}" if row.tail else "-"
    cells: list[tuple[str, int, str]] = [
        (row.name, widths.name, ""),
        (tail.rjust(widths.phone), widths.phone, "dim"),
        (row.state, STATE_WIDTH, STYLES.get(row.state, "")),
        (_time(view, row).rjust(TIME_WIDTH), TIME_WIDTH, ""),
    ]
    if widths.reason:
        cells.append((row.ended_reason, widths.reason, "dim"))
    if widths.said:
        ended = "" if widths.reason or row.ended_reason == row.state else row.ended_reason
        cells.append((row.said or ended, widths.said, ""))
    return joined([_cell(*cell, glyphs) for cell in cells])


def _cell(words: str, width: int, style: str, glyphs: Glyphs) -> Span:
    return padded(cut(glyphs.spelled(words), width, glyphs.ellipsis), width), style


def _time(view: View, row: Row) -> str:
    if row.seconds is None:
        return clock(int(max(0.0, (view.at - row.since).total_seconds())))
    return clock(row.seconds) if row.seconds else ""


def _rest(view: View, shown: Sequence[Row], glyphs: Glyphs) -> str:
    live = min(len(shown), len(view.live))
    analysed = min(len(shown) - live, len(view.analysed))
    hidden = {
        "on the line": view.on_the_line - live,
        "in analysis": view.in_analysis - analysed,
        "ended": view.done - sum(row.state != CallStatus.SKIPPED.words for row in shown[live + analysed :]),
    }
    parts = ", ".join(f"{number:,} {words}" for words, number in hidden.items() if number > 0)
    return f"{glyphs.ellipsis} not shown: {parts}" if parts else ""


def _bar(view: View, room: int, glyphs: Glyphs) -> Line:
    facts = [f"{view.done:,} of {view.to_call:,} done", clock(int(view.elapsed))]
    if view.seconds_left is not None:
        facts.append(f"about {clock(_rounded(view.seconds_left))} left")
    if view.cost is not None:
        facts.append(f"${view.cost:.2f}")
    words = ", ".join(facts)
    width = max(6, min(30, room // 4, room - len(words) - 2))
    full = width if not view.to_call else width * view.done // view.to_call
    bar = ((glyphs.full * full, "green"), (glyphs.empty * (width - full), "dim"))
    return *(part for part in bar if part[0]), ("  " + cut(words, room - width - 2, glyphs.ellipsis), "")


def _counts(view: View, room: int, glyphs: Glyphs) -> Line:
    counts = [f"{view.on_the_line:,} on the line"]
    counts += [f"{view.in_analysis:,} in analysis"] if view.in_analysis else []
    counts += [f"{view.pending:,} not yet called"]
    counts += [f"{view.skipped:,} skipped"] if view.skipped else []
    return ((cut(", ".join(counts), room, glyphs.ellipsis), ""),)


def _notice(notice: str, room: int, glyphs: Glyphs) -> Iterator[Line]:
    for line in wrapped(glyphs.spelled(notice), room) if notice else ():
        yield ((cut(line, room, glyphs.ellipsis), "bold yellow"),)


def _clipped(line: Line, room: int) -> Line:
    # Only a window that was made smaller than the smallest has lines that do not fit.
    if cell_len(text(line)) <= room:
        return line
    return ((cut(text(line), room, ""), ""),)


def _rounded(seconds: float) -> float:
    step = (
        1 if seconds < 20 else 10 if seconds < 600 else 60
    )  # nobody knows it to the second, and a figure that jumps is not believed
    return max(step, step * round(seconds / step))
