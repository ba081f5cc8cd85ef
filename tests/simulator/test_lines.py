"""What happens when the account has no line left, in the four shapes that Vapi has."""

from typing import Any

import pytest

from tests.simulator.conftest import SLOW

FIRST, SECOND, THIRD = "+13125550105", "+13125550115", "+13125550125"
LONGEST = 1 + 30  # simulated seconds that nobody answers them
NO_LINE = "call.start.error-subscription-concurrency-limit-reached"


def test_a_call_too_many_can_be_a_400_without_a_message(start: Any) -> None:
    vapi = start(lines=1, speed=1)
    vapi.placed(FIRST)
    reply = vapi.create(SECOND)
    assert (reply.status_code, reply.json()) == (400, {"error": "Over Concurrency Limit"})
    assert SECOND not in vapi.simulator.ledger()["numbers"]


def test_a_call_too_many_can_be_a_429(start: Any) -> None:
    vapi = start(lines=1, lines_shape="429", speed=1)
    vapi.placed(FIRST)
    assert vapi.create(SECOND).status_code == 429


def test_a_call_too_many_can_end_without_ringing(start: Any) -> None:
    vapi = start(lines=1, lines_shape="ended", stuck={FIRST: "ringing"})
    vapi.placed(FIRST)
    second = vapi.placed(SECOND)
    assert second["status"] == "queued"
    assert vapi.ended(second["id"])["endedReason"] == NO_LINE
    assert vapi.entry(SECOND)["rangAt"] is None
    assert vapi.simulator.ledger()["peak"] == 1


def test_a_blocked_call_is_dialled_by_vapi_when_a_line_is_free(start: Any) -> None:
    vapi = start(lines=1, lines_shape="blocked", speed=SLOW)
    calls = [vapi.placed(number) for number in (FIRST, SECOND, THIRD)]
    assert [each["status"] for each in calls] == ["queued", "scheduled", "scheduled"]
    assert [each["subscriptionLimits"]["concurrencyBlocked"] for each in calls] == [False, True, True]
    vapi.later(len(calls) * LONGEST / SLOW)
    assert vapi.ended(calls[2]["id"])["subscriptionLimits"]["concurrencyBlocked"] is False
    entries = [vapi.entry(number) for number in (FIRST, SECOND, THIRD)]
    assert [each["rangAt"] for each in entries] == sorted(each["rangAt"] for each in entries)
    assert entries[1]["rangAt"] >= entries[0]["endedAt"]
    assert vapi.simulator.ledger()["peak"] == 1


def test_more_lines_let_blocked_calls_through(start: Any) -> None:
    vapi = start(lines=1, lines_shape="blocked", stuck={FIRST: "ringing"})
    vapi.placed(FIRST)
    second = vapi.placed(SECOND)["id"]
    vapi.options.lines = 2
    assert vapi.ended(second)["endedReason"] == "customer-did-not-answer"


def test_a_blocked_call_that_is_deleted_never_rings_and_says_so(start: Any) -> None:
    vapi = start(lines=1, lines_shape="blocked", stuck={FIRST: "ringing"})
    vapi.placed(FIRST)
    second, third = vapi.placed(SECOND)["id"], vapi.placed(THIRD)["id"]
    assert vapi.client.delete(f"/call/{second}").status_code == 200
    read_back = vapi.get(second)
    assert (read_back["status"], read_back["endedReason"]) == ("ended", "scheduled-call-deleted")
    vapi.options.lines = 2
    vapi.ended(third)
    assert vapi.entry(SECOND)["rangAt"] is None


@pytest.mark.parametrize("shape", ["400", "ended", "429", "blocked"])
def test_a_line_is_free_again_after_the_call(start: Any, shape: str) -> None:
    vapi = start(lines=1, lines_shape=shape)
    vapi.ended(vapi.placed(FIRST)["id"])
    assert vapi.ended(vapi.placed(SECOND)["id"])["endedReason"] == "customer-did-not-answer"


def test_the_limits_count_the_call_itself(start: Any) -> None:
    vapi = start(lines=3, speed=1)
    limits = [vapi.placed(number)["subscriptionLimits"] for number in (FIRST, SECOND, THIRD)]
    assert [each["remainingConcurrentCalls"] for each in limits] == [3, 2, 1]
    assert {each["concurrencyLimit"] for each in limits} == {3}
