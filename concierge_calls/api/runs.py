"""The routes of the runs: all of them, one with its document and its events, its recordings, and how it is stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from itertools import islice
from typing import Annotated

import httpx
from fastapi import APIRouter, Header, Path, Query
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response, StreamingResponse

from concierge_calls import report
from concierge_calls.api import events
from concierge_calls.api.answers import DocumentAnswer, ListedAnswer
from concierge_calls.api.describing import problems
from concierge_calls.api.documents import document
from concierge_calls.api.problems import Problem
from concierge_calls.api.service import Service, TheService
from concierge_calls.models import RunResult

LARGEST_SEQ = 2**63 - 1
KEPT = ("content-length", "content-range", "accept-ranges")  # of the storage's headers

router = APIRouter()

RunId = Annotated[str, Path(description="The run's id.", examples=["20261126-abcdefgh"])]


@router.get(
    "/runs",
    response_class=JSONResponse,
    responses={200: {"description": "The runs, newest first.", "model": list[ListedAnswer]}},
)
def list_runs(
    service: TheService,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many of them.")] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="After how many of them.")] = 0,
) -> Response:
    """List the runs in the journal, newest first."""
    found = [run.id for run in islice(service.journal.infos(), offset + limit)][offset:]
    listed = (_listed(service, service.journal.result(run_id)) for run_id in found)
    return Response("".join(report.listed(listed)), media_type="application/json")


@router.get(
    "/runs/{run_id}",
    response_class=JSONResponse,
    responses={200: {"description": "The document as it is now.", "model": DocumentAnswer}, **problems(404, 507)},
)
def show_run(service: TheService, run_id: RunId) -> Response:
    """Answer one run's document, live while it goes on: `stats` are the figures of the very results in it."""
    return document(service.journal, _known(service, run_id))


@router.get(
    "/runs/{run_id}/events",
    response_class=Response,
    responses={
        200: {"description": "Server-sent events, each with an EventAnswer.", "content": {events.MEDIA_TYPE: {}}},
        204: {"description": "Nothing follows the last one, and nothing will."},
        **problems(404),
    },
)
async def run_events(
    service: TheService,
    run_id: RunId,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The `seq` of the last event that was seen.")
    ] = None,
    after_seq: Annotated[
        int, Query(alias="after", ge=0, description="The same, for whoever cannot send that header.")
    ] = 0,
) -> Response:
    """Stream a run's events, those that were and then those that come; the stream ends with the run."""
    _known(service, run_id)
    after = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdecimal() else after_seq
    after = min(after, LARGEST_SEQ)
    if not events.goes_on(service, run_id) and not service.journal.history(run_id, after, 1):
        return Response(status_code=204)  # which ends a browser's reconnecting
    return StreamingResponse(events.stream(service, run_id, after), media_type=events.MEDIA_TYPE)


@router.delete(
    "/runs/{run_id}",
    response_class=JSONResponse,
    responses={
        200: {"description": "Nobody is on the line, and nobody is dialled any more.", "model": ListedAnswer},
        202: {"description": "Nobody new is dialled; calls are on the line.", "model": ListedAnswer},
        **problems(404, 409),
    },
)
async def stop_run(
    service: TheService,
    run_id: RunId,
    hang_up: Annotated[bool, Query(alias="hangUp", description="Also end the calls on the line.")] = False,
) -> Response:
    """Stop dialling for good: who was not called yet is not called, whatever resumes the run."""
    _known(service, run_id)
    await service.runs.stop(run_id, hang_up=hang_up)
    stopped = service.journal.result(run_id)
    shown = report.as_json(_listed(service, stopped))
    return Response(shown, 202 if stopped.stats.in_progress else 200, media_type="application/json")


@router.get(
    "/runs/{run_id}/results/{index}/recording",
    response_class=Response,
    responses={
        200: {"description": "The recording.", "content": {"audio/wav": {}, "audio/mpeg": {}}},
        206: {"description": "The part that Range asked for.", "content": {"audio/wav": {}, "audio/mpeg": {}}},
        **problems(404, 502),
    },
)
async def recording(
    service: TheService,
    run_id: RunId,
    index: Annotated[int, Path(ge=0, description="Which of the results.")],
    range_: Annotated[str | None, Header(alias="Range", description="Which part of it.")] = None,
) -> Response:
    """Answer the recording of one call, fetched with the server's key."""
    results = _known(service, run_id).results
    address = results[index].recording_url if index < len(results) else None
    if address is None:
        raise Problem(404, "There is no recording of this call.")
    response = await service.exchange.client.recording(address, {"Range": range_} if range_ else {})
    headers = {name: response.headers[name] for name in KEPT if name in response.headers}
    return StreamingResponse(
        _sound(response),
        206 if response.status_code == httpx.codes.PARTIAL_CONTENT else 200,
        headers | {"Content-Security-Policy": "sandbox"},
        media_type=_sound_type(response.headers),
        background=BackgroundTask(response.aclose),
    )


async def _sound(response: httpx.Response) -> AsyncIterator[bytes]:
    async for piece in response.aiter_raw():
        yield piece


def _sound_type(headers: Mapping[str, str]) -> str:
    named = headers.get("content-type", "")
    return named if named.startswith("audio/") else "application/octet-stream"


def _known(service: Service, run_id: str) -> RunResult:
    """Return the run; raises Problem for one that is not there, or is a draft yet."""
    found = service.journal.begun(run_id)
    if found is None:
        raise Problem(404, "There is no such run.")
    return found


def _listed(service: Service, result: RunResult) -> dict[str, object]:
    run = result.run
    stats = report.stats_document(result.stats)
    return {"run": report.run_document(run), "stats": stats, "state": events.state(service, run)}
