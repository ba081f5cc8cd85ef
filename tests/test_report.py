"""Results as a document, as closing lines and as an exit code."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
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
    Reason,
    RunInfo,
    RunResult,
    RunStats,
    ServiceRequest,
)

START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
RUN = RunInfo(
    id="20260504-abcdefgh",
    started_at=START,
    ended_at=START + timedelta(seconds=318),
    via="direct",
    simulated=False,
    dry_run=False,
    max_concurrent=5,
    source="providers.csv",
    version="0.1.0",
    finished=True,
)
CUT = replace(RUN, finished=False)
REFUSED = Reason("credits", "Vapi wants to be paid first.")


def result(index: int = 0, **more: Any) -> CallResult:
    known: dict[str, Any] = {
        "index": index,
        "status": CallStatus.BUSY,
        "provider": Provider(name="Blue Ridge", phone="+18645550106", phone_given="(864) 555-0106", line=2),
        "request": ServiceRequest(service_needed="plumbing"),
    }
    return CallResult(**known | more)


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


def summary(run: RunInfo = RUN, **stats: Any) -> list[str]:
    return list(report.summary(RunResult(run=run, stats=RunStats(**stats), results=())))


def code(run: RunInfo = RUN, **stats: int) -> int:
    return report.exit_code(RunResult(run=run, stats=RunStats(**stats), results=()))


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


@pytest.mark.parametrize(
    ("expected", "run", "stats"),
    [
        (0, RUN, {"successful": 1, "no_answer": 1, "busy": 1, "voicemail": 1, "skipped": 1}),
        (3, RUN, {"successful": 1, "failed": 1}),
        (3, RUN, {"timed_out": 1}),
        (3, RUN, {"uncertain": 1}),
        (3, RUN, {"cancelled": 1}),
        (3, RUN, {"skipped": 1, "unusable": 1}),
        (5, CUT, {"pending": 1}),
        (4, replace(CUT, stopped=REFUSED), {"not_called": 1, "failed": 1}),
        (0, replace(CUT, dry_run=True), {"pending": 1}),
        (3, replace(CUT, dry_run=True), {"pending": 1, "skipped": 1, "unusable": 1}),
    ],
)
def test_the_exit_code_is_the_worst_that_fits(expected: int, run: RunInfo, stats: dict[str, int]) -> None:
    assert code(run, **stats) == expected


def test_the_closing_lines_say_how_many_how_long_and_what_it_cost() -> None:
    counts: dict[str, Any] = {"total": 10, "successful": 6, "failed": 1, "no_answer": 1, "voicemail": 1, "skipped": 1}
    figures: dict[str, Any] = {
        "duration_ms": 318_000,
        "average_call_duration": 142.5,
        "peak_concurrent": 5,
        "cost": 1.37,
    }

    assert summary(**counts, **figures) == [
        "10 providers: 6 completed, 1 no answer, 1 voicemail, 1 failed, 1 skipped.",
        "5:18 in all, at most 5 calls at once, 2:22 a conversation on average, $1.37.",
    ]


def test_the_closing_lines_say_what_to_do_next() -> None:
    resume = "concierge-calls resume 20260504-abcdefgh"

    assert summary(CUT, total=3, successful=1, pending=1, in_progress=1)[-1] == f"To finish this run: {resume}"
    assert summary(replace(CUT, stopped=REFUSED), total=1, not_called=1)[-2:] == [
        "Stopped: Vapi wants to be paid first.",
        f"To finish this run once that is mended: {resume}",
    ]
    assert summary(total=2, uncertain=2)[-1] == (
        "2 phones may have rung although nothing was heard of the call; nobody is called again by itself."
        f" Look them up in Vapi's dashboard, or look once more with: {resume}"
    )
    assert summary(replace(CUT, simulated=True), total=1, pending=1)[-1] == (
        "A simulated run is not finished later, since its simulator is gone; start it again."
    )
    assert summary(replace(CUT, dry_run=True), total=3, pending=2, skipped=1) == [
        "3 providers: 2 would be called, 1 not."
    ]


@pytest.mark.parametrize(
    ("data", "summary_", "error", "line"),
    [
        (
            {"availability": "callback_requested", "earliest_availability": "Tuesday\n9 AM", "estimated_rate": "$95"},
            "They call back.",
            None,
            "callback requested, Tuesday 9 AM, $95",
        ),
        ({}, "They were kind.", None, "They were kind."),
        ({}, None, REFUSED, "Vapi wants to be paid first."),
        ({}, None, None, ""),
    ],
)
def test_what_came_of_a_call_is_one_line(
    data: dict[str, str], summary_: str | None, error: Reason | None, line: str
) -> None:
    analysis = Analysis(summary=summary_, structured_data=data)

    assert report.heard(result(status=CallStatus.COMPLETED, analysis=analysis, error=error)) == line
