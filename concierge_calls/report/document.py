"""The parts of the document, in camelCase: what the run was, its figures, and one entry for each provider."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from concierge_calls.models import CallResult, Reason, RunInfo, RunStats

STATS = {
    "total": "total",
    "successful": "successful",
    "failed": "failed",
    "timed_out": "timedOut",
    "no_answer": "noAnswer",
    "busy": "busy",
    "voicemail": "voicemail",
    "uncertain": "uncertain",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "not_called": "notCalled",
    "pending": "pending",
    "in_progress": "inProgress",
    "duration_ms": "durationMs",
    "average_call_duration": "averageCallDuration",
    "peak_concurrent": "peakConcurrent",
    "cost": "cost",
}


def run_document(run: RunInfo) -> dict[str, Any]:
    """Return `run` as it stands in the document."""
    return {
        "id": run.id,
        "startedAt": as_time(run.started_at),
        "endedAt": as_time(run.ended_at),
        "via": run.via,
        "simulated": run.simulated,
        "dryRun": run.dry_run,
        "maxConcurrent": run.max_concurrent,
        "source": run.source,
        "version": run.version,
        "finished": run.finished,
    }


def stats_document(stats: RunStats) -> dict[str, Any]:
    """Return `stats` as it stands in the document."""
    figures = asdict(stats)
    document = {name: figures[ours] for ours, name in STATS.items()}
    return document | {
        "averageCallDuration": round(stats.average_call_duration, 3),
        "cost": round(stats.cost, 6),
    }


def result_document(result: CallResult) -> dict[str, Any]:
    """Return one entry of `results` as it stands in the document."""
    provider, request, analysis = result.provider, result.request, result.analysis
    return {
        "index": result.index,
        "status": result.status,
        "callId": result.call_id,
        "callMethod": result.call_method,
        "duration": round(result.duration, 3),
        "endedReason": result.ended_reason,
        "startedAt": as_time(result.started_at),
        "endedAt": as_time(result.ended_at),
        "transcript": result.transcript,
        "messages": [
            {"role": turn.role, "message": turn.message, "secondsFromStart": turn.seconds_from_start}
            for turn in result.messages
        ],
        "analysis": {
            "status": analysis.status,
            "summary": analysis.summary,
            "structuredData": dict(analysis.structured_data),
            "successEvaluation": analysis.success_evaluation,
        },
        "provider": {
            "id": provider.id,
            "name": provider.name,
            "phone": provider.phone,
            "phoneGiven": provider.phone_given,
            "extension": provider.extension,
            "line": provider.line,
            "extra": dict(provider.extra),
        },
        "request": {
            "serviceNeeded": request.service_needed,
            "userCriteria": request.user_criteria,
            "location": request.location,
            "urgency": request.urgency,
            "problemDescription": request.problem_description,
            "clientName": request.client_name,
            "serviceRequestId": request.service_request_id,
        },
        "cost": result.cost,
        "recordingUrl": result.recording_url,
        "error": _reason(result.error),
    }


def _reason(reason: Reason | None) -> dict[str, str] | None:
    return None if reason is None else {"code": reason.code, "message": reason.message}


def as_time(moment: datetime | None) -> str | None:
    """Return a moment as it stands in every document: ISO 8601 in UTC, to the millisecond."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def listed(objects: Iterable[Any]) -> Iterator[str]:
    """Return a JSON list of these in pieces, one object a line, each asked for when its turn comes."""
    yield "["
    for number, each in enumerate(objects):
        yield (",\n" if number else "\n") + as_json(each)
    yield "\n]\n"


def _escaped(char: str) -> str:
    return char if unicodedata.category(char) not in ("Cc", "Cf", "Cs") else json.dumps(char)[1:-1]


def as_json(value: Any) -> str:
    """Return the value as JSON, whatever a file or an assistant put into it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:  # a file's or an assistant's NaN, for which JSON has no word
        return as_json(_finite(value))
    # A lone surrogate has no UTF-8, and what turns a terminal's text around or clears it is no text: escaped it is the
    # same JSON, and nothing is lost.
    return text if text.isprintable() else "".join(map(_escaped, text))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
