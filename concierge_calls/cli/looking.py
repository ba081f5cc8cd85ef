"""One run looked at from outside, at a terminal: who is on the line now, who can come, and whether it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from concierge_calls import report
from concierge_calls.cli.closing import show_standings
from concierge_calls.display import Column, Verbosity, chosen
from concierge_calls.journal import Journal
from concierge_calls.models import RunResult
from concierge_calls.output import Output
from concierge_calls.plain import clock
from concierge_calls.ranking import heard
from concierge_calls.unsettled import unsettled

COLUMNS = (
    Column("Not over yet", flexible=True),
    Column("Phone"),
    Column("State", styled=True),
    Column("Since the dial", right=True),
)


def show_run(journal: Journal, result: RunResult, place: Output) -> None:
    """Show how the run stands, on stderr, and where its document went."""
    screen = chosen(Verbosity.NORMAL, heard)
    if live := list(_live(journal, result.run.id)):
        screen.say("")
        screen.table(COLUMNS, live)
    show_standings(result, screen)
    worked_on = not result.run.finished and journal.is_worked_on(result.run.id)
    screen.say(*report.summary(result, journal.line_times(result.run.id), worked_on=worked_on))
    if not place.is_stdout:
        screen.say(f"The document is in {place.target}")


def _live(journal: Journal, run_id: str) -> Iterator[tuple[str, ...]]:
    for call in unsettled(journal.live(run_id), datetime.now(UTC)):
        yield call.name, f"…{call.last_four}", call.state, clock(call.seconds)
