"""The live table: a run's events folded into a board, drawn four times a second where something changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO

from concierge_calls.display import terminal
from concierge_calls.display.base import Display
from concierge_calls.display.board import Board
from concierge_calls.display.cells import ASCII, UNICODE
from concierge_calls.display.frame import frame
from concierge_calls.display.ink import Ink
from concierge_calls.display.screen import Screen
from concierge_calls.display.table import Line
from concierge_calls.display.writer import Writer
from concierge_calls.models import CallEvent, CallResult, RunResult
from concierge_calls.plain import one_line

EVERY = 0.25  # seconds between two frames
SETTLE = 0.5  # seconds for a frame that is half written when somebody stops us; a terminal may stand still itself


class LiveTable(Display):
    """An observer that shows a run as a table, drawn in place under what was said.

    An event changes the board and waits for nobody; the thread that writes looks at the board when the terminal
    takes the next frame, so one that is stopped costs nothing and shows the latest when it goes on.
    """

    def __init__(
        self,
        heard: Callable[[CallResult], str],
        stream: IO[str],
        environ: Mapping[str, str],
        *,
        size: Callable[[], tuple[int, int]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(stream, Writer(stream, self._composed, EVERY), environ)
        self._terminal = stream
        self._size = size or (lambda: terminal.size(stream))
        self._now = now
        self._glyphs = UNICODE if terminal.shows_unicode(stream, environ) else ASCII
        self._board = Board(heard)
        self._held = threading.Lock()  # the board is folded by the event loop and looked at by the thread
        self._screen = Screen(Ink(stream).painted, reflows=terminal.reflows(environ))
        self._is_shown = False
        self._notice = ""
        # Set where a signal is taken, and looked at by whoever draws, who alone touches the screen.
        self._is_away = False  # somebody has stopped us, and others write to the terminal
        self._is_stale = False  # others have written to it
        self._keys = terminal.Keys(self._suspended, self._resumed)

    def begin(self, result: RunResult, live: Iterable[CallEvent] = ()) -> None:
        """Draw the run as it is before the first dial; `live` tells of calls that are on the line already."""
        self.show(result, live)
        super().begin(result)
        self._keys.begin()
        terminal.mute()  # last, so that nothing can fail that would leave it so

    def show(self, result: RunResult, live: Iterable[CallEvent] = ()) -> None:
        """Draw the first frame; the next ones when `draw` is called, or four times a second after `begin`."""
        self._board.begin(result, live, self._now())
        self._is_shown = True
        self.draw()

    def draw(self) -> None:
        """Draw what has changed."""
        self._writer.say("")

    def announce(self, line: str) -> None:
        """Say what happens next; it stays under the table, too, as long as that is shown."""
        self._notice = one_line(line)
        self.say(line)

    def close(self) -> None:
        """Take the table away when everything is written; what is said afterwards is written at once."""
        super().close()
        if self._is_shown:
            self._is_shown = False
            self.draw()
            self._keys.end()
            terminal.restore()

    def _take(self, event: CallEvent) -> None:
        with self._held:
            self._board.fold(event)

    def _composed(self, texts: Sequence[str]) -> str:
        said = "".join(texts)
        size = self._size()
        is_away = self._is_away  # looked at first, since it is reset last
        if self._is_stale:
            self._is_stale = False
            self._screen.forget()
        if not self._is_shown:
            return self._screen.erase(size) + said
        if is_away or not terminal.is_in_foreground(self._terminal):  # whatever we draw tears a shell's lines
            self._screen.forget()
            return said
        return self._screen.update(self._lines(*size), size, said)

    def _lines(self, columns: int, rows: int) -> list[Line]:
        with self._held:
            view = self._board.view(rows, self._now())
        lines = frame(view, columns, rows, self._glyphs, self._notice)
        return [(), *lines] if len(lines) < rows - 1 else lines

    def _suspended(self) -> None:
        self._is_away = True
        self._writer.settle(SETTLE)  # what is half written would be written over what the shell writes meanwhile

    def _resumed(self) -> None:
        self._is_stale = True
        self._is_away = False
