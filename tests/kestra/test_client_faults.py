"""What Kestra answers, or something else in its place, in sentences: what happened and what to do."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
from typing import Any

import httpx
import pytest

from concierge_calls.errors import KestraUnreachable
from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.faults import Place
from concierge_calls.kestra.refusals import Answer, words
from tests.vapi.test_client import listening, says, serving

AT = "Kestra at http://kestra:8080"
CHECK = "See what is in the way with: concierge-calls kestra check"
ITSELF = "Set KESTRA_URL to the address of Kestra itself, without /ui and without /api."
BASIC = Place("http://kestra:8080", credentials="basic")
THE_FLOW = "the flow x"


def micronaut(message: str, *embedded: str) -> bytes:
    """Write an error as Kestra does: facts.md, section 3."""
    errors = {"errors": [{"message": each, "path": "x"} for each in embedded]} if embedded else {}
    links = {"self": {"href": "/api/v1/main/flows", "templated": False}}
    body = {"message": message, "logref": None, "path": None, "_links": links, "_embedded": errors}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (micronaut("Not Found"), "Not Found"),
        (micronaut("Bad Request", "Tenant must be 'main'"), "Bad Request: Tenant must be 'main'"),
        (micronaut("Invalid entity: a; b", "a", "b", "c"), "Invalid entity: a; b: c"),
        (b'{"type": "about:blank", "title": "Unprocessable", "status": 422, "detail": "No tasks"}', "No tasks"),
        (b'{"title": "Forbidden", "status": 403}', "Forbidden"),
        (b'{"message": null, "_embedded": {"errors": [{"message": "x"}, 7, {}]}}', "x"),
        (b'{"message": ["x"], "_embedded": []}', ""),
        (b'{"_embedded": {"errors": {}}}', ""),
        (b"[]", ""),
        (b"", ""),
        (b"<html></html>", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_what_kestra_says_is_found_however_it_is_packed(body: bytes, said: str) -> None:
    assert words(body) == said


@pytest.mark.parametrize(
    ("place", "answer", "sentence"),
    [
        (
            Place("http://kestra:8080"),
            Answer(401, b""),
            f"{AT} wants credentials (HTTP 401). Set KESTRA_USERNAME and KESTRA_PASSWORD.",
        ),
        (
            BASIC,
            Answer(401, b""),
            f"{AT} does not accept KESTRA_USERNAME and KESTRA_PASSWORD (HTTP 401). "
            "Copy them once more; on a new server set its first user before.",
        ),
        (
            Place("http://kestra:8080", credentials="token"),
            Answer(401, b""),
            f"{AT} does not accept KESTRA_API_TOKEN (HTTP 401). Only its Enterprise edition knows tokens: "
            "make a new one there, or set KESTRA_USERNAME and KESTRA_PASSWORD instead.",
        ),
        (
            BASIC,
            Answer(403, micronaut("Forbidden")),
            f"{AT} does not let these credentials at the flow x (HTTP 403; it says: Forbidden). "
            "Give their user the right to it, or set those of another.",
        ),
        (
            BASIC,
            Answer(407, b""),
            "The proxy on the way to http://kestra:8080 wants credentials of its own (HTTP 407). "
            "Check HTTPS_PROXY and NO_PROXY.",
        ),
        (
            BASIC,
            Answer(302, b"", "https://login.example/?next=%2Fapi"),
            "http://kestra:8080 sends us to login.example (HTTP 302), which nothing is sent to unasked. "
            "Set KESTRA_URL to the address at which Kestra itself answers.",
        ),
        (
            BASIC,
            Answer(308, b"", "/ui"),
            "http://kestra:8080 sends us to elsewhere (HTTP 308), which nothing is sent to unasked. "
            "Set KESTRA_URL to the address at which Kestra itself answers.",
        ),
        (
            BASIC,
            Answer(413, b"<h1>413 Request Entity Too Large</h1>"),
            "The flow x is more than http://kestra:8080 takes at once (HTTP 413). "
            "Raise the limit of Kestra or of the proxy before it, or make two files of the providers file.",
        ),
        (
            Place("http://kestra:8080", tenant="ours", credentials="basic"),
            Answer(400, micronaut("Bad Request: Tenant must be 'main' for OSS version")),
            f"{AT} has no tenant ours (HTTP 400; it says: Bad Request: Tenant must be 'main' for OSS version). "
            "Set KESTRA_TENANT to one that it has: main, as a rule.",
        ),
        (
            BASIC,
            Answer(422, micronaut("Invalid entity: Invalid type: io.kestra.plugin.scripts.shell.Commands")),
            f"{AT} does not know io.kestra.plugin.scripts.shell.Commands, so a plugin is missing there. Install it "
            "(see https://kestra.io/plugins) and restart Kestra, then: concierge-calls kestra check.",
        ),
        (
            BASIC,
            Answer(409, micronaut("Illegal state: Requested Flow is disabled.")),
            f"{AT} has the flow x disabled. Enable it there, then try again.",
        ),
        (
            BASIC,
            Answer(404, micronaut("Not Found")),
            f"{AT} does not know the flow x (HTTP 404). See what is there, and whether KESTRA_TENANT and "
            "KESTRA_NAMESPACE are right: concierge-calls kestra check",
        ),
        (
            BASIC,
            Answer(404, b"<html><title>404 Not\nFound</title><body>nginx</body></html>"),
            "What answers at http://kestra:8080 about the flow x is not Kestra "
            f"(HTTP 404, a page with the title: 404 Not Found). {ITSELF}",
        ),
        (
            BASIC,
            Answer(400, b"The plain HTTP request was sent to HTTPS port"),
            "What answers at http://kestra:8080 about the flow x is not Kestra (HTTP 400, "
            f"a text that begins with: The plain HTTP request was sent to HTTPS port). {ITSELF}",
        ),
        (
            BASIC,
            Answer(400, b"<html><body></body></html>"),
            "What answers at http://kestra:8080 about the flow x is not Kestra "
            f"(HTTP 400, a page without a title). {ITSELF}",
        ),
        (
            BASIC,
            Answer(422, micronaut("Invalid entity: Missing\nrequired \x1b[31minput:\u202eproviders +1 864 555 0101")),
            f"{AT} did not accept the flow x (HTTP 422; it says: "
            f"Invalid entity: Missing required [31minput:providers …0101). {CHECK}",
        ),
        (
            BASIC,
            Answer(422, micronaut("x" * 1000)),
            f"{AT} did not accept the flow x (HTTP 422; it says: {'x' * 299}…). {CHECK}",
        ),
        (
            BASIC,
            Answer(415, b'{"detail": "Content Type {not} allowed"}'),
            f"{AT} did not accept the flow x (HTTP 415; it says: Content Type {{not}} allowed). {CHECK}",
        ),
    ],
)
def test_each_refusal_says_what_happened_and_what_to_do(place: Place, answer: Answer, sentence: str) -> None:
    assert place.refusal(THE_FLOW, answer).message == sentence


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer(404, micronaut("Not Found")), 404),
        (Answer(404, b""), 404),
        (Answer(404, b"<html></html>"), 0),
        (Answer(401, b""), 401),
        (Answer(302, b""), 0),
    ],
)
def test_only_kestras_own_refusal_has_a_status(answer: Answer, status: int) -> None:
    assert BASIC.refusal(THE_FLOW, answer).status == status


def caused(error: Exception, *causes: BaseException) -> Exception:
    """Return an error as it comes from a library: each the reason of the one before it."""
    below: BaseException = error
    for cause in causes:
        below.__cause__ = cause
        below = cause
    return error


UNVERIFIED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
UNVERIFIED.verify_message = "self-signed certificate"
GROUP = ExceptionGroup("each address", [ConnectionRefusedError(errno.ECONNREFUSED, "refused")])
AGAIN = "See whether it is up, then try again."


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            caused(httpx.ConnectError("x"), OSError("y"), UNVERIFIED),
            "The certificate of https://kestra.example cannot be verified (self-signed certificate). "
            "If your organisation signs its own, name the file of its authority in SSL_CERT_FILE.",
        ),
        (
            caused(httpx.ConnectError("x"), ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")),
            "https://kestra.example does not speak TLS as it should (no reason given). "
            "If this Kestra has none, KESTRA_URL begins with http://.",
        ),
        (
            caused(httpx.ConnectError("x"), socket.gaierror(-2, "Name or service not known")),
            "The host of https://kestra.example is not known. Check KESTRA_URL and the network.",
        ),
        (
            httpx.ProxyError("407"),
            "The proxy on the way to https://kestra.example refused. Check HTTPS_PROXY and NO_PROXY.",
        ),
        (
            caused(httpx.ConnectError("All connection attempts failed"), OSError("x"), GROUP),
            "Nothing listens at https://kestra.example. Start Kestra there, or check KESTRA_URL.",
        ),
        (httpx.ConnectTimeout("x"), f"Kestra at https://kestra.example did not answer in time. {AGAIN}"),
        (TimeoutError(), f"Kestra at https://kestra.example did not answer in time. {AGAIN}"),
        (
            httpx.RemoteProtocolError("x"),
            f"The connection to Kestra at https://kestra.example broke (RemoteProtocolError). {AGAIN}",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_way_of_not_being_reached_has_its_sentence(error: Exception, sentence: str) -> None:
    assert Place("https://kestra.example").unreachable(error).message == sentence


def greeting(url: str) -> str:
    """Greet what is at an address without patience, and return what is said of it."""

    async def play() -> str:
        async with KestraClient(url, patience=0) as client:
            with pytest.raises(KestraUnreachable) as caught:
                await client.greet()
            return caught.value.message

    return asyncio.run(play())


def test_a_certificate_that_is_not_verified_is_not_asked_again() -> None:
    async def play() -> int:
        asked = 0

        def answer(_: httpx.Request) -> httpx.Response:
            nonlocal asked
            asked += 1
            raise caused(httpx.ConnectError("x"), UNVERIFIED)

        async with KestraClient("https://kestra.example", transport=httpx.MockTransport(answer)) as client:
            with pytest.raises(KestraUnreachable, match="self-signed"):
                await client.greet()
        return asked

    assert asyncio.run(play()) == 1


def test_tls_spoken_to_a_server_that_has_none_is_said() -> None:
    async def play() -> str:
        async def talk_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with listening(talk_plainly) as port:
            return await asyncio.to_thread(greeting, f"https://127.0.0.1:{port}")

    said = asyncio.run(play())
    assert "does not speak TLS as it should (" in said
    assert said.endswith("). If this Kestra has none, KESTRA_URL begins with http://.")


def test_a_plain_word_to_a_server_that_wants_tls_is_said() -> None:
    async def play() -> tuple[str, str]:
        alert = b"\x15\x03\x01\x00\x02\x02\x46"  # TLS: fatal, protocol_version
        async with serving(says(alert, then_close=True)) as server:
            return server.url, await asyncio.to_thread(greeting, server.url)

    url, said = asyncio.run(play())
    assert said == (
        f"The connection to Kestra at {url} broke (RemoteProtocolError). {AGAIN} "
        "If this Kestra has TLS, KESTRA_URL begins with https://."
    )


def test_a_host_that_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)  # as a resolver says it, if not always and at once
    said: Any = greeting("http://kestra.invalid:8080")

    assert said == "The host of http://kestra.invalid:8080 is not known. Check KESTRA_URL and the network."
