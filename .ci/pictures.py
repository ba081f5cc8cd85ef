"""Draws the README's two pictures from a simulated run: the live table in its middle, and the closing summary."""

import asyncio
import io
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from concierge_calls import report
from concierge_calls.beginning import drafted
from concierge_calls.cli.closing import show_standings
from concierge_calls.display import Column, Display
from concierge_calls.display.board import Board
from concierge_calls.display.cells import UNICODE
from concierge_calls.display.frame import frame
from concierge_calls.display.table import Line, laid_out
from concierge_calls.display.writer import Writer
from concierge_calls.draft import Order
from concierge_calls.models import CallEvent, RunResult
from concierge_calls.providers import read
from concierge_calls.ranking import heard
from concierge_calls.settings.loading import load

TOP = Path(__file__).resolve().parent.parent
COLUMNS, ROWS = 100, 30
ENDED, TALKING = 3, 3  # calls at least, when the picture of the table is taken


class Picture(Display):
    """Keeps as lines what a terminal would show."""

    def __init__(self) -> None:
        super().__init__(None, Writer(None))
        self.table_then: list[Line] = []
        self.lines: list[Line] = []
        self._board = Board(heard)

    def begin(self, result: RunResult, live: Iterable[CallEvent] = ()) -> None:
        """Take the run as it is before the first dial."""
        self._board.begin(result, live, datetime.now(UTC))

    def _take(self, event: CallEvent) -> None:
        self._board.fold(event)
        view = self._board.view(ROWS, datetime.now(UTC))
        talking = sum(row.state == "talking" for row in view.live)
        if not self.table_then and view.done >= ENDED and talking >= TALKING:
            self.table_then = frame(view, COLUMNS, ROWS, UNICODE)

    def say(self, *lines: str) -> None:
        """Keep sentences."""
        self.lines += [((line, ""),) for line in lines]

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Keep a table."""
        self.lines += laid_out(columns, rows, COLUMNS, UNICODE)


async def run(picture: Picture) -> None:
    """Call the example's providers on a simulator."""
    order = Order(rows=read(TOP / "examples" / "providers.csv"), source="providers.csv", simulate=True)
    async with drafted(order, load({"api_key": "simulated"})) as drafted_run, drafted_run.connected():
        picture.begin(drafted_run.result())
        result = await drafted_run.start(picture)
        show_standings(result, picture)
        picture.say(*report.summary(result, drafted_run.line_times()))


def save(lines: Sequence[Line], name: str) -> None:
    """Save the lines as an SVG that loads nothing from anywhere."""
    if not lines:
        sys.exit(f"There is nothing in the picture {name}; did the run go another way?")
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=False)
    svg = console.export_svg(title="concierge-calls batch providers.csv --simulate", unique_id=name)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    (TOP / ".github" / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE))


if __name__ == "__main__":
    taken = Picture()
    asyncio.run(run(taken))
    save(taken.table_then, "table")
    save(taken.lines[1:], "summary")
