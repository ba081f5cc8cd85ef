"""Vapi's HTTP API, typed in and out: a question is asked until it is answered, a create is sent once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from tenacity import AsyncRetrying, retry_if_exception_type

from concierge_calls.errors import ReadRefused
from concierge_calls.vapi import faults
from concierge_calls.vapi.clock import VapiClock
from concierge_calls.vapi.connection import Connection
from concierge_calls.vapi.gate import Gate, Priority, Ticket
from concierge_calls.vapi.patience import LONGEST_TRY, AskAgain, Patience, TooManyRequests
from concierge_calls.vapi.reach import Reach
from concierge_calls.vapi.schemas import Assistant, Call, PhoneNumber, listed
from concierge_calls.vapi.together import Together
from concierge_calls.vapi.wire import VapiWire

T = TypeVar("T")
_M = TypeVar("_M", bound=BaseModel)

PATIENCE: Final = 60.0  # seconds for which a question is asked again
_ASK_AGAIN: Final = frozenset({408, 425, 429})
_LOST: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)


class VapiClient:
    """Speaks to Vapi with one key; every request passes the gate and teaches the clock.

    `transport`, `sleep` and `jitter` (a random share between 0 and 1) are there to be replaced. Raises SettingsError
    for a key that cannot be sent.
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
        self.gate = gate
        self.clock = clock or VapiClock()
        self.reach = Reach()
        self._together = Together()
        self._key = api_key
        self._jitter = jitter
        self._sleep = sleep
        self._connection = Connection(
            api_key, base_url, gate=gate, clock=self.clock, transport=transport, jitter=jitter
        )
        self.base_url = self._connection.base_url  # where Vapi is, without a slash at the end

    def __repr__(self) -> str:
        return f"<VapiClient {httpx.URL(self.base_url).host} {self.gate!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    # Vapi: POST /call, CreateCallDTO -> 201 Call.
    async def create_call(self, body: Mapping[str, Any], ticket: Ticket) -> Call:
        """Send one request to place a call, whatever becomes of its reply, and give the ticket back.

        Raises NumberRefused, AccountRefused or ComeBackLater when certainly nobody's phone rang, else PlacementInDoubt.
        """
        with ticket:
            wire = VapiWire()
            request = self._connection.request("POST", "/call", body=body, wire=wire)
            try:
                response = await self._connection.send(request, LONGEST_TRY)
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
        request = self._connection.keyless(control_url, {"type": "end-call"})
        with await self.gate.enter(Priority.HANG_UP):
            try:
                response = await self._connection.send(request, LONGEST_TRY)
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
        return await self._connection.recording(address, headers)

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
                    response = await self._connection.send(
                        self._connection.request(method, path, params=params), limit.one_try()
                    )
                except _LOST as error:
                    raise AskAgain(what, type(error).__name__) from error
            answer = self._answer(what, response, read)
            self.reach.found()
            return answer

        again = retry_if_exception_type(AskAgain)
        tries = AsyncRetrying(retry=again, stop=limit.stop, wait=limit.wait, sleep=self._sleep, reraise=True)
        async for each in tries:  # what it calls by itself it keeps the answer of, in circles of its own
            with each:
                answer = await once()
        return answer

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
        raise kind(what, f"HTTP {status}", self._connection.asked_to_wait(response))


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
