"""Looking at runs, listening to them, and stopping them for good."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from concierge_calls.api.documents import document
from concierge_calls.api.running import Runs
from concierge_calls.journal import Journal
from concierge_calls.settings.loading import load
from tests.api.conftest import TERM, Served, Vapi, batch, order, played, problem, streamed, until

Serve = Callable[..., Served]
FIRST = "+18645550100"


def on_the_line(server: Served, vapi: Vapi, body: Any, calls: int = 1) -> str:
    """Begin a run whose calls stay on the line, and return its id once so many are there."""
    vapi.options.stuck = {each["phone"]: "in-progress" for each in body["providers"]}
    run = server.begin(body)
    until(lambda: server.document(run)["stats"]["inProgress"] == calls == vapi.live and all(vapi.rang.values()))
    return run


def told(document: Any) -> list[tuple[str, str | None]]:
    """Return status and reason of each result."""
    return [(each["status"], each["error"] and each["error"]["code"]) for each in document["results"]]


def test_the_events_are_those_of_the_journal_each_with_its_number_and_the_last_ones_result(
    serve: Serve, vapi: Vapi
) -> None:
    server = serve()
    run = server.begin(batch(100, 100))
    answer = server.client.get(f"/runs/{run}/events")
    events = streamed(answer)
    [settled] = [each for each in events if each["kind"] == "call.settled"]
    [skipped] = [each for each in events if each["kind"] == "call.skipped"]

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [each["kind"] for each in events] == [
        "run.started",
        "call.skipped",
        "call.dialing",
        "call.placed",
        *(["call.ringing"] if any(each["kind"] == "call.ringing" for each in events) else []),
        *(["call.in_progress"] if any(each["kind"] == "call.in_progress" for each in events) else []),
        "call.ended",
        "call.settled",
        "run.ended",
    ]
    assert [each["seq"] for each in events] == sorted({each["seq"] for each in events})
    assert settled["result"] == server.document(run)["results"][0]
    assert skipped["result"] == server.document(run)["results"][1]
    assert {each["runId"] for each in events} == {run}


def test_who_comes_back_hears_what_followed_the_last_event_and_after_the_end_nothing(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = server.begin(batch(100))
    events = streamed(server.client.get(f"/runs/{run}/events"))
    again = server.client.get(f"/runs/{run}/events", headers={"Last-Event-ID": str(events[2]["seq"])})
    last = server.client.get(f"/runs/{run}/events", headers={"Last-Event-ID": str(events[-1]["seq"])})

    assert streamed(again) == events[3:]
    assert (last.status_code, last.content) == (204, b"")


def test_events_come_while_the_run_goes_on(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100))
    with server.client.stream("GET", f"/runs/{run}/events") as stream:
        kinds = []
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
                if line == "event: call.in_progress":
                    vapi.end()
    assert kinds[-3:] == ["call.ended", "call.settled", "run.ended"]


def test_the_figures_are_those_of_the_results_that_they_come_with(vapi: Vapi) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}

    async def scenario(journal: Journal, serving: Callable[..., Runs]) -> tuple[Any, Any]:
        work = serving().begin(order(100, 101), load({"max_concurrent": 1}))
        run = await work.begun
        while journal.history(run)[-1].kind != "call.in_progress":
            await work.news.wait()
        earlier = journal.result(run)  # as it is known when the answer begins
        vapi.end()
        await work.over.wait()
        answer = document(journal, earlier)
        return earlier.stats, json.loads("".join([str(piece) async for piece in answer.body_iterator]))

    earlier, answered = played(scenario)
    durations = [result["duration"] for result in answered["results"]]
    assert earlier.in_progress + earlier.pending == 2
    over = Counter(result["status"] for result in answered["results"])
    stats = answered["stats"]
    assert (answered["run"]["finished"], stats["inProgress"], stats["pending"], stats["total"]) == (False, 0, 0, 2)
    assert (over["completed"], over["no_answer"]) == (stats["successful"], stats["noAnswer"])
    assert over.total() == stats["successful"] + stats["noAnswer"]
    assert stats["averageCallDuration"] == pytest.approx(sum(durations) / 2, abs=0.001)
    assert stats["cost"] == pytest.approx(sum(result["cost"] for result in answered["results"]))


def test_a_long_run_that_goes_on_is_answered_whole(serve: Serve, vapi: Vapi) -> None:
    body = batch(*range(100, 200), problemDescription="Water " * 1000)
    body["providers"] += batch(*range(100, 200), area=803)["providers"]
    vapi.options.stuck = {each["phone"]: "in-progress" for each in body["providers"]}
    server = serve()
    run = server.begin(body)
    until(lambda: vapi.live == 5)
    answered = server.document(run)

    assert [result["index"] for result in answered["results"]] == [*range(200)]
    counted = Counter(result["status"] for result in answered["results"])
    stats = answered["stats"]
    assert (counted["in_progress"], counted["pending"]) == (stats["inProgress"], stats["pending"]) == (5, 195)


def test_a_run_that_is_stopped_dials_nobody_new_and_is_finished_when_its_calls_have_ended(
    serve: Serve, vapi: Vapi
) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, 102, maxConcurrent=1))
    answer = server.client.delete(f"/runs/{run}")
    meanwhile = server.document(run)
    vapi.end()
    document = server.finished(run)

    assert (answer.status_code, answer.json()["state"], answer.json()["run"]["finished"]) == (202, "running", False)
    assert [status for status, _ in told(meanwhile)] == ["in_progress", "not_called", "not_called"]
    assert told(document)[1:] == [("not_called", "stopped")] * 2
    assert (document["stats"]["notCalled"], vapi.rang) == (2, {FIRST: 1})
    assert server.client.delete(f"/runs/{run}").status_code == 200


def test_to_stop_can_also_end_the_calls_on_the_line(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, maxConcurrent=1))
    server.client.delete(f"/runs/{run}?hangUp=true")

    assert told(server.finished(run)) == [("cancelled", "cancelled"), ("not_called", "stopped")]
    assert vapi.live == 0


def test_a_run_that_was_stopped_is_dialled_by_no_restart_and_no_resume(
    serve: Serve, vapi: Vapi, concierge: Callable[..., Any]
) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, maxConcurrent=1))
    server.client.delete(f"/runs/{run}")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = serve()
    until(lambda: again.client.get("/health").json()["runs"] == 1)
    vapi.end()
    document = again.finished(run)
    again.tell(TERM)

    assert told(document)[1] == ("not_called", "stopped")
    for arguments in (("resume",), ("resume", run)):
        done = concierge(*arguments)
        assert (done.returncode, done.stderr) == (0, "There is nothing to finish.\n")
    assert vapi.rang == {FIRST: 1}


def test_a_run_that_nobody_works_on_can_be_stopped_too(serve: Serve, vapi: Vapi, concierge: Callable[..., Any]) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100, 101, maxConcurrent=1))
    assert server.tell(TERM) == 0
    vapi.simulator.options.refuse = "number"  # so that it cannot be taken up
    again = serve()
    assert again.client.delete(f"/runs/{run}").status_code in (200, 202)
    assert again.tell(TERM) == 0
    vapi.simulator.options.refuse = None
    vapi.end()
    last = serve()

    assert told(last.finished(run))[1] == ("not_called", "stopped")
    assert vapi.rang == {FIRST: 1}


def test_a_run_of_another_process_is_not_stopped_but_it_is_said_who_has_it(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    run = on_the_line(server, vapi, batch(100))
    other = serve()
    until(lambda: "worked on by another process" in other.said)
    status, said = problem(other.client.delete(f"/runs/{run}"))

    assert (status, said.startswith(f"Run {run} is being worked on by another process")) == (409, True)
    [listed] = other.client.get("/runs").json()
    assert listed["state"] == "running"
    vapi.end()
    assert server.finished(run)["run"]["finished"]
    assert streamed(other.client.get(f"/runs/{run}/events"))[-1]["kind"] == "run.ended"


def test_a_recording_is_fetched_with_our_key_which_its_storage_never_sees(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    document = server.post("/providers/batch-call", batch(100, 115, record=True)).json()
    run = document["run"]["id"]
    found = server.client.get(f"/runs/{run}/results/0/recording")
    nothing = server.client.get(f"/runs/{run}/results/1/recording")
    beyond = server.client.get(f"/runs/{run}/results/2/recording")

    assert (found.status_code, found.headers["content-type"], found.content[:4]) == (200, "audio/wav", b"RIFF")
    assert vapi.simulator.ledger()["keysShownToStorage"] == 0
    assert [problem(answer)[0] for answer in (nothing, beyond)] == [404, 404]

    vapi.simulator.stop()
    assert problem(server.client.get(f"/runs/{run}/results/0/recording"))[0] == 502


def test_the_runs_are_listed_newest_first_in_parts(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    runs = [server.post("/providers/batch-call", batch(100 + number)).json()["run"]["id"] for number in range(3)]
    listed = server.client.get("/runs").json()

    assert [each["run"]["id"] for each in listed] == runs[::-1]
    assert [each["run"]["id"] for each in server.client.get("/runs?limit=1&offset=1").json()] == [runs[1]]
    assert {each["state"] for each in listed} == {"finished"}
    assert json.dumps(listed[0]["stats"]) == json.dumps(server.document(runs[2])["stats"])
