"""What is refused, by which status and sentence, and that nobody is dialled for it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.api.conftest import COMMAND, KEY, TERM, WANTED, Served, Vapi, batch, faults, problem, until

Serve = Callable[..., Served]
TOKEN = "a-token-for-tests"  # noqa: S105 -- it opens nothing
NUMBER = "+18645550100"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"callBack": True}, {"callBack": "There is no such field; leave it out."}),
        ({"providers": []}, {"providers": "List should have at least 1 item after validation, not 0."}),
        ({"providers": [{"name": "X"}]}, {"providers[0].phone": "This field is needed."}),
        (
            {"providers": [{"name": "X", "phone": NUMBER}, {"name": "Y", "phone": "12"}]},
            {"providers[1].phone": "'12' has too few digits for a phone number; write the whole number."},
        ),
        (
            {"providers": [{"name": " ", "phone": NUMBER}]},
            {"providers[0].name": "String should have at least 1 character."},
        ),
        ({"maxConcurrent": 0}, {"maxConcurrent": "Input should be greater than or equal to 1."}),
        ({"maxConcurrent": 6}, {"maxConcurrent": "Must be at most 5, which is all that this server has."}),
        ({"maxConcurrent": "3"}, {"maxConcurrent": "Input should be a valid integer."}),
        ({"callTimeout": 9}, {"callTimeout": "Input should be greater than or equal to 10."}),
        ({"via": "train"}, {"via": "Input should be 'auto', 'direct' or 'kestra'."}),
        ({"location": "a\0b"}, {"location": "Has a character in it that no text can hold."}),
        (
            {"serviceNeeded": None},
            {
                "serviceNeeded": "What should the providers be asked for? Name it; only an assistant of the user's own"
                " needs no service."
            },
        ),
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_field_by_field_and_dials_nobody(
    standing: tuple[Served, Vapi], change: dict[str, Any], expected: dict[str, str]
) -> None:
    server, vapi = standing
    answer = server.post("/providers/batch-call", batch(100, 101) | change)

    assert faults(answer) == expected
    assert problem(answer)[1].startswith("The request cannot be used, so nobody was dialled: ")
    assert (vapi.rang, server.client.get("/runs").json()) == ({}, [])


def test_the_single_route_names_its_own_fields(standing: tuple[Served, Vapi]) -> None:
    server, _ = standing
    answer = server.post("/providers/call", {"providerName": "X", "providerPhone": "911", **WANTED, "region": "Mars"})
    assert list(faults(answer)) == ["region"]

    answer = server.post("/providers/call", {"providerName": "X", "providerPhone": "911", **WANTED})
    assert list(faults(answer)) == ["providerPhone"]


def test_what_is_not_json_or_too_large_or_nowhere_is_refused(standing: tuple[Served, Vapi]) -> None:
    server, vapi = standing
    path = "/providers/batch-call"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    large = b'{"providers": "' + b"x" * (5 * 1024 * 1024) + b'"}'
    as_json = {"Content-Type": "application/json"}

    def in_pieces() -> Any:
        yield from (large[at : at + 100_000] for at in range(0, len(large), 100_000))

    answers = [
        server.client.post(path, content=b"{}", headers=form),
        server.client.post(path, content=b"{", headers=as_json),
        server.client.post(path, content=large, headers=as_json),
        server.client.get("/nowhere"),
        server.client.get(path),
        server.client.get("/runs/20261126-abcdefgh"),
        server.client.get("/runs/20261126-abcdefgh/events"),
        server.client.delete("/runs/20261126-abcdefgh"),
    ]

    assert [problem(answer)[0] for answer in answers] == [415, 400, 413, 404, 405, 404, 404, 404]
    assert answers[4].headers["allow"] == "POST"
    with suppress(httpx.WriteError):  # it was closed before all of it was sent
        assert server.client.post(path, content=in_pieces(), headers=as_json).status_code == 413
    assert vapi.rang == {}


@pytest.mark.parametrize(
    ("content", "where", "reason"),
    [
        (
            b'{"providers": [\n  {"name" "X"}\n]}',
            "body",
            "This is no JSON at line 2, column 11: Expecting ':' delimiter.",
        ),
        (b"\xff", "body", "This cannot be read as JSON in UTF-8."),
        (b"[" * 100_000, "body", "This cannot be read as JSON in UTF-8."),
        (b"", "body", "This field is needed."),
        (b"[1]", "body", "Input should be a valid dictionary or object"),
    ],
)
def test_a_body_that_cannot_be_read_is_said_with_the_place(
    standing: tuple[Served, Vapi], content: bytes, where: str, reason: str
) -> None:
    server, _ = standing
    headers = {"Content-Type": "application/json"}
    answer = server.client.post("/providers/batch-call", content=content, headers=headers)
    [(field, said)] = faults(answer).items()

    assert (field, said[: len(reason)]) == (where, reason)
    assert problem(answer)[1] == f"The request cannot be used, so nobody was dialled: {where}: {said}"


def test_a_question_that_is_wrong_is_not_said_to_have_dialled_nobody(standing: tuple[Served, Vapi]) -> None:
    server, _ = standing
    answers = [
        server.client.get("/runs?limit=0"),
        server.post("/session", {}),
        server.client.get("/runs/x/events?after=-1"),
    ]

    assert [problem(answer) for answer in answers] == [
        (400, "The request cannot be used: limit: Input should be greater than or equal to 1."),
        (400, "The request cannot be used: token: This field is needed."),
        (400, "The request cannot be used: after: Input should be greater than or equal to 0."),
    ]


def test_whoever_asks_for_the_head_alone_gets_it(standing: tuple[Served, Vapi]) -> None:
    server, _ = standing
    answers = [server.client.head(address) for address in (f"{server.url}/", f"{server.url}/docs", "/health")]

    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "192.0.2.7"}, 200),
        ({"Host": "calls.example"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:9", "Host": "localhost:8000"}, 403),
        ({"Origin": "http://localhost:8000", "Host": "localhost:8000"}, 200),
        ({"Origin": "https://calls.example"}, 200),
    ],
)
def test_a_foreign_host_or_origin_is_refused(
    standing: tuple[Served, Vapi], headers: dict[str, str], status: int
) -> None:
    server, _ = standing
    assert server.client.get("/runs", headers=headers).status_code == status


def test_with_a_token_whoever_does_not_show_it_sees_nothing(serve: Serve, vapi: Vapi) -> None:
    server = serve(CONCIERGE_API_TOKEN=TOKEN)
    without = [
        server.client.get("/runs"),
        server.client.get("/runs/x/events"),
        server.client.delete("/runs/x"),
        server.client.get("/runs", headers={"Authorization": "Bearer wrong"}),
        server.client.get("/runs", headers={"Authorization": f"Basic {TOKEN}"}),
        server.client.get("/runs", headers={"Cookie": f"concierge_calls={TOKEN}"}),
        server.post("/providers/batch-call", batch(100)),
        server.post("/session", {"token": "wrong"}),
    ]

    assert {problem(answer)[0] for answer in without} == {401}
    assert {answer.headers["www-authenticate"] for answer in without} == {"Bearer"}
    assert server.client.get("/health").json() == {"status": "ok"}
    assert server.client.get("/runs", headers={"Authorization": f"Bearer {TOKEN}"}).json() == []
    assert vapi.rang == {}


def test_the_token_is_entered_once_and_kept_in_a_cookie_that_does_not_tell_it(serve: Serve, vapi: Vapi) -> None:
    server = serve(CONCIERGE_API_TOKEN=TOKEN)
    answer = server.post("/session", {"token": TOKEN})
    cookie = answer.headers["set-cookie"]

    assert answer.status_code == 204
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert server.client.get("/runs").json() == []
    assert server.client.get("/health").json()["vapi"] == {"reachable": True, "message": None}


@pytest.mark.parametrize(
    ("host", "origin", "is_secure"),
    [
        ("calls.example", "https://calls.example", True),
        ("192.168.1.5:8000", "http://192.168.1.5:8000", False),
        ("localhost:8000", "http://localhost:8000", False),
    ],
)
def test_the_cookie_is_for_https_alone_where_the_page_came_by_it_and_else_the_browser_would_drop_it(
    serve: Serve, vapi: Vapi, host: str, origin: str, is_secure: bool
) -> None:
    server = serve(CONCIERGE_API_TOKEN=TOKEN, CONCIERGE_PUBLIC_URL="https://calls.example")
    answer = server.post("/session", {"token": TOKEN}, Host=host, Origin=origin)

    assert ("Secure" in answer.headers["set-cookie"].split("; ")) is is_secure


def test_a_token_may_be_long(serve: Serve, vapi: Vapi) -> None:
    token = "t" * 5000
    assert serve(CONCIERGE_API_TOKEN=token).post("/session", {"token": token}).status_code == 204


def test_health_says_what_it_works_with(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    found = server.client.get("/health").json()
    assert found.pop("version")
    assert found == {
        "status": "ok",
        "simulated": False,
        "runs": 0,
        "linesBusy": 0,
        "maxConcurrent": 5,
        "vapi": {"reachable": True, "message": None},
        "kestra": None,
        "route": "direct",
    }
    vapi.options.refuse = "number"
    reach = server.client.get("/health").json()["vapi"]
    assert (reach["reachable"], reach["message"].startswith("Vapi does not know the phone number")) == (True, True)


@pytest.mark.parametrize("refuse", ["key", "number"])
def test_a_refusal_before_the_first_dial_is_said_and_no_run_is_kept(serve: Serve, vapi: Vapi, refuse: str) -> None:
    server = serve()
    vapi.options.refuse = refuse
    answer = server.post("/providers/batch-call", batch(100), Idempotency_Key="again")

    assert problem(answer)[0] == 503
    assert answer.headers["retry-after"] == "30"
    assert server.client.get("/runs").json() == []

    vapi.options.refuse = None
    assert server.post("/providers/batch-call", batch(100), Idempotency_Key="again").json()["stats"]["successful"] == 1


def test_vapi_out_of_reach_is_said_before_the_first_dial_and_no_run_is_kept(serve: Serve, vapi: Vapi) -> None:
    server = serve()
    vapi.simulator.stop()
    answer = server.post("/providers/batch-call", batch(100))

    assert problem(answer) == (
        503,
        "Vapi is out of reach, so nobody was dialled; check the network, then run the same command again.",
    )
    assert server.client.get("/runs").json() == []


def test_the_log_has_no_number_no_token_and_no_key(serve: Serve, vapi: Vapi) -> None:
    server = serve(CONCIERGE_API_TOKEN=TOKEN)
    shown = {"Authorization": f"Bearer {TOKEN}"}
    server.client.get(f"/runs?token={TOKEN}&phone={NUMBER}", headers=shown)
    server.client.get(f"/{TOKEN}/{NUMBER}", headers=shown)
    server.client.get(f"/runs/{NUMBER}", headers=shown)
    server.client.post("/providers/batch-call", json=batch(100), headers=shown)
    assert server.tell(TERM) == 0

    assert "GET /runs 200" in server.said
    assert "POST /providers/batch-call 200" in server.said
    assert [secret for secret in (TOKEN, KEY, "5550100", "555-0100") if secret in server.said] == []


@pytest.mark.parametrize(
    ("options", "environ", "sentence"),
    [
        (("--host", "0.0.0.0"), {}, "0.0.0.0 is more than this machine, so"),  # noqa: S104 -- refused
        (("--host", "nowhere.invalid"), {}, "--host nowhere.invalid is no address of this machine"),
        ((), {"VAPI_API_KEY": ""}, "VAPI_API_KEY is not set"),
        ((), {"CONCIERGE_API_TOKEN": "a b"}, "CONCIERGE_API_TOKEN has a space"),
        ((), {"CONCIERGE_PUBLIC_URL": "http://calls.example"}, "CONCIERGE_PUBLIC_URL must begin with https://"),
    ],
)
def test_a_server_that_must_not_or_cannot_serve_does_not_begin(
    vapi: Vapi, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], environ: dict[str, str], sentence: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([COMMAND, "serve", "--port", "0", *options], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"concierge-calls: {sentence}")


def test_a_port_that_is_taken_is_said(serve: Serve, vapi: Vapi) -> None:
    port = serve().url.rpartition(":")[2]
    done = subprocess.run([COMMAND, "serve", "--port", port], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == (
        f"concierge-calls: 127.0.0.1:{port} cannot be used (Address already in use); choose another --host or --port.\n"
    )


def test_a_hundred_runs_are_worked_on_at_once_and_the_next_is_asked_to_come_back(serve: Serve, vapi: Vapi) -> None:
    areas = range(200, 300)
    vapi.options.stuck = {f"+1{area}5550100": "in-progress" for area in areas}
    server = serve(VAPI_MAX_CONCURRENT_CALLS="1")
    for area in areas:
        server.begin(batch(100, area=area))
    answer = server.post("/providers/batch-call", batch(100, area=305))

    assert (problem(answer)[0], answer.headers["retry-after"]) == (429, "30")
    until(lambda: vapi.live == 1)
