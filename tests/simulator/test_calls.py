"""The life of a call, from the reply to its create until its analysis."""

import re
from typing import Any

import pytest

from concierge_calls.simulator import ENDINGS
from tests.simulator.conftest import SLOW

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_create_is_answered_with_the_queued_call(vapi: Any) -> None:
    call = vapi.placed(name="a name", customer={"number": "+13125550100", "name": "Ace", "externalId": "key-1"})
    assert (call["status"], call["type"], call["cost"]) == ("queued", "outboundPhoneCall", 0)
    assert call["customer"] == {"number": "+13125550100", "name": "Ace", "externalId": "key-1"}
    assert (call["name"], call["phoneNumberId"], call["assistantId"]) == ("a name", "a-number", "an-assistant")
    assert call["assistantOverrides"] == vapi.body()["assistantOverrides"]
    assert call["createdAt"] == call["updatedAt"]
    assert STAMP.fullmatch(call["createdAt"])
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", call["id"])
    assert call["monitor"]["controlUrl"].startswith(vapi.simulator.url)
    assert call["subscriptionLimits"]["concurrencyBlocked"] is False
    assert not {"startedAt", "endedAt", "endedReason", "artifact", "analysis"} & call.keys()


def test_a_call_goes_through_vapis_statuses_in_order_and_updated_at_moves_with_each(start: Any) -> None:
    vapi = start(speed=SLOW, analysis="frozen")
    identifier = vapi.placed()["id"]
    seen: dict[str, set[str]] = {}

    def note(call: dict[str, Any]) -> bool:
        seen.setdefault(call["status"], set()).add(call["updatedAt"])
        return "analysis" in call

    vapi.until(identifier, note, every=0.5 / SLOW)
    assert list(seen) == ["queued", "ringing", "in-progress", "ended"]
    assert all(len(stamps) == 1 for stamps in seen.values())
    assert [each for stamps in seen.values() for each in stamps] == sorted(set().union(*seen.values()))


def test_started_at_appears_when_somebody_answers_and_nothing_is_told_before_the_end(start: Any) -> None:
    vapi = start(stuck={"+13125550100": "in-progress"})
    identifier = vapi.placed()["id"]
    live = vapi.until(identifier, lambda call: call["status"] == "in-progress")
    assert STAMP.fullmatch(live["startedAt"])
    assert not {"endedAt", "endedReason", "artifact", "analysis"} & live.keys()


def test_updated_at_moves_when_the_analysis_arrives_late(start: Any) -> None:
    vapi = start(analysis_delay=500 * 3600)
    identifier = vapi.placed()["id"]
    ended = vapi.ended(identifier)
    assert "analysis" not in ended
    vapi.later(3600)
    assert vapi.settled(identifier)["updatedAt"] > ended["updatedAt"] == ended["endedAt"]


def test_a_missing_analysis_never_comes(start: Any) -> None:
    vapi = start(analysis="missing", analysis_delay=0)
    ended = vapi.ended(vapi.placed()["id"])
    assert ended["artifact"]["transcript"]
    assert "analysis" not in vapi.get(ended["id"])
    assert vapi.entry()["analysedAt"] is None


REASONS = {
    "0": ("assistant-ended-call", "customer-ended-call", "assistant-said-end-call-phrase"),
    "5": ("customer-did-not-answer",),
    "6": ("customer-busy",),
    "7": ("voicemail",),
    "8": ("exceeded-max-duration",),
    "9": (
        "call.in-progress.error-providerfault-openai-503-server-overloaded-error",
        "call.in-progress.error-providerfault-google-500-server-error",
    ),
}
AVAILABILITY = {"0": "available", "1": "available", "2": "available", "3": "callback_requested", "4": "unavailable"}


@pytest.mark.parametrize("digit", sorted(ENDINGS))
def test_the_last_digit_decides_the_end(vapi: Any, digit: str) -> None:
    ended = vapi.ended(vapi.placed(f"+1312555011{digit}")["id"])
    assert ended["endedReason"] in REASONS.get(digit, REASONS["0"])
    assert ("startedAt" in ended) is (digit not in "56")
    spoken = [each for each in ended["artifact"]["messages"] if each["role"] == "user"]
    assert bool(spoken) is (digit not in "56")


@pytest.mark.parametrize("digit", sorted(AVAILABILITY))
def test_who_answers_has_something_to_say_about_the_job(vapi: Any, digit: str) -> None:
    settled = vapi.settled(vapi.placed(f"+1312555011{digit}")["id"])
    data = settled["analysis"]["structuredData"]
    assert data["availability"] == AVAILABILITY[digit]
    assert data["recommended"] is (digit in "012")
    assert settled["analysis"]["successEvaluation"] == ("true" if digit in "012" else "false")
    assert "Ace Plumbing" in settled["analysis"]["summary"]


@pytest.mark.parametrize(
    ("number", "disqualified", "do_not_call"),
    [("+13125550104", False, False), ("+13125550144", True, False), ("+13125550174", True, True)],
)
def test_a_no_has_three_kinds(vapi: Any, number: str, disqualified: bool, do_not_call: bool) -> None:
    data = vapi.settled(vapi.placed(number)["id"])["analysis"]["structuredData"]
    assert (data["disqualified"], data["do_not_call"]) == (disqualified, do_not_call)


def test_the_calls_own_limit_cuts_it_and_is_divided_by_the_speed(vapi: Any) -> None:
    overrides = {"maxDurationSeconds": 40}
    ended = vapi.ended(vapi.placed("+13125550100", assistantOverrides=overrides)["id"])
    entry = vapi.entry()
    assert ended["endedReason"] == "exceeded-max-duration"
    assert entry["endedAt"] - entry["answeredAt"] == pytest.approx(40 / 500)
    assert all(each["secondsFromStart"] <= 40 / 500 for each in ended["artifact"]["messages"])


def test_without_a_limit_of_its_own_a_call_may_last_ten_minutes(vapi: Any) -> None:
    vapi.ended(vapi.placed("+13125550108")["id"])
    assert vapi.entry("+13125550108")["dueDuration"] == 600


def test_cost_is_that_of_the_uncompressed_call(vapi: Any) -> None:
    ended = vapi.ended(vapi.placed("+13125550108", assistantOverrides={"maxDurationSeconds": 120})["id"])
    assert ended["cost"] == ended["costBreakdown"]["total"] == pytest.approx(0.18, abs=0.001)
    assert vapi.ended(vapi.placed("+13125550105")["id"])["cost"] == 0


def test_a_conversation_lasts_as_long_as_it_is_told_to(start: Any) -> None:
    vapi = start(talk=(90, 90))
    vapi.ended(vapi.placed()["id"])
    entry = vapi.entry()
    assert entry["dueDuration"] == 90
    assert entry["endedAt"] - entry["answeredAt"] == pytest.approx(90 / 500)


@pytest.mark.parametrize(
    ("reason", "rang", "answered"),
    [
        ("call.start.error-get-customer", False, False),
        ("assistant-not-found", False, False),
        ("twilio-failed-to-connect-call", True, False),
        ("call.in-progress.error-providerfault-outbound-sip-480-temporarily-unavailable", True, False),
        ("silence-timed-out", True, True),
        ("customer-ended-call", True, True),
        ("call.in-progress.error-vapifault-worker-died", True, True),
        ("a-reason-of-next-year", True, True),
    ],
)
def test_any_reason_can_be_had_and_the_call_gets_as_far_as_it_says(
    start: Any, reason: str, rang: bool, answered: bool
) -> None:
    vapi = start(endings={"+13125550105": reason})
    ended = vapi.ended(vapi.placed("+13125550105")["id"])
    entry = vapi.entry("+13125550105")
    assert ended["endedReason"] == reason
    assert (entry["rangAt"] is not None, entry["answeredAt"] is not None) == (rang, answered)


def test_nobody_speaks_when_silence_ends_the_call_and_nothing_is_analysed(start: Any) -> None:
    vapi = start(endings={"+13125550100": "silence-timed-out"}, analysis_delay=0)
    ended = vapi.ended(vapi.placed()["id"])
    assert {each["role"] for each in ended["artifact"]["messages"]} == {"system", "bot"}
    assert "analysis" not in ended


@pytest.mark.parametrize("status", ["queued", "ringing", "in-progress"])
def test_a_stuck_call_stays_where_it_is(start: Any, status: str) -> None:
    vapi = start(stuck={"+13125550105": status, "+13125550100": status}, speed=5000)
    stuck, other = vapi.placed()["id"], vapi.placed("+13125550106")["id"]
    vapi.until(stuck, lambda call: call["status"] == status)
    vapi.ended(other)
    assert vapi.get(stuck)["status"] == status


def test_the_seed_and_the_number_repeat_a_call_and_another_seed_changes_it(start: Any) -> None:
    numbers = [f"+131255501{tens}0" for tens in range(10)]

    def said(seed: int) -> list[str]:
        vapi = start(seed=seed, speed=5000)
        calls = [vapi.placed(number)["id"] for number in numbers]
        return [vapi.ended(each)["artifact"]["transcript"] for each in calls]

    first = said(1)
    assert said(1) == first
    assert said(2) != first
    assert len(set(first)) == len(numbers)
