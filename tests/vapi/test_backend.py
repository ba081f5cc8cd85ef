"""The contract of a backend, sentence by sentence, as Vapi keeps it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import httpx
import pytest

from concierge_calls import errors
from concierge_calls.backend import Backend, Identity, Placed, Progress, Stage, Turn, Verdict
from concierge_calls.models import AnalysisStatus, CallMethod, CallRequest, CallStatus, Provider, ServiceRequest
from concierge_calls.simulator import Simulator, SimulatorOptions
from concierge_calls.vapi.backend import VapiBackend
from concierge_calls.vapi.client import VapiClient
from concierge_calls.vapi.following import Pace
from concierge_calls.vapi.gate import Gate
from tests.vapi.conftest import steps

T = TypeVar("T")
KEY = "a-key-of-ours"


def asked(index: int = 0, phone: str = "+18645550101") -> CallRequest:
    provider = Provider(name="Ace Plumbing", phone=phone)
    return CallRequest(index=index, provider=provider, request=ServiceRequest(service_needed="plumbing"))


async def place(backend: Backend, request: CallRequest | None = None, key: str = KEY) -> Placed:
    return await backend.place(request or asked(), key, await backend.turn())


def answering(kind: str, reply: httpx.Response | Exception) -> Any:
    def answer(what: str, at: float) -> httpx.Response | None:
        if what != kind:
            return None
        if isinstance(reply, Exception):
            raise reply
        return reply

    return answer


# 1. Before the first dial


def test_check_reads_the_phone_number_and_dials_nobody(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> Any:
        return await backend.check()

    assert vapi.run(scenario) == Identity(number="+18645550100", name="Front desk")
    assert vapi.asked == {"phone-number": 1}


def test_check_reads_the_users_own_assistant_once(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> Any:
        return await backend.check()

    assert vapi.run(scenario, assistant_id="theirs").assistant == "theirs"
    assert vapi.asked == {"phone-number": 1, "assistant": 1}


@pytest.mark.parametrize(
    "reply", [httpx.ConnectError("no route"), httpx.Response(502, text="<html>"), httpx.Response(503)]
)
def test_vapi_out_of_reach_is_said_after_ten_seconds(vapi: Any, reply: Any) -> None:
    vapi.answer = answering("phone-number", reply)

    async def scenario(backend: VapiBackend) -> float:
        with pytest.raises(errors.BackendUnreachable):
            await backend.check()
        return asyncio.get_running_loop().time()

    assert vapi.run(scenario) <= 10
    assert vapi.asked["phone-number"] > 1


def test_a_vapi_that_never_answers_is_out_of_reach_after_ten_seconds(vapi: Any) -> None:
    vapi.delays["phone-number"] = 1000.0

    async def scenario(backend: VapiBackend) -> float:
        with pytest.raises(errors.BackendUnreachable):
            await backend.check()
        return asyncio.get_running_loop().time()

    assert vapi.run(scenario) <= 10


@pytest.mark.parametrize(
    ("kind", "status", "setting"),
    [
        ("phone-number", 401, "VAPI_API_KEY"),
        ("phone-number", 402, "billing"),
        ("phone-number", 403, "key's rights"),
        ("phone-number", 404, "VAPI_PHONE_NUMBER_ID"),
        ("phone-number", 400, "VAPI_PHONE_NUMBER_ID"),
        ("phone-number", 410, "VAPI_PHONE_NUMBER_ID"),
        ("assistant", 404, "VAPI_ASSISTANT_ID"),
    ],
)
def test_a_refusal_before_the_first_dial_says_what_to_mend(vapi: Any, kind: str, status: int, setting: str) -> None:
    vapi.answer = answering(kind, httpx.Response(status, json={"message": "no", "statusCode": status}))

    async def scenario(backend: VapiBackend) -> None:
        await backend.check()

    with pytest.raises(errors.RunRefused, match=setting):
        vapi.run(scenario, assistant_id="theirs")
    assert vapi.asked["create"] == 0


# 2. The turn


def test_a_turn_is_waited_for_at_the_gate_and_comes_when_another_was_given_back(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> None:
        turns: list[Turn] = [await backend.turn() for _ in range(4)]
        fifth = asyncio.ensure_future(backend.turn())
        await asyncio.sleep(60)
        assert not fifth.done()
        turns[0].release()
        turns[0].release()
        (await fifth).release()

    vapi.run(scenario)


def test_after_a_lost_reply_a_turn_waits_until_a_read_is_answered_and_asks_for_one_itself(vapi: Any) -> None:
    def answer(kind: str, at: float) -> httpx.Response | None:
        if kind == "create":
            raise httpx.ReadError("cut")
        return httpx.Response(503) if at < 600 else None

    vapi.answer = answer

    async def scenario(backend: VapiBackend) -> float:
        with pytest.raises(errors.PlacementInDoubt):
            await place(backend)
        (await backend.turn()).release()
        return asyncio.get_running_loop().time()

    assert 600 <= vapi.run(scenario) <= 640
    assert vapi.asked["create"] == 1
    assert vapi.asked["phone-number"] <= 100


def test_a_vapi_that_asks_for_a_longer_wait_than_is_had_is_not_asked_again_and_again(vapi: Any) -> None:
    def answer(kind: str, at: float) -> httpx.Response | None:
        if kind == "create":
            raise httpx.ReadError("cut")
        return httpx.Response(503, headers={"Retry-After": "3600"}) if at < 600 else None

    vapi.answer = answer

    async def scenario(backend: VapiBackend) -> None:
        with pytest.raises(errors.PlacementInDoubt):
            await place(backend)
        (await backend.turn()).release()

    vapi.run(scenario)
    assert vapi.asked["phone-number"] <= 600 / 5 + 2


# 3, 4 and 5. The placing


def test_place_sends_one_request_and_returns_the_receipt(vapi: Any) -> None:
    placed = vapi.run(place)

    assert placed.call_id == "c-1"
    assert placed.created_at.isoformat() == "2026-01-01T10:00:00+00:00"
    assert placed.control_url
    assert not placed.blocked
    [body] = vapi.bodies
    assert (body["customer"]["externalId"], body["phoneNumberId"]) == (KEY, "ours")


def test_the_receipt_does_not_show_the_key_to_the_live_call(vapi: Any) -> None:
    placed = vapi.run(place)

    assert placed.control_url == "https://control.test/c-1"
    assert "c-1" in repr(placed)
    assert "control" not in repr(placed)


def test_a_call_that_waits_for_a_line_is_placed_and_says_so(vapi: Any) -> None:
    vapi.created_with = {"status": "scheduled", "blocked": True}

    assert vapi.run(place).blocked


def test_placing_does_not_wait_for_reads_and_reads_do_not_wait_for_it(vapi: Any) -> None:
    vapi.delays["create"] = 20.0

    async def scenario(backend: VapiBackend) -> float:
        placing = asyncio.ensure_future(place(backend))
        placed = vapi.call("c-7", ends=10)
        ended = [progress async for progress in steps(backend, placed)]
        assert ended[-1].stage is Stage.SETTLED
        when = asyncio.get_running_loop().time()
        await placing
        return when

    assert vapi.run(scenario) < 20


REFUSED = {"message": ["customer.number must be a valid phone number in the E.164 format."], "statusCode": 400}


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (httpx.Response(400, json=REFUSED), errors.NumberRefused),
        (httpx.Response(401, json={"message": "Unauthorized"}), errors.AccountRefused),
        (httpx.Response(403, text="<html>"), errors.AccountRefused),
        (httpx.Response(400, json={"error": "Over Concurrency Limit"}), errors.ComeBackLater),
        (httpx.Response(429, text="slow down"), errors.ComeBackLater),
        (httpx.ConnectError("no route"), errors.ComeBackLater),
        (httpx.ReadTimeout("late"), errors.PlacementInDoubt),
        (httpx.RemoteProtocolError("cut"), errors.PlacementInDoubt),
        (httpx.Response(500, json={"message": "oops"}), errors.PlacementInDoubt),
        (httpx.Response(408, json={"message": "timeout"}), errors.PlacementInDoubt),
        (httpx.Response(201, text="<html>"), errors.PlacementInDoubt),
    ],
)
def test_a_failed_placing_says_whether_a_phone_may_have_rung_and_gives_its_turn_back(
    vapi: Any, reply: httpx.Response | Exception, error: type[Exception]
) -> None:
    vapi.answer = answering("create", reply)

    async def scenario(backend: VapiBackend) -> None:
        for _ in range(5):  # the gate lets four by at a time
            vapi.gate.pause(0.0)
            with pytest.raises(error):
                await place(backend)

    vapi.run(scenario)
    assert vapi.asked["create"] == 5


def test_a_bug_before_the_request_left_keeps_no_turn(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> None:
        for _ in range(5):
            with pytest.raises(AttributeError):
                await backend.place(None, KEY, await backend.turn())  # type: ignore[arg-type]

    vapi.run(scenario)
    assert vapi.asked["create"] == 0


# 6. Looking for calls in doubt


def test_find_finds_calls_by_the_keys_they_were_placed_with(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> Any:
        for n in range(3):
            await place(backend, key=f"key-{n}")
        return await backend.find(["key-1", "key-2", "key-9"], backend.now())

    found = vapi.run(scenario)
    assert {key: placed.call_id for key, placed in found.items()} == {"key-1": "c-2", "key-2": "c-3"}


def test_find_finds_a_call_by_its_metadata_when_the_customer_is_not_shown(vapi: Any) -> None:
    vapi.call("c-5")
    vapi.calls["c-5"].changes.append((0.0, {"assistantOverrides": {"metadata": {"key": KEY}}}, True))

    async def scenario(backend: VapiBackend) -> Any:
        return await backend.find([KEY], backend.now())

    assert vapi.run(scenario)[KEY].call_id == "c-5"


def test_find_looks_through_every_page_since_the_time_given(vapi: Any) -> None:
    vapi.page = 1000
    for n in range(2500):
        vapi.call(f"c-{n}", created=n / 100)
        vapi.calls[f"c-{n}"].changes.append((n / 100, {"customer": {"externalId": f"key-{n}"}}, True))

    async def scenario(backend: VapiBackend) -> Any:
        since = backend.now()
        await asyncio.sleep(60)
        return await backend.find(["key-3", "key-2499"], since)

    assert set(vapi.run(scenario)) == {"key-3", "key-2499"}
    assert vapi.asked == {"list": 3}
    assert vapi.requests[0][2]["createdAtGe"] == "2026-01-01T10:00:00.000Z"


def test_find_reads_nothing_of_what_was_created_after_the_time_given(vapi: Any) -> None:
    for n in range(2500):
        vapi.call(f"c-{n}", created=n * 180.0)
    vapi.calls["c-3"].changes.append((0.0, {"customer": {"externalId": KEY}}, True))

    async def scenario(backend: VapiBackend) -> Any:
        since = backend.now()
        await asyncio.sleep(5 * 24 * 3600)
        return await backend.find([KEY], since, since + timedelta(hours=1))

    assert set(vapi.run(scenario)) == {KEY}
    assert vapi.asked == {"list": 1}
    assert vapi.requests[0][2]["createdAtLe"] == "2026-01-01T11:00:00.000Z"


def test_a_look_that_failed_is_no_answer(vapi: Any) -> None:
    vapi.answer = answering("list", httpx.Response(503))

    async def scenario(backend: VapiBackend) -> Any:
        return await backend.find([KEY], backend.now())

    with pytest.raises(errors.ReadFailed):
        vapi.run(scenario)


# 7 and 8. The end and the settling; what the feed does about them is in test_watch, hanging up in test_hangup


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        ("call.start.error-subscription-concurrency-limit-reached", Verdict.NO_LINE),
        ("call.start.error-vapifault-get-org", Verdict.START_FAILED),
        ("call.start.error-subscription-insufficient-credits", Verdict.ACCOUNT),
    ],
)
def test_with_a_verdict_that_is_not_final_the_end_is_the_last_and_has_its_reason(
    vapi: Any, reason: str, verdict: Verdict
) -> None:
    [told] = vapi.follow(vapi.call(rings=None, answered=None, ends=2, reason=reason, turns=[], analysed=None))

    [(_, last)] = told
    assert (last.stage, last.verdict) == (Stage.ENDED, verdict)
    assert last.reason.message
    assert last.outcome.ended_reason == reason


def test_an_unknown_reason_is_final_and_stays_visible(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(ends=10, reason="something-nobody-knows", analysed=None))

    settled = told[-1][1]
    assert (settled.stage, settled.verdict) == (Stage.SETTLED, Verdict.FINAL)
    assert (settled.outcome.status, settled.outcome.ended_reason) == (CallStatus.ERROR, "something-nobody-knows")


def test_the_record_is_whole_and_without_keys_to_the_call(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call())

    records = [json.loads(progress.body) for _, progress in told[-2:]]
    assert [record["status"] for record in records] == ["ended", "ended"]
    assert "monitor" not in records[-1]
    assert records[-1]["analysis"]["summary"] == told[-1][1].outcome.analysis.summary


def test_with_an_assistant_that_extracts_nothing_a_call_is_settled_at_once(vapi: Any) -> None:
    off = {"enabled": False}
    vapi.assistant = {"id": "theirs", "analysisPlan": {"summaryPlan": off, "successEvaluationPlan": off}}

    async def scenario(backend: VapiBackend) -> list[tuple[float, Progress]]:
        await backend.check()
        loop = asyncio.get_running_loop()
        return [(loop.time(), each) async for each in steps(backend, vapi.call(ends=30, analysed=None))]

    told = vapi.run(scenario, assistant_id="theirs")
    assert [(at, each.stage) for at, each in told[-2:]] == [(30, Stage.ENDED), (30, Stage.SETTLED)]
    assert told[-1][1].outcome.analysis.status is AnalysisStatus.NONE
    assert vapi.asked["get"] == 0


@pytest.mark.parametrize("assistant_id", [None, "theirs"])
@pytest.mark.parametrize(("record", "address"), [(True, "https://api.vapi.ai/call/c-1/mono-recording"), (False, None)])
def test_a_recording_has_its_lasting_address_if_it_was_asked_for(
    vapi: Any, assistant_id: str | None, record: bool, address: str | None
) -> None:
    turns = [{"role": "bot", "message": "Hello."}, {"role": "user", "message": "Yes?"}]
    placed = vapi.call()
    made = {"artifact": {"messages": turns, "recording": {"mono": {}}, "recordingUrl": "https://storage.test/a.wav"}}
    vapi.calls["c-1"].changes.append((30.0, made, True))

    async def scenario(backend: VapiBackend) -> Progress:
        await backend.check()
        return [each async for each in steps(backend, placed)][-1]

    last = vapi.run(scenario, assistant_id=assistant_id, record=record)
    assert last.outcome.recording_url == address


def test_what_the_users_assistant_keeps_of_a_call_is_sent_along(vapi: Any) -> None:
    vapi.assistant = {"id": "theirs", "artifactPlan": {"structuredOutputIds": ["so-1"], "recordingEnabled": True}}

    async def scenario(backend: VapiBackend) -> None:
        await backend.check()
        await place(backend)

    vapi.run(scenario, assistant_id="theirs")
    [body] = vapi.bodies
    plan = body["assistantOverrides"]["artifactPlan"]
    assert plan == {"structuredOutputIds": ["so-1"], "recordingEnabled": False}


# What it says of itself


@pytest.mark.parametrize(("simulated", "method"), [(True, CallMethod.SIMULATED), (False, CallMethod.DIRECT_VAPI)])
def test_the_method_is_simulated_or_direct(vapi: Any, simulated: bool, method: CallMethod) -> None:
    async def scenario(backend: Backend) -> CallMethod:
        return backend.method

    assert vapi.run(scenario, simulated=simulated) is method


def test_now_is_vapis_time(vapi: Any) -> None:
    async def scenario(backend: Backend) -> str:
        await asyncio.sleep(90)
        return backend.now().isoformat()

    assert vapi.run(scenario) == "2026-01-01T10:01:30+00:00"


# Over real HTTP


def at_the_simulator(
    options: SimulatorOptions, scenario: Callable[[VapiBackend], Awaitable[T]], **settings: Any
) -> tuple[T, dict[str, Any]]:
    """Play a scenario against the simulator; returns what came of it, and the simulator's ledger."""

    async def play(url: str) -> T:
        async with VapiClient("key", base_url=url, gate=Gate(0)) as client:
            backend = VapiBackend(
                client,
                phone_number_id="a-number",
                assistant_id=None,
                call_timeout=300,
                analysis_timeout=5.0,
                record=False,
                poll_interval=0.02,
                simulated=True,
                **settings,
            )
            await backend.check()
            async with backend.open():
                return await scenario(backend)

    with Simulator(options) as simulator:
        return asyncio.run(play(simulator.url)), simulator.ledger()


async def told_of(backend: Backend, index: int) -> list[Progress]:
    placed = await place(backend, asked(index, f"+1864555010{index}"), f"key-{index}")
    return [progress async for progress in steps(backend, placed)]


def test_ten_calls_at_the_simulator_end_as_its_ledger_says_each_with_its_record() -> None:
    async def scenario(backend: VapiBackend) -> list[list[Progress]]:
        return list(await asyncio.gather(*(told_of(backend, index) for index in range(10))))

    told, ledger = at_the_simulator(SimulatorOptions(speed=300), scenario)

    assert [each[-1].stage for each in told] == [Stage.SETTLED] * 10
    assert (ledger["live"], ledger["requests"]["create"]) == (0, 10)
    reasons = {call["id"]: call["endedReason"] for number in ledger["numbers"].values() for call in number["calls"]}
    records = [json.loads(each[-1].body or b"{}") for each in told]
    assert {record["id"]: record["endedReason"] for record in records} == reasons


def test_a_blocked_call_at_the_simulator_is_withdrawn_and_never_rings() -> None:
    async def scenario(backend: VapiBackend) -> list[Progress]:
        await place(backend, asked(0, "+18645550100"), "key-0")  # which has the only line
        return await told_of(backend, 1)

    options = SimulatorOptions(speed=1, lines=1, lines_shape="blocked")
    told, ledger = at_the_simulator(options, scenario, pace=Pace(blocked=0.1, again=0.05))

    assert [(each.stage, each.verdict) for each in told] == [
        (Stage.WITHDRAWING, Verdict.FINAL),
        (Stage.ENDED, Verdict.WITHDRAWN),
    ]
    assert ledger["numbers"]["+18645550101"]["rang"] == 0


def test_a_live_call_at_the_simulator_is_hung_up_for_the_user() -> None:
    async def scenario(backend: VapiBackend) -> Progress:
        placed = await place(backend)
        async for progress in steps(backend, placed):
            if progress.stage is Stage.IN_PROGRESS:
                backend.hang_up(placed.call_id)
        return progress

    options = SimulatorOptions(speed=20, stuck={"+18645550101": "in-progress"})
    last, ledger = at_the_simulator(options, scenario, pace=Pace(again=0.05))

    assert last.outcome is not None
    assert last.outcome.status is CallStatus.CANCELLED
    assert ledger["requests"]["control"] >= 1
