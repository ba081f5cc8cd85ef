"""A run's results as one JSON document, as a closing summary, and as an exit code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import IO, Any

from concierge_calls.models import CallResult, CallStatus, Reason, RunInfo, RunResult, RunStats
from concierge_calls.plain import clock, count, one_line

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
# What a count is called where a person reads it, in the order of the summary.
WORDS = {
    "successful": "completed",
    "no_answer": "no answer",
    "busy": "busy",
    "voicemail": "voicemail",
    "timed_out": "timed out",
    "failed": "failed",
    "uncertain": "uncertain",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "not_called": "not called",
    "pending": "not yet called",
    "in_progress": "on the line",
}
# Statuses that somebody should look at: exit code 3.
NEEDS_A_LOOK = ("failed", "timed_out", "uncertain", "cancelled", "unusable")


def write(run: RunResult, file: IO[str]) -> None:
    """Write the whole document, a result a line, without ever holding more than a few of them."""
    file.write('{\n"run": ' + as_json(run_document(run.run)) + ',\n"stats": ' + as_json(stats_document(run.stats)))
    file.write(',\n"results": [')
    for number, result in enumerate(run.results):
        file.write((",\n" if number else "\n") + as_json(result_document(result)))
    file.write("\n]\n}\n")


def run_document(run: RunInfo) -> dict[str, Any]:
    """Return `run` as it stands in the document."""
    return {
        "id": run.id,
        "startedAt": _time(run.started_at),
        "endedAt": _time(run.ended_at),
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
        "startedAt": _time(result.started_at),
        "endedAt": _time(result.ended_at),
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


def exit_code(run: RunResult) -> int:
    """Return the exit code that says how the run went (README: exit codes; of several 4, then 5, 3, 0)."""
    if run.run.stopped is not None:
        return 4
    if not run.run.dry_run and not run.run.finished:
        return 5
    figures = asdict(run.stats)
    return 3 if any(figures[name] for name in NEEDS_A_LOOK) else 0


def summary(run: RunResult) -> Iterator[str]:
    """Return the closing lines for a person: how many of each, how long, what it cost, what to do next."""
    stats, figures = run.stats, asdict(run.stats)
    if run.run.dry_run:
        yield f"{count(stats.total, 'provider')}: {stats.pending:,} would be called, {stats.skipped:,} not."
        return
    counts = [f"{figures[name]:,} {word}" for name, word in WORDS.items() if figures[name]]
    yield f"{count(stats.total, 'provider')}: {', '.join(counts) or 'nobody'}."
    if stats.total > stats.skipped + stats.pending + stats.not_called:
        facts = [
            f"{clock(stats.duration_ms / 1000)} in all",
            f"at most {count(stats.peak_concurrent, 'call')} at once",
            f"{clock(stats.average_call_duration)} a conversation on average" if stats.average_call_duration else "",
            f"${stats.cost:.2f}",
        ]
        simulated = " Simulated: no phone rang, nothing was spent." if run.run.simulated else ""
        yield f"{', '.join(filter(None, facts))}.{simulated}"
    yield from _next_steps(run)


def heard(result: CallResult) -> str:
    """Return in one line what came of a call: what they said, or why nothing was."""
    data = result.analysis.structured_data
    said = [data.get(name) for name in ("availability", "earliest_availability", "estimated_rate")]
    if result.status is CallStatus.COMPLETED and any(said):
        return one_line(", ".join(str(part).replace("_", " ") for part in said if part))
    if result.error is not None:
        return one_line(result.error.message)
    return one_line(result.analysis.summary or "")


def _next_steps(run: RunResult) -> Iterator[str]:
    stopped, stats = run.run.stopped, run.stats
    if stopped is not None:
        yield f"Stopped: {stopped.message}"
    if stats.uncertain:
        yield (
            f"{count(stats.uncertain, 'phone')} may have rung although nothing was heard of the call;"
            " nobody is called again by itself. Look them up in Vapi's dashboard, or look once more with:"
            f" concierge-calls resume {run.run.id}"
        )
    if run.run.finished:
        return
    if run.run.simulated:
        yield "A simulated run is not finished later, since its simulator is gone; start it again."
    else:
        yield f"To finish this run{' once that is mended' if stopped else ''}: concierge-calls resume {run.run.id}"


def _reason(reason: Reason | None) -> dict[str, str] | None:
    return None if reason is None else {"code": reason.code, "message": reason.message}


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(value: Any) -> str:
    """Return the value as JSON, whatever a file or an assistant put into it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:  # a file's or an assistant's NaN, for which JSON has no word
        return as_json(_finite(value))
    # A lone surrogate from a broken export has no UTF-8; escaped it is still JSON, and nothing is lost.
    return text if text.isprintable() else text.encode("utf-8", "backslashreplace").decode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
