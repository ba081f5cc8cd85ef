"""The routes that have somebody called: one provider, several of them, or those of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import JSONResponse, Response, StreamingResponse

from concierge_calls import plan, report
from concierge_calls.api.answers import AcceptedAnswer, DocumentAnswer, PreviewAnswer, ResultAnswer
from concierge_calls.api.bodies import BatchBody, CallBody, FileBody
from concierge_calls.api.describing import Answers, problems
from concierge_calls.api.idempotency import IdempotencyKey, request_key
from concierge_calls.api.orders import Names, One, order_for, order_for_file
from concierge_calls.api.problems import Problem
from concierge_calls.api.running import Work
from concierge_calls.api.service import Service, TheService
from concierge_calls.beginning import drafted_in
from concierge_calls.draft import Order
from concierge_calls.models import RunResult
from concierge_calls.settings.loading import Settings

PIECE = 64 * 1024  # characters that are sent at once
LEFT = "The server is being stopped while run {} goes on; it is finished once the server is back. Ask for it there."

router = APIRouter()

Prefer = Annotated[
    str | None, Header(description="`respond-async`: answer 202 at once, and let the run go on by itself.")
]
_BEGUN = problems(409, 422, 429, 503, 507)
_ACCEPTED: Answers = {202: {"description": "The run goes on by itself.", "model": AcceptedAnswer}}


@router.post(
    "/providers/call",
    response_class=JSONResponse,
    responses={200: {"description": "What came of it.", "model": ResultAnswer}, **_ACCEPTED, **_BEGUN},
)
async def call_provider(
    service: TheService, body: CallBody, prefer: Prefer = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """Call one provider, wait, and answer its result, which is what one entry of a batch would be."""
    request = request_key(idempotency_key, "call", body)
    order, settings = await order_for(service, body, [body.provider], One(), request)
    work, run_id = await _begun(service, order, settings)
    if _is_async(prefer):
        return _accepted(service, run_id)
    await _over(service, work, run_id)
    result = service.journal.result(run_id).results[0]
    return Response(report.as_json(report.result_document(result)), media_type="application/json")


@router.post(
    "/providers/batch-call",
    response_class=JSONResponse,
    responses={200: {"description": "The run with all results.", "model": DocumentAnswer}, **_ACCEPTED, **_BEGUN},
)
async def batch_call(
    service: TheService, body: BatchBody, prefer: Prefer = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """Call several providers at once, wait for all of them, and answer the document."""
    request = request_key(idempotency_key, "batch-call", body)
    order, settings = await order_for(service, body, body.providers, Names(), request)
    work, run_id = await _begun(service, order, settings)
    if _is_async(prefer):
        return _accepted(service, run_id)
    await _over(service, work, run_id)
    return document(service.journal.result(run_id))


@router.post(
    "/runs/preview",
    response_class=JSONResponse,
    responses={200: {"description": "The plan of a run.", "model": PreviewAnswer}, **problems(507)},
)
async def preview(service: TheService, body: FileBody) -> Response:
    """Show who of a providers file would be called, who not and why; nobody is."""
    file, order, settings = await asyncio.to_thread(order_for_file, service, body, dry_run=True)
    used = plan.columns_used(file.fields, order.typed, mapped=order.mapped)
    async with drafted_in(service.journal, order, settings) as run:
        more = {"columns": list(file.columns), "columnsUsed": used, "notes": run.warnings}
        shown = await asyncio.to_thread(_planned, run.result(), more)
    return Response(shown, media_type="application/json")


@router.post(
    "/runs",
    status_code=202,
    response_class=JSONResponse,
    responses={202: {"description": "The run goes on by itself.", "model": AcceptedAnswer}, **_BEGUN},
)
async def begin_run(service: TheService, body: FileBody, idempotency_key: IdempotencyKey = None) -> Response:
    """Call the providers of a file as `concierge-calls batch` would; rows that cannot be used are skipped."""
    request = request_key(idempotency_key, "runs", body)
    _, order, settings = await asyncio.to_thread(order_for_file, service, body, request=request)
    _, run_id = await _begun(service, order, settings)
    return _accepted(service, run_id)


def document(result: RunResult) -> Response:
    """Return the run's document as an answer that is read as it is sent."""
    return StreamingResponse(_gathered(report.pieces(result)), media_type="application/json")


def _planned(result: RunResult, more: Mapping[str, object]) -> str:
    plan_of: dict[str, object] = {
        "run": report.run_document(result.run),
        "stats": report.stats_document(result.stats),
        "results": [report.result_document(each) for each in result.results],
    }
    return report.as_json({**plan_of, **more})


async def _begun(service: Service, order: Order, settings: Settings) -> tuple[Work, str]:
    work = service.runs.begin(order, settings)
    return work, await asyncio.shield(work.begun)  # whoever goes away ends nothing


async def _over(service: Service, work: Work, run_id: str) -> None:
    await work.over.wait()
    if work.fault is not None:
        raise work.fault
    if service.runs.leaving.is_set() and not service.journal.result(run_id).run.finished:
        raise Problem(503, LEFT.format(run_id), runId=run_id, statusUrl=service.status_url(run_id))


def _accepted(service: Service, run_id: str) -> Response:
    where = service.status_url(run_id)
    headers = {"Location": where, "Preference-Applied": "respond-async"}
    return JSONResponse({"runId": run_id, "statusUrl": where}, 202, headers)


def _is_async(prefer: str | None) -> bool:
    return any(each.strip().lower() == "respond-async" for each in (prefer or "").split(","))


def _gathered(pieces: Iterator[str]) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)
