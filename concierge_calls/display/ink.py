"""Styled text as the terminal wants it: in its colours, or without where there are none."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.text import Text

from concierge_calls.display.table import Line


class Ink:
    """Paints lines for a terminal, as its type, `NO_COLOR` and `COLORTERM` say."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream)

    def painted(self, line: Line) -> str:
        """Return the line with its escape sequences; its text is never taken for markup."""
        with self._console.capture() as captured:
            self._console.print(Text.assemble(*line), end="", soft_wrap=True)
        return captured.get()
