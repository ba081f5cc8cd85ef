"""The pages for whoever opens the service in a browser."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from concierge_calls import __version__, page, report
from concierge_calls.api import events
from concierge_calls.api.guarding import is_known
from concierge_calls.api.problems import Problem
from concierge_calls.api.service import PREFIX, Service, TheService

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
    return _answer(_home(service) if run is None else _run(service, run, first))


def _home(service: Service) -> str:
    journal = service.journal
    runs = [
        page.Listed(run=run, stats=stats, state=events.state(service, run))
        for run, stats in islice(journal.runs(), MOST_LISTED)
    ]
    return page.home_page(runs, most=service.settings.max_concurrent, simulated=service.simulated, version=__version__)


def _run(service: Service, run_id: str, first: int) -> str:
    journal = service.journal
    seq = journal.latest(run_id)  # before the rest, so that what comes meanwhile is told
    result = journal.begun(run_id)
    if result is None:
        raise Problem(404, "There is no such run.")
    goes_on = events.goes_on(service, run_id)
    return page.live_page(
        result,
        journal.line_spans(run_id),
        report.summary(result, journal.line_times(run_id), worked_on=goes_on),
        journal.live(run_id),
        first=first,
        seq=seq,
        goes_on=goes_on,
        recordings=f"{PREFIX}/runs/{run_id}/results/{{index}}/recording",
        version=__version__,
    )


def _answer(html: str) -> HTMLResponse:
    return HTMLResponse(html, headers={"Content-Security-Policy": page.policy()})
