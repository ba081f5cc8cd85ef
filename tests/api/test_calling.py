"""Calling over HTTP: the plan's own request, one provider, and runs that go on by themselves."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import WANTED, Served, Vapi, batch, encoded, faults, problem, providers, until

PLAN = Path(__file__).parents[3] / "shared" / "plan.md"
Serve = Callable[..., Served]


def test_the_plans_own_curl_is_answered_with_full_results_of_calls_that_overlap(serve: Serve) -> None:
    if not PLAN.is_file():
        pytest.skip("the plan is not beside this folder")
    found = re.search(r"# Test 1.*?\n(curl .*?\n  \}')", PLAN.read_text(), re.DOTALL)
    assert found is not None
    server = serve("--simulate")
    typed = shlex.split(found[1].replace("\\\n", " ").replace("http://localhost:8000", server.url))
    done = subprocess.run([*typed, "--silent", "--show-error"], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)

    assert (document["run"]["finished"], document["run"]["simulated"], document["run"]["source"]) == (True, True, "api")
    assert document["stats"]["total"] == document["stats"]["successful"] == document["stats"]["peakConcurrent"] == 3
    for number, result in enumerate(document["results"], 1):
        assert (result["index"], result["status"], result["callMethod"]) == (number - 1, "completed", "simulated")
        assert result["provider"]["name"] == f"Provider {number}"
        assert result["request"]["userCriteria"] == "licensed, available tomorrow"
        assert result["request"]["urgency"] == "within_24_hours"
        assert result["transcript"]
        assert result["messages"]
        assert result["analysis"]["structuredData"]["availability"] in ("available", "callback_requested")
    starts, ends = ([each[name] for each in document["results"]] for name in ("startedAt", "endedAt"))
    assert max(starts) < min(ends)


def test_a_batch_answers_one_entry_for_each_provider_in_order(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    body = batch(100, 115, 100, 126, serviceRequestId="job-7", clientName="Dana", problemDescription="A leak")
    document = server.post("/providers/batch-call", body).json()

    assert [result["status"] for result in document["results"]] == ["completed", "no_answer", "skipped", "busy"]
    assert document["results"][2]["error"] == {"code": "duplicate", "message": "duplicate of provider 1"}
    assert document["results"][0]["request"] == {
        "serviceNeeded": "plumbing",
        "userCriteria": "licensed",
        "location": "Greenville SC",
        "urgency": "within_2_days",
        "problemDescription": "A leak",
        "clientName": "Dana",
        "serviceRequestId": "job-7",
    }
    assert document == server.document(document["run"]["id"])
    assert vapi.rang == {"+18645550100": 1, "+18645550115": 1, "+18645550126": 1}


def test_the_single_route_answers_what_one_entry_of_a_batch_would_be(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    body = {"providerName": "Provider 100", "providerPhone": "(864) 555-0100", **WANTED}
    result = server.post("/providers/call", body).json()
    [listed] = server.client.get("/runs").json()
    entry = server.document(listed["run"]["id"])["results"][0]

    assert result == entry
    assert (result["status"], result["provider"]["phone"]) == ("completed", "+18645550100")
    assert listed["state"] == "finished"


def test_what_the_journal_forbids_is_an_entry_that_says_so(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    body = {"providerName": "Provider", "providerPhone": "+18645550100", **WANTED}
    first, second = (server.post("/providers/call", body).json() for _ in range(2))
    third = server.post("/providers/call", body | {"allowRedial": True}).json()

    assert [first["status"], second["status"], third["status"]] == ["completed", "skipped", "completed"]
    assert second["error"]["code"] == "called_lately"
    assert vapi.rang == {"+18645550100": 2}


def test_whoever_prefers_not_to_wait_is_told_at_once_where_the_run_can_be_seen(serve: Serve, vapi: Vapi) -> None:
    vapi.options.stuck = {"+18645550100": "in-progress"}
    server = serve()
    answer = server.post("/providers/batch-call", batch(100, 101), Prefer="wait=1, respond-async")
    run = answer.json()["runId"]

    assert answer.status_code == 202
    assert answer.json() == {"runId": run, "statusUrl": f"/api/v1/runs/{run}"}
    assert answer.headers["location"] == f"/api/v1/runs/{run}"
    until(lambda: server.document(run)["results"][1]["status"] == "completed")
    document = server.document(run)
    assert (document["run"]["finished"], document["results"][0]["status"]) == (False, "in_progress")

    vapi.end()
    assert server.finished(run)["stats"]["inProgress"] == 0


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("wait=5", "respond-async"), 202),
        (('Respond-Async; because="of, this"', "wait=1"), 202),
        (('note="x, respond-async"',), 200),
        (("respond-asynchronously",), 200),
    ],
)
def test_several_lines_of_preferences_are_one_list(
    serve: Serve, vapi: Vapi, lines: tuple[str, ...], status: int
) -> None:
    headers = [("Prefer", line) for line in lines]
    answer = serve().client.post("/providers/batch-call", json=batch(100), headers=headers)

    assert answer.status_code == status


def test_a_client_that_goes_away_ends_no_run(serve: Serve, vapi: Vapi) -> None:
    vapi.options.stuck = {"+18645550100": "in-progress"}
    server = serve()
    gone = subprocess.Popen(
        ["curl", "--silent", f"{server.url}/api/v1/providers/batch-call", "--json", json.dumps(batch(100, 101))]  # noqa: S607
    )
    until(lambda: vapi.live)
    gone.kill()
    gone.wait()
    [listed] = server.client.get("/runs").json()
    until(lambda: server.document(listed["run"]["id"])["results"][1]["status"] == "completed")
    vapi.end()

    assert server.finished(listed["run"]["id"])["stats"]["notCalled"] == 0
    assert vapi.rang == {"+18645550100": 1, "+18645550101": 1}


def test_a_files_providers_are_shown_and_then_called_and_unusable_rows_are_skipped(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    text = "Business Name,Mobile\nBlue Ridge,(864) 555-0100\nOdd,none\nReedy River,864-555-0115\n"
    body = {"fileName": "C:\\leads\\mine.csv", "contentBase64": encoded(text), "serviceNeeded": "plumbing"}
    shown = server.post("/runs/preview", body).json()

    assert shown["run"]["dryRun"] is True
    assert [result["status"] for result in shown["results"]] == ["pending", "skipped", "pending"]
    assert (shown["columns"], shown["columnsUsed"]) == (["Business Name", "Mobile"], {})
    assert shown["notes"][0].startswith("In New York it is ")
    assert shown["notes"][-1] == "It takes 9 minutes at the longest, if every call lasts as long as it may."
    assert server.client.get("/runs").json() == []

    run = server.post("/runs", body).json()["runId"]
    document = server.finished(run)
    assert document["run"]["source"] == "mine.csv"
    assert [result["status"] for result in document["results"]] == ["completed", "skipped", "no_answer"]
    assert [result["provider"]["line"] for result in document["results"]] == [2, 3, 4]


def test_what_is_worth_a_look_in_a_file_is_said_row_by_row(serve: Serve, vapi: Vapi) -> None:
    text = "name,phone\nBlue Ridge,+18645550100\nOdd,+18640550102\n"
    body = {"fileName": "a.csv", "contentBase64": encoded(text), "serviceNeeded": "plumbing"}
    shown = serve().post("/runs/preview", body).json()

    assert [result["warning"] for result in shown["results"]] == [
        None,
        "No such number is known to be assigned, but it is possible, so it is called.",
    ]
    assert not [note for note in shown["notes"] if "--dry-run" in note]


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"contentBase64": "%"}, "contentBase64", "This is not Base64."),
        ({"fileName": "-"}, "fileName", "This is no file's name."),
        ({"serviceNeeded": None}, "serviceNeeded", "What should the providers be asked for?"),
    ],
)
def test_a_wrong_file_is_said_by_its_field(
    serve: Serve, vapi: Vapi, change: dict[str, Any], field: str, reason: str
) -> None:
    server = serve()
    body = {"fileName": "a.csv", "contentBase64": encoded("name,phone\nX,8645550100\n"), "serviceNeeded": "plumbing"}
    [(found, said)] = faults(server.post("/runs", body | change)).items()

    assert (found, said.startswith(reason)) == (field, True)


def test_a_file_without_a_usable_row_is_said_in_its_own_name(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    body = {"fileName": "a.csv", "contentBase64": encoded("name,phone\nX,none\n"), "serviceNeeded": "plumbing"}
    status, said = problem(server.post("/runs", body))

    assert (status, said.startswith("a.csv has nobody to call: its only row cannot be used.")) == (400, True)
    assert server.client.get("/runs").json() == []


def test_dials_of_all_runs_keep_the_interval_between_two_dials(serve: Serve, vapi: Vapi) -> None:
    server = serve(VAPI_START_INTERVAL="0.3")
    before = vapi.simulator._account.now()
    runs = [server.begin(batch(100, 101, area=area)) for area in (864, 312, 415)]
    for run in runs:
        server.finished(run)
    dialled = sorted(call["createdAt"] for call in vapi.calls())

    # Six dials of one pace are five intervals; of three paces they would be one. A slow machine only spreads them more.
    assert len(dialled) == len(providers(*range(6)))
    assert dialled[-1] - before > 4.9 * 0.3
