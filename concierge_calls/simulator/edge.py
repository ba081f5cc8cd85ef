"""What stands before every request: counting, the key, the minute's limit, late replies and the `Date` header."""

import asyncio
import re
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from concierge_calls.simulator import replies
from concierge_calls.simulator.account import Account
from concierge_calls.simulator.chance import draw
from concierge_calls.simulator.ledger import Requests

_INVALID_KEY: Final = "Invalid Key. Hot tip, you may be using the private key instead of the public key, or vice versa."
_OWN: Final = ("/ledger", "/options")
"""Paths that Vapi does not have: no key, no fault, no count."""
_KEYLESS: Final = ("control", "storage")
_READS: Final = ("get", "list", "phone-number", "assistant")
_KINDS: Final = (
    ("POST", r"/call", "create"),
    ("GET", r"/call", "list"),
    ("GET", r"/call/[^/]+", "get"),
    ("DELETE", r"/call/[^/]+", "delete"),
    ("PATCH", r"/call/[^/]+", "update"),
    ("GET", r"/call/[^/]+/\w+-recording", "recording"),
    ("GET", r"/storage/.*", "storage"),
    ("POST", r"/live/[^/]+/control", "control"),
    ("GET", r"/phone-number/[^/]+", "phone-number"),
    ("GET", r"/assistant/[^/]+", "assistant"),
)


class Edge:
    """ASGI middleware around the routes; it knows the account only for its options and its clock."""

    def __init__(self, app: ASGIApp, account: Account, requests: Requests) -> None:
        self.app = app
        self.account = account
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http" or scope["path"] in _OWN:
            await self.app(scope, receive, send)
            return
        kind = _kind(scope["method"], scope["path"])
        count = self.requests.arrive(kind, self.account.now())
        scope[replies.HANG_UP] = partial(self._lose, scope.get(replies.HANG_UP))
        reply = self._refusal(kind, count, Headers(scope=scope))
        await (reply or self.app)(scope, receive, self._sender(kind, send))

    def _refusal(self, kind: str, count: int, headers: Headers) -> Response | None:
        options = self.account.options
        if kind in _KEYLESS:
            self.requests.keys_shown_to_storage += kind == "storage" and "authorization" in headers
            return None
        key = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not key or not headers["authorization"].startswith("Bearer "):
            return replies.unauthorized()
        if options.refuse == "key" or key in options.reject_keys:
            return replies.nest(401, _INVALID_KEY)
        if 0 < options.rate_limit < count:
            return replies.too_many()
        total = sum(self.requests.kinds.values())
        if kind in _READS and draw(options.seed, "read", total).random() < options.fail_reads:
            return replies.failure(503, html=options.html_errors)
        return None

    def _sender(self, kind: str, send: Send) -> Send:
        options = self.account.options

        async def late(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.requests.statuses[str(message["status"])] += 1
                await asyncio.sleep(options.create_delay if kind == "create" else options.reply_delay)
                MutableHeaders(scope=message)["date"] = formatdate(self.account.now(), usegmt=True)
            await send(message)

        return late

    def _lose(self, hang_up: Callable[[], None] | None) -> None:
        self.requests.statuses["lost"] += 1
        if hang_up is None:
            raise ConnectionResetError("this server cannot close a connection without a reply")
        hang_up()


def _kind(method: str, path: str) -> str:
    found = (kind for verb, pattern, kind in _KINDS if verb == method and re.fullmatch(pattern, path))
    return next(found, "other")
