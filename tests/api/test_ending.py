"""How a server ends and comes back: signals, kills, and requests that are sent again."""

from __future__ import annotations

import signal
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from concierge_calls.settings.loading import load
from tests.api.conftest import IN_DOUBT, LONGEST, TERM, Served, Vapi, batch, encoded, faults, problem, until
from tests.api.test_runs import on_the_line

Serve = Callable[..., Served]
FIRST = "+18645550100"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_leaves_the_calls_and_the_next_one_finishes_the_run(
    serve: Serve, vapi: Vapi, number: int
) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, 102, maxConcurrent=1))
    assert server.tell(number) == 0
    assert vapi.rang == {FIRST: 1}

    vapi.options.stuck = {}
    again = serve()
    assert f"Run {run} is taken up again." in again.said
    vapi.end()
    document = again.finished(run)

    assert document["stats"]["pending"] == document["stats"]["notCalled"] == 0
    assert vapi.rang == {FIRST: 1, "+18645550101": 1, "+18645550102": 1}


def test_whoever_waits_when_the_server_ends_is_told_which_run_goes_on(serve: Serve, vapi: Vapi) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    server = serve()
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(server.post("/providers/batch-call", batch(100))))
    waiting.start()
    until(lambda: vapi.live)
    [listed] = server.client.get("/runs").json()
    assert server.tell(TERM) == 0
    waiting.join()
    details = answers[0].json()

    assert problem(answers[0])[0] == 503
    assert (details["runId"], details["statusUrl"]) == (listed["run"]["id"], f"/api/v1/runs/{listed['run']['id']}")


def test_a_run_that_is_promised_is_kept_though_the_server_ends_before_its_first_dial(serve: Serve, vapi: Vapi) -> None:
    server = serve(VAPI_MAX_CONCURRENT_CALLS="1")
    on_the_line(server, vapi, batch(100))
    run = server.begin(batch(101))
    assert server.tell(TERM) == 0
    vapi.options.stuck = {}
    again = serve()
    vapi.end(FIRST)  # the other one is dialled by now, or not, and ends by itself

    assert again.finished(run)["stats"]["successful"] == 1


def test_a_kill_in_the_middle_loses_nothing_and_rings_nobody_twice(serve: Serve, vapi: Vapi) -> None:
    vapi.options.speed = 30.0
    server = serve()
    runs = [server.begin(batch(*range(100, 104), area=area)) for area in (864, 312, 415)]
    until(lambda: len(vapi.calls()) >= 4)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    vapi.options.speed = 200.0
    again = serve()
    documents = [again.finished(run, IN_DOUBT) for run in runs]

    assert [len(document["results"]) for document in documents] == [4, 4, 4]
    assert {result["status"] for document in documents for result in document["results"]} <= {"completed", "uncertain"}
    assert set(vapi.rang.values()) == {1}


@pytest.mark.parametrize("number", [TERM, signal.SIGKILL])
def test_runs_that_are_taken_up_together_keep_the_bound_with_the_calls_that_were_left_on_the_line(
    serve: Serve, vapi: Vapi, number: int
) -> None:
    areas = (864, 312, 415)
    vapi.options.stuck = {f"+1{area}555{line:04}": "in-progress" for area in areas for line in range(100, 104)}
    server = serve(VAPI_MAX_CONCURRENT_CALLS="5")
    runs = [server.begin(batch(*range(100, 104), area=area)) for area in areas]
    until(lambda: vapi.live == 5)
    server.tell(number)
    looks = vapi.looks + 20
    again = serve(VAPI_MAX_CONCURRENT_CALLS="5")
    until(lambda: vapi.looks > looks)  # in the meantime whoever may be dialled has been
    vapi.options.stuck = {}
    while not all(again.document(run)["run"]["finished"] for run in runs):
        vapi.end()

    assert vapi.peak == 5
    assert len(vapi.calls()) == len(vapi.rang) == 12


def test_the_same_request_answers_the_same_run_while_it_goes_on_after_it_and_after_a_restart(
    serve: Serve, vapi: Vapi
) -> None:
    server = serve()
    vapi.options.stuck = {FIRST: "in-progress"}
    runs = {server.begin(batch(100), Idempotency_Key="one") for _ in range(3)}
    [run] = runs
    until(lambda: server.document(run)["results"][0]["callId"])
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = serve()
    assert again.begin(batch(100), Idempotency_Key="one") == run
    until(lambda: vapi.live)
    vapi.end()
    again.finished(run)
    waited = again.post("/providers/batch-call", batch(100), Idempotency_Key="one")

    assert waited.json() == again.document(run)
    assert vapi.rang == {FIRST: 1}


def test_twenty_of_the_same_request_at_once_are_one_run(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    answers: list[Any] = []
    asking = [
        threading.Thread(
            target=lambda: answers.append(server.post("/providers/batch-call", batch(100), Idempotency_Key="x").json())
        )
        for _ in range(20)
    ]
    for each in asking:
        each.start()
    for each in asking:
        each.join()

    assert len(answers) == 20
    assert len({answer["run"]["id"] for answer in answers}) == 1
    assert vapi.rang == {FIRST: 1}


def test_a_request_that_was_taken_once_is_taken_again_though_the_server_allows_less_now(
    serve: Serve, vapi: Vapi
) -> None:
    server = serve()
    document = server.post("/providers/batch-call", batch(100, maxConcurrent=5), Idempotency_Key="one").json()
    server.tell(TERM)
    again = serve(VAPI_MAX_CONCURRENT_CALLS="1")

    assert again.post("/providers/batch-call", batch(100, maxConcurrent=5), Idempotency_Key="one").json() == document
    assert list(faults(again.post("/providers/batch-call", batch(101, maxConcurrent=5)))) == ["maxConcurrent"]


def test_a_key_is_for_one_request(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    server.post("/providers/batch-call", batch(100), Idempotency_Key="one")
    other = server.post("/providers/batch-call", batch(101), Idempotency_Key="one")
    single = {"providerName": "X", "providerPhone": FIRST, "serviceNeeded": "plumbing"}
    elsewhere = server.post("/providers/call", single, Idempotency_Key="one")
    spaced = server.post("/providers/batch-call", batch(101), Idempotency_Key="one two")

    assert [problem(answer)[0] for answer in (other, elsewhere, spaced)] == [422, 422, 400]
    assert vapi.rang == {FIRST: 1}


def test_the_same_body_may_be_written_in_several_ways(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = server.begin(batch(100), Idempotency_Key="one")
    explicit = {"via": None, "allowRedial": False, **batch(100)}
    assert server.begin(dict(reversed(explicit.items())), Idempotency_Key="one") == run

    file = {"fileName": "a.csv", "contentBase64": encoded("name,phone\nX,8645550101\n"), "serviceNeeded": "plumbing"}
    written: list[dict[str, Any]] = [file, file | {"map": {}}, file | {"record": None}]
    answers = [server.post("/runs", body, Idempotency_Key="two") for body in written]
    assert len({answer.json()["runId"] for answer in answers}) == 1


def test_a_request_with_two_keys_is_refused_and_begins_nothing(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    answer = server.client.post("/providers/batch-call", json=batch(100), headers=keys)

    assert faults(answer) == {"Idempotency-Key": "There are two of them; send one."}
    assert (server.client.get("/runs").json(), vapi.rang) == ([], {})


def test_a_run_that_began_over_twelve_hours_ago_is_left_and_named(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, maxConcurrent=1))
    server.tell(TERM)
    path: Path = load().journal_path(simulated=False)
    with closing(sqlite3.connect(path)) as journal:
        journal.execute("UPDATE runs SET started_at = '2026-01-01T00:00:00.000000+00:00'")
        journal.commit()
    again = serve()

    assert f"Run {run} began over 12 hours ago and is left: concierge-calls resume {run}" in again.said
    [listed] = again.client.get("/runs").json()
    assert (listed["state"], again.client.get("/health").json()["runs"]) == ("unfinished", 0)


def test_a_run_is_taken_up_by_a_server_alone_and_not_by_a_bare_resume(
    serve: Serve, vapi: Vapi, concierge: Callable[..., Any]
) -> None:
    server = serve()
    on_the_line(server, vapi, batch(100, 101, maxConcurrent=1))
    server.tell(TERM)
    done = concierge("resume")

    assert (done.returncode, done.stderr) == (0, "There is nothing to finish.\n")


def test_who_still_sends_a_request_when_the_server_ends_is_told_to_send_it_again(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    where = httpx.URL(server.url)
    with closing(socket.create_connection((str(where.host), int(where.port or 0)), LONGEST)) as sending:
        sending.sendall(
            b"POST /api/v1/providers/call HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 1000\r\n\r\n{"providerName"'
        )
        until(lambda: server.client.get("/health").status_code == 200)  # so that the other one has come, too
        assert server.tell(TERM) == 0
        said = b"".join(iter(lambda: sending.recv(65536), b"")).decode()

    assert said.startswith("HTTP/1.1 503 ")
    assert "The server is being stopped; send the same request again once it is back." in said
    assert "nosniff" in said
    assert "Traceback" not in server.said
