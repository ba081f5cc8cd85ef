"""One run looked at from outside, at a terminal: who is on the line now, who can come, and whether it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from concierge_calls import report
from concierge_calls.cli.closing import show_standings
from concierge_calls.display import STAGES, Column, Verbosity, chosen
from concierge_calls.journal import Journal
from concierge_calls.models import CallEvent, RunResult
from concierge_calls.output import Output
from concierge_calls.plain import clock, shown
from concierge_calls.ranking import heard

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
    latest: dict[int | None, CallEvent] = {}
    begun: dict[int | None, datetime] = {}
    for event in journal.live(run_id):
        begun.setdefault(event.index, event.at)
        latest[event.index] = event
    now = datetime.now(UTC)
    for index, event in latest.items():
        if event.request is not None:
            provider = event.request.provider
            since = clock(max(0.0, (now - begun[index]).total_seconds()))
            yield shown(provider.name, 40), f"…{provider.last_four}", STAGES[event.kind], since
