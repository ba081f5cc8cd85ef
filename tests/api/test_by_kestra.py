"""A server's runs that go by Kestra: what comes home, how they are stopped, and what is said where they cannot go."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import COMMAND, Served, Vapi, batch, faults, problem, until
from tests.environment import nobody_listens
from tests.kestra.double.options import PASSWORD, USER, Options
from tests.kestra.double.server import Double

Serve = Callable[..., Served]
FIRST, SECOND = "+18645550100", "+18645550101"
NO_PLUGIN: dict[str, Any] = {"plugins": ()}


@pytest.fixture
def kestra(vapi: Vapi, tmp_path: Path) -> Iterator[Callable[..., dict[str, str]]]:
    """Start a Kestra whose workers have the command, and return what a server has to know of it."""
    with ExitStack() as stack:

        def start(**options: Any) -> dict[str, str]:
            path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
            worker = os.environ | {"CONCIERGE_STATE_DIR": str(tmp_path / "worker"), "PATH": path}
            double = stack.enter_context(Double(Options(**options), tmp_path / "kestra", environment=worker))
            return {"KESTRA_URL": double.url, "KESTRA_USERNAME": USER, "KESTRA_PASSWORD": PASSWORD}

        yield start


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens, and nobody else can begin to."""
    with nobody_listens() as url:
        yield url


def told(document: Any) -> list[tuple[str, str | None, str | None]]:
    """Return how each row stands, by which way it was called, and the code of its error."""
    return [
        (result["status"], result["callMethod"], result["error"] and result["error"]["code"])
        for result in document["results"]
    ]


def test_a_run_by_kestra_answers_the_same_document_and_health_knows_the_way(
    serve: Serve, vapi: Vapi, kestra: Callable[..., dict[str, str]]
) -> None:
    server = serve(**kestra(), KESTRA_ENABLED="true")
    health = server.client.get("/health").json()
    document = server.post("/providers/batch-call", batch(100, 101)).json()

    assert (health["kestra"], health["route"]) == ({"reachable": True, "message": None}, "kestra")
    assert (document["run"]["via"], document["run"]["finished"]) == ("kestra", True)
    assert told(document) == [("completed", "kestra", None)] * 2
    assert vapi.rang == {FIRST: 1, SECOND: 1}


def test_health_says_that_kestra_can_be_reached_where_it_is_set_though_no_run_would_go_by_it(
    serve: Serve, vapi: Vapi, kestra: Callable[..., dict[str, str]]
) -> None:
    health = serve(**kestra()).client.get("/health").json()

    assert (health["kestra"], health["route"]) == ({"reachable": True, "message": None}, "direct")


def test_to_stop_a_run_by_kestra_ends_the_execution_and_can_end_the_calls_on_the_line(
    serve: Serve, vapi: Vapi, kestra: Callable[..., dict[str, str]]
) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    server = serve(**kestra())
    run = server.begin(batch(100, 101, maxConcurrent=1, via="kestra"))
    until(lambda: vapi.rang.get(FIRST))
    answer = server.client.delete(f"/runs/{run}?hangUp=true")
    document = server.finished(run)

    assert answer.status_code == (202 if answer.json()["stats"]["inProgress"] else 200)  # the call may be over by now
    assert told(document) == [("cancelled", "kestra", "cancelled"), ("not_called", None, "stopped")]
    assert (vapi.live, vapi.rang) == (0, {FIRST: 1})


def test_a_server_that_was_killed_takes_its_run_by_kestra_up_again_and_rings_nobody_twice(
    serve: Serve, vapi: Vapi, kestra: Callable[..., dict[str, str]]
) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    access = kestra()
    server = serve(**access)
    run = server.begin(batch(100, 101, via="kestra"))
    until(lambda: vapi.rang.get(FIRST))
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = serve(**access)
    until(lambda: again.client.get("/health").json()["runs"] == 1)
    vapi.end(FIRST)

    assert told(again.finished(run)) == [("completed", "kestra", None)] * 2
    assert vapi.rang == {FIRST: 1, SECOND: 1}


def test_a_kestra_that_cannot_take_the_run_is_said_and_no_run_is_kept(
    serve: Serve, vapi: Vapi, kestra: Callable[..., dict[str, str]]
) -> None:
    server = serve(**kestra(**NO_PLUGIN))
    status, said = problem(server.post("/providers/batch-call", batch(100, via="kestra")))

    assert status == 503
    assert said.startswith("Kestra at http://127.0.0.1:")
    assert (server.client.get("/runs").json(), vapi.rang) == ([], {})


def test_without_an_address_a_run_by_kestra_is_refused_by_its_field(serve: Serve, vapi: Vapi) -> None:
    found = faults(serve().post("/providers/batch-call", batch(100, via="kestra")))

    assert list(found) == ["via"]
    assert found["via"].startswith("KESTRA_URL is not set")
    assert vapi.rang == {}


@pytest.mark.parametrize(("via", "route"), [("auto", "direct"), ("kestra", "kestra")])
def test_health_says_that_kestra_is_out_of_reach_and_which_route_is_left(
    serve: Serve, vapi: Vapi, nobody: str, via: str, route: str
) -> None:
    health = serve(KESTRA_URL=nobody, KESTRA_ENABLED="true", CONCIERGE_VIA=via).client.get("/health").json()

    message = f"Nothing listens at {nobody}. Start Kestra there, or check KESTRA_URL."
    assert (health["kestra"], health["route"]) == ({"reachable": False, "message": message}, route)
