"""Assembles the service, and turns what was raised into problem details."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from concierge_calls.api import calls, describing, doors, pages, problems, runs
from concierge_calls.api.guarding import OPEN, WEBHOOKS, Guard
from concierge_calls.api.problems import Fault
from concierge_calls.api.service import PREFIX, Service
from concierge_calls.errors import ConciergeError

BUG = "This is a bug; please report it. What was called is in the journal."


def bare() -> FastAPI:
    """Return the routes without a service behind them, which is enough to describe them."""
    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False)
    app.openapi = lambda: describing.describe(app)  # type: ignore[method-assign]
    for router in (calls.router, runs.router, doors.router):
        app.include_router(router, prefix=PREFIX)
    app.include_router(doors.people)
    app.include_router(pages.people)
    return app


def build(service: Service) -> FastAPI:
    """Return the app of a service."""
    app = bare()
    app.state.service = service
    app.add_middleware(Guard, service=service, takes_json=describing.paths_that_take(app, "post"))
    app.add_exception_handler(ConciergeError, _ours)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _by_status)
    app.add_exception_handler(Exception, _bug)
    return app


async def _ours(_request: Request, error: Exception) -> Response:
    return problems.of(cast(ConciergeError, error))


async def _wrong_request(request: Request, error: Exception) -> Response:
    raised = cast(RequestValidationError, error)
    faults = list(problems.faults_of(raised.errors(), raised.body))
    would_call = request.method == "POST" and request.url.path not in (*OPEN, WEBHOOKS)
    return problems.of(problems.bad_request(faults, calls=would_call))


async def _by_status(request: Request, error: Exception) -> Response:
    raised = cast(HTTPException, error)
    if raised.status_code == 405:  # Starlette names the methods of one of the routes alone
        allowed = ", ".join(describing.methods_of(request.app, request.url.path)) or "GET"
        return problems.answer(405, f"This address takes {allowed}.", headers={"Allow": allowed})
    if raised.status_code == 400:  # FastAPI could make nothing of the body
        return problems.of(problems.bad_request([Fault(field="body", reason="This cannot be read as JSON in UTF-8.")]))
    sentence = "There is nothing at this address." if raised.status_code == 404 else str(raised.detail)
    return problems.answer(raised.status_code, sentence, headers=raised.headers)


async def _bug(_request: Request, _error: Exception) -> Response:
    return problems.answer(500, BUG)
