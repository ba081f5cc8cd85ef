"""Runs that stop before they are finished: what is said, how they go on, and how they are stopped for good."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest

from concierge_calls.api import running
from concierge_calls.api.problems import Problem
from concierge_calls.api.running import TAKES_UP, Runs, wait_after
from concierge_calls.journal import Journal
from concierge_calls.settings.loading import load
from tests.api.conftest import TERM, Served, Vapi, batch, order, played, problem, until
from tests.api.test_runs import on_the_line, told

Serve = Callable[..., Served]
FIRST, SECOND = "+18645550100", "+18645550101"
FAILED = "pipeline-error-openai-llm-failed"
LOST = "stopped before it was finished"


async def asleep(work: Any) -> None:
    """Return once the run waits to be tried again."""
    while not work.is_asleep:
        await work.news.wait()


@contextmanager
def asking(server: Served, body: Any, **headers: str) -> Iterator[list[httpx.Response]]:
    """Have somebody wait for the answer, which is there at the end."""
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(server.post("/providers/batch-call", body, **headers)))
    waiting.start()
    yield answers
    waiting.join()


@pytest.mark.parametrize("refuse", ["credits", "daily-limit", "assistant", "body"])
def test_a_refusal_of_the_first_call_is_said_with_its_run_and_the_same_request_goes_on_with_it(
    serve: Serve, vapi: Vapi, refuse: str
) -> None:
    server = serve()
    vapi.options.refuse = refuse
    answer = server.post("/providers/batch-call", batch(100, 101), Idempotency_Key="one")
    details = answer.json()
    run = details["runId"]
    document = server.document(run)

    assert (problem(answer)[0], answer.headers["retry-after"]) == (503, "30")
    assert details["statusUrl"] == f"/api/v1/runs/{run}"
    [reason] = {result["error"]["message"] for result in document["results"]}
    assert details["detail"] == (
        f"Run {run} was begun, and nobody was called yet. {reason} It is tried again in 30 seconds, and at once when"
        " the request is sent again with its Idempotency-Key."
    )
    assert (document["run"]["finished"], document["stats"]["notCalled"], vapi.rang) == (False, 2, {})
    until(lambda: f"Run {run} {LOST}. {reason}" in server.said)

    vapi.options.refuse = None
    again = server.post("/providers/batch-call", batch(100, 101), Idempotency_Key="one").json()
    assert (again["run"]["id"], again["run"]["finished"], again["stats"]["successful"]) == (run, True, 2)
    assert vapi.rang == {FIRST: 1, SECOND: 1}


def test_a_single_call_that_is_refused_is_no_result(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    vapi.options.refuse = "credits"
    body = {"providerName": "Provider", "providerPhone": FIRST, "serviceNeeded": "plumbing"}
    answers = [server.post("/providers/call", body, Idempotency_Key="one") for _ in range(2)]
    vapi.options.refuse = None
    result = server.post("/providers/call", body, Idempotency_Key="one").json()

    assert [problem(answer)[0] for answer in answers] == [503, 503]
    assert answers[0].json()["runId"] == answers[1].json()["runId"]
    assert (result["status"], vapi.rang) == ("completed", {FIRST: 1})


def test_whoever_asked_without_a_key_is_told_not_to_ask_again(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    vapi.options.refuse = "credits"
    answer = server.post("/providers/batch-call", batch(100))
    status, said = problem(answer)

    assert (status, "retry-after" in answer.headers) == (503, False)
    assert said.endswith("no Idempotency-Key, so do not send it again: that would begin another run.")


def test_a_run_that_stops_early_goes_on_by_itself_after_waits_that_grow(vapi: Vapi) -> None:
    vapi.options.refuse = "credits"
    tried: list[int] = []

    def waits(tries: int) -> float:
        tried.append(tries)
        vapi.options.refuse = "credits" if tries < 3 else None
        return 0.0

    async def scenario(journal: Journal, serving: Callable[..., Runs]) -> Any:
        work = serving(waits).begin(order(100, 101), load())
        await work.over.wait()
        return journal.result(work.begun.result())

    result = played(scenario)
    assert (result.run.finished, result.stats.successful, tried) == (True, 2, [1, 2, 3])
    assert vapi.rang == {FIRST: 1, SECOND: 1}
    assert [wait_after(tries) for tries in (1, 2, 3, 5, 6, 2000)] == [30.0, 60.0, 120.0, 480.0, 600.0, 600.0]


def test_a_run_is_not_tried_for_ever(vapi: Vapi) -> None:
    vapi.options.refuse = "credits"

    async def scenario(journal: Journal, serving: Callable[..., Runs]) -> Any:
        runs = serving(lambda _: 0.0)
        work = runs.begin(order(100), load())
        await work.begun
        work.since -= TAKES_UP
        await work.over.wait()
        return journal.result(work.begun.result()).run.finished, runs.working_on(work.begun.result())

    assert played(scenario) == (False, None)


def test_calls_that_failed_alike_are_followed_by_others_only_when_somebody_says_so(vapi: Vapi) -> None:
    vapi.options.endings = {f"+18645550{line}": FAILED for line in (100, 101, 102)}

    async def scenario(journal: Journal, serving: Callable[..., Runs]) -> Any:
        runs = serving(lambda _: 0.0)
        settings = load({"max_concurrent": 1})
        work = runs.begin(order(100, 101, 102, 103, key="one"), settings)
        await asleep(work)
        await asyncio.sleep(0)
        said, rang = str(work.waits_for), len(vapi.rang)
        joined = runs.begin(order(key="one"), settings)
        await joined.over.wait()
        return joined is work, said, rang, journal.result(work.begun.result())

    is_same, said, rang, result = played(scenario)
    assert (is_same, rang, "Each try would call somebody for nothing" in said) == (True, 3, True)
    assert [each.status for each in result.results] == ["error", "error", "error", "completed"]
    assert set(vapi.rang.values()) == {1}


def test_a_run_that_waits_takes_the_place_of_no_other(vapi: Vapi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST", 1)
    vapi.options.refuse = "credits"

    async def scenario(journal: Journal, serving: Callable[..., Runs]) -> Any:
        runs = serving()
        work = runs.begin(order(100), load())
        with pytest.raises(Problem) as busy:
            runs.begin(order(101), load())
        await asleep(work)
        vapi.options.refuse = None
        other = runs.begin(order(101), load())
        await other.over.wait()
        waits = (work.is_asleep, len(runs))
        await runs.leave()
        return busy.value.status, waits, journal.result(other.begun.result()).run.finished

    assert played(scenario) == (429, (True, 0), True)
    assert vapi.rang == {SECOND: 1}


def test_to_stop_a_run_that_waits_finishes_it_at_once(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    vapi.options.refuse = "credits"
    run = server.begin(batch(100, 101))
    until(lambda: LOST in server.said)
    answer = server.client.delete(f"/runs/{run}")

    assert (answer.status_code, answer.json()["state"], answer.json()["stats"]["notCalled"]) == (200, "finished", 2)
    assert told(server.document(run)) == [("not_called", "stopped")] * 2
    assert server.client.get("/health").json()["runs"] == 0


def test_to_stop_a_run_for_which_vapi_cannot_be_asked_finishes_it_at_once(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, maxConcurrent=1))
    vapi.options.refuse = "credits"
    vapi.end()
    until(lambda: LOST in server.said)
    assert server.tell(TERM) == 0
    with closing(sqlite3.connect(load().journal_path(simulated=False))) as journal, journal:
        for table in ("rows", "attempts"):  # as if its reply had been lost, and the call had not been found
            journal.execute(f"UPDATE {table} SET state = 'uncertain' WHERE idx = 0 AND state = 'settled'")  # noqa: S608
        journal.execute("UPDATE rows SET status = 'uncertain' WHERE idx = 0")
    vapi.options.refuse = "number"
    again = serve()
    until(lambda: LOST in again.said)
    answer = again.client.delete(f"/runs/{run}")

    assert (answer.status_code, answer.json()["state"]) == (200, "finished")
    assert [status for status, _ in told(again.document(run))] == ["uncertain", "not_called"]
    assert (again.tell(TERM), vapi.rang) == (0, {FIRST: 1})


def test_calls_that_are_on_the_line_while_vapi_cannot_be_asked_are_ended_once_it_can(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, maxConcurrent=1))
    assert server.tell(TERM) == 0
    vapi.options.refuse = "number"
    again = serve()
    until(lambda: LOST in again.said)
    answer = again.client.delete(f"/runs/{run}?hangUp=true")
    assert (answer.status_code, answer.json()["run"]["finished"]) == (202, False)
    assert again.tell(TERM) == 0
    vapi.options.refuse = None

    assert told(serve().finished(run)) == [("cancelled", "cancelled"), ("not_called", "stopped")]
    assert (vapi.live, vapi.rang) == (0, {FIRST: 1})


def test_that_calls_are_to_be_hung_up_is_known_after_a_crash(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, maxConcurrent=1))
    vapi.options.deaf = True
    assert server.client.delete(f"/runs/{run}?hangUp=true").status_code == 202
    assert server.client.delete(f"/runs/{run}").status_code == 202  # which takes nothing of it back
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    vapi.options.deaf = False

    assert told(serve().finished(run)) == [("cancelled", "cancelled"), ("not_called", "stopped")]
    assert vapi.live == 0


def test_what_is_logged_of_a_run_that_waits_when_the_server_ends_is_that_another_goes_on(
    serve: Serve, vapi: Vapi
) -> None:
    server = serve()
    vapi.options.refuse = "credits"
    run = server.begin(batch(100))
    until(lambda: LOST in server.said)
    assert server.tell(TERM) == 0

    assert f"Run {run} is left unfinished; a server that is started again goes on with it." in server.said
    assert "no run is begun" not in server.said


def test_whoever_asks_for_a_run_of_another_process_waits_for_its_end(serve: Serve, vapi: Vapi) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    server = serve()
    run = server.begin(batch(100), Idempotency_Key="one")
    until(lambda: vapi.live == 1)
    other = serve()
    with asking(other, batch(100), Idempotency_Key="one") as answers:
        seen = [other.document(run)["run"]["finished"] for _ in range(30)]  # by then it would have answered
        assert (set(seen), answers) == ({False}, [])
        vapi.end()
    document = server.finished(run)

    assert (answers[0].status_code, answers[0].json()) == (200, document)
    assert streamed_kinds(other, run).count("run.ended") == 1
    assert vapi.rang == {FIRST: 1}


@pytest.mark.parametrize("number", [signal.SIGKILL, TERM])
def test_a_run_of_another_process_that_ends_is_taken_up(serve: Serve, vapi: Vapi, number: int) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    server = serve()
    run = server.begin(batch(100, 101, maxConcurrent=1))
    until(lambda: vapi.live == 1)
    other = serve()
    until(lambda: f"Run {run} is worked on by another process" in other.said)
    server.tell(number)
    vapi.end()
    document = other.finished(run)

    assert document["stats"]["pending"] == document["stats"]["notCalled"] == 0
    assert vapi.rang == {FIRST: 1, SECOND: 1}


def streamed_kinds(server: Served, run: str) -> list[str]:
    """Return the kinds of a run's events, which has ended."""
    lines = server.client.get(f"/runs/{run}/events").text.splitlines()
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


def test_a_simulated_run_that_was_cut_short_is_named_and_its_request_begins_no_other(serve: Serve) -> None:
    server = serve("--simulate", VAPI_MAX_CONCURRENT_CALLS="1")
    run = server.begin(batch(*range(100, 140)), Idempotency_Key="one")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = serve("--simulate")
    answer = again.post("/providers/batch-call", batch(*range(100, 140)), Idempotency_Key="one")

    assert f"Run {run} was a simulated one, and its simulator is gone, so it stays unfinished." in again.said
    assert (problem(answer)[0], answer.json()["runId"]) == (409, run)
