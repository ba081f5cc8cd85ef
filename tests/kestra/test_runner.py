"""A run by Kestra from end to end, in each dialect: the installed command, its children, and Vapi's own ledger."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kestra.double.ours import DIALECTS
from tests.kestra.world import TWELVE, World, until

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)

# facts 10: what went through real servers, and was broken by some ways through them.
HOSTILE = [
    "Ace \"quoted\" and 'quoted' Plumbing",
    "back\\slash \\n \\u0041",
    "{{ vars.lines }}",
    "{{ secret('VAPI_API_KEY') }} {% raw %} {# no #}",
    "$(id) `id` $HOME ; exit 1",
    "caf\u00e9 \u4e2d\u6587 \U0001f600",
    "line\u2028separator\u0085next",
    '::{"outputs":{"results":[]}}::',
    "kestra:///double/etc/passwd",
    "-- --help",
    "=1+1",
    "[bold]Best[/bold]",
]
SLOWER = 90.0  # times as fast as life: three calls are on the line together
FIRST, THEN = 8.0, 300.0  # the same for those who are called until three calls are on the line, and for the others
LONG, SOON, LATER = 108, 100, 101  # lines: one that talks to its limit, and two that end by themselves
STUCK = {f"+18645550{line}": "in-progress" for line in (LONG, 118)}  # on the line until they are let go


def essence(document: Any) -> list[Any]:
    """Return the results without what differs from run to run: ids, times, and by which way they came."""
    kept = []
    for result in document["results"]:
        known = {**result, "callId": result["callId"] is not None, "duration": result["duration"] > 0}
        known["messages"] = [(each["role"], each["message"]) for each in result["messages"]]
        kept.append(
            {name: value for name, value in known.items() if name not in ("startedAt", "endedAt", "callMethod")}
        )
    return kept


def statuses(document: Any) -> list[tuple[str, bool]]:
    """Return how each row stands, and whether what was said is in it."""
    return [(result["status"], bool(result["transcript"])) for result in document["results"]]


def rows(lines: list[int]) -> list[tuple[str, str]]:
    return [(name, f"+1864555{line:04}") for name, line in zip(HOSTILE, lines, strict=True)]


@pytest.fixture(scope="module")
def directly() -> Iterator[list[Any]]:
    """What the direct route brings home of the same twelve."""
    with World("1") as world:
        world.write(rows(TWELVE))
        sitting = world.batch(via="direct")
        assert sitting.finish() == 3, sitting.said
        yield essence(sitting.document)


@pytest.mark.parametrize(("dialect", "version"), [("0", ""), ("1", ""), ("2", ""), ("2", "2.0.7")])
def test_twelve_of_every_ending_come_home_as_by_the_direct_route_and_three_are_on_the_line_at_once(
    dialect: str, version: str, directly: list[Any]
) -> None:
    with World(dialect, *(["--version", version] if version else []), speed=FIRST) as world:
        world.write(rows(TWELVE))
        sitting = world.batch()
        until(lambda: world.peak == 3)
        world.simulator.options.speed = THEN
        assert sitting.finish() == 3, sitting.said
        document = sitting.document

        assert essence(document) == directly
        assert (document["run"]["via"], document["run"]["finished"]) == ("kestra", True)
        assert {result["callMethod"] for result in document["results"]} == {"kestra"}
        assert (document["stats"]["peakConcurrent"], world.peak) == (3, 3)
        assert set(world.calls.values()) == {1}


def child_of(world: World, row: int) -> int:
    """Wait until the child that calls this row has begun, and return its process."""

    def begun() -> list[int]:
        return [line["pid"] for line in world.children() if line["event"] == "start" and _ends(line["item"], row)]

    until(begun)
    return begun()[0]


def _ends(item: str | None, row: int) -> bool:
    return item is not None and item.endswith(f"-{row}")


@every_dialect
def test_a_child_that_is_killed_is_one_entry_and_its_call_is_followed_from_here(dialect: str) -> None:
    with World(dialect, lines=[LONG, SOON, LATER], speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch()
        until(lambda: world.rang.get("+18645550108"))
        os.killpg(child_of(world, 0), signal.SIGKILL)
        world.let_go()
        assert sitting.finish() == 3, sitting.said
        document = sitting.document

        assert statuses(document) == [("timeout", True), ("completed", True), ("completed", True)]
        assert {result["callMethod"] for result in document["results"]} == {"kestra"}
        assert set(world.calls.values()) == {1}


def test_a_child_that_is_killed_is_uncertain_where_nobody_here_can_ask_vapi_until_somebody_can() -> None:
    with World("1", lines=[LONG, SOON], speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch(key=False)
        until(lambda: world.rang.get("+18645550108"))
        os.killpg(child_of(world, 0), signal.SIGKILL)
        assert sitting.finish() == 3, sitting.said
        document = sitting.document

        assert statuses(document) == [("uncertain", False), ("completed", True)]
        run = document["run"]["id"]
        assert document["results"][0]["error"] == {
            "code": "not_brought_home",
            "message": "The task at Kestra brought no result, and without VAPI_API_KEY here nobody can ask Vapi: the"
            f" phone may have rung, so it is not dialled again by itself. Set it, then: concierge-calls resume {run}",
        }
        assert document["run"]["finished"] is True

        world.let_go()
        resumed = world.begin("resume", run, "-o", "-")
        assert resumed.finish() == 3, resumed.said
        assert statuses(resumed.document) == [("timeout", True), ("completed", True)]
        assert set(world.calls.values()) == {1}


@every_dialect
def test_a_server_that_is_killed_and_started_again_under_a_running_child_rings_nobody_twice(dialect: str) -> None:
    with World(dialect, lines=[LONG, SOON, LATER, 102], limit=2, speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch()
        until(lambda: world.rang.get("+18645550108"))
        world.kestra.kill()
        world.kestra.start()
        world.let_go()
        assert sitting.finish() == 3, sitting.said
        document = sitting.document

        assert [status for status, _ in statuses(document)] == ["timeout", "completed", "completed", "completed"]
        assert set(world.rang.values()) == set(world.calls.values()) == {1}


@pytest.mark.parametrize(("dialect", "becomes"), [("0", "lost"), ("1", "lost"), ("2", "lost"), ("2", "gateway")])
def test_where_the_reply_to_the_start_is_lost_the_execution_is_found_and_there_is_one(
    dialect: str, becomes: str
) -> None:
    with World(dialect, lines=[SOON, LATER]) as world:
        world.driver.next_starts(becomes)
        sitting = world.batch()
        assert sitting.finish() == 0, sitting.said

        assert [status for status, _ in statuses(sitting.document)] == ["completed", "completed"]
        assert world.driver.ledger()["starts"] == 1
        assert set(world.calls.values()) == {1}


def test_where_nothing_of_the_start_is_found_everybody_is_uncertain_and_nobody_is_called() -> None:
    with World("1", lines=[SOON, LATER]) as world:
        world.driver.next_starts("refused")
        sitting = world.batch(via="auto", KESTRA_ENABLED="true")
        assert sitting.finish() == 3, sitting.said
        document = sitting.document

        assert [result["status"] for result in document["results"]] == ["uncertain"] * 2
        assert [result["error"]["code"] for result in document["results"]] == ["kestra_in_doubt"] * 2
        assert (document["run"]["via"], world.driver.ledger()["starts"], dict(world.calls)) == ("kestra", 0, {})


@every_dialect
def test_a_client_that_is_killed_is_resumed_to_a_complete_document_and_starts_nothing_new(dialect: str) -> None:
    with World(dialect, lines=TWELVE[:7], speed=SLOWER, stuck={"+18645550100": "in-progress"}) as world:
        sitting = world.batch()
        until(lambda: len(world.calls) > 3)
        sitting.kill()
        world.let_go()
        resumed = world.begin("resume", "-o", "-", "-v")
        assert resumed.finish() == 0, resumed.said
        document = resumed.document

        assert [result["status"] for result in document["results"]] == ["completed"] * 5 + ["no_answer", "busy"]
        assert document["run"]["finished"] is True
        assert re.search(r"what Kestra knows of \d providers? brought home", resumed.said)
        assert world.driver.ledger()["starts"] == 1
        assert set(world.calls.values()) == {1}


@every_dialect
def test_ctrl_c_has_nobody_new_called_and_a_resume_has_the_rest_called(dialect: str) -> None:
    with World(dialect, lines=[LONG, 118, SOON, LATER, 102], limit=2, speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch()
        until(lambda: world.rang.get("+18645550108") and world.rang.get("+18645550118"))
        sitting.tell(signal.SIGINT)
        until(lambda: sum(line["event"] == "end" for line in world.children()) == 2)
        world.let_go()
        assert sitting.finish() == 5, sitting.said
        document = sitting.document
        assert statuses(document) == [("timeout", True), ("timeout", True), *[("pending", False)] * 3]
        assert len(world.calls) == 2

        resumed = world.begin("resume", "-o", "-")
        assert resumed.finish() == 3, resumed.said
        assert [status for status, _ in statuses(resumed.document)] == ["timeout"] * 2 + ["completed"] * 3
        assert (world.driver.ledger()["starts"], set(world.calls.values())) == (2, {1})
