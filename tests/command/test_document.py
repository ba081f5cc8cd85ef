"""The document, field by field, and the journal that gives it back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
COUNTS = (
    "successful",
    "failed",
    "timedOut",
    "noAnswer",
    "busy",
    "voicemail",
    "uncertain",
    "cancelled",
    "skipped",
    "notCalled",
    "pending",
    "inProgress",
)
NOTHING: dict[str, Any] = {
    "callId": None,
    "callMethod": None,
    "duration": 0.0,
    "endedReason": None,
    "startedAt": None,
    "endedAt": None,
    "transcript": "",
    "messages": [],
    "analysis": {"status": "none", "summary": None, "structuredData": {}, "successEvaluation": None},
    "cost": None,
    "recordingUrl": None,
}
WANTED = {
    "serviceNeeded": "plumbing",
    "userCriteria": None,
    "location": None,
    "urgency": "today",
    "problemDescription": None,
    "clientName": None,
    "serviceRequestId": None,
}
FINDINGS = {
    "availability": str,
    "earliest_availability": str,
    "estimated_rate": str,
    "single_person_found": bool,
    "technician_name": str,
    "all_criteria_met": bool,
    "criteria_details": str,
    "call_outcome": str,
    "recommended": bool,
    "disqualified": bool,
    "disqualification_reason": str,
    "do_not_call": bool,
    "notes": str,
}


def provider(name: str, phone: str | None, given: str, line: int, **more: Any) -> dict[str, Any]:
    known = {"id": None, "name": name, "phone": phone, "phoneGiven": given, "extension": None, "line": line}
    return known | {"extra": {"rating": ""}} | more


@pytest.fixture
def document(simulated: Any) -> Any:
    return simulated.finished.document


def test_the_document_says_what_run_it_is(document: Any) -> None:
    run = document["run"]

    assert list(document) == ["run", "stats", "results"]
    assert re.fullmatch(r"\d{8}-[a-z2-9]{8}", run["id"])
    assert all(MOMENT.fullmatch(run[moment]) for moment in ("startedAt", "endedAt"))
    assert run["startedAt"] < run["endedAt"]
    assert run == {
        "id": run["id"],
        "startedAt": run["startedAt"],
        "endedAt": run["endedAt"],
        "via": "direct",
        "simulated": True,
        "dryRun": False,
        "maxConcurrent": 3,
        "source": "providers.csv",
        "version": "0.1.0",
        "finished": True,
    }


def test_the_twelve_counts_add_up_to_every_row_of_the_file(document: Any) -> None:
    stats = document["stats"]
    spoken = [result["duration"] for result in document["results"] if result["duration"]]

    assert stats == dict.fromkeys(COUNTS, 0) | {
        "total": 6,
        "successful": 1,
        "noAnswer": 1,
        "busy": 1,
        "voicemail": 1,
        "skipped": 2,
        "durationMs": stats["durationMs"],
        "averageCallDuration": pytest.approx(sum(spoken) / len(spoken), abs=0.001),
        "peakConcurrent": 3,
        "cost": pytest.approx(sum(result["cost"] or 0.0 for result in document["results"])),
    }
    assert sum(stats[name] for name in COUNTS) == stats["total"] == len(document["results"])
    assert type(stats["durationMs"]) is int
    assert stats["durationMs"] > 0


def test_a_conversation_is_there_with_all_that_was_said_and_found(document: Any) -> None:
    result = document["results"][0]
    data = result["analysis"]["structuredData"]

    assert UUID.fullmatch(result["callId"])
    assert MOMENT.fullmatch(result["startedAt"])
    assert result["startedAt"] < result["endedAt"]
    assert result == {
        "index": 0,
        "status": "completed",
        "callId": result["callId"],
        "callMethod": "simulated",
        "duration": result["duration"],
        "endedReason": result["endedReason"],
        "startedAt": result["startedAt"],
        "endedAt": result["endedAt"],
        "transcript": result["transcript"],
        "messages": result["messages"],
        "analysis": {
            "status": "complete",
            "summary": result["analysis"]["summary"],
            "structuredData": data,
            "successEvaluation": "true",
        },
        "provider": provider(
            "Blue Ridge", "+18645550100", "(864) 555-0100 ext. 12", 2, extension="12", extra={"rating": "4.8"}
        ),
        "request": WANTED | {"userCriteria": "licensed"},
        "cost": result["cost"],
        "recordingUrl": None,
        "error": None,
    }
    assert (type(result["duration"]), type(result["cost"]), type(result["endedReason"])) == (float, float, str)
    assert result["duration"] > 0 < result["cost"]
    assert {"assistant", "user"} == {turn["role"] for turn in result["messages"]}
    assert all(list(turn) == ["role", "message", "secondsFromStart"] for turn in result["messages"])
    assert all(turn["message"] in result["transcript"] for turn in result["messages"])
    assert "Blue Ridge" in result["analysis"]["summary"]
    assert data.keys() == FINDINGS.keys()
    assert all(value is None or type(value) is FINDINGS[name] for name, value in data.items())
    assert (data["availability"], data["call_outcome"]) == ("available", "positive")


@pytest.mark.parametrize(
    ("index", "status", "reason"),
    [(1, "no_answer", "customer-did-not-answer"), (2, "busy", "customer-busy")],
)
def test_a_call_that_nobody_took_keeps_its_id_and_invents_nothing(
    document: Any, index: int, status: str, reason: str
) -> None:
    result = document["results"][index]

    assert UUID.fullmatch(result["callId"])
    assert {name: result[name] for name in NOTHING} == NOTHING | {
        "callId": result["callId"],
        "callMethod": "simulated",
        "endedReason": reason,
        "endedAt": result["endedAt"],
        "cost": result["cost"],
    }
    assert (result["index"], result["status"], result["error"]) == (index, status, None)


def test_rows_that_were_not_called_are_there_with_their_reasons(document: Any) -> None:
    assert document["results"][4:] == [
        NOTHING
        | {
            "index": 4,
            "status": "skipped",
            "provider": provider("Blue Ridge again", "+18645550100", "864-555-0100", 6),
            "request": WANTED,
            "error": {"code": "duplicate", "message": "duplicate of line 2"},
        },
        NOTHING
        | {
            "index": 5,
            "status": "skipped",
            "provider": provider("Odd", None, "none", 7),
            "request": WANTED,
            "error": {
                "code": "not_a_number",
                "message": "providers.csv, line 7: 'none' is not a phone number; correct it.",
            },
        },
    ]
    assert [result["index"] for result in document["results"]] == list(range(6))
    assert all(list(result) == list(document["results"][0]) for result in document["results"])


def test_show_writes_the_same_document_again(simulated: Any, document: Any) -> None:
    shown = simulated("show", document["run"]["id"], "--format", "json")

    assert (shown.code, shown.err) == (0, "")
    assert shown.out == simulated.finished.out


def test_runs_lists_the_run_and_marks_it_as_simulated(simulated: Any, document: Any) -> None:
    listed = simulated("runs")

    assert (listed.code, listed.err) == (0, "")
    assert re.fullmatch(
        rf"{document['run']['id']}  \d{{4}}-\d\d-\d\d \d\d:\d\d  providers\.csv      6/6  finished, simulated\n",
        listed.out,
    )


def test_runs_as_json_has_the_same_run_and_stats(simulated: Any, document: Any) -> None:
    expected = [{"run": document["run"], "stats": document["stats"]}]

    assert json.loads(simulated("runs", "--json").out) == expected
    assert json.loads(simulated("runs", "--simulate", "--json").out) == expected


def test_without_any_run_the_list_is_empty_and_how_to_begin_one_is_said(command: Any) -> None:
    listed = command("runs")

    assert (listed.code, listed.out) == (0, "")
    assert listed.err == "There is no run yet. Begin one with: concierge-calls batch PROVIDERS\n"
    assert json.loads(command("runs", "--json").out) == []
