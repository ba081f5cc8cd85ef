"""The dry run: every row as it would be called or not, with -v all that the assistant is told, and the document."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial

from concierge_calls import report
from concierge_calls.display import Column, Display, Verbosity, is_wrong
from concierge_calls.forecast import Forecast, limits, local_clock, where
from concierge_calls.models import CallRequest, CallResult, CallStatus, RunResult
from concierge_calls.output import Output
from concierge_calls.plain import one_line
from concierge_calls.run import Run

PAGE = 1_000  # rows of one table
NAME_WIDTH = 30
NUMBER_WIDTH = 20
COLUMNS = (
    Column("", styled=True),
    Column("Provider", flexible=True),
    Column("Phone"),
    Column("There"),
    Column("Why not, or what is worth a look", flexible=True, wraps=True),
)


def show_plan(run: Run, output: Output, screen: Display, verbosity: Verbosity, notes: Iterable[str]) -> int:
    """Show every row and return the exit code; a file is made of the plan only where one was asked for.

    The plan is there to be read, so numbers are whole.
    """
    result = run.result()
    if verbosity is Verbosity.QUIET:
        deque(_shown(filter(is_wrong, result.results), screen), maxlen=0)
    else:
        forecast = run.forecast(_shown(result.results, screen))
        screen.say(*notes, *_limits(run, forecast), *report.summary(result))
    if verbosity is Verbosity.VERBOSE:
        screen.say(*_told(run, result))
    if not output.was_chosen_by_us:
        output.write(partial(report.write, result, format_=result.run.format))
    return report.exit_code(result)


def _shown(rows: Iterable[CallResult], screen: Display) -> Iterator[CallResult]:
    """Show the rows, and hand each on to whoever asks for it, so that a long plan is read only once."""
    now = datetime.now().astimezone()
    page: list[tuple[str, ...]] = []
    for row in rows:
        page.append(_planned(row, now))
        if len(page) == PAGE:  # a table measures all of its rows, and a file may have very many
            screen.table(COLUMNS, page)
            page = []
        yield row
    if page:
        screen.table(COLUMNS, page)


def _planned(row: CallResult, now: datetime) -> tuple[str, ...]:
    provider = row.provider
    called = row.status is not CallStatus.SKIPPED
    why = row.warning if called else row.error and row.error.message
    return (
        "call" if called else "skip",
        one_line(provider.name, NAME_WIDTH) or "(no name)",
        provider.phone or one_line(provider.phone_given, NUMBER_WIDTH) or "-",
        (local_clock(provider.phone, now) if called and provider.phone else None) or "",
        why or "",
    )


def _limits(run: Run, forecast: Forecast) -> Iterator[str]:
    if forecast.called and not run.simulated:
        yield from where(forecast)
        yield from limits(forecast)


def _told(run: Run, result: RunResult) -> Iterator[str]:
    from concierge_calls.vapi.assistant import script, variable_values

    first = next((row for row in result.results if row.status is not CallStatus.SKIPPED), None)
    if first is None:
        yield "Nobody would be called, so nobody would be told anything."
        return
    asked = CallRequest(index=first.index, provider=first.provider, request=first.request)
    yield ""
    if run.settings.assistant_id is None:
        yield from script(asked, record=run.settings.record).splitlines()
    else:
        yield "Your own assistant is told these facts:"
        yield from (f"- {name}: {value}" for name, value in variable_values(asked).items())
    if result.stats.pending > 1:
        yield ""
        yield "These are the facts of the first provider; each of the others has its own."
