"""The HTTP of a server: its paths by dialect, who may come in, and how it says no."""

from __future__ import annotations

import base64
import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from tests.kestra.double.api import Api

ROOTS = ("flows", "executions", "logs", "outputs", "basicAuth")
LARGEST_BODY = 64 << 20


class Refusal(Exception):
    """A request is answered with no; the body says why, unless there is none."""

    def __init__(self, status: int, message: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Dropped(Exception):
    """The connection is closed without a reply."""


class Reply:
    """What is sent back."""

    def __init__(self, body: object = None, status: int = 200, content_type: str = "application/json") -> None:
        self.status = status
        self.content_type = content_type
        self.content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()


class Request:
    """A request, with its path below the API's root in pieces."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        parts = urlsplit(handler.path)
        self.method = handler.command
        self.url = parts.path
        self.path = tuple(unquote(piece) for piece in parts.path.strip("/").split("/"))
        self.query = parse_qsl(parts.query, keep_blank_values=True)
        self.content_type = handler.headers.get("Content-Type", "")
        self.authorization = handler.headers.get("Authorization", "")
        self.body = body

    def asked(self, name: str) -> str | None:
        """Return a parameter's first value."""
        return next((value for key, value in self.query if key == name), None)


class Server(ThreadingHTTPServer):
    """A listening socket with the API behind it."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, api: Api, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.api = api
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone away."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every second write would wait 40 ms for an acknowledgement

    def log_message(self, *_arguments: object) -> None:
        """Say nothing of each request."""

    def _answer(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), LARGEST_BODY)
        api = self.server.api
        request = Request(self, self.rfile.read(length))
        try:
            reply = routed(api, request)
        except Refusal as refusal:
            reply = refused(refusal, request, problem=api.options.is_released_2)
        except Dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(reply.status)
        if reply.content:
            self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 -- as http.server names them


def routed(api: Api, request: Request) -> Reply:
    """Return the answer to a request; raises Refusal and Dropped."""
    if request.path == ("ping",):
        return Reply(b"pong", content_type="text/plain")
    if request.path[:1] == ("double",):
        return api.control(request)
    if request.path[:2] != ("api", "v1"):
        raise Refusal(404, "Not Found")
    if request.path[2:] == ("configs",):
        return Reply(api.configs())
    _let_in(api, request)
    return api.answer(request, _below_the_root(api, request.path[2:]))


def refused(refusal: Refusal, request: Request, *, problem: bool) -> Reply:
    """Return how a server says no: without a body on 401 (facts 2), else as facts 3 has it."""
    if refusal.message is None:
        return Reply(status=refusal.status)
    if problem:
        body = {"type": "about:blank", "title": "Error", "status": refusal.status, "detail": refusal.message}
        return Reply(body, refusal.status, "application/problem+json")
    links = {"self": {"href": request.url, "templated": False}}
    embedded = {"errors": [{"message": refusal.message}]}
    return Reply(
        {"message": refusal.message, "logref": None, "path": None, "_links": links, "_embedded": embedded},
        refusal.status,
    )


def _let_in(api: Api, request: Request) -> None:
    if request.path[-1] == "basicAuth" or not api.options.wants_auth:
        return
    credentials = f"{api.user}:{api.password}".encode()
    if api.user is None or request.authorization != f"Basic {base64.b64encode(credentials).decode()}":
        raise Refusal(401, None)  # a bearer token too: those are Enterprise's (facts 2)


def _below_the_root(api: Api, path: tuple[str, ...]) -> tuple[str, ...]:
    if path[:1] and path[0] in ROOTS:
        return path  # without a tenant: every version takes it (facts 2)
    if api.options.dialect == "0":
        raise Refusal(404, "Not Found")
    if path[:1] != ("main",):
        raise Refusal(400, "Bad Request: Tenant must be 'main' for OSS version")
    return path[1:]
