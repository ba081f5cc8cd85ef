"""Replies that are no call: NestJS's errors, the page of a proxy, and no reply at all."""

from http import HTTPStatus
from typing import Any, Final

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

HANG_UP: Final = "concierge.hang_up"
"""Key of the ASGI scope under which the server puts the way to close the connection: ASGI itself has no word for it."""

_PAGE: Final = (
    "<!DOCTYPE html><html><head><title>api.vapi.ai | {code}: {phrase}</title></head>"
    "<body><h1>{phrase}</h1><p>Error code {code}</p><p>Ray ID: 8f2e0a55501000ab</p></body></html>"
)


class LostReply(Response):
    """Closes the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hang up; the server learns it as if the client had gone away."""
        del send
        scope[HANG_UP]()
        while (await receive())["type"] != "http.disconnect":
            pass


def nest(code: int, message: str | list[str]) -> JSONResponse:
    """Return an error in NestJS's shape: message (one sentence or a list), error and statusCode."""
    content: dict[str, Any] = {"message": message, "error": HTTPStatus(code).phrase, "statusCode": code}
    return JSONResponse(content, code)


def failure(code: int, *, html: bool) -> Response:
    """Return a failure of Vapi's own (JSON) or of the proxy in front of it (HTML)."""
    phrase = HTTPStatus(code).phrase
    if html:
        return HTMLResponse(_PAGE.format(code=code, phrase=phrase), code)
    return nest(code, phrase)


def unauthorized() -> JSONResponse:
    """Return what Vapi answers without a key."""
    return JSONResponse({"message": "Unauthorized", "statusCode": 401}, 401)


def too_many() -> JSONResponse:
    """Return what Vapi answers beyond the requests of a minute."""
    return nest(429, "Rate limit exceeded")
