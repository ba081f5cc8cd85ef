"""The routes that are not about runs: health, the page's session, Vapi's server messages, and what is for people."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from concierge_calls import __version__, routing
from concierge_calls.api.answers import HealthAnswer
from concierge_calls.api.bodies import SessionBody, WebhookBody
from concierge_calls.api.describing import CONTENT_POLICY, docs_page, problems
from concierge_calls.api.guarding import COOKIE, is_known, is_same, session_of
from concierge_calls.api.problems import Problem
from concierge_calls.api.service import Service, TheService
from concierge_calls.errors import BackendUnreachable, KestraError, KestraUnreachable, RunRefused, SettingsError
from concierge_calls.routing import Route

SESSION_LASTS = 30 * 24 * 3600  # seconds
TOLD = ("status-update", "end-of-call-report")
STATUSES = ("scheduled", "queued", "ringing", "in-progress", "forwarding", "ended")
# Whoever does not show it is sent away before a body is looked at.
SECRET_HEADER = {
    "name": "X-Vapi-Secret",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "VAPI_WEBHOOK_SECRET; or as a bearer token.",
}

router = APIRouter()
people = APIRouter(include_in_schema=False)


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    response_class=JSONResponse,
    responses={200: {"description": "The service is up.", "model": HealthAnswer}},
)
async def health(service: TheService, request: Request) -> Response:
    """Say that the service is up; to whoever shows the token also whether Vapi and Kestra are, and a run's route."""
    if not is_known(request, service.token):
        return JSONResponse({"status": "ok"})
    settings, lines = service.settings, service.exchange.lines
    routes = routing.decide(settings.via, typed=False, simulate=service.simulated, enabled=settings.kestra_enabled)
    vapi, kestra = await asyncio.gather(_reach(service), _reach_kestra(service, routes))
    return JSONResponse(
        {
            "status": "ok",
            "version": __version__,
            "simulated": service.simulated,
            "runs": len(service.runs),
            "linesBusy": lines.busy,
            "maxConcurrent": settings.max_concurrent,
            "vapi": vapi,
            "kestra": kestra,
            "route": routes[0] if kestra is None or kestra["message"] is None else routes[-1],
        }
    )


@router.post("/session", status_code=204, responses={204: {"description": "The cookie is set."}, **problems(401)})
async def begin_session(service: TheService, body: SessionBody, request: Request) -> Response:
    """Take the token once, and have the browser keep a cookie in its place."""
    if service.token is None:
        return Response(status_code=204)
    if not is_same(body.token, service.token):
        raise Problem(401, "This is not the server's CONCIERGE_API_TOKEN.")
    response = Response(status_code=204)
    # Behind a proxy the browser alone knows how the page came, and one that came by http drops a Secure cookie.
    came_from = request.headers.get("origin", str(request.url))
    response.set_cookie(
        COOKIE,
        session_of(service.token),
        max_age=SESSION_LASTS,
        httponly=True,
        samesite="strict",
        secure=came_from.startswith("https:"),
    )
    return response


@router.post(
    "/webhooks/vapi",
    status_code=204,
    responses={204: {"description": "Taken note of."}, **problems(401, 404)},
    openapi_extra={"parameters": [SECRET_HEADER]},
)
async def vapi_message(service: TheService, body: WebhookBody) -> Response:
    """Take a server message of Vapi's: the call that it is of is asked for at once, and nothing in it is believed."""
    message = body.message
    status = "ended" if message.type == "end-of-call-report" else message.status
    if message.type in TOLD and status in STATUSES and message.call is not None and message.call.id:
        service.exchange.hasten(message.call.id, f"{message.type} {status}")
    return Response(status_code=204)


@people.head("/docs")
@people.get("/docs")
def docs(request: Request) -> Response:
    """Show the description to people."""
    return HTMLResponse(docs_page(request.app), headers={"Content-Security-Policy": CONTENT_POLICY})


async def _reach(service: Service) -> dict[str, object]:
    try:
        await service.exchange.backend(service.settings).check()
    except (BackendUnreachable, RunRefused) as error:
        return {"reachable": isinstance(error, RunRefused), "message": error.message}
    return {"reachable": True, "message": None}


async def _reach_kestra(service: Service, routes: Sequence[Route]) -> dict[str, object] | None:
    if service.simulated or (service.settings.kestra_url is None and Route.KESTRA not in routes):
        return None
    try:
        async with routing.kestra(service.settings, rows=0):
            return {"reachable": True, "message": None}
    except (KestraUnreachable, SettingsError) as error:
        return {"reachable": False, "message": error.message}
    except (KestraError, RunRefused) as error:
        return {"reachable": True, "message": error.message}
