"""The network: reads go on for hours, creates wait for a read, and nobody is hung up or given up for its sake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import httpx
import pytest

from concierge_calls.caller import Caller
from concierge_calls.errors import ComeBackLater
from concierge_calls.models import CallEvent
from concierge_calls.stopping import OFFLINE_LIMIT
from concierge_calls.vapi.backend import VapiBackend
from concierge_calls.vapi.client import VapiClient
from concierge_calls.vapi.clock import VapiClock
from concierge_calls.vapi.gate import Gate
from tests.calling.fakes import EPOCH, Take, VirtualLoop, now
from tests.calling.rehearsal import Rehearsal, Rehearse
from tests.calling.simulated import StartVapi, providers, statuses
from tests.calling.test_doubt import MOMENTS, lost
from tests.vapi.conftest import PaperVapi

Outage = tuple[float, float]
HOUR = 3600.0


class Network:
    """Between a run and a Vapi on paper: from when until when nothing passes, and whose reply is lost."""

    def __init__(self, vapi: PaperVapi, *, outage: Outage, loses_replies: bool = False, refuses: bool = False) -> None:
        self.vapi = vapi
        self._outage = outage
        self._loses_replies = loses_replies
        self._refuses = refuses  # with a page of a proxy, instead of being silent
        self.slept = 0.0  # seconds in which this machine's own clock stood still

    def is_down(self) -> bool:
        return self._outage[0] < now() < self._outage[1]

    async def carry(self, request: httpx.Request) -> httpx.Response:
        creates = request.method == "POST" and request.url.path == "/call"
        if creates and self._loses_replies and self._outage[0] < now() + 1 < self._outage[1]:
            self._loses_replies = False
            await self.vapi._reply(request)
            raise httpx.ReadError("cut")
        if not self.is_down():
            return await self.vapi._reply(request)
        if self._refuses:
            return httpx.Response(502, text="<html>")
        raise httpx.ConnectError("no route")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[VapiBackend]:
        loop = asyncio.get_running_loop()
        clock = VapiClock(monotonic=lambda: loop.time() - self.slept, wall=lambda: EPOCH.timestamp() + loop.time())
        transport = httpx.MockTransport(self.carry)
        gate = Gate(0, now=clock.seconds)
        async with VapiClient("key", gate=gate, clock=clock, transport=transport, jitter=lambda: 0.5) as client:
            yield VapiBackend(
                client,
                phone_number_id="ours",
                assistant_id=None,
                call_timeout=300,
                analysis_timeout=120.0,
                record=False,
                warn=self.vapi.warnings.append,
            )


def call_all(run: Rehearsal, network: Network, lines: int, **rules: Any) -> tuple[Caller, float]:
    async def scenario(run: Rehearsal) -> tuple[Caller, float]:
        async with network.connected() as backend:
            run.backend = backend  # type: ignore[assignment]
            caller = await run.caller(lines=lines, **rules)
            await caller.call_all()
            return caller, now()

    return run.play(scenario)


@pytest.fixture
def vapi() -> PaperVapi:
    return PaperVapi()


def creates_in(vapi: PaperVapi, outage: Outage) -> int:
    return sum(outage[0] < at < outage[1] for at in vapi.moments("create"))


def nobody_was_hung_up(vapi: PaperVapi) -> bool:
    return vapi.asked["delete"] == vapi.asked["control"] == 0


@pytest.mark.parametrize("refuses", [True, False], ids=["a proxy's page", "no route"])
@pytest.mark.parametrize("length", [600.0, 3 * HOUR], ids=["ten minutes", "three hours"])
def test_while_nothing_is_answered_nobody_is_hung_up_given_up_or_dialled_and_then_all_goes_on(
    rehearse: Rehearse, vapi: PaperVapi, length: float, refuses: bool
) -> None:
    outage = (20.0, 20.0 + length)
    vapi.created_with = {"ends": 100.0}
    run = rehearse(4)
    caller, ended = call_all(run, Network(vapi, outage=outage, refuses=refuses), lines=2)

    assert run.statuses() == ["completed"] * 4
    assert (caller.interrupted, caller.stopped, nobody_was_hung_up(vapi)) == (False, None, True)
    assert (vapi.asked["create"], creates_in(vapi, outage)) == (4, 0)
    assert ended <= outage[1] + 40 + 100 + 10  # a question may have waited half a minute for its next turn


def test_a_create_that_cannot_leave_waits_for_a_read_and_is_not_tried_again_and_again(
    rehearse: Rehearse, vapi: PaperVapi
) -> None:
    run = rehearse(2)
    outage = (0.0, 700.0)
    caller, _ = call_all(run, Network(vapi, outage=(-1.0, outage[1])), lines=2)

    assert (run.statuses(), caller.interrupted) == (["completed"] * 2, False)
    assert creates_in(vapi, outage) == 0
    # Two requests were on their way when the first one failed.
    assert sum(attempt.state == "void" for attempt in run.attempts()) <= 2


def test_a_quarter_of_an_hour_offline_with_nobody_on_the_line_leaves_the_rest_to_a_resume(
    rehearse: Rehearse, vapi: PaperVapi, caplog: pytest.LogCaptureFixture
) -> None:
    run = rehearse(3)
    caller, ended = call_all(run, Network(vapi, outage=(-1.0, 3 * HOUR)), lines=1)

    assert (run.statuses(), caller.interrupted, caller.stopped) == (["pending"] * 3, True, None)
    assert OFFLINE_LIMIT <= ended <= OFFLINE_LIMIT + 10
    assert [record.getMessage() for record in caplog.records if record.name == "concierge_calls.stopping"] == [
        "Vapi has been out of reach for 15 minutes and nobody is on the line, so the run stops here. "
        f"See to the network, then: concierge-calls resume {run.run_id}"
    ]


def test_a_quarter_of_an_hour_offline_with_somebody_on_the_line_ends_nothing(
    rehearse: Rehearse, vapi: PaperVapi
) -> None:
    run = rehearse(2)
    vapi.created_with = {"ends": 60.0}
    outage = (10.0, 10.0 + 2 * OFFLINE_LIMIT)
    caller, _ = call_all(run, Network(vapi, outage=outage), lines=2, start_interval=15.0)
    assert (run.statuses(), caller.interrupted) == (["completed"] * 2, False)
    assert vapi.moments("create")[1] >= outage[1]


def test_a_reply_that_was_lost_with_the_network_is_found_when_that_is_back_and_nobody_is_uncertain_meanwhile(
    rehearse: Rehearse, vapi: PaperVapi
) -> None:
    outage = (-0.5, 600.0)
    vapi.created_with = {"ends": 100.0}
    run = rehearse(3)
    call_all(run, Network(vapi, outage=outage, loses_replies=True), lines=1)

    assert run.statuses() == ["completed"] * 3
    assert (vapi.asked["create"], creates_in(vapi, (0.1, 600.0))) == (3, 0)
    assert run.told(0) == ["dialing", "placed", "ended", "settled"]


def test_a_reply_that_was_lost_with_the_network_for_good_is_left_to_a_resume_and_not_given_up(
    rehearse: Rehearse, vapi: PaperVapi
) -> None:
    run = rehearse(2)
    caller, ended = call_all(run, Network(vapi, outage=(-0.5, 9 * HOUR), loses_replies=True), lines=2)

    assert (run.attempts()[0].state, caller.interrupted) == ("dialing", True)
    assert run.statuses() == ["in_progress", "pending"]
    assert ended <= OFFLINE_LIMIT + 120 + 150


def test_an_outage_of_creates_alone_leaves_three_in_doubt_and_the_rest_to_a_resume(
    rehearse: Rehearse, vapi: PaperVapi, caplog: pytest.LogCaptureFixture
) -> None:
    vapi.created_with = {"ends": 300.0}
    vapi.answer = lambda kind, at: httpx.Response(503) if kind == "create" and at > 30 else None
    run = rehearse(20)
    caller, _ = call_all(run, Network(vapi, outage=(0.0, 0.0)), lines=8, start_interval=10.0)

    assert run.statuses() == ["completed"] * 4 + ["uncertain"] * 3 + ["pending"] * 13
    assert (caller.interrupted, caller.stopped, vapi.asked["create"]) == (True, None, 7)
    assert [record.getMessage() for record in caplog.records if record.name == "concierge_calls.stopping"] == [
        "Vapi does not answer requests to dial, and 3 calls in a row are in doubt, so nobody else is dialled. "
        f"Those calls are still looked for; once Vapi is well, go on with: concierge-calls resume {run.run_id}"
    ]


def test_when_the_network_is_back_calls_in_doubt_since_it_went_stop_nobody(rehearse: Rehearse, vapi: PaperVapi) -> None:
    def answer(kind: str, at: float) -> httpx.Response | None:
        if 0.5 < at < 400:
            raise httpx.ReadError("cut")
        return None

    vapi.answer, vapi.delays["create"] = answer, 1.0  # four requests are on their way
    run = rehearse(8)
    caller, _ = call_all(run, Network(vapi, outage=(0.0, 0.0)), lines=5)

    assert (run.statuses(), caller.interrupted) == (["uncertain"] * 4 + ["completed"] * 4, False)


def test_a_call_that_vapi_does_not_know_gives_its_line_to_the_next_and_is_followed_when_it_shows_itself(
    rehearse: Rehearse, vapi: PaperVapi
) -> None:
    def hide(event: CallEvent) -> None:
        if event.kind == "call.in_progress" and event.index == 0:
            vapi.calls["c-1"].hidden_from, vapi.calls["c-1"].unknown_until = 0.0, 500.0

    vapi.created_with = {"ends": 350.0}
    run = rehearse(2)
    run.observer = hide
    call_all(run, Network(vapi, outage=(0.0, 0.0)), lines=1)

    # After a minute of silence it is asked for, and then for three minutes in vain.
    [first, second] = vapi.moments("create")
    assert (first, 240 <= second <= 260) == (0, True)
    assert run.statuses() == ["completed"] * 2


def test_a_machine_that_slept_for_an_hour_in_the_middle_of_calls_gives_nobody_up(
    rehearse: Rehearse, vapi: PaperVapi
) -> None:
    def sleep() -> None:
        cast(VirtualLoop, asyncio.get_running_loop()).clock.passed += HOUR
        network.slept = HOUR

    def fall_asleep(event: CallEvent) -> None:
        if event.kind == "call.dialing" and event.index == 1:
            asyncio.get_running_loop().call_later(20.0, sleep)

    vapi.created_with = {"ends": 100.0}
    network = Network(vapi, outage=(HOUR, HOUR + 30.0))  # and the network takes a while to be there again
    run = rehearse(4)
    run.observer = fall_asleep
    caller, ended = call_all(run, network, lines=2)

    assert (run.statuses(), caller.interrupted) == (["completed"] * 4, False)
    assert (nobody_was_hung_up(vapi), ended > HOUR) == (True, True)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_jumps_changes_nothing_of_when_a_call_in_doubt_is_looked_for(
    rehearse: Rehearse, jump: float
) -> None:
    async def scenario(run: Rehearsal) -> None:
        truth = run.backend.now
        calling = asyncio.ensure_future((await run.caller()).call_all())
        await asyncio.sleep(5)
        run.backend.now = lambda: truth() + timedelta(seconds=jump)  # type: ignore[method-assign]
        await calling

    run = rehearse(1, {0: [lost(dials=False)]})
    run.play(scenario)
    assert [at for at, _ in run.backend.looks] == [*MOMENTS, 120]


def test_only_what_is_not_answered_counts_as_offline(rehearse: Rehearse) -> None:
    answered = Take(error=ComeBackLater("Too many.", "rate_limit", 60.0))
    run = rehearse(1, {0: [answered] * 20})
    caller = run.call_all()
    assert (caller.interrupted, run.statuses(), run.backend.starts[-1]) == (False, ["completed"], 1200)


def test_over_real_http_reads_that_fail_for_a_second_in_the_middle_of_calls_lose_nobody(start: StartVapi) -> None:
    vapi, whom = start(speed=20.0), providers("0123")
    failed: list[str] = []

    def fail(event: CallEvent) -> None:
        if event.kind == "call.placed" and not failed:
            failed.append(event.kind)
            vapi.options.fail_reads = 1.0
            asyncio.get_running_loop().call_later(1.0, mend)

    def mend() -> None:
        vapi.options.fail_reads = 0.0

    run = vapi.call(whom, max_concurrent=2, observer=fail)
    assert (failed, statuses(run.results)) == (["call.placed"], ["completed"] * 4)
    assert vapi.times_rung(whom) == [1] * 4
