"""Vapi's server messages: they hasten what the feed would find, and nothing in them is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import SECRET, Served, Vapi, batch, problem, until
from tests.api.test_runs import on_the_line

Serve = Callable[..., Served]
URL = "https://calls.example/base"


def message(call: str, kind: str = "end-of-call-report", **more: Any) -> dict[str, Any]:
    return {"message": {"type": kind, "call": {"id": call}, "artifact": {"transcript": "lies"}, **more}}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Vapi-Secret": SECRET}, 204),
        ({"Authorization": f"Bearer {SECRET}"}, 204),
        ({"X-Vapi-Secret": "wrong"}, 401),
        ({}, 401),
    ],
)
def test_only_who_shows_the_secret_is_heard(
    standing: tuple[Served, Vapi], headers: dict[str, str], status: int
) -> None:
    server, _ = standing
    assert server.client.post("/webhooks/vapi", json=message("call-1"), headers=headers).status_code == status


def test_a_stranger_learns_nothing_of_what_is_wrong_with_a_body(standing: tuple[Served, Vapi]) -> None:
    server, _ = standing
    shown = {"X-Vapi-Secret": SECRET}
    bodies = [b"{", b"{}", b"[1]"]
    as_json = {"Content-Type": "application/json"}
    post = server.client.post
    strange = [post("/webhooks/vapi", content=body, headers=as_json).status_code for body in bodies]
    known = [post("/webhooks/vapi", content=body, headers=as_json | shown).status_code for body in bodies]

    assert (strange, known) == ([401, 401, 401], [400, 400, 400])
    assert post("/webhooks/vapi", content=b"{").status_code == 401


def test_the_api_token_opens_no_webhook(serve: Serve, vapi: Vapi) -> None:
    server = serve(VAPI_WEBHOOK_SECRET=SECRET, CONCIERGE_API_TOKEN="a-token")  # noqa: S106
    shown = ({"Authorization": "Bearer a-token"}, {"X-Vapi-Secret": SECRET})
    answers = [server.client.post("/webhooks/vapi", json=message("call-1"), headers=headers) for headers in shown]
    assert [answer.status_code for answer in answers] == [401, 204]


def test_without_a_secret_no_message_is_taken(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    answers = [
        server.client.post("/webhooks/vapi", json=body, headers={"X-Vapi-Secret": ""}) for body in (message("c"), {})
    ]
    assert [problem(answer)[0] for answer in answers] == [404, 404]


def test_a_message_hastens_what_the_feed_would_find_much_later(serve: Serve, vapi: Vapi) -> None:
    server = serve(VAPI_WEBHOOK_SECRET=SECRET, VAPI_POLL_INTERVAL="60")
    vapi.options.stuck = {"+18645550100": "in-progress"}
    run = server.begin(batch(100))
    until(lambda: server.document(run)["results"][0]["callId"] and vapi.looks)  # it is followed
    vapi.end()
    call = server.document(run)["results"][0]["callId"]
    told = server.client.post("/webhooks/vapi", json=message(call), headers={"X-Vapi-Secret": SECRET})

    assert told.status_code == 204
    until(lambda: server.document(run)["results"][0]["endedReason"], seconds=20)
    assert server.document(run)["results"][0]["transcript"] != "lies"


def test_lies_duplicates_and_unknown_calls_do_no_harm(serve: Serve, vapi: Vapi) -> None:
    server = serve(VAPI_WEBHOOK_SECRET=SECRET, VAPI_POLL_INTERVAL="5")
    run = on_the_line(server, vapi, batch(100))
    until(lambda: vapi.looks)  # it is followed
    call = server.document(run)["results"][0]["callId"]
    asked = vapi.simulator.ledger()["requests"]["get"]
    for body in (
        *[message(call)] * 50,
        *[message("call-of-a-stranger")] * 50,
        message(call, "status-update", status="ended"),
        message(call, "status-update", status="nonsense"),
        message(call, "conversation-update"),
        {"message": {"type": "status-update"}},
    ):
        answer = server.client.post("/webhooks/vapi", json=body, headers={"X-Vapi-Secret": SECRET})
        assert answer.status_code == 204

    assert server.document(run)["results"][0]["status"] == "in_progress"
    until(lambda: vapi.simulator.ledger()["requests"]["get"] > asked)
    assert vapi.simulator.ledger()["requests"]["get"] - asked <= 2
    vapi.end()
    assert server.finished(run)["stats"]["inProgress"] == 0


def test_our_own_assistant_is_told_where_to_send_its_messages_and_what_to_show(serve: Serve, vapi: Vapi) -> None:
    server = serve(VAPI_WEBHOOK_SECRET=SECRET, CONCIERGE_PUBLIC_URL=URL)
    server.post("/providers/batch-call", batch(100))
    [body] = vapi.sent()

    assert body["assistant"]["server"] == {
        "url": f"{URL}/api/v1/webhooks/vapi",
        "headers": {"X-Vapi-Secret": SECRET},
    }
    assert body["assistant"]["serverMessages"] == ["status-update", "end-of-call-report"]


def test_the_server_of_the_users_own_assistant_is_never_overridden(serve: Serve, vapi: Vapi) -> None:
    server = serve(VAPI_WEBHOOK_SECRET=SECRET, CONCIERGE_PUBLIC_URL=URL, VAPI_ASSISTANT_ID="as-1")
    server.post("/providers/batch-call", batch(100))
    [body] = vapi.sent()

    assert "assistant" not in body
    assert "server" not in body["assistantOverrides"]


def test_an_address_without_a_secret_is_warned_of(serve: Serve, vapi: Vapi) -> None:
    assert "CONCIERGE_PUBLIC_URL is set, but VAPI_WEBHOOK_SECRET is not" in serve(CONCIERGE_PUBLIC_URL=URL).said
