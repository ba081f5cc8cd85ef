"""The document as JSON: every field in camelCase, whatever a file or an assistant put into it, a result at a time."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from datetime import timedelta, timezone
from typing import Any, overload

import pytest

from concierge_calls import report
from concierge_calls.models import (
    Analysis,
    AnalysisStatus,
    CallMethod,
    CallResult,
    CallStatus,
    Message,
    Provider,
    RunInfo,
    RunResult,
    RunStats,
)
from tests.report.samples import RUN, START, result


class Lazily(Sequence[CallResult]):
    """Results that note how much was written by the time each of them is asked for."""

    def __init__(self, number: int, file: io.StringIO) -> None:
        self.number = number
        self.file = file
        self.written: list[int] = []

    def __len__(self) -> int:
        return self.number

    @overload
    def __getitem__(self, which: int) -> CallResult: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[CallResult]: ...
    def __getitem__(self, which: int | slice) -> CallResult | Sequence[CallResult]:
        raise AssertionError("a document is read from its beginning to its end")

    def __iter__(self) -> Iterator[CallResult]:
        for index in range(self.number):
            self.written.append(self.file.getvalue().count('"index"'))
            yield result(index)


def written(*results: CallResult, run: RunInfo = RUN, stats: RunStats | None = None) -> Any:
    file = io.StringIO()
    report.write(RunResult(run=run, stats=stats or RunStats(total=len(results)), results=results), file)
    file.getvalue().encode()  # it can be written in UTF-8
    return json.loads(file.getvalue(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_result_is_written_with_every_field_in_camel_case() -> None:
    east = timezone(timedelta(hours=2))
    said = result(
        3,
        status=CallStatus.COMPLETED,
        call_id="a-call",
        call_method=CallMethod.DIRECT_VAPI,
        ended_reason="customer-ended-call",
        started_at=START.astimezone(east),
        ended_at=START + timedelta(seconds=148, milliseconds=200, microseconds=499),
        transcript="AI: Hello",
        messages=(Message(role="assistant", message="Hello", seconds_from_start=0.4),),
        analysis=Analysis(
            status=AnalysisStatus.COMPLETE,
            summary="They can come.",
            structured_data={"availability": "available"},
            success_evaluation="true",
        ),
        cost=0.23,
        recording_url="https://api.vapi.ai/call/a-call/mono-recording",
    )

    assert written(said)["results"] == [
        {
            "index": 3,
            "status": "completed",
            "callId": "a-call",
            "callMethod": "direct_vapi",
            "duration": 148.2,
            "endedReason": "customer-ended-call",
            "startedAt": "2026-05-04T10:00:00.000Z",
            "endedAt": "2026-05-04T10:02:28.200Z",
            "transcript": "AI: Hello",
            "messages": [{"role": "assistant", "message": "Hello", "secondsFromStart": 0.4}],
            "analysis": {
                "status": "complete",
                "summary": "They can come.",
                "structuredData": {"availability": "available"},
                "successEvaluation": "true",
            },
            "provider": {
                "id": None,
                "name": "Blue Ridge",
                "phone": "+18645550106",
                "phoneGiven": "(864) 555-0106",
                "extension": None,
                "line": 2,
                "extra": {},
            },
            "request": {
                "serviceNeeded": "plumbing",
                "userCriteria": None,
                "location": None,
                "urgency": "within_2_days",
                "problemDescription": None,
                "clientName": None,
                "serviceRequestId": None,
            },
            "cost": 0.23,
            "recordingUrl": "https://api.vapi.ai/call/a-call/mono-recording",
            "error": None,
        }
    ]


def test_what_json_has_no_word_for_becomes_null() -> None:
    extra = {"rating": math.nan, "deep": [{"far": -math.inf}, 1.5], "name": "NaN"}
    [entry] = written(result(provider=Provider(name="Blue Ridge", phone=None, extra=extra)))["results"]

    assert entry["provider"]["extra"] == {"rating": None, "deep": [{"far": None}, 1.5], "name": "NaN"}


def test_half_a_character_is_kept_and_can_be_written() -> None:
    [entry] = written(result(transcript="half \ud83d and whole \U0001f527"))["results"]

    assert entry["transcript"] == "half \ud83d and whole \U0001f527"


def test_text_of_every_kind_comes_back_as_it_was() -> None:
    text = 'quote " back\\slash \x00\x1b[31m\u2028 \u202e new\nline'
    [entry] = written(result(transcript=text))["results"]

    assert entry["transcript"] == text


def test_a_result_is_written_before_the_next_one_is_read() -> None:
    file = io.StringIO()
    results = Lazily(50, file)
    report.write(RunResult(run=RUN, stats=RunStats(total=50), results=results), file)

    assert results.written == list(range(50))
    assert len(json.loads(file.getvalue())["results"]) == 50


def test_a_run_without_results_is_a_document_too() -> None:
    assert written()["results"] == []
