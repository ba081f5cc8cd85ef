"""The client: a create is sent once and judged by proof, a question is asked until it is answered, and no key leaks."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpx import HTTPXMock

from concierge_calls.errors import (
    AccountRefused,
    ComeBackLater,
    NumberRefused,
    PlacementError,
    PlacementInDoubt,
    ReadFailed,
    ReadRefused,
    SettingsError,
)
from concierge_calls.vapi.client import VapiClient
from concierge_calls.vapi.clock import VapiClock
from concierge_calls.vapi.gate import Gate, Priority
from concierge_calls.vapi.patience import LONGEST_TRY
from concierge_calls.vapi.schemas import Assistant, Call, PhoneNumber
from tests.environment import nobody_listens

# Where each reply comes from:
#   call_created.json    after a 201 captured by third parties in March 2026; ids, names and numbers changed
#   call_ended.json      written from Vapi's OpenAPI document, schema Call
#   phone_number.json    written from Vapi's OpenAPI document, GET /phone-number/{id}
#   assistant.json       written from Vapi's OpenAPI document, schema Assistant
#   refusals.json        see test_faults.py
REPLIES = Path(__file__).parent / "replies"
CREATED = (REPLIES / "call_created.json").read_bytes()
ENDED = (REPLIES / "call_ended.json").read_bytes()
REFUSALS: dict[str, Any] = json.loads((REPLIES / "refusals.json").read_text("utf-8"))

KEY = "key-5f1c2d3e-0000-4000-8000-00000000beef"
NUMBER = "+18645550101"
BODY = {"customer": {"number": NUMBER}, "assistantId": "an-assistant", "phoneNumberId": "a-number"}
VAPI = "https://vapi.example"
HTML = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
JSON = {"content-type": "application/json"}
T = TypeVar("T")


class Time:
    """Seconds since 1970 that go on only by sleeping; half a minute is left of the UTC minute it begins in."""

    def __init__(self, now: float = 1_800_000_030.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def a_client(
    base_url: str = VAPI,
    *,
    time: Time | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    jitter: float = 1.0,
) -> VapiClient:
    time = time or Time()
    clock = VapiClock(monotonic=time, wall=time)
    gate = Gate(now=clock.seconds, sleep=time.sleep)
    return VapiClient(
        KEY, base_url=base_url, gate=gate, clock=clock, transport=transport, sleep=time.sleep, jitter=lambda: jitter
    )


async def create(client: VapiClient) -> Call:
    return await client.create_call(BODY, await client.gate.enter(Priority.CREATE))


def ask(question: Callable[[VapiClient], Coroutine[Any, Any, T]], time: Time | None = None, **how: Any) -> T:
    """Open a client, ask one question and close it again."""

    async def play() -> T:
        async with a_client(time=time, **how) as client:
            return await question(client)

    return asyncio.run(play())


def read(client: VapiClient) -> Coroutine[Any, Any, Call | None]:
    return client.get_call("call-1", Priority.OVERDUE)


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A bare server on a loopback port, for answers that no web server would give; it counts what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self.requests.append(head + await reader.readexactly(sum(lengths)))
            self.asked.set()
            await self.answer(reader, writer)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """Listen on a loopback port, and at the end wait until every connection is done with."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection
        connections.add(connection)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*connections), timeout=10)
        await server.wait_closed()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    server = Server(answer)
    async with listening(server.serve) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server


def says(data: bytes, *, then_close: bool = False) -> Answer:
    """Return an answer that writes these bytes."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then_close:
            writer.close()

    return answer


def reply(status: int, body: bytes, headers: str = "content-type: application/json\r\n") -> bytes:
    return f"HTTP/1.1 {status} Whatever\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def keeps_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def place_with(answer: Answer) -> tuple[Call | BaseException, int]:
    """Place one call at a bare server; returns what came of it and how many requests there were."""

    async def play() -> tuple[Call | BaseException, int]:
        async with serving(answer) as server, a_client(server.url) as client:
            outcome: Call | BaseException
            try:
                outcome = await create(client)
            except PlacementError as error:
                outcome = error
            assert "0/4 creates" in repr(client.gate)
            return outcome, len(server.requests)

    return asyncio.run(play())


# --- a create -------------------------------------------------------------------------------------------------------


def test_a_create_sends_the_body_with_the_key_and_returns_the_call(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(
        method="POST",
        url=f"{VAPI}/call",
        match_headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        match_json=BODY,
        status_code=201,
        content=CREATED,
    )
    call = ask(create)
    assert call.id == "019d5a60-0000-7000-8000-000000000101"
    assert call.status == "queued"
    assert call.created_at == datetime(2026, 3, 14, 10, 0, 0, 123000, UTC)
    assert call.key() == "cc1-abcdefghijklmnopqrstuvwxyz"
    assert call.monitor.control_url == "https://cell.example/019d5a60/control"
    assert not call.subscription_limits.concurrency_blocked


def test_a_call_that_waits_for_a_line_is_placed_all_the_same(httpx_mock: HTTPXMock) -> None:
    body = json.loads(CREATED) | {"status": "scheduled", "subscriptionLimits": {"concurrencyBlocked": True}}
    httpx_mock.add_response(status_code=201, json=body)
    call = ask(create)
    assert (call.status, call.subscription_limits.concurrency_blocked) == ("scheduled", True)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectError("[Errno -2] Name or service not known"),
        httpx.ConnectTimeout("connect"),
        httpx.PoolTimeout("pool"),
    ],
)
def test_without_a_connection_nothing_was_sent(httpx_mock: HTTPXMock, error: Exception) -> None:
    httpx_mock.add_exception(error)
    with pytest.raises(ComeBackLater) as caught:
        ask(create)
    assert caught.value.code == "unreachable"
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("read"),
        httpx.WriteTimeout("write"),
        httpx.ReadError("reset"),
        httpx.WriteError("broken pipe"),
        httpx.CloseError("close"),
        httpx.RemoteProtocolError("garbage"),
        httpx.LocalProtocolError("ours"),
        httpx.ProxyError("of a transport that tells nothing"),
        httpx.DecodingError("gzip"),
        httpx.TooManyRedirects("loop"),
        httpx.InvalidURL("location"),
        httpx.StreamClosed(),
        OSError("whatever"),
        RuntimeError("of a library"),
    ],
)
def test_any_other_failure_is_doubt_and_is_not_sent_again(httpx_mock: HTTPXMock, error: Exception) -> None:
    httpx_mock.add_exception(error)
    with pytest.raises(PlacementInDoubt):
        ask(create)
    assert len(httpx_mock.get_requests()) == 1


def test_a_refused_connection_is_not_sent() -> None:
    with nobody_listens() as url, pytest.raises(ComeBackLater):
        ask(create, base_url=url)


def test_a_failed_tls_handshake_is_not_sent() -> None:
    async def play() -> None:
        async def talk_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with listening(talk_plainly) as port, a_client(f"https://127.0.0.1:{port}") as client:
            with pytest.raises(ComeBackLater):
                await create(client)

    asyncio.run(play())


def test_a_proxy_that_refuses_the_tunnel_has_not_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> list[bytes]:
        async with serving(says(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            async with a_client(VAPI) as client:
                with pytest.raises(ComeBackLater):
                    await create(client)
            return proxy.requests

    requests = asyncio.run(play())
    assert [request.split()[0] for request in requests] == [b"CONNECT"]
    assert KEY.encode() not in b"".join(requests)


def test_a_loopback_address_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    outcome, requests = place_with(says(reply(201, CREATED)))
    assert isinstance(outcome, Call)
    assert requests == 1


LOST_REPLIES: dict[str, Answer] = {
    "the connection is closed": closes,
    "the connection is reset": resets,
    "half a head": says(b"HTTP/1.1 201 Crea", then_close=True),
    "half a body": says(reply(201, CREATED)[:-200], then_close=True),
    "half a chunk": says(b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n80\r\n{", then_close=True),
    "garbage": says(b"\x00\xff\x16garbage\r\n\r\n", then_close=True),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", then_close=True),
    "a broken gzip": says(reply(201, b"no gzip", "content-encoding: gzip\r\n")),
    "an endless head": says(b"HTTP/1.1 201 Created\r\n" + b"x-a: b\r\n" * 20_000, then_close=True),
    "a 201 that is no JSON": says(reply(201, HTML)),
    "a 201 without a body": says(reply(201, b"")),
    "a 204": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "a 201 without an id": says(reply(201, b'{"status": "queued"}')),
    "a 201 with an empty id": says(reply(201, b'{"id": ""}')),
    "a 201 of a batch": says(reply(201, b'{"results": [], "errors": []}')),
    "a 201 with a list": says(reply(201, b"[" + CREATED + b"]")),
    "a 201 nested too deeply": says(reply(201, b"[" * 100_000)),
    "an upgrade": says(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", then_close=True
    ),
}


@pytest.mark.parametrize("loss", LOST_REPLIES)
def test_a_reply_that_is_lost_or_unreadable_is_doubt(loss: str) -> None:
    outcome, requests = place_with(LOST_REPLIES[loss])
    assert isinstance(outcome, PlacementInDoubt)
    assert requests == 1


@pytest.mark.parametrize(
    "body", [HTML, b'{"message": "Internal server error", "statusCode": 500}'], ids=["html", "json"]
)
@pytest.mark.parametrize("status", [408, 409, 425, 500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527])
def test_a_failure_of_theirs_is_doubt_whoever_tells_it(httpx_mock: HTTPXMock, status: int, body: bytes) -> None:
    httpx_mock.add_response(status_code=status, content=body)
    with pytest.raises(PlacementInDoubt):
        ask(create)
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    async def play() -> int:
        async with serving(says(reply(status, b"{}", "location: /call\r\n"))) as server, a_client(server.url) as client:
            with pytest.raises(PlacementInDoubt):
                await create(client)
            return len(server.requests)

    assert asyncio.run(play()) == 1


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("bad_number", 400, NumberRefused),
        ("unknown_property", 400, AccountRefused),
        ("no_line", 400, ComeBackLater),
        ("unauthorized", 401, AccountRefused),
        ("payment_required", 402, AccountRefused),
        ("not_enabled", 403, AccountRefused),
        ("not_found", 404, AccountRefused),
        ("too_large", 413, AccountRefused),
        ("unprocessable", 422, AccountRefused),
        ("rate_limit", 429, ComeBackLater),
    ],
)
def test_a_refusal_of_vapis_is_certain(
    httpx_mock: HTTPXMock, name: str, status: int, kind: type[PlacementError]
) -> None:
    httpx_mock.add_response(status_code=status, json=REFUSALS[name])
    with pytest.raises(kind):
        ask(create)
    assert len(httpx_mock.get_requests()) == 1


def test_too_many_requests_close_the_gate_until_the_next_utc_minute(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=429, json=REFUSALS["rate_limit"])
    httpx_mock.add_response(status_code=201, content=CREATED)
    time = Time()

    async def twice(client: VapiClient) -> None:
        with pytest.raises(ComeBackLater):
            await create(client)
        await create(client)

    ask(twice, time)
    assert time.slept == [30.0 + 2.0]


def test_too_many_requests_close_the_gate_for_as_long_as_was_said(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=429, json=REFUSALS["rate_limit"], headers={"Retry-After": "7"})

    async def once(client: VapiClient) -> str:
        with pytest.raises(ComeBackLater) as caught:
            await create(client)
        assert caught.value.retry_after == 7.0
        return repr(client.gate)

    assert ask(once).endswith("paused>")


@pytest.mark.parametrize("refused", ["create", "read"])
def test_after_too_many_requests_of_either_kind_both_kinds_wait_for_the_next_utc_minute(
    httpx_mock: HTTPXMock, refused: str
) -> None:
    time = Time()
    sent: list[tuple[str, float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, time.now - 1_800_000_030.0))
        if len(sent) == 1:
            return httpx.Response(429, json=REFUSALS["rate_limit"])
        return httpx.Response(200, content=ENDED if request.method == "GET" else CREATED)

    httpx_mock.add_callback(answer, is_reusable=True)

    async def all_three(client: VapiClient) -> None:
        if refused == "create":
            with pytest.raises(ComeBackLater):
                await create(client)
        await read(client)
        await create(client)

    ask(all_three, time)
    first = "POST" if refused == "create" else "GET"
    assert sent == [(first, 0.0), ("GET", 32.0), ("POST", 32.0)]


def test_a_read_that_is_answered_after_a_429_does_not_shorten_the_wait_of_creates(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=429, json=REFUSALS["rate_limit"], method="POST")
    httpx_mock.add_response(status_code=201, content=CREATED, method="POST")
    asked, refused = asyncio.Event(), asyncio.Event()
    time = Time()

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.set()
        await refused.wait()
        return httpx.Response(200, content=ENDED)

    httpx_mock.add_callback(answer, method="GET")

    async def all_three(client: VapiClient) -> None:
        reading = asyncio.create_task(read(client))
        await asked.wait()
        with pytest.raises(ComeBackLater):
            await create(client)
        refused.set()
        await reading
        await create(client)

    ask(all_three, time)
    assert time.slept == [32.0]


def test_hang_ups_do_not_wait_for_the_next_minute(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=429, json=REFUSALS["rate_limit"], method="POST")
    httpx_mock.add_response(content=ENDED, method="GET")
    httpx_mock.add_response(content=ENDED, method="DELETE")
    time = Time()

    async def all_three(client: VapiClient) -> None:
        with pytest.raises(ComeBackLater):
            await create(client)
        await client.get_call("c-1", Priority.HANG_UP)
        await client.delete_call("c-1")

    ask(all_three, time)
    assert time.slept == []


@pytest.mark.parametrize(
    ("answer", "is_lost"),
    [
        ({"status_code": 201, "content": CREATED}, False),
        ({"status_code": 400, "json": REFUSALS["rate_limit"]}, False),
        ({"status_code": 429, "json": REFUSALS["rate_limit"]}, False),
        ({"status_code": 500, "json": {"message": "oops"}}, True),
        ({"status_code": 502, "content": HTML}, True),
    ],
)
def test_after_a_create_that_vapi_failed_at_it_counts_as_out_of_reach_until_a_read_is_answered(
    httpx_mock: HTTPXMock, answer: dict[str, Any], is_lost: bool
) -> None:
    httpx_mock.add_response(**answer, method="POST")
    httpx_mock.add_response(content=ENDED, method="GET")

    async def both(client: VapiClient) -> list[bool]:
        with suppress(PlacementError):
            await create(client)
        before = client.reach.is_lost
        await read(client)
        return [before, client.reach.is_lost]

    assert ask(both) == [is_lost, False]


@pytest.mark.parametrize("error", [httpx.ConnectError("no route"), httpx.ReadTimeout("late")])
def test_after_a_create_without_an_answer_vapi_counts_as_out_of_reach_until_a_read_is_refused(
    httpx_mock: HTTPXMock, error: Exception
) -> None:
    httpx_mock.add_exception(error, method="POST")
    httpx_mock.add_response(status_code=401, json={"message": "Unauthorized"}, method="GET")

    async def both(client: VapiClient) -> list[bool]:
        with suppress(PlacementError):
            await create(client)
        before = client.reach.is_lost
        with pytest.raises(ReadRefused):
            await read(client)
        return [before, client.reach.is_lost]

    assert ask(both) == [True, False]


def test_a_429_for_lack_of_lines_stops_no_reading(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=429, json=REFUSALS["no_line"])

    async def once(client: VapiClient) -> str:
        with pytest.raises(ComeBackLater) as caught:
            await create(client)
        return f"{caught.value.code} {client.gate!r}"

    gate = ask(once)
    assert gate.startswith("no_line")
    assert "paused" not in gate


def test_a_create_that_is_cancelled_in_flight_gives_its_place_back() -> None:
    async def play() -> None:
        async with serving(keeps_silent) as server, a_client(server.url) as client:
            task = asyncio.create_task(create(client))
            await server.asked.wait()
            assert "1/4 creates" in repr(client.gate)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert "0/4 creates" in repr(client.gate)
            assert len(server.requests) == 1

    asyncio.run(play())


def test_a_reply_that_never_ends_is_doubt_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    timeout, tries = asyncio.timeout, list[tuple[float, asyncio.Timeout]]()

    def noted(seconds: float) -> asyncio.Timeout:
        tries.append((seconds, timeout(seconds)))
        return tries[-1][1]

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n{")
        await writer.drain()
        tries[0][1].reschedule(asyncio.get_running_loop().time())  # the longest try is over
        await reader.read()

    monkeypatch.setattr(asyncio, "timeout", noted)
    outcome, requests = place_with(drip)
    assert isinstance(outcome, PlacementInDoubt)
    assert isinstance(outcome.__cause__, TimeoutError)
    assert [seconds for seconds, _ in tries] == [LONGEST_TRY]
    assert requests == 1


def test_a_connection_that_was_closed_while_idle_is_not_used_for_the_next_create() -> None:
    async def play() -> None:
        async with serving(says(reply(201, CREATED), then_close=True)) as server, a_client(server.url) as client:
            for _ in range(5):
                assert (await create(client)).id
            assert len(server.requests) == 5

    asyncio.run(play())


def test_a_body_that_cannot_be_written_as_json_is_a_bug_and_sends_nothing(httpx_mock: HTTPXMock) -> None:
    async def broken(client: VapiClient) -> str:
        with pytest.raises(TypeError):
            await client.create_call({"a": object()}, await client.gate.enter(Priority.CREATE))
        with pytest.raises(ValueError, match="not JSON compliant"):
            await client.create_call({"a": float("nan")}, await client.gate.enter(Priority.CREATE))
        return repr(client.gate)

    assert "0/4 creates" in ask(broken)
    assert httpx_mock.get_requests() == []


# --- questions ------------------------------------------------------------------------------------------------------


def test_a_call_is_read_by_its_id(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(method="GET", url=f"{VAPI}/call/call-1", content=ENDED)
    call = ask(read)
    assert call
    assert (call.ended_reason, call.cost, call.customer.extension) == ("customer-ended-call", 0.2314, "12")
    assert call.started_at
    assert call.ended_at
    assert call.ended_at - call.started_at == timedelta(seconds=148.2)
    assert [(turn.role, turn.seconds_from_start) for turn in call.artifact.messages][1:] == [
        ("bot", 0.4),
        ("user", 2.1),
    ]
    assert call.analysis.structured_data == {"availability": "available", "server": "Dana"}
    assert call.analysis.success_evaluation == "true"
    assert call.assistant
    assert call.assistant.artifact_plan.structured_output_ids == ["so-1"]


def test_an_id_cannot_lead_to_another_path(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(content=ENDED)
    ask(lambda client: client.get_call("../phone-number?x=1", Priority.SWEEP))
    assert httpx_mock.get_requests()[0].url.raw_path == b"/call/..%2Fphone-number%3Fx%3D1"


def test_a_call_that_vapi_does_not_know_is_none(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=404, json=REFUSALS["not_found"])
    assert ask(read) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 500, "json": {"message": "Internal server error"}},
        {"status_code": 502, "html": HTML.decode()},
        {"status_code": 404, "html": HTML.decode()},
        {"status_code": 408, "json": {"message": "Request Timeout"}},
        {"status_code": 425, "text": ""},
        {"status_code": 302, "headers": {"location": "https://login.example/"}},
        {"status_code": 200, "html": HTML.decode()},
        {"status_code": 200, "text": ""},
        {"status_code": 200, "json": []},
        {"status_code": 200, "json": {"status": "no id"}},
        {"status_code": 200, "content": b"no gzip", "headers": {"content-encoding": "gzip"}},
    ],
)
def test_a_question_is_asked_again_after_an_answer_that_is_none(httpx_mock: HTTPXMock, answer: dict[str, Any]) -> None:
    httpx_mock.add_response(**answer)
    httpx_mock.add_response(content=ENDED)
    assert ask(read)
    assert len(httpx_mock.get_requests()) == 2


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("connect"),
        httpx.ReadTimeout("read"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("garbage"),
        httpx.PoolTimeout("pool"),
        OSError("whatever"),
    ],
)
def test_a_question_is_asked_again_when_the_answer_is_lost(httpx_mock: HTTPXMock, error: Exception) -> None:
    httpx_mock.add_exception(error)
    httpx_mock.add_response(content=ENDED)
    assert ask(read)
    assert len(httpx_mock.get_requests()) == 2


@pytest.mark.parametrize("answer", [closes, resets, LOST_REPLIES["garbage"], LOST_REPLIES["half a body"]])
def test_a_question_is_asked_again_over_a_line_that_breaks(answer: Answer) -> None:
    async def play() -> int:
        broken = iter([True, True, False])

        async def at_last(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await (answer if next(broken) else says(reply(200, ENDED)))(reader, writer)

        async with serving(at_last) as server, a_client(server.url) as client:
            assert await read(client)
            return len(server.requests)

    assert asyncio.run(play()) == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"message": "Unauthorized"}'),
        (401, HTML),
        (403, HTML),
        (400, b'{"message": "bad"}'),
        (409, b'{"error": "x"}'),
    ],
)
def test_a_no_is_told_at_once(httpx_mock: HTTPXMock, status: int, body: bytes) -> None:
    httpx_mock.add_response(status_code=status, content=body)
    with pytest.raises(ReadRefused) as caught:
        ask(read)
    assert caught.value.status == status
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.httpx_mock(can_send_already_matched_responses=True)
def test_a_question_is_given_up_when_patience_is_at_an_end(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=503)
    time = Time()
    with pytest.raises(ReadFailed, match=r"could not be asked for a call just now \(HTTP 503\)") as caught:
        ask(lambda client: client.get_call("call-1", Priority.OVERDUE, patience=60), time)
    assert not isinstance(caught.value, ReadRefused)
    assert time.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 29.0]
    assert len(httpx_mock.get_requests()) == 7


@pytest.mark.parametrize(("jitter", "waits"), [(1.0, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]), (0.0, [0.1] * 7)])
def test_waiting_is_random_up_to_a_growing_limit_of_thirty_seconds(
    httpx_mock: HTTPXMock, jitter: float, waits: list[float]
) -> None:
    for _ in waits:
        httpx_mock.add_response(status_code=503)
    httpx_mock.add_response(content=ENDED)
    time = Time()
    ask(lambda client: client.get_call("call-1", Priority.OVERDUE, patience=200), time, jitter=jitter)
    assert time.slept == waits


def test_patience_ends_even_if_the_clock_stands_still(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=503, is_reusable=True)
    time = Time()

    async def stand_still(seconds: float) -> None:
        time.slept.append(seconds)

    async def play() -> None:
        clock = VapiClock(monotonic=time, wall=time)
        async with VapiClient(KEY, gate=Gate(now=time), clock=clock, sleep=stand_still, jitter=lambda: 1.0) as client:
            with pytest.raises(ReadFailed):
                await read(client)

    asyncio.run(play())
    assert time.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


def test_the_first_look_at_the_phone_number_gives_up_after_ten_seconds(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.ConnectError("refused"), is_reusable=True)
    time = Time()
    with pytest.raises(ReadFailed):
        ask(lambda client: client.get_phone_number("a-number", patience=10), time)
    assert sum(time.slept) == 10.0


def test_retry_after_is_kept_to(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=503, headers={"Retry-After": "12"})
    httpx_mock.add_response(content=ENDED)
    time = Time()
    assert ask(read, time)
    assert time.slept == [12.0]


def test_a_longer_wait_than_patience_is_not_waited_for(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=503, headers={"Retry-After": "600"})
    time = Time()
    with pytest.raises(ReadFailed):
        ask(read, time)
    assert time.slept == []


def test_a_question_that_meets_the_rate_limit_comes_back_after_the_minutes_turn(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=429, html=HTML.decode())
    httpx_mock.add_response(content=ENDED)
    time = Time()
    assert ask(read, time)
    assert time.slept == [32.0]


def test_every_request_is_counted_at_the_gate(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=500)
    httpx_mock.add_response(status_code=500)
    httpx_mock.add_response(content=ENDED)

    async def counted(client: VapiClient) -> str:
        await read(client)
        return repr(client.gate)

    assert ask(counted) == "<Gate 0/2 hang-ups, 0/4 creates, 0/4 reads in flight, 3/150 this minute, 0 waiting>"


def test_a_page_of_calls_is_filtered_by_vapis_own_parameters(httpx_mock: HTTPXMock) -> None:
    since = "2026-03-14T10:00:00.000Z"
    httpx_mock.add_response(
        method="GET",
        url=f"{VAPI}/call",
        match_params={"limit": "50", "phoneNumberId": "a-number", "updatedAtGe": since},
        content=b"[" + ENDED + b"," + CREATED + b"]",
    )
    calls = ask(lambda client: client.list_calls(Priority.FEED, limit=50, phoneNumberId="a-number", updatedAtGe=since))
    assert [call.status for call in calls] == ["ended", "queued"]


def test_an_item_that_cannot_be_read_does_not_lose_the_page(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json=[{"id": "a"}, {}, None, 7, {"id": None}, ["id"], {"id": "b", "status": {}}])
    calls = ask(lambda client: client.list_calls(Priority.FEED))
    assert [call.id for call in calls] == ["a", "b"]


def test_a_page_that_is_no_list_is_asked_for_again(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json={"results": []})
    httpx_mock.add_response(json=[])
    assert ask(lambda client: client.list_calls(Priority.FEED)) == []


def test_a_phone_number_and_an_assistant_are_read(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=f"{VAPI}/phone-number/n", content=(REPLIES / "phone_number.json").read_bytes())
    httpx_mock.add_response(url=f"{VAPI}/assistant/a", content=(REPLIES / "assistant.json").read_bytes())

    async def both(client: VapiClient) -> tuple[PhoneNumber, Assistant]:
        return await client.get_phone_number("n"), await client.get_assistant("a")

    number, assistant = ask(both)
    assert (number.provider, number.number, number.status) == ("vapi", "+18645550199", "active")
    plan = assistant.analysis_plan
    assert (plan.summary_plan.enabled, plan.structured_data_plan.enabled) == (False, True)
    assert plan.success_evaluation_plan.enabled is None
    assert assistant.artifact_plan.structured_outputs == [{"name": "quote", "type": "ai"}]


def test_a_phone_number_that_is_gone_is_refused_with_its_setting(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=404, json=REFUSALS["not_found"])
    with pytest.raises(ReadRefused, match="VAPI_PHONE_NUMBER_ID") as caught:
        ask(lambda client: client.get_phone_number("n"))
    assert caught.value.status == 404


# --- ending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "known"), [(200, CREATED, True), (204, b"", True), (404, b'{"message": ""}', False)]
)
def test_a_call_is_deleted_if_vapi_knows_it(httpx_mock: HTTPXMock, status: int, body: bytes, known: bool) -> None:
    httpx_mock.add_response(method="DELETE", url=f"{VAPI}/call/call-1", status_code=status, content=body)
    assert ask(lambda client: client.delete_call("call-1")) is known


CONTROL = "https://cell.example/019d5a60/control"


@pytest.mark.parametrize(("status", "taken"), [(200, True), (204, True), (400, False), (404, False), (429, False)])
def test_a_live_call_is_ended_at_its_control_url_without_our_key(
    httpx_mock: HTTPXMock, status: int, taken: bool
) -> None:
    httpx_mock.add_response(
        method="POST", url=CONTROL, match_json={"type": "end-call"}, status_code=status, text="no JSON"
    )

    async def end(client: VapiClient) -> tuple[bool, str]:
        return await client.end_call(CONTROL), repr(client.gate)

    ended, gate = ask(end)
    assert ended is taken
    assert "paused" not in gate
    assert "authorization" not in httpx_mock.get_requests()[0].headers


def test_an_end_that_was_not_answered_is_told_as_such(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=502)
    httpx_mock.add_exception(httpx.ReadTimeout("read"))
    for _ in range(2):
        with pytest.raises(ReadFailed):
            ask(lambda client: client.end_call(CONTROL))


@pytest.mark.parametrize(
    "address",
    [
        "http://cell.example/control",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "/control",
        "",
        "https://",
        "http://[",
        "x" * 99,
    ],
)
def test_an_address_that_is_neither_https_nor_loopback_is_not_asked(httpx_mock: HTTPXMock, address: str) -> None:
    with pytest.raises(ReadRefused):
        ask(lambda client: client.end_call(address))
    assert httpx_mock.get_requests() == []


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_a_loopback_control_url_may_be_plain(httpx_mock: HTTPXMock, host: str) -> None:
    httpx_mock.add_response(url=f"http://{host}/control")
    assert ask(lambda client: client.end_call(f"http://{host}/control"))


# --- the clock ------------------------------------------------------------------------------------------------------


def test_the_clock_follows_the_date_of_vapis_replies(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(content=ENDED, headers=JSON | {"Date": "Sat, 14 Mar 2026 10:00:00 GMT"})

    async def now(client: VapiClient) -> datetime:
        await read(client)
        return client.clock.now()

    assert ask(now) == datetime(2026, 3, 14, 10, tzinfo=UTC)


@pytest.mark.httpx_mock(can_send_already_matched_responses=True)
def test_the_clock_does_not_follow_a_proxys_page(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=502, html=HTML.decode(), headers={"Date": "Sat, 14 Mar 2020 10:00:00 GMT"})
    time = Time()

    async def now(client: VapiClient) -> float:
        with pytest.raises(ReadFailed):
            await read(client)
        return client.clock.seconds()

    assert ask(now, time) == time.now


# --- anything at all ------------------------------------------------------------------------------------------------


def a_bad_day(status: int, headers: dict[str, bytes], body: bytes) -> httpx.MockTransport:
    def answer(_: httpx.Request) -> httpx.Response:
        stream = httpx.ByteStream(body)
        return httpx.Response(status, headers={name.encode(): value for name, value in headers.items()}, stream=stream)

    return httpx.MockTransport(answer)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-encoding", "location", "retry-after", "date", "content-type"]),
    st.sampled_from([b"gzip", b"application/json", b"0", b"x", b"http://[", b"/call", b"\xe9", b"charset=\xff"]),
    max_size=3,
)
BODIES = st.binary(max_size=60) | JUNK.map(lambda value: json.dumps(value).encode()) | st.just(CREATED)


@settings(deadline=None)
@given(status=st.integers(100, 599), headers=HEADERS, body=BODIES)
def test_whatever_comes_back_a_create_is_placed_or_raises_one_of_our_errors(
    status: int, headers: dict[str, bytes], body: bytes
) -> None:
    try:
        call = ask(create, transport=a_bad_day(status, headers, body))
    except PlacementError as error:
        assert status not in range(200, 300) or isinstance(error, PlacementInDoubt)  # noqa: PT017
    else:
        assert call.id
        assert status in range(200, 300)


@settings(deadline=None)
@given(status=st.integers(100, 599), headers=HEADERS, body=BODIES)
def test_whatever_comes_back_a_question_is_answered_or_raises_one_of_our_errors(
    status: int, headers: dict[str, bytes], body: bytes
) -> None:
    transport = a_bad_day(status, headers, body)
    with suppress(ReadFailed):
        assert isinstance(ask(read, transport=transport), Call | None)
    with suppress(ReadFailed):
        assert isinstance(ask(lambda client: client.list_calls(Priority.FEED), transport=transport), list)
    with suppress(ReadFailed):
        assert isinstance(ask(lambda client: client.end_call(CONTROL), transport=transport), bool)


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", f"{KEY}\n", f" {KEY}", f"{KEY}\x00", f"{KEY}é", "sk-\ud800"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        VapiClient(key, gate=Gate())
    assert not key or key.strip() not in str(caught.value)


def test_neither_key_nor_number_nor_control_url_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    async def play() -> None:
        echo = json.dumps({"message": f"the key {KEY} may not call {NUMBER}"}).encode()
        async with serving(says(reply(403, echo))) as server, a_client(server.url) as client:
            shown.append(repr(client))
            for attempt in (create(client), read(client), client.end_call(f"{server.url}/a-control-url")):
                try:
                    await attempt
                except (PlacementError, ReadFailed) as error:
                    shown.append("".join(traceback.format_exception(error)))

    asyncio.run(play())
    shown.append(caplog.text)
    assert len(shown) == 4
    assert not [text for text in shown for secret in (KEY, NUMBER, "a-control-url") if secret in text]


def test_a_call_does_not_show_whom_it_called() -> None:
    shown = repr(Call.model_validate(json.loads(CREATED)))
    assert NUMBER not in shown
    assert "control" not in shown


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = "import sys, concierge_calls.vapi; print(sys.modules.keys() & {'httpx', 'pydantic', 'tenacity'})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"
