"""The faults that can be asked for, and that the ledger knows better than the replies."""

import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from tests.simulator.conftest import TRIES

NUMBER = "+13125550100"


def rang(vapi: Any, number: str = NUMBER) -> int:
    """Return how often a number rang, once all its calls have ended."""
    numbers = vapi.simulator.ledger()["numbers"]
    while any(call["endedAt"] is None for call in numbers.get(number, {"calls": []})["calls"]):
        numbers = vapi.simulator.ledger()["numbers"]
    return int(numbers[number]["rang"]) if number in numbers else 0


def test_a_lost_reply_closes_the_connection_although_the_phone_rings(start: Any) -> None:
    vapi = start(lose_replies=1.0, speed=5000)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        vapi.create()
    assert rang(vapi) == 1
    assert vapi.simulator.ledger()["statuses"] == {"lost": 1}


def test_a_failure_before_dialling_rings_nobody(start: Any) -> None:
    vapi = start(fail_before=1.0)
    reply = vapi.create()
    assert (reply.status_code, reply.json()["statusCode"]) == (503, 503)
    assert rang(vapi) == 0


def test_a_failure_after_dialling_rings_all_the_same(start: Any) -> None:
    vapi = start(fail_after=1.0, speed=5000)
    assert vapi.create().status_code == 500
    assert rang(vapi) == 1


def test_a_failure_can_be_the_page_of_a_proxy(start: Any) -> None:
    vapi = start(fail_before=1.0, fail_reads=1.0, html_errors=True)
    for reply in (vapi.create(), vapi.client.get("/call")):
        assert (reply.status_code, reply.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert reply.text.startswith("<!DOCTYPE html>")


def test_a_fraction_of_the_creates_fails_and_the_seed_repeats_which(start: Any) -> None:
    numbers = [f"+1{area}5550100" for area in range(200, 300)]

    def statuses(seed: int) -> list[int]:
        vapi = start(fail_before=0.3, seed=seed)
        return [vapi.create(number).status_code for number in numbers]

    first = statuses(1)
    assert statuses(1) == first
    assert statuses(2) != first
    assert 10 < first.count(503) < 60


def test_a_late_create_has_rung_before_its_reply(start: Any) -> None:
    vapi = start(create_delay=3600, speed=5000)
    with pytest.raises(httpx.ReadTimeout):
        vapi.client.post("/call", json=vapi.body(), timeout=0.2)
    pause = threading.Event()
    assert any(NUMBER in vapi.simulator.ledger()["numbers"] or pause.wait(0.01) for _ in range(TRIES))
    assert rang(vapi) == 1


def test_other_replies_can_be_late_too(start: Any) -> None:
    vapi = start(reply_delay=3600)
    vapi.placed()
    with pytest.raises(httpx.ReadTimeout):
        vapi.client.get("/call", timeout=0.05)


def test_reads_can_fail_for_a_while(start: Any) -> None:
    vapi = start(fail_reads=1.0)
    identifier = vapi.placed()["id"]
    assert vapi.client.get(f"/call/{identifier}").status_code == 503
    vapi.options.fail_reads = 0.0
    assert vapi.client.get(f"/call/{identifier}").status_code == 200


def test_beyond_the_requests_of_a_minute_everything_is_a_429(start: Any) -> None:
    vapi = start(rate_limit=1)
    statuses = {vapi.client.get("/call").status_code for _ in range(10)}
    assert statuses == {200, 429}
    reply = vapi.client.get("/call")
    if reply.status_code == 429:
        assert reply.json() == {"message": "Rate limit exceeded", "error": "Too Many Requests", "statusCode": 429}
    assert vapi.simulator.ledger()["requests"]["list"] == 11


def test_the_clock_of_vapi_may_differ_from_this_machines(start: Any) -> None:
    vapi = start(clock_skew=7200)
    reply = vapi.create()
    ahead = parsedate_to_datetime(reply.headers["date"]) - datetime.now(UTC)
    assert 7000 < ahead.total_seconds() < 7400
    created = datetime.fromisoformat(reply.json()["createdAt"])
    assert abs((created - parsedate_to_datetime(reply.headers["date"])).total_seconds()) < 200


def test_options_can_be_changed_over_http_all_or_none(vapi: Any) -> None:
    changed = vapi.client.put("/options", json={"lines": 3, "speed": 100, "talk": [5, 9], "reject_keys": ["old"]})
    assert changed.status_code == 200
    assert (vapi.options.lines, vapi.options.speed, vapi.options.talk) == (3, 100.0, (5.0, 9.0))
    assert vapi.options.reject_keys == {"old"}
    assert vapi.client.get("/options").json()["talk"] == [5.0, 9.0]


@pytest.mark.parametrize(
    "values",
    [
        {"lines": 4, "nonsense": 1},
        {"lines": "4"},
        {"lines": 4, "lines_shape": "404"},
        {"talk": [1]},
        {"speed": True},
        [],
    ],
)
def test_options_that_do_not_exist_change_nothing(vapi: Any, values: Any) -> None:
    assert vapi.client.put("/options", json=values).status_code == 400
    assert (vapi.options.lines, vapi.options.lines_shape) == (0, "400")
