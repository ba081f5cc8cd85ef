"""What every display has in common: it takes events, says sentences and shows tables."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import IO

from concierge_calls.display import table, terminal
from concierge_calls.display.table import Column
from concierge_calls.display.writer import Writer
from concierge_calls.models import CallEvent, RunResult
from concierge_calls.plain import harmless

log = logging.getLogger(__name__)


class Display(ABC):
    """An observer of a run that shows it to somebody.

    Nothing waits for the stream from `begin` to `close`, and a stream that is gone ends the showing, not the run.
    """

    def __init__(self, stream: IO[str] | None, writer: Writer, environ: Mapping[str, str] | None = None) -> None:
        self._stream = stream
        self._environ = os.environ if environ is None else environ
        self._writer = writer
        self._on_terminal = stream is not None and stream.isatty()

    def __call__(self, event: CallEvent) -> None:
        """Take note of an event; never waits and never raises."""
        try:
            self._take(event)
        except Exception:
            log.exception("An event could not be shown; the calls go on.")

    def begin(self, result: RunResult, live: Iterable[CallEvent] = ()) -> None:
        """Show the run as it is before the first dial; `live` tells of calls that are on the line already."""
        self._writer.start()

    def say(self, *lines: str) -> None:
        """Write sentences that stay, wrapped at words on a terminal, without what would change how it shows them."""
        # Spaces are kept as they are, since what is said may be indented.
        safe = [harmless(part).rstrip() for line in lines for part in line.split("\n")]
        written = chain.from_iterable(map(self._wrapped, safe)) if self._on_terminal else safe
        self._writer.say("".join(f"{line}\n" for line in written))

    def announce(self, line: str) -> None:
        """Say what happens next, such that nobody misses it."""
        self.say(line)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Write a table of plain text: on a terminal fitted to its width, elsewhere each cell whole."""
        if self._stream is None or not self._on_terminal:
            lines: Iterable[str] = map(table.text, table.laid_out(columns, rows))
        else:
            lines = self._fitted(self._stream, columns, rows)
        self._writer.say("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Wait until everything is written; what is said afterwards is written at once."""
        self._writer.close()

    @abstractmethod
    def _take(self, event: CallEvent) -> None:
        """Take note of an event."""

    def _fitted(self, stream: IO[str], columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Iterable[str]:
        from concierge_calls.display.cells import ASCII, UNICODE
        from concierge_calls.display.ink import Ink

        glyphs = UNICODE if terminal.shows_unicode(stream, self._environ) else ASCII
        return map(Ink(stream).painted, table.laid_out(columns, rows, self._columns(), glyphs))

    def _columns(self) -> int:
        return 80 if self._stream is None else max(terminal.SMALLEST[0], terminal.size(self._stream)[0])

    def _wrapped(self, line: str) -> list[str]:
        from concierge_calls.display.cells import wrapped

        return wrapped(line, self._columns())
