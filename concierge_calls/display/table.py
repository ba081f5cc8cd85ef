"""A table of plain text, fitted to a terminal or with each cell whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from concierge_calls.models import CallStatus
from concierge_calls.plain import one_line

if TYPE_CHECKING:
    from concierge_calls.display.cells import Glyphs

GAP = 2
LEAST = 6  # cells that a column keeps while another has more
MOST_LINES = 3  # of a cell that is wrapped

Span = tuple[str, str]  # a text and its style
Line = tuple[Span, ...]

STYLES = {
    "dialing": "cyan",
    "ringing": "cyan",
    "talking": "bold green",
    "analysis": "blue",
    "available": "green",
    "call back": "cyan",
    "unclear": "yellow",
    "unavailable": "red",
    "disqualified": "red",
    CallStatus.COMPLETED.words: "green",
    CallStatus.NO_ANSWER.words: "yellow",
    CallStatus.BUSY.words: "yellow",
    CallStatus.VOICEMAIL.words: "yellow",
    CallStatus.TIMEOUT.words: "red",
    CallStatus.ERROR.words: "bold red",
    CallStatus.UNCERTAIN.words: "bold magenta",
    CallStatus.CANCELLED.words: "red",
    CallStatus.SKIPPED.words: "dim",
    CallStatus.NOT_CALLED.words: "dim",
    "call": "green",
    "skip": "dim",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: `flexible` gives way first, `right` is for figures, `styled` colours words that are known.

    Where it has given way, one that `wraps` goes on in the next line instead of being cut.
    """

    title: str
    flexible: bool = False
    right: bool = False
    styled: bool = False
    wraps: bool = False


def laid_out(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    room: int | None = None,
    glyphs: Glyphs | None = None,
) -> list[Line]:
    """Return the table's lines, the titles first if there are any.

    With `room` and `glyphs` they are fitted to so many cells; without, each cell is whole and a character is a cell.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    titles = [column.title for column in columns]
    if glyphs is not None:
        cells = [[glyphs.spelled(cell) for cell in row] for row in cells]
    widths = [max(map(_measured(glyphs), column)) for column in zip(titles, *cells, strict=True)]
    if room is not None:
        widths = fitted(widths, columns, room)
    heads = [_line([(title, "bold") for title in titles], columns, widths, glyphs)] if any(titles) else []
    return heads + [
        _line(_styled(line, columns), columns, widths, glyphs)
        for row in cells
        for line in (_wrapped(row, columns, widths, glyphs) if glyphs else [row])
    ]


def fitted(widths: Sequence[int], columns: Sequence[Column], room: int) -> list[int]:
    """Return the columns' widths such that they fit, flexible columns giving way first, the widest of them most."""
    fitting = [min(width, room) for width in widths]
    for group in ([column.flexible for column in columns], [True] * len(columns)):
        excess = sum(fitting) + GAP * (len(columns) - 1) - room
        while excess > 0:
            widest = (
                max((width, index) for index, width in enumerate(fitting) if group[index]) if any(group) else (0, 0)
            )
            if widest[0] <= LEAST:
                break
            fitting[widest[1]] -= 1
            excess -= 1
    return fitting


def text(line: Line) -> str:
    """Return a line without its styles."""
    return "".join(part for part, _ in line)


def joined(spans: Sequence[Span]) -> Line:
    """Return the cells as one line with gaps between them and none at its end."""
    line: list[Span] = []
    for span in spans:
        line += [span, (" " * GAP, "")]
    while line and not line[-1][0].strip():
        line.pop()
    if line:
        line[-1] = (line[-1][0].rstrip(), line[-1][1])
    return tuple(part for part in line if part[0])


def _wrapped(
    row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], glyphs: Glyphs
) -> Iterable[tuple[str, ...]]:
    from concierge_calls.display.cells import folded

    cells = [
        folded(cell, width, MOST_LINES if column.wraps else 1, glyphs.ellipsis)
        for cell, width, column in zip(row, widths, columns, strict=True)
    ]
    return zip_longest(*cells, fillvalue="")


def _styled(row: Sequence[str], columns: Sequence[Column]) -> list[Span]:
    return [
        (cell, STYLES.get(cell.lower(), "") if column.styled else "") for cell, column in zip(row, columns, strict=True)
    ]


def _line(cells: Sequence[Span], columns: Sequence[Column], widths: Sequence[int], glyphs: Glyphs | None) -> Line:
    spans = []
    for (cell, style), column, width in zip(cells, columns, widths, strict=True):
        spans.append((_sized(cell, width, column.right, glyphs), style))
    return joined(spans)


def _sized(cell: str, width: int, right: bool, glyphs: Glyphs | None) -> str:
    if glyphs is None:
        return cell.rjust(width) if right else cell.ljust(width)
    from concierge_calls.display.cells import cut, padded

    return padded(cut(cell, width, glyphs.ellipsis), width, right=right)


def _measured(glyphs: Glyphs | None) -> Callable[[str], int]:
    if glyphs is None:
        return len
    from rich.cells import cell_len

    return cell_len
