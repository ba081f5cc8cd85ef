"""The routes that have somebody called: one provider, several of them, or those of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from concierge_calls import plan, report
from concierge_calls.api.answers import AcceptedAnswer, DocumentAnswer, PreviewAnswer, ResultAnswer
from concierge_calls.api.bodies import BatchBody, CallBody, FileBody
from concierge_calls.api.describing import Answers, problems
from concierge_calls.api.documents import document
from concierge_calls.api.headers import IdempotencyKey, RespondAsync, request_key
from concierge_calls.api.orders import Names, One, order_for, order_for_file
from concierge_calls.api.problems import Problem
from concierge_calls.api.service import Service, TheService
from concierge_calls.api.work import Work
from concierge_calls.beginning import drafted_in
from concierge_calls.draft import Order
from concierge_calls.forecast import limits, where
from concierge_calls.journal import RequestKey
from concierge_calls.models import RunResult, RunStats
from concierge_calls.run import Run
from concierge_calls.settings.loading import Settings

LEFT = "The server is being stopped while run {} goes on; {}."
BACK = "it is finished once the server is back, so ask for it there"
GONE = "its simulator goes with the server, so begin another one"
NO_KEY = " The request had no Idempotency-Key, so do not send it again: that would begin another run."
CUT_SHORT = "It goes on when its request is sent again with the same Idempotency-Key."

router = APIRouter()

_BEGUN = problems(409, 422, 429, 503, 507)
_ACCEPTED: Answers = {202: {"description": "The run goes on by itself.", "model": AcceptedAnswer}}


@router.post(
    "/providers/call",
    response_class=JSONResponse,
    responses={200: {"description": "What came of it.", "model": ResultAnswer}, **_ACCEPTED, **_BEGUN},
)
async def call_provider(
    service: TheService, body: CallBody, prefer_async: RespondAsync, idempotency_key: IdempotencyKey
) -> Response:
    """Call one provider, wait, and answer its result, which is what one entry of a batch would be."""
    request = request_key(idempotency_key, "call", body)
    work, run_id = await _begun(service, request, lambda: order_for(service, body, [body.provider], One(), request))
    if prefer_async:
        return _accepted(service, run_id)
    result = (await _over(service, request, work, run_id)).results[0]
    return Response(report.as_json(report.result_document(result)), media_type="application/json")


@router.post(
    "/providers/batch-call",
    response_class=JSONResponse,
    responses={200: {"description": "The run with all results.", "model": DocumentAnswer}, **_ACCEPTED, **_BEGUN},
)
async def batch_call(
    service: TheService, body: BatchBody, prefer_async: RespondAsync, idempotency_key: IdempotencyKey
) -> Response:
    """Call several providers at once, wait for all of them, and answer the document."""
    request = request_key(idempotency_key, "batch-call", body)
    work, run_id = await _begun(service, request, lambda: order_for(service, body, body.providers, Names(), request))
    if prefer_async:
        return _accepted(service, run_id)
    return document(service.journal, await _over(service, request, work, run_id))


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
        notes = await asyncio.to_thread(_forecast, run)
        more = {"columns": list(file.columns), "columnsUsed": used, "notes": notes}
        shown = await asyncio.to_thread(_planned, run.result(), more)
    return Response(shown, media_type="application/json")


@router.post(
    "/runs",
    status_code=202,
    response_class=JSONResponse,
    responses={202: {"description": "The run goes on by itself.", "model": AcceptedAnswer}, **_BEGUN},
)
async def begin_run(service: TheService, body: FileBody, idempotency_key: IdempotencyKey) -> Response:
    """Call the providers of a file as `concierge-calls batch` would; rows that cannot be used are skipped."""
    request = request_key(idempotency_key, "runs", body)

    async def planned() -> tuple[Order, Settings]:
        _, order, settings = await asyncio.to_thread(order_for_file, service, body, request=request)
        return order, settings

    _, run_id = await _begun(service, request, planned)
    return _accepted(service, run_id)


def _planned(result: RunResult, more: Mapping[str, object]) -> str:
    plan_of: dict[str, object] = {
        "run": report.run_document(result.run),
        "stats": report.stats_document(result.stats),
        "results": [{**report.result_document(each), "warning": each.warning} for each in result.results],
    }
    return report.as_json({**plan_of, **more})


async def _begun(
    service: Service, request: RequestKey | None, planned: Callable[[], Awaitable[tuple[Order, Settings]]]
) -> tuple[Work, str]:
    # A request that was taken once is not looked at again: what the server allows may have changed since.
    work = service.runs.join(request) or service.runs.begin(*await planned())
    return work, await asyncio.shield(work.begun)  # whoever goes away ends nothing


async def _over(service: Service, request: RequestKey | None, work: Work, run_id: str) -> RunResult:
    """Return the run once it is finished; raises Problem as soon as it stops before that."""
    while not work.over.is_set() and work.waits_for is None:
        await work.rests.wait()
    if work.fault is not None:
        raise work.fault
    result = service.journal.result(run_id)
    if result.run.finished:
        return result
    if service.runs.leaving.is_set():
        sentence = LEFT.format(run_id, GONE if service.simulated else BACK)
    else:
        begun = "was begun, and nobody was called yet" if _called_nobody(result.stats) else "is not finished"
        sentence = f"Run {run_id} {begun}. {work.waits_for or CUT_SHORT}"
    # Some clients send a request again by themselves when they are told after how long.
    again = request is not None or service.simulated
    sentence += "" if again else NO_KEY
    raise Problem(503, sentence, again=again, runId=run_id, statusUrl=service.status_url(run_id))


def _called_nobody(stats: RunStats) -> bool:
    return stats.pending + stats.not_called + stats.skipped == stats.total


def _accepted(service: Service, run_id: str) -> Response:
    where = service.status_url(run_id)
    headers = {"Location": where, "Preference-Applied": "respond-async"}
    return JSONResponse({"runId": run_id, "statusUrl": where}, 202, headers)


def _forecast(run: Run) -> list[str]:
    if run.simulated:
        return []
    planned = run.forecast(run.result().results)
    return [*where(planned), *limits(planned)] if planned.called else []
