"""Vapi's HTTP API, typed in and out: a question is asked until it is answered, a create is sent once."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from tenacity import AsyncRetrying, retry_if_exception_type

from concierge_calls.errors import ReadRefused, SettingsError
from concierge_calls.vapi import faults, recordings
from concierge_calls.vapi.clock import VapiClock
from concierge_calls.vapi.gate import Gate, Priority, Ticket
from concierge_calls.vapi.patience import LONGEST_TRY, AskAgain, Patience, TooManyRequests
from concierge_calls.vapi.reach import Reach
from concierge_calls.vapi.schemas import Assistant, Call, PhoneNumber, listed
from concierge_calls.vapi.together import Together
from concierge_calls.vapi.wire import VapiWire, is_loopback, safe_address

T = TypeVar("T")
_M = TypeVar("_M", bound=BaseModel)

PATIENCE: Final = 60.0  # seconds for which a question is asked again
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0, pool=5.0)
_LONGEST_PAUSE: Final = 62.0  # seconds in which nothing is asked after a 429
_SPREAD: Final = 2.0  # seconds after the minute's turn over which the waiting come back
_ASK_AGAIN: Final = frozenset({408, 425, 429})
_LOST: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)

# httpx logs the address of every request at INFO, and a control URL is a key to a live call.
if (_httpx_log := logging.getLogger("httpx")).level == logging.NOTSET:
    _httpx_log.setLevel(logging.WARNING)


class VapiClient:
    """Speaks to Vapi with one key; every request passes the gate and teaches the clock.

    `transport`, `sleep` and `jitter` (a random share between 0 and 1) are there to be replaced. Proxies of the
    environment are used but for a loopback address: for https they only tunnel, so they cannot repeat a create.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = "https://api.vapi.ai",
        gate: Gate,
        clock: VapiClock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not api_key or not all("!" <= letter <= "~" for letter in api_key):
            raise SettingsError("VAPI_API_KEY has a character that no key has; copy it anew from Vapi's dashboard.")
        self.gate = gate
        self.clock = clock or VapiClock()
        self.reach = Reach()
        self._together = Together()
        self._key = api_key
        self._base = httpx.URL(base_url)
        self.base_url = str(self._base).rstrip("/")  # where Vapi is, without a slash at the end
        self._sleep = sleep
        self._jitter = jitter
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=_TIMEOUT,
            # The gate bounds what is in flight; a connection kept for longer may be closed by Vapi as we send.
            limits=httpx.Limits(max_connections=None, keepalive_expiry=5.0),
            follow_redirects=False,
            trust_env=not is_loopback(self._base.host),
            event_hooks={"response": [self._learn_time]},
        )
        # No answer of Vapi's depends on a cookie, and to look for one in each takes long.
        self._http.cookies.extract_cookies = lambda response: None  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return f"<VapiClient {self._base.host} {self.gate!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    # Vapi: POST /call, CreateCallDTO -> 201 Call.
    async def create_call(self, body: Mapping[str, Any], ticket: Ticket) -> Call:
        """Send one request to place a call, whatever becomes of its reply, and give the ticket back.

        Raises NumberRefused, AccountRefused or ComeBackLater when certainly nobody's phone rang, else PlacementInDoubt.
        """
        with ticket:
            wire = VapiWire()
            request = self._request("POST", "/call", body=body, wire=wire)
            try:
                response = await self._send(request, LONGEST_TRY)
            except Exception as error:
                self.reach.lost()
                raise wire.fault_of(error) from error
        if response.is_success:
            return _placed(response.content)
        if response.is_server_error:
            self.reach.lost()
        raise faults.fault_of(response.status_code, response.headers, response.content, hide=self._key)

    # Vapi: GET /call/{id}.
    async def get_call(self, call_id: str, priority: Priority, *, patience: float = PATIENCE) -> Call | None:
        """Read one call; None when Vapi does not know it, which soon after its creation means nothing."""
        path = f"/call/{quote(call_id, safe='')}"
        return await _if_known(self._ask("a call", "GET", path, priority, patience, read=_reader(Call)))

    # Vapi: GET /call with id, assistantId, phoneNumberId, limit and {created,updated}At{Gt,Lt,Ge,Le}; no other filter.
    async def list_calls(
        self,
        priority: Priority,
        *,
        limit: int = 1000,
        patience: float = PATIENCE,
        known: Mapping[str, Call] = MappingProxyType({}),
        **filters: str,
    ) -> list[Call]:
        """Read one page of calls, filtered by Vapi's own parameters; an item that cannot be read is left out.

        One of the `known`, by id, is returned itself where Vapi shows it as it is.
        """
        params, read = {"limit": str(limit), **filters}, partial(_listed, known=known)
        return await self._ask("the list of calls", "GET", "/call", priority, patience, read=read, params=params)

    # Vapi: DELETE /call/{id}; it erases the call's data.
    async def delete_call(self, call_id: str, *, patience: float = PATIENCE) -> bool:
        """Delete a call; False when Vapi does not know it."""
        path = f"/call/{quote(call_id, safe='')}"
        asking = self._ask("the end of a call", "DELETE", path, Priority.HANG_UP, patience, read=lambda _: True)
        return await _if_known(asking) is not None

    # Vapi: calls/call-features, "End Call"; authentication of control URLs is off by default (OpenAPI: MonitorPlan).
    async def end_call(self, control_url: str) -> bool:
        """Ask a live call's control URL once to end it, without our key; False when it cannot yet.

        Raises ReadFailed when there was no answer, ReadRefused when the address is neither https nor loopback.
        """
        what = "the end of a call"
        request = self._http.build_request("POST", safe_address(control_url), json={"type": "end-call"})
        with await self.gate.enter(Priority.HANG_UP):
            try:
                response = await self._send(request, LONGEST_TRY)
            except _LOST as error:
                raise AskAgain(what, type(error).__name__) from error
        if response.is_success or response.is_client_error:
            return response.is_success
        raise AskAgain(what, f"HTTP {response.status_code}")

    # Vapi: GET /phone-number/{id}.
    async def get_phone_number(self, phone_number_id: str, *, patience: float = PATIENCE) -> PhoneNumber:
        """Read the phone number that calls are made from."""
        path, what = f"/phone-number/{quote(phone_number_id, safe='')}", "the phone number of VAPI_PHONE_NUMBER_ID"
        asking = partial(self._ask, what, "GET", path, Priority.OVERDUE, patience, read=_reader(PhoneNumber))
        return await self._together.ask(path, asking)

    # Vapi: GET /assistant/{id}.
    async def get_assistant(self, assistant_id: str, *, patience: float = PATIENCE) -> Assistant:
        """Read an assistant, for what it extracts."""
        path, what = f"/assistant/{quote(assistant_id, safe='')}", "the assistant of VAPI_ASSISTANT_ID"
        asking = partial(self._ask, what, "GET", path, Priority.OVERDUE, patience, read=_reader(Assistant))
        return await self._together.ask(path, asking)

    # Vapi: GET /call/{id}/mono-recording and its like: 302 to a storage that wants no key.
    async def recording(self, address: str, headers: Mapping[str, str]) -> httpx.Response:
        """Ask for a recording by its lasting address; the answer is open, and whoever asked reads and closes it.

        Raises ReadFailed when there was none, ReadRefused when it was a no, or led where no recording should be.
        """
        return await recordings.opened(self._http, self._key, self.base_url, address, headers)

    async def _ask(
        self,
        what: str,
        method: str,
        path: str,
        priority: Priority,
        patience: float,
        *,
        read: Callable[[bytes], T],
        params: Mapping[str, str] | None = None,
    ) -> T:
        """Ask until there is an answer; raises ReadRefused at a no, ReadFailed when patience (seconds) is at an end."""
        limit = Patience(patience, self.clock.monotonic, self._jitter)

        async def once() -> T:
            with await self.gate.enter(priority):
                try:
                    response = await self._send(self._request(method, path, params=params), limit.one_try())
                except _LOST as error:
                    raise AskAgain(what, type(error).__name__) from error
            answer = self._answer(what, response, read)
            self.reach.found()
            return answer

        again = retry_if_exception_type(AskAgain)
        return await AsyncRetrying(retry=again, stop=limit.stop, wait=limit.wait, sleep=self._sleep, reraise=True)(once)

    def _answer(self, what: str, response: httpx.Response, read: Callable[[bytes], T]) -> T:
        status, body = response.status_code, response.content
        if response.is_success:
            try:
                return read(body)
            except ValueError as error:
                raise AskAgain(what, "an answer that cannot be read") from error
        said_no = response.is_client_error and status not in _ASK_AGAIN and faults.vapi_words(body) is not None
        if said_no or status in (401, 403):
            self.reach.found()
            raise faults.refused_to_show(what, status, body, hide=self._key)
        kind = TooManyRequests if status == 429 else AskAgain
        raise kind(what, f"HTTP {status}", self._asked_to_wait(response))

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        wire: VapiWire | None = None,
    ) -> httpx.Request:
        return self._http.build_request(
            method,
            _address(self.base_url, path),
            params=params,
            content=None if body is None else json.dumps(body, allow_nan=False).encode("ascii"),
            headers={"Authorization": f"Bearer {self._key}"} | ({"Content-Type": "application/json"} if body else {}),
            extensions={"trace": wire} if wire else None,
        )

    async def _send(self, request: httpx.Request, seconds: float) -> httpx.Response:
        async with asyncio.timeout(seconds):
            response = await self._http.send(request)
        if response.status_code == 429 and self._is_vapi(request) and not faults.lacks_lines(response.content):
            # Vapi counts all requests of a minute, so whatever was refused, the others are next. It counts no further,
            # so the calls on the line are not left out of sight for longer.
            self.gate.pause(self._asked_to_wait(response) or 0.0)
        return response

    async def _learn_time(self, response: httpx.Response) -> None:
        """Set the clock as soon as the head of a reply is there; a proxy's own page tells the proxy's own time."""
        if self._is_vapi(response.request) and "json" in response.headers.get("content-type", ""):
            self.clock.learn(response.headers.get("date"))

    def _is_vapi(self, request: httpx.Request) -> bool:
        return request.url.host == self._base.host

    def _asked_to_wait(self, response: httpx.Response) -> float | None:
        """Return the seconds that a reply asks for; Vapi names none with a 429, whose minute ends with UTC's."""
        seconds = faults.retry_after(response.headers)
        if response.status_code != 429:
            return seconds
        if seconds is None:
            return 60.0 - self.clock.seconds() % 60.0 + _SPREAD * self._jitter()
        return min(seconds, _LONGEST_PAUSE)


@lru_cache(16)  # nearly all requests go to one address, which takes long to read
def _address(base_url: str, path: str) -> httpx.URL:
    return httpx.URL(f"{base_url}{path}")


async def _if_known(asking: Awaitable[T]) -> T | None:
    """Return the answer, or None where Vapi says that it knows no such thing."""
    try:
        return await asking
    except ReadRefused as error:
        if error.status != 404:
            raise
        return None


def _placed(body: bytes) -> Call:
    try:
        return Call.model_validate(faults.read_json(body))
    except ValueError as error:
        raise faults.in_doubt("Vapi took the request, but its reply cannot be read") from error


def _reader(kind: type[_M]) -> Callable[[bytes], _M]:
    return lambda body: kind.model_validate(faults.read_json(body))


def _listed(body: bytes, known: Mapping[str, Call]) -> list[Call]:
    return listed(faults.read_json(body), known)
