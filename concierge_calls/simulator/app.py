"""The ASGI app: Vapi's routes for calls, numbers and assistants, and the simulator's own two."""

import io
import json
import wave
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from concierge_calls.simulator import options as settings
from concierge_calls.simulator import queries, replies, saved, validation
from concierge_calls.simulator.account import Account
from concierge_calls.simulator.calls import Call
from concierge_calls.simulator.creating import Creating
from concierge_calls.simulator.edge import Edge
from concierge_calls.simulator.ledger import Requests, ledger
from concierge_calls.simulator.shapes import shown

_CONTROLS: Final = ("say", "add-message", "control", "transfer", "handoff", "end-call")


class Api:
    """The endpoints, over one account."""

    def __init__(self, account: Account, requests: Requests) -> None:
        self.account = account
        self.requests = requests

    async def list_calls(self, request: Request) -> Response:
        """`GET /call`: a bare array of whole calls, the newest first, as they were `list_lag` ago."""
        query, faults = queries.read(request.query_params.multi_items())
        if faults:
            return replies.nest(400, faults)
        with self.account.lock:
            moment = self.account.catch_up() - self.account.options.list_lag
            found = queries.find(self.account, query, moment)
            return JSONResponse([shown(call, moment, _url(request)) for call in found])

    async def one_call(self, request: Request) -> Response:
        """`GET`, `PATCH` and `DELETE` of `/call/{id}`."""
        if not queries.is_uuid(request.path_params["id"]):
            return replies.nest(400, "Validation failed (uuid is expected)")
        changes = await _json(request) if request.method == "PATCH" else {}
        with self.account.lock:
            call = self._visible(request)
            if call is None:
                return replies.nest(404, f"Call with ID {request.path_params['id']} not found.")
            if request.method == "DELETE":
                self.account.delete(call)
            if request.method == "PATCH" and (refusal := _rename(call, changes)):
                return refusal
            return JSONResponse(shown(call, self.account.now(), _url(request)))

    async def control(self, request: Request) -> Response:
        """`POST` to a call's control URL, which Vapi has only while somebody is on the line."""
        command = await _json(request)
        with self.account.lock:
            self.account.catch_up()
            call = self.account.calls.get(request.path_params["id"])
            if call is None or call.ended is not None:
                return replies.nest(404, "Call not found.")
            if call.status != "in-progress":
                return replies.nest(400, "Call is not in progress.")
            if not isinstance(command, dict) or command.get("type") not in _CONTROLS:
                return replies.nest(400, f"type must be one of the following values: {', '.join(_CONTROLS)}")
            if command["type"] == "end-call":
                self.account.hang_up(call)
            return JSONResponse({"status": "ok"})

    async def phone_number(self, request: Request) -> Response:
        """`GET /phone-number/{id}`."""
        if self.account.options.refuse == "number":
            return replies.nest(404, f"PhoneNumber with ID {request.path_params['id']} not found.")
        return JSONResponse(saved.phone_number(request.path_params["id"], self.account.options))

    async def assistant(self, request: Request) -> Response:
        """`GET /assistant/{id}`."""
        if self.account.options.refuse == "assistant":
            return replies.nest(404, f"Assistant with ID {request.path_params['id']} not found.")
        return JSONResponse(saved.assistant(request.path_params["id"]))

    async def recording(self, request: Request) -> Response:
        """`GET /call/{id}/mono-recording` and its like: on to a storage that wants no key."""
        with self.account.lock:
            call = self._visible(request)
            if call is None or call.answered is None or call.ended is None:
                return replies.nest(404, "Recording not found.")
        signed = f"{_url(request)}/storage/{call.id}.wav?X-Amz-Expires=1800&X-Amz-Signature=555"
        return RedirectResponse(signed, 302)

    async def storage(self, _request: Request) -> Response:
        """The recording itself: a second of silence."""
        return Response(_silence(), media_type="audio/wav")

    async def the_ledger(self, _request: Request) -> Response:
        """`GET /ledger`: what happened, whatever the interface above says."""
        return JSONResponse(ledger(self.account, self.requests))

    async def the_options(self, request: Request) -> Response:
        """`GET` and `PUT /options`: the faults, while it runs."""
        if request.method == "PUT":
            try:
                settings.change(self.account.options, await request.json())
            except (AttributeError, TypeError, ValueError) as error:
                return replies.nest(400, str(error))
        return JSONResponse(settings.as_json(self.account.options))

    def _visible(self, request: Request) -> Call | None:
        now = self.account.catch_up()
        call = self.account.calls.get(request.path_params["id"].lower())
        if call is None or call.erased or now - call.created < self.account.options.get_lag:
            return None
        return call


def build(account: Account, requests: Requests) -> Starlette:
    """Return the app over an account whose truth is kept by the caller."""
    api = Api(account, requests)
    routes = [
        Route("/call", Creating(account).answer, methods=["POST"]),
        Route("/call", api.list_calls, methods=["GET"]),
        Route("/call/{id}", api.one_call, methods=["GET", "PATCH", "DELETE"]),
        Route("/call/{id}/{kind:str}-recording", api.recording, methods=["GET"]),
        Route("/live/{id}/control", api.control, methods=["POST"]),
        Route("/storage/{name}", api.storage, methods=["GET"]),
        Route("/phone-number/{id}", api.phone_number, methods=["GET"]),
        Route("/assistant/{id}", api.assistant, methods=["GET"]),
        Route("/ledger", api.the_ledger, methods=["GET"]),
        Route("/options", api.the_options, methods=["GET", "PUT"]),
    ]
    middleware = [Middleware(Edge, account=account, requests=requests)]
    handlers: dict[Any, Any] = {404: _no_route, 405: _no_route}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


def _no_route(request: Request, _error: HTTPException) -> Response:
    return replies.nest(404, f"Cannot {request.method} {request.url.path}")


def _rename(call: Call, changes: Any) -> Response | None:
    if not isinstance(changes, dict):
        return replies.nest(400, ["body must be an object"])
    if faults := list(validation.faults(changes, "UpdateCallDTO")):
        return replies.nest(400, faults)
    call.body = {**call.body, **changes}
    return None


def _url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None


def _silence() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return buffer.getvalue()
