"""The client: each dialect's own requests, a start that is posted once, questions asked until they are answered."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Coroutine, Iterator
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, TypeVar

import httpx
import pytest

from concierge_calls.errors import (
    KestraError,
    KestraInDoubt,
    KestraNotStarted,
    KestraRefused,
    KestraUnreachable,
    SettingsError,
)
from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.schemas import Execution, Flow, LogLine, Server, TaskRun
from tests.environment import nobody_listens
from tests.vapi.test_client import Answer, Time, closes, keeps_silent, reply, resets, says, serving

T = TypeVar("T")

VERSIONS = {Dialect.V0: "0.21.0", Dialect.V1: "1.3.25", Dialect.V2: "2.0.7"}
FLOW = "contact_providers_concurrent"
SOURCE = "id: contact_providers_concurrent\n"
USER, WORD, TOKEN = "dana@example.com", "Geheim:0123", "kestra-token-0123"
BASIC = "ZGFuYUBleGFtcGxlLmNvbTpHZWhlaW06MDEyMw=="
NOT_FOUND: dict[str, Any] = {"message": "Not Found", "logref": None, "path": None, "_links": {}, "_embedded": {}}
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>"
EVERY = list(VERSIONS)


class PaperKestra:
    """Answers as each test writes it, a list of replies for each request; what was asked is in `requests`."""

    def __init__(self, dialect: Dialect = Dialect.V1) -> None:
        self.replies: dict[str, list[Any]] = {"GET /api/v1/configs": [{"version": VERSIONS[dialect]}]}
        self.requests: list[httpx.Request] = []

    def __setitem__(self, request: str, replies: list[Any]) -> None:
        self.replies[request] = replies

    @property
    def asked(self) -> list[str]:
        """What was asked, but for the version."""
        lines = [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]
        return [line for line in lines if line != "GET /api/v1/configs"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        replies = self.replies[f"{request.method} {request.url.path}"]
        answer = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return httpx.Response(200, content=answer) if isinstance(answer, bytes) else httpx.Response(200, json=answer)


def ask(
    question: Callable[[KestraClient], Coroutine[Any, Any, T]],
    kestra: Callable[[httpx.Request], httpx.Response] | None = None,
    *,
    url: str = "http://kestra:8080",
    time: Time | None = None,
    **how: Any,
) -> T:
    """Open a client, ask one question and close it again."""
    time = time or Time(0.0)

    async def play() -> T:
        transport = httpx.MockTransport(kestra) if kestra else None
        async with KestraClient(url, transport=transport, sleep=time.sleep, monotonic=time, **how) as client:
            return await question(client)

    return asyncio.run(play())


def start(client: KestraClient) -> Coroutine[Any, Any, str]:
    return client.start(
        FLOW, revision=7, inputs={"providers": '["é{{ 7 * 6 }}"]'}, files={"items": b"\x00\n"}, labels={"run": "r:1"}
    )


def execution_json(**more: Any) -> dict[str, Any]:
    return {
        "id": "e-1",
        "namespace": "ai_concierge",
        "flowId": FLOW,
        "flowRevision": 7,
        "labels": [{"key": "run", "value": "r-1"}, {"key": "system.from", "value": "api"}],
        "state": {"current": "RUNNING", "histories": []},
        **more,
    }


def refused(status: int, message: str = "No") -> httpx.Response:
    return httpx.Response(status, json={"message": message, "_embedded": {}})


# --- dialects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        ("0.18.0", Dialect.V0),
        ("0.21.0-SNAPSHOT", Dialect.V0),
        ("0.22.4", Dialect.V0),
        ("0.23.0", Dialect.V1),
        ("1.0.0", Dialect.V1),
        ("v1.3.39", Dialect.V1),
        ("2.0.0-SNAPSHOT", Dialect.V2),
        ("2.1.0-rc1", Dialect.V2),
    ],
)
def test_the_version_tells_the_dialect(version: str, dialect: Dialect) -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/configs"] = [{"version": version, "edition": "OSS", "isBasicAuthInitialized": False}]

    assert ask(KestraClient.greet, kestra) == Server(version, dialect, False)


@pytest.mark.parametrize("version", ["0.17.9", "3.0.0", "unknown", "\x1b[31m12", "2"])
def test_an_unknown_version_is_refused(version: str) -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/configs"] = [{"version": version}]
    with pytest.raises(KestraRefused) as caught:
        ask(KestraClient.greet, kestra)

    assert caught.value.message == (
        f"Kestra {version.removeprefix(chr(27))} is not known to this concierge-calls, which speaks with 0.18 to 2.x. "
        "Install another version of either, or use --via direct."
    )


EVERYTHING = {
    Dialect.V0: [
        "GET /api/v1/executions/search?size=1",
        "POST /api/v1/flows/validate",
        f"GET /api/v1/flows/ai_concierge/{FLOW}?source=true",
        f"PUT /api/v1/flows/ai_concierge/{FLOW}",
        f"POST /api/v1/executions/ai_concierge/{FLOW}?labels=run%3Ar%3A1&revision=7",
        f"GET /api/v1/executions/search?page=1&size=100&sort=state.startDate%3Adesc&flowId={FLOW}&labels=run%3Ar-1",
        "GET /api/v1/executions/e-1",
        "GET /api/v1/executions/e-1/file?path=kestra%3A%2F%2F%2Fa%20b.json",
        "DELETE /api/v1/executions/e-1/kill",
        "GET /api/v1/logs/e-1?minLevel=WARN",
    ],
    Dialect.V1: [
        "GET /api/v1/main/executions/search?size=1",
        "POST /api/v1/main/flows/validate",
        f"GET /api/v1/main/flows/ai_concierge/{FLOW}?source=true",
        f"PUT /api/v1/main/flows/ai_concierge/{FLOW}",
        f"POST /api/v1/main/executions/ai_concierge/{FLOW}?labels=run%3Ar%3A1&revision=7",
        "GET /api/v1/main/executions/search?page=1&size=100&sort=state.startDate%3Adesc"
        f"&filters%5BflowId%5D%5BEQUALS%5D={FLOW}&filters%5Blabels%5D%5BEQUALS%5D%5Brun%5D=r-1",
        "GET /api/v1/main/executions/e-1",
        "GET /api/v1/main/executions/e-1/file?path=kestra%3A%2F%2F%2Fa%20b.json",
        "DELETE /api/v1/main/executions/e-1/kill",
        "GET /api/v1/main/logs/e-1?minLevel=WARN",
    ],
    Dialect.V2: [
        "GET /api/v1/main/executions/search?size=1",
        "POST /api/v1/main/flows/validate",
        f"GET /api/v1/main/flows/ai_concierge/{FLOW}?source=true",
        f"PUT /api/v1/main/flows/ai_concierge/{FLOW}",
        f"POST /api/v1/main/executions/ai_concierge/{FLOW}?labels=run%3Ar%3A1&revision=7",
        "GET /api/v1/main/executions/search?page=1&size=100&sort=state.startDate%3Adesc"
        f"&filters%5BflowId%5D%5BEQUALS%5D={FLOW}&filters%5Blabels%5D%5BEQUALS%5D%5Brun%5D=r-1",
        "GET /api/v1/main/executions/e-1",
        "GET /api/v1/main/executions/e-1/file?path=kestra%3A%2F%2F%2Fa%20b.json",
        "DELETE /api/v1/main/executions/e-1/actions/kill?isOnKillCascade=true",
        "GET /api/v1/main/executions/search?page=1&size=100&sort=state.startDate%3Adesc"
        "&filters%5BparentId%5D%5BEQUALS%5D=e-1&filters%5Bkind%5D%5BEQUALS%5D=LOOP",
        "GET /api/v1/main/logs/e-1?filters%5Blevel%5D%5BGREATER_THAN_OR_EQUAL_TO%5D=WARN",
    ],
}


@pytest.mark.parametrize("dialect", EVERY)
def test_everything_is_asked_for_in_the_servers_dialect(dialect: Dialect) -> None:
    def kestra(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.raw_path.decode()}")
        path = request.url.path
        answers: dict[str, Any] = {
            "configs": {"version": VERSIONS[dialect]},
            "search": {"results": [], "total": 0},
            "validate": [],
            "e-1": [] if "/logs/" in path else execution_json(),
            FLOW: {"id": "e-1", "revision": 7},
        }
        return httpx.Response(200, json=answers.get(path.rpartition("/")[2]))

    async def everything(client: KestraClient) -> None:
        await client.admit()
        await client.validate(SOURCE)
        await client.flow(FLOW)
        await client.deploy(FLOW, SOURCE)
        await start(client)
        await client.find(FLOW, "run", "r-1")
        await client.execution("e-1")
        await client.file("e-1", "kestra:///a b.json")
        await client.kill("e-1")
        await client.logs("e-1")

    asked: list[str] = []
    ask(everything, kestra)

    assert asked == ["GET /api/v1/configs", *EVERYTHING[dialect]]


def test_tenant_namespace_and_ids_cannot_lead_to_another_path() -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/a/b/flows/c d/e?/f"] = [{"revision": 1}]
    ask(lambda client: client.flow("e?/f"), kestra, tenant="a/b", namespace="c d")

    assert kestra.asked == ["GET /api/v1/a%2Fb/flows/c%20d/e%3F%2Ff?source=true"]


# --- credentials ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "header"),
    [
        ({}, None),
        ({"username": USER, "password": WORD}, f"Basic {BASIC}"),
        ({"api_token": TOKEN}, f"Bearer {TOKEN}"),
    ],
)
def test_the_credentials_go_with_every_request(how: dict[str, Any], header: str | None) -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/main/executions/search"] = [{"results": []}]
    ask(KestraClient.admit, kestra, **how)

    assert [request.headers.get("authorization") for request in kestra.requests] == [header] * 2


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            {"username": USER, "password": WORD, "api_token": TOKEN},
            "KESTRA_API_TOKEN is set, and KESTRA_USERNAME or KESTRA_PASSWORD as well, so it is not clear as whom to "
            "speak with Kestra. Unset the token (for the open-source edition), or the other two.",
        ),
        (
            {"username": USER},
            "KESTRA_USERNAME is set and KESTRA_PASSWORD is not; Kestra wants both. "
            "Set KESTRA_PASSWORD, or unset KESTRA_USERNAME.",
        ),
        (
            {"password": WORD},
            "KESTRA_PASSWORD is set and KESTRA_USERNAME is not; Kestra wants both. "
            "Set KESTRA_USERNAME, or unset KESTRA_PASSWORD.",
        ),
        (
            {"api_token": f"{TOKEN}\n"},
            "KESTRA_API_TOKEN has a character that no token has; copy it once more from Kestra.",
        ),
        (
            {"username": USER, "password": f"{WORD}\n"},
            "KESTRA_USERNAME has a colon, or it or KESTRA_PASSWORD has a line end or the like, which neither can have; "
            "copy both once more.",
        ),
    ],
)
def test_credentials_that_cannot_be_used_are_refused_and_not_repeated(how: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        KestraClient("http://kestra:8080", **how)  # type: ignore[arg-type]

    assert caught.value.message == said


@pytest.mark.parametrize(
    ("url", "how", "exposed"),
    [
        ("http://kestra:8080", {"api_token": TOKEN}, True),
        ("http://kestra:8080", {"username": USER, "password": WORD}, True),
        ("http://kestra:8080", {}, False),
        ("https://kestra.example", {"api_token": TOKEN}, False),
        ("http://127.0.0.1:8080", {"api_token": TOKEN}, False),
        ("http://[::1]:8080", {"api_token": TOKEN}, False),
        ("http://localhost:8080", {"api_token": TOKEN}, False),
    ],
)
def test_credentials_are_exposed_where_they_travel_without_tls(url: str, how: dict[str, Any], exposed: bool) -> None:
    async def tell(client: KestraClient) -> bool:
        return client.exposes_credentials

    assert ask(tell, url=url, **how) is exposed


@pytest.mark.parametrize(
    ("url", "asked"), [("http://kestra.invalid:8080", []), ("https://kestra.invalid", [b"CONNECT kestra.invalid:443"])]
)
def test_a_proxy_is_asked_for_a_tunnel_alone(monkeypatch: pytest.MonkeyPatch, url: str, asked: list[bytes]) -> None:
    async def play() -> list[bytes]:
        refusal = says(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        async with serving(refusal) as proxy:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            async with KestraClient(url, patience=0, username=USER, password=WORD) as client:
                with pytest.raises(KestraUnreachable):
                    await client.greet()
            assert BASIC.encode() not in b"".join(proxy.requests)
            return [request.split(b" HTTP/")[0] for request in proxy.requests]

    assert asyncio.run(play()) == asked


# --- flows ----------------------------------------------------------------------------------------------------------


def test_a_flow_that_is_there_is_put_as_yaml() -> None:
    kestra = PaperKestra()
    kestra[f"PUT /api/v1/main/flows/ai_concierge/{FLOW}"] = [{"id": FLOW, "revision": 3}]

    assert ask(lambda client: client.deploy(FLOW, "id: é\n"), kestra) == 3
    assert (kestra.requests[1].headers["content-type"], kestra.requests[1].content) == (
        "application/x-yaml",
        "id: é\n".encode(),
    )


def test_a_flow_that_is_not_there_is_posted() -> None:
    kestra = PaperKestra()
    kestra[f"PUT /api/v1/main/flows/ai_concierge/{FLOW}"] = [httpx.Response(404, json=NOT_FOUND)]
    kestra["POST /api/v1/main/flows"] = [{"id": FLOW, "revision": 1}]

    assert ask(lambda client: client.deploy(FLOW, SOURCE), kestra) == 1
    assert [request.content.decode() for request in kestra.requests[1:]] == [SOURCE, SOURCE]


def test_a_flow_that_somebody_else_has_posted_meanwhile_is_put() -> None:
    kestra = PaperKestra()
    put = f"PUT /api/v1/main/flows/ai_concierge/{FLOW}"
    kestra[put] = [httpx.Response(404, json=NOT_FOUND), {"revision": 2}]
    kestra["POST /api/v1/main/flows"] = [refused(422, "Invalid entity: flow.id: Flow id already exists")]

    assert ask(lambda client: client.deploy(FLOW, SOURCE), kestra) == 2
    assert kestra.asked == [put, "POST /api/v1/main/flows", put]


def test_a_flow_is_read_with_its_source() -> None:
    kestra = PaperKestra()
    kestra[f"GET /api/v1/main/flows/ai_concierge/{FLOW}"] = [
        {"revision": 4, "source": SOURCE, "disabled": True},
        httpx.Response(404, json=NOT_FOUND),
        httpx.Response(404),
    ]

    async def thrice(client: KestraClient) -> list[Flow | None]:
        return [await client.flow(FLOW) for _ in range(3)]

    assert ask(thrice, kestra) == [Flow(4, SOURCE, True), None, None]


def test_a_proxys_page_does_not_count_as_no_flow() -> None:
    kestra = PaperKestra()
    kestra[f"GET /api/v1/main/flows/ai_concierge/{FLOW}"] = [httpx.Response(404, content=HTML)]

    with pytest.raises(KestraRefused, match="is not Kestra"):
        ask(lambda client: client.flow(FLOW), kestra)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([{"index": 0, "outdated": False, "warnings": []}], None),
        ([{"index": 0, "constraints": ""}], None),
        ([{"index": 0, "constraints": "Validation error: Invalid type: a.B"}], "Validation error: Invalid type: a.B"),
        ([], None),
    ],
)
def test_what_is_wrong_with_a_flow_is_in_its_constraints(found: list[dict[str, Any]], said: str | None) -> None:
    kestra = PaperKestra()
    kestra["POST /api/v1/main/flows/validate"] = [found]

    assert ask(lambda client: client.validate(SOURCE), kestra) == said


# --- a start --------------------------------------------------------------------------------------------------------


def started(kestra: PaperKestra, answer: Any) -> str:
    kestra[f"POST /api/v1/main/executions/ai_concierge/{FLOW}"] = [answer]
    return ask(start, kestra)


def test_a_start_is_one_form_with_a_part_for_each_input() -> None:
    kestra = PaperKestra()

    assert started(kestra, execution_json()) == "e-1"
    request = kestra.requests[1]
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + request.content)
    parts = [(part["content-disposition"], part.get_payload(decode=True)) for part in form.iter_parts()]
    assert (form.get_content_type(), parts) == (
        "multipart/form-data",
        [
            ('form-data; name="providers"', '["é{{ 7 * 6 }}"]'.encode()),
            ('form-data; name="items"; filename="items"', b"\x00\n"),
        ],
    )


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("connect"),
        httpx.PoolTimeout("pool"),
        *(httpx.Response(status, content=HTML) for status in (401, 403, 404, 405, 407, 411, 413, 414, 415, 429, 431)),
        httpx.Response(401),
        refused(400, "Bad Request"),
        refused(404, "Requested Flow is not found."),
        refused(409, "Illegal state: Requested Flow is disabled."),
        refused(422, "Invalid entity: Missing required input:providers"),
        httpx.Response(422, json={"type": "about:blank", "title": "Unprocessable", "detail": "Missing required input"}),
    ],
    ids=str,
)
def test_a_refusal_or_no_connection_is_certainly_no_start(answer: Any) -> None:
    kestra = PaperKestra()
    with pytest.raises(KestraNotStarted):
        started(kestra, answer)
    assert len(kestra.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ReadTimeout("read"),
        httpx.WriteError("broken pipe"),
        httpx.RemoteProtocolError("garbage"),
        httpx.ProxyError("of a transport that tells nothing"),
        RuntimeError("of a library"),
        httpx.Response(400, content=HTML),
        httpx.Response(409),
        *(refused(status) for status in (408, 425, 460, 499, 500, 502, 503, 504)),
        httpx.Response(302, headers={"location": "/login"}),
        httpx.Response(204),
        httpx.Response(200, content=HTML),
        httpx.Response(200, json={"id": ""}),
        httpx.Response(200, json=[]),
        httpx.Response(200, content=b"[" * 100_000),
    ],
    ids=str,
)
def test_any_other_answer_to_a_start_is_doubt_and_it_is_not_posted_again(answer: Any) -> None:
    kestra = PaperKestra()
    with pytest.raises(KestraInDoubt) as caught:
        started(kestra, answer)
    assert (len(kestra.asked), caught.value.exit_code) == (1, 5)


LOST_REPLIES: dict[str, Answer] = {
    "the connection is closed": closes,
    "the connection is reset": resets,
    "half a head": says(b"HTTP/1.1 200 O", then_close=True),
    "half a body": says(reply(200, b'{"id": "e-1"}')[:-3], then_close=True),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", then_close=True),
    "a broken gzip": says(reply(200, b"no gzip", "content-encoding: gzip\r\n")),
    "a redirect": says(reply(307, b"{}", "location: /api/v1/main/executions/a/b\r\n")),
    "a page of a proxy": says(reply(504, HTML, "content-type: text/html\r\n")),
}


@pytest.mark.parametrize("loss", LOST_REPLIES)
def test_a_lost_reply_to_a_start_is_doubt_and_one_request(loss: str) -> None:
    async def play() -> list[bytes]:
        async with serving(says(reply(200, b'{"version": "2.0.7"}'))) as server, KestraClient(server.url) as client:
            await client.greet()
            server.answer = LOST_REPLIES[loss]
            with pytest.raises(KestraInDoubt):
                await start(client)
            return server.requests

    requests = asyncio.run(play())
    assert [request.split()[0] for request in requests] == [b"GET", b"POST"]


def test_a_start_for_which_the_server_is_out_of_reach_is_certainly_none() -> None:
    with nobody_listens() as url, pytest.raises(KestraNotStarted) as caught:
        ask(start, url=url)

    assert caught.value.message == f"Nothing listens at {url}. Start Kestra there, or check KESTRA_URL."


def test_a_start_that_is_cancelled_in_flight_leaves_nothing_behind() -> None:
    async def play() -> None:
        async with serving(keeps_silent) as server, KestraClient(server.url) as client:
            starting = asyncio.ensure_future(start(client))
            await server.asked.wait()
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting

    asyncio.run(play())


# --- executions -----------------------------------------------------------------------------------------------------


def hit(name: str, **more: Any) -> dict[str, Any]:
    return execution_json() | {"id": name} | more


def test_each_hit_of_a_search_is_looked_at_since_a_filter_may_have_been_ignored() -> None:
    kestra = PaperKestra()
    others = [
        hit("another-run", labels=[{"key": "run", "value": "r-2"}]),
        hit("another-key", labels=[{"key": "ran", "value": "r-1"}]),
        hit("no-labels", labels=None),
        hit("another-flow", flowId="contact_providers_one_task"),
        hit("another-namespace", namespace="theirs"),
    ]
    first, second = [*others, hit("newer"), *others * 19][:100], [hit("older")]
    kestra["GET /api/v1/main/executions/search"] = [{"results": (first * 2)[:100]}, {"results": second}]

    assert ask(lambda client: client.find(FLOW, "run", "r-1"), kestra) == ["newer", "older"]
    assert ["page=2" in line for line in kestra.asked] == [False, True]


def test_what_was_handed_over_to_another_namespace_is_found_there() -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/main/executions/search"] = [{"results": [hit("ours"), hit("theirs", namespace="theirs")]}]

    assert ask(lambda client: client.find(FLOW, "run", "r-1", namespace="theirs"), kestra) == ["theirs"]


def test_an_execution_is_read_with_its_children() -> None:
    kestra = PaperKestra()
    children = [
        {
            "id": "t-1",
            "taskId": "call",
            "value": '{"id": "r-1-0"}',
            "attempts": [{"state": {"current": "FAILED"}}, {"state": {"current": "SUCCESS"}}],
            "state": {"current": "SUCCESS"},
            "outputs": {"vars": {"results": []}, "exitCode": 0},
        },
        {"id": "t-2", "taskId": "call", "iteration": 1, "state": {"current": "SUBMITTED"}, "outputs": None},
    ]
    kestra["GET /api/v1/main/executions/e-1"] = [execution_json(taskRunList=children)]

    assert ask(lambda client: client.execution("e-1"), kestra) == Execution(
        id="e-1",
        namespace="ai_concierge",
        flow_id=FLOW,
        revision=7,
        labels={"run": "r-1", "system.from": "api"},
        state="RUNNING",
        task_runs=(
            TaskRun("t-1", "call", '{"id": "r-1-0"}', "SUCCESS", 2, {"vars": {"results": []}, "exitCode": 0}),
            TaskRun("t-2", "call", None, "SUBMITTED", 0, None),
        ),
        outputs=None,
    )


@pytest.mark.parametrize(
    ("state", "is_over"),
    [
        *((state, True) for state in ("SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED", "SKIPPED")),
        *((state, False) for state in ("CREATED", "RUNNING", "KILLING", "QUEUED", "PAUSED", "RETRYING", "OF_3_0")),
    ],
)
def test_an_unknown_state_counts_as_going_on(state: str, is_over: bool) -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/main/executions/e-1"] = [execution_json(state={"current": state})]

    assert ask(lambda client: client.execution("e-1"), kestra).is_over is is_over


def test_half_a_character_does_not_lose_an_execution() -> None:
    kestra = PaperKestra()
    body = json.dumps(execution_json(outputs={"x": "??"})).replace("??", "\\ud83d \\ud83d\\ude00").encode()
    kestra["GET /api/v1/main/executions/e-1"] = [body]

    assert ask(lambda client: client.execution("e-1"), kestra).outputs == {"x": "\ufffd \U0001f600"}


def test_an_execution_that_is_gone_is_told_by_its_status() -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/main/executions/e-1"] = [httpx.Response(404, json=NOT_FOUND)]
    with pytest.raises(KestraRefused) as caught:
        ask(lambda client: client.execution("e-1"), kestra)

    assert caught.value.status == 404


async def _outputs(client: KestraClient) -> tuple[Any, Any]:
    execution = await client.execution("e-1")
    return await client.outputs(execution), await client.task_outputs(execution, "each")


LOOP = {"taskRunList": [{"id": "t-1", "taskId": "each", "state": {"current": "RUNNING"}}]}
RUNNING = {"iterationCount": 5, "runningIterations": 2, "terminatedIterations": 0}
LISTED = [{"taskId": "first", "taskRunId": "t-0"}, {"taskId": "each", "taskRunId": "t-1", "inline": True}]
UNKNOWN = httpx.Response(404, json=NOT_FOUND)
ROOT = "GET /api/v1/main/outputs"


@pytest.mark.parametrize(
    ("dialect", "execution", "replies", "found"),
    [
        (Dialect.V1, execution_json(outputs={"call_results": []}), {}, ({"call_results": []}, {})),
        (Dialect.V1, execution_json(outputs=None), {}, ({}, {})),
        (
            Dialect.V1,
            execution_json(
                taskRunList=[{"id": "t", "taskId": "each", "state": {"current": "SUCCESS"}, "outputs": {"a": 1}}]
            ),
            {},
            ({}, {"a": 1}),
        ),
        (
            Dialect.V2,
            execution_json(**LOOP),
            {
                f"{ROOT}/executions/e-1": [{"call_results": []}],
                f"{ROOT}/tasks/e-1": [LISTED],
                f"{ROOT}/tasks/e-1/t-1": [RUNNING],
            },
            ({"call_results": []}, RUNNING),
        ),
        (
            Dialect.V2,
            execution_json(**LOOP, outputs={"call_results": [1]}),
            {f"{ROOT}/tasks/e-1": [UNKNOWN], f"{ROOT}/e-1": [LISTED], f"{ROOT}/e-1/t-1": [RUNNING]},
            ({"call_results": [1]}, RUNNING),
        ),
        (
            Dialect.V2,
            execution_json(**LOOP),
            {f"{ROOT}/executions/e-1": [UNKNOWN], f"{ROOT}/tasks/e-1": [UNKNOWN], f"{ROOT}/e-1": [[]]},
            ({}, {}),
        ),
    ],
    ids=["1.x", "1.x running", "1.x task", "2.0.7 running", "2.0.0 snapshot", "2.x nothing yet"],
)
def test_outputs_are_found_wherever_the_version_has_them(
    dialect: Dialect, execution: dict[str, Any], replies: dict[str, list[Any]], found: tuple[Any, Any]
) -> None:
    kestra = PaperKestra(dialect)
    kestra["GET /api/v1/main/executions/e-1"] = [execution]
    kestra.replies |= replies

    assert ask(_outputs, kestra) == found


def test_a_file_comes_as_it_is() -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/main/executions/e-1/file"] = [b"\x00\xff{}\r\n"]

    assert ask(lambda client: client.file("e-1", "kestra:///x"), kestra) == b"\x00\xff{}\r\n"


@pytest.mark.parametrize("answer", [httpx.Response(202), httpx.Response(409, json=NOT_FOUND), execution_json()])
def test_a_kill_of_what_is_over_already_is_no_error(answer: Any) -> None:
    kestra = PaperKestra(Dialect.V2)
    kestra["DELETE /api/v1/main/executions/e-1/actions/kill"] = [answer]
    ask(lambda client: client.kill("e-1"), kestra)

    assert kestra.asked == ["DELETE /api/v1/main/executions/e-1/actions/kill?isOnKillCascade=true"]


def test_a_kill_of_what_is_not_there_is_refused() -> None:
    kestra = PaperKestra()
    kestra["DELETE /api/v1/main/executions/e-1/kill"] = [UNKNOWN]

    with pytest.raises(KestraRefused):
        ask(lambda client: client.kill("e-1"), kestra)


def test_the_log_of_a_loop_has_the_lines_of_its_iterations_and_none_below_the_level() -> None:
    kestra = PaperKestra(Dialect.V2)
    kestra["GET /api/v1/main/executions/search"] = [{"results": [hit("e-2")]}]
    kestra["GET /api/v1/main/logs/e-1"] = [[{"level": "INFO", "message": "begun"}]]
    kestra["GET /api/v1/main/logs/e-2"] = [
        [{"taskId": "call", "level": "ERROR", "message": "no"}, {"level": "DEBUG", "message": "sh"}]
    ]

    assert ask(lambda client: client.logs("e-1"), kestra) == [LogLine("call", "ERROR", "no")]


# --- asking again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("read"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(503, content=HTML),
        refused(500),
        refused(429),
    ],
    ids=str,
)
def test_a_question_is_asked_again_until_it_is_answered(failure: Any) -> None:
    kestra, time = PaperKestra(), Time(0.0)
    kestra["GET /api/v1/main/executions/e-1"] = [failure, failure, execution_json()]

    assert ask(lambda client: client.execution("e-1"), kestra, time=time).id == "e-1"
    assert time.slept == [0.25, 0.5]


def test_a_question_is_given_up_when_patience_is_at_an_end() -> None:
    kestra, time = PaperKestra(), Time(0.0)
    kestra["GET /api/v1/configs"] = [httpx.Response(502, content=HTML)]
    with pytest.raises(KestraUnreachable) as caught:
        ask(KestraClient.greet, kestra, time=time)

    assert caught.value.message == (
        "Kestra at http://kestra:8080 could not be asked for its version: HTTP 502 "
        "(a page with the title: 502 Bad Gateway). See whether it is up, and its own log, then try again."
    )
    assert time.slept == [0.25, 0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("body", [HTML, b"", b"pong", b"{}", b'{"version": ""}', b"[" * 100_000])
def test_an_answer_that_is_not_kestras_is_told_at_once(body: bytes) -> None:
    kestra = PaperKestra()
    kestra["GET /api/v1/configs"] = [body]
    with pytest.raises(KestraRefused, match="What http://kestra:8080 answered about its version is not Kestra's"):
        ask(KestraClient.greet, kestra)
    assert len(kestra.requests) == 1


# --- what must not be seen --------------------------------------------------------------------------------------------


def _echoes() -> Iterator[httpx.Response]:
    for status in (302, 400, 401, 403, 404, 409, 422, 500):
        for body in (f'{{"message": "{WORD} {BASIC} {TOKEN}"}}', f"<title>{WORD} {BASIC} {TOKEN}</title>"):
            yield httpx.Response(status, content=body.encode())


@pytest.mark.parametrize("answer", list(_echoes()), ids=str)
@pytest.mark.parametrize("how", [{"username": USER, "password": WORD}, {"api_token": TOKEN}], ids=["basic", "token"])
def test_no_secret_is_shown_whatever_is_answered(
    caplog: pytest.LogCaptureFixture, answer: httpx.Response, how: dict[str, str]
) -> None:
    kestra = PaperKestra()
    kestra[f"POST /api/v1/main/executions/ai_concierge/{FLOW}"] = [answer]
    kestra["GET /api/v1/main/executions/e-1"] = [answer]
    own = [TOKEN] if "api_token" in how else [WORD, BASIC]
    caplog.set_level(logging.DEBUG)
    for question in (start, lambda client: client.execution("e-1")):
        with pytest.raises(KestraError) as caught:
            ask(question, kestra, **how)  # type: ignore[arg-type]
        told = "".join(traceback.format_exception(caught.value)) + caplog.text
        assert [secret for secret in own if secret in told] == []


def test_a_client_shows_where_it_goes_and_no_secret() -> None:
    async def tell(client: KestraClient) -> str:
        return repr(client)

    assert ask(tell, username=USER, password=WORD) == "<KestraClient http://kestra:8080 ai_concierge>"
