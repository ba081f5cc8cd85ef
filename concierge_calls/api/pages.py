"""The pages for whoever opens the service in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from concierge_calls import __version__, page, report
from concierge_calls.api import events
from concierge_calls.api.guarding import is_known
from concierge_calls.api.service import PREFIX, Service, TheService
from concierge_calls.models import RunResult

MOST_LISTED = 50

people = APIRouter(include_in_schema=False)


@people.head("/")
@people.get("/")
def index(
    service: TheService,
    request: Request,
    run: str | None = None,
    first: Annotated[int, Query(alias="from", ge=0, le=100_000_000)] = 0,
) -> Response:
    """Show the runs and how to start one, or one run; to whoever has not shown the token the question for it."""
    if not is_known(request, service.token):
        return _answer(page.token_page(__version__))
    if run is None:
        return _answer(_home(service))
    shown = _run(service, run, first)
    return _answer(page.missing_page(__version__), 404) if shown is None else _answer(shown)


def _home(service: Service) -> str:
    journal = service.journal
    runs = [
        page.Listed(run=run, stats=stats, state=events.state(service, run))
        for run, stats in islice(journal.runs(), MOST_LISTED)
    ]
    return page.home_page(runs, most=service.settings.max_concurrent, simulated=service.simulated, version=__version__)


def _run(service: Service, run_id: str, first: int) -> str | None:
    journal = service.journal
    seq = journal.latest(run_id)  # before the rest, so that what comes meanwhile is told
    result = journal.begun(run_id)
    if result is None:
        return None
    goes_on = events.goes_on(service, run_id)
    return page.live_page(
        result,
        journal.line_spans(run_id),
        _said(service, result, goes_on=goes_on),
        journal.live(run_id),
        first=first,
        seq=seq,
        goes_on=goes_on,
        recordings=f"{PREFIX}/runs/{run_id}/results/{{index}}/recording",
        version=__version__,
    )


def _said(service: Service, result: RunResult, *, goes_on: bool) -> Iterator[str]:
    """Yield the closing sentences; of a run that stopped early and waits also when it is tried again."""
    work = service.runs.working_on(result.run.id)
    waits = work is not None and work.waits_for is not None
    line_times = service.journal.line_times(result.run.id)
    yield from report.summary(result, line_times, worked_on=goes_on and not waits)
    if work is not None and work.tried_at is not None:
        yield f"This server tries it again by itself at {work.tried_at:%H:%M:%S} UTC."


def _answer(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, headers={"Content-Security-Policy": page.policy()})
