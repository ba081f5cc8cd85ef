"""The truth, as the tests of everything else believe it."""

from datetime import datetime
from typing import Any

import pytest

from concierge_calls.simulator import Simulator
from tests.simulator.conftest import SLOW


def test_the_ledger_needs_no_key_and_is_the_same_in_the_process(vapi: Any) -> None:
    vapi.ended(vapi.placed("+13125550105")["id"])
    del vapi.client.headers["authorization"]
    assert vapi.client.get("/ledger").json() == vapi.simulator.ledger()


def test_it_says_which_number_rang_when_and_how_often(vapi: Any) -> None:
    for key in ("one", "two"):
        vapi.ended(vapi.placed("+13125550106", customer={"number": "+13125550106", "externalId": key})["id"])
    told = vapi.simulator.ledger()["numbers"]["+13125550106"]
    assert told["rang"] == 2
    assert [each["key"] for each in told["calls"]] == ["one", "two"]
    for call in told["calls"]:
        assert call["createdAt"] <= call["rangAt"] <= call["endedAt"]
        assert (call["answeredAt"], call["endedReason"]) == (None, "customer-busy")


def test_its_moments_are_those_that_vapi_shows(vapi: Any) -> None:
    ended = vapi.ended(vapi.placed()["id"])
    entry = vapi.entry()
    for name, moment in {"startedAt": entry["answeredAt"], "endedAt": entry["endedAt"]}.items():
        assert datetime.fromisoformat(ended[name]).timestamp() == pytest.approx(moment, abs=0.0011)


def test_a_number_rings_a_second_after_its_create_at_life_speed(start: Any) -> None:
    vapi = start(speed=100)
    vapi.ended(vapi.placed("+13125550105")["id"])
    entry = vapi.entry("+13125550105")
    assert entry["rangAt"] - entry["createdAt"] == pytest.approx(1 / 100)
    assert 25 / 100 <= entry["endedAt"] - entry["rangAt"] <= 30 / 100


def test_the_peak_is_the_most_calls_at_once(start: Any) -> None:
    vapi = start(speed=SLOW)
    for most in (3, 2):
        placed = [vapi.placed(f"+131255501{tens}5")["id"] for tens in range(most)]
        vapi.later(100 / SLOW)
        assert [vapi.get(identifier)["status"] for identifier in placed] == ["ended"] * most
    told = vapi.simulator.ledger()
    assert (told["peak"], told["live"]) == (3, 0)


def test_it_counts_requests_by_kind_by_minute_and_by_status(vapi: Any) -> None:
    call = vapi.placed()
    vapi.get(call["id"])
    vapi.list()
    vapi.client.get("/call?x=1")
    vapi.client.get("/phone-number/x")
    vapi.client.get("/assistant/x")
    vapi.client.patch(f"/call/{call['id']}", json={"name": "x"})
    vapi.client.post(call["monitor"]["controlUrl"], json={})
    vapi.client.delete(f"/call/{call['id']}")
    vapi.client.get("/ledger")
    told = vapi.simulator.ledger()
    asked = {
        "create": 1,
        "get": 1,
        "list": 2,
        "phone-number": 1,
        "assistant": 1,
        "update": 1,
        "control": 1,
        "delete": 1,
    }
    assert {kind: count for kind, count in told["requests"].items() if count} == asked
    assert sum(told["requestsByMinute"].values()) == sum(told["statuses"].values()) == sum(asked.values())
    assert told["statuses"]["201"] == 1


def test_calls_go_on_in_the_ledger_of_a_simulator_that_has_been_stopped(start: Any) -> None:
    vapi = start(speed=100)
    vapi.placed("+13125550105")
    simulator: Simulator = vapi.simulator
    simulator.stop()
    while simulator.ledger()["live"]:
        assert repr(simulator).startswith("<Simulator http://127.0.0.1:")
    assert vapi.entry("+13125550105")["endedReason"] == "customer-did-not-answer"


def test_two_thousand_live_calls_and_a_long_history_are_told_apart(start: Any) -> None:
    vapi = start(speed=SLOW)
    numbers = [f"+1{area}55501{line:02d}" for area in range(200, 220) for line in range(100)]
    placed = [vapi.placed(number) for number in numbers]
    assert vapi.simulator.ledger()["live"] == len(numbers)
    last = vapi.list(updatedAtGe=placed[-1]["updatedAt"], limit=1000)
    assert placed[-1]["id"] in [each["id"] for each in last]
    seen: set[str] = set()
    until = placed[-1]["createdAt"]
    while page := [each for each in vapi.list(createdAtLe=until, limit=1000) if each["id"] not in seen]:
        seen |= {each["id"] for each in page}
        until = page[-1]["createdAt"]
    assert seen == {each["id"] for each in placed}
