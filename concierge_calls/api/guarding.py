"""Stands before every route: who may ask, from where, with what kind of body, and how large that may be."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Container, Iterator
from hashlib import sha256
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from concierge_calls.api import problems
from concierge_calls.api.service import PREFIX, Service

LARGEST: Final = 5 * 1024 * 1024  # bytes of a body
COOKIE: Final = "concierge_calls"
# Whoever asks for these shows nothing of the runs, or shows a secret of their own.
OPEN: Final = frozenset({"/", "/docs", "/openapi.json", f"{PREFIX}/health", f"{PREFIX}/session"})
WEBHOOKS: Final = f"{PREFIX}/webhooks/vapi"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_FOREIGN_HOST: Final = "This server does not answer for that host; name it with --host or CONCIERGE_PUBLIC_URL."
_FOREIGN_ORIGIN: Final = "This server takes no requests from pages of other origins."
_NO_TOKEN: Final = "Show the server's CONCIERGE_API_TOKEN: Authorization: Bearer …"  # noqa: S105 -- a sentence
_NO_MESSAGES: Final = "This server takes no server messages; set VAPI_WEBHOOK_SECRET."
_NO_SECRET: Final = "This is not the server's VAPI_WEBHOOK_SECRET."  # noqa: S105 -- a sentence
_NOT_JSON: Final = "Send the body as JSON, with Content-Type: application/json."
_STOPPING: Final = "The server is being stopped; send the same request again once it is back."
_UNDER_WAY: Final = f"The server is being stopped, and this was under way; see GET {PREFIX}/runs for what was begun."
_TOO_LARGE: Final = "A body may have 5 MB at most; send fewer providers at a time."


def session_of(token: str) -> str:
    """Return what the page's cookie holds: whoever finds it cannot tell the token from it."""
    return hmac.new(token.encode(), b"concierge-calls session", sha256).hexdigest()


def is_same(shown: str, secret: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), secret.encode())


def is_known(request: Request, token: str | None) -> bool:
    """Whether the request shows the token, or the cookie that stands for it; everybody does where there is none."""
    if token is None:
        return True
    shown = bearer(request.headers)
    if shown is not None:
        return is_same(shown, token)
    return is_same(request.cookies.get(COOKIE, ""), session_of(token))


def bearer(headers: Headers) -> str | None:
    """Return the bearer token that is shown."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else None


class Guard:
    """ASGI middleware that answers whatever is not to reach a route."""

    def __init__(self, app: ASGIApp, service: Service, takes_json: Container[str]) -> None:
        """Guard the app of a service; `takes_json` are the paths that are posted to."""
        self.app = app
        self.service = service
        self.takes_json = takes_json

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            await self._answered(scope, receive, answer)
        except asyncio.CancelledError:  # the server ends, and who still sends or reads has had the time for that
            if not answer.is_begun:
                sentence = _UNDER_WAY if answer.is_due else _STOPPING
                await problems.answer(503, sentence, again=not answer.is_due)(scope, receive, answer.send)

    async def _answered(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is None and (body := await _body(receive, request.headers)) is None:
            refusal = problems.answer(413, _TOO_LARGE, headers={"Connection": "close"})
        if refusal is not None:
            await refusal(scope, receive, answer.send)
        else:
            answer.is_due = True
            await self.app(scope, _replayed(body or b"", receive), answer.send)

    def _refusal(self, request: Request) -> Response | None:
        headers, path = request.headers, request.url.path
        if not self._is_ours(_host_of(headers.get("host", ""))):
            return problems.answer(403, _FOREIGN_HOST)
        if "origin" in headers and not self._is_own_origin(headers["origin"], headers.get("host", "")):
            return problems.answer(403, _FOREIGN_ORIGIN)
        if path == WEBHOOKS and request.method == "POST" and (stranger := self._stranger(headers)) is not None:
            return stranger
        if path not in OPEN and path != WEBHOOKS and not is_known(request, self.service.token):
            return problems.answer(401, _NO_TOKEN)
        if request.method == "POST" and path in self.takes_json and not _is_json(headers.get("content-type", "")):
            return problems.answer(415, _NOT_JSON)
        return None

    def _stranger(self, headers: Headers) -> Response | None:
        secret = self.service.settings.webhook_secret
        if secret is None:
            return problems.answer(404, _NO_MESSAGES)
        shown = headers.get("x-vapi-secret") or bearer(headers) or ""
        return None if is_same(shown, secret.get_secret_value()) else problems.answer(401, _NO_SECRET)

    def _is_ours(self, host: str) -> bool:
        return host in ("localhost", *self._names()) or _is_address(host)

    def _names(self) -> Iterator[str]:
        yield self.service.host.lower()
        if (public := self.service.settings.public_url) is not None:
            yield (urlsplit(public).hostname or "").lower()

    def _is_own_origin(self, origin: str, host: str) -> bool:
        try:
            asking = urlsplit(origin)
        except ValueError:
            return False
        public = self.service.settings.public_url
        known = {host.lower()} | ({urlsplit(public).netloc.lower()} if public else set())
        return asking.scheme in ("http", "https") and asking.netloc.lower() in known


def _host_of(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_json(content_type: str) -> bool:
    return content_type.split(";")[0].strip().lower() == "application/json"


async def _body(receive: Receive, headers: Headers) -> bytes | None:
    length = headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and int(length[:20]) > LARGEST:
        return None
    pieces, size = [], 0
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > LARGEST:
            return None
        if not message.get("more_body", False):
            return b"".join(pieces)


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


class _Answer:
    """An answer on its way, with the headers that all of them have."""

    def __init__(self, send: Send) -> None:
        self.is_begun = False
        self.is_due = False  # what was asked for has come, and is worked on
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
