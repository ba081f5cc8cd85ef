"""The frame on the terminal: what stands there, and what must be written to turn it into something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

from concierge_calls.display.cells import rows_taken
from concierge_calls.display.table import Line, text

ERASE_LINE = "\x1b[K"
# Not from the first column: at the top of the screen tmux takes that for clearing it, and keeps all in its history.
ERASE_BELOW = " \x1b[J\r\x1b[K"

Size = tuple[int, int]  # columns and rows


class Screen:
    """Draws lines in place, below everything that was said; the cursor waits under the last of them.

    After a resize the terminal has wrapped the old lines anew (`reflows`) or cut them, and has pushed some of
    them out of sight; what they take now is worked out, since a terminal cannot be asked while somebody types.
    """

    def __init__(self, paint: Callable[[Line], str], *, reflows: bool = True) -> None:
        self._paint = paint
        self._reflows = reflows
        self._lines: list[Line] = []
        self._size: Size = (0, 0)
        self._out_of_sight = 0  # rows of ours that a lower window pushed up, and a higher one brings back

    def update(self, lines: Sequence[Line], size: Size, said: str = "") -> str:
        """Return what to write so that `said` stands above and the lines below it; nothing if nothing changed."""
        if said or size != self._size:
            return self.erase(size) + said + self._all(lines)
        return self._changes(lines)

    def erase(self, size: Size) -> str:
        """Return what to write so that the frame is gone and the cursor is where it began."""
        rows = self._rows_now(size)
        self._lines, self._size = [], size
        return f"{_up(rows)}{ERASE_BELOW}" if rows else ""

    def forget(self) -> None:
        """Leave what was drawn where it is, since others have written below it."""
        self._lines, self._size, self._out_of_sight = [], (0, 0), 0

    def _all(self, lines: Sequence[Line]) -> str:
        self._lines = list(lines)
        return "".join(f"{self._paint(line)}\r\n" for line in lines)

    def _changes(self, lines: Sequence[Line]) -> str:
        old, new = self._lines, list(lines)
        if old == new:
            return ""
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
        self._lines = new
        written = [_up(len(old) - same)]
        for place, line in enumerate(new[same:], same):
            changed = place >= len(old) or old[place] != line
            written.append(f"{self._paint(line)}{ERASE_LINE}\r\n" if changed else "\r\n")
        return "".join(written) + (ERASE_BELOW if len(new) < len(old) else "")

    def _rows_now(self, size: Size) -> int:
        columns, height = size
        if not self._lines:
            return 0
        narrower = self._reflows and columns < self._size[0]
        rows = sum(rows_taken(text(line), columns) for line in self._lines) if narrower else len(self._lines)
        back = min(self._out_of_sight, max(0, height - self._size[1]))
        self._out_of_sight = max(0, rows + back + 1 - height)
        return min(rows + back, height - 1)


def _up(rows: int) -> str:
    return f"\r\x1b[{rows}A" if rows else "\r"
