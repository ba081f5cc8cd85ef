"""One way to one Vapi: with whose key it is asked, and what each reply teaches: the time, and when it takes no more."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import httpx

from concierge_calls.errors import SettingsError
from concierge_calls.loopback import is_loopback
from concierge_calls.vapi import faults, recordings
from concierge_calls.vapi.clock import VapiClock
from concierge_calls.vapi.gate import Gate
from concierge_calls.vapi.wire import VapiWire, safe_address
from concierge_calls.wire import sent

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0, pool=5.0)
_LONGEST_PAUSE: Final = 62.0  # seconds in which nothing is asked after a 429
_SPREAD: Final = 2.0  # seconds after the minute's turn over which the waiting come back

# httpx logs the address of every request at INFO, and a control URL is a key to a live call.
if (_httpx_log := logging.getLogger("httpx")).level == logging.NOTSET:
    _httpx_log.setLevel(logging.WARNING)


class Connection:
    """Sends requests with one key; replies teach the clock, and one that there were too many closes the gate.

    `jitter` gives a random share between 0 and 1. Proxies of the environment are used but for a loopback address: for
    https they only tunnel, so they cannot repeat a create. Raises SettingsError for a key that cannot be sent.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str,
        *,
        gate: Gate,
        clock: VapiClock,
        transport: httpx.AsyncBaseTransport | None,
        jitter: Callable[[], float],
    ) -> None:
        if not api_key or not all("!" <= letter <= "~" for letter in api_key):
            raise SettingsError("VAPI_API_KEY has a character that no key has; copy it anew from Vapi's dashboard.")
        self._key = api_key
        self._base = httpx.URL(base_url)
        self.base_url = str(self._base).rstrip("/")  # where Vapi is, without a slash at the end
        self._gate = gate
        self._clock = clock
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
        return f"<Connection to {self._base.host}>"

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        wire: VapiWire | None = None,
    ) -> httpx.Request:
        """Return a request to Vapi with our key, to be sent; `wire` listens to whether it leaves."""
        return self._http.build_request(
            method,
            _address(self.base_url, path),
            params=params,
            content=None if body is None else json.dumps(body, allow_nan=False).encode("ascii"),
            headers={"Authorization": f"Bearer {self._key}"} | ({"Content-Type": "application/json"} if body else {}),
            extensions={"trace": wire} if wire else None,
        )

    def keyless(self, address: str, body: Mapping[str, Any]) -> httpx.Request:
        """Return a request to a live call's own address; raises ReadRefused where `safe_address` does."""
        return self._http.build_request("POST", safe_address(address), json=body)

    async def send(self, request: httpx.Request, seconds: float) -> httpx.Response:
        """Send it once, as `sent` does; a reply that there were too many closes the gate."""
        response = await sent(self._http, request, seconds)
        if response.status_code == 429 and self._is_vapi(request) and not faults.lacks_lines(response.content):
            # Vapi counts all requests of a minute, so whatever was refused, the others would be, too, until that ends;
            # then the calls on the line are asked for again.
            self._gate.pause(self.asked_to_wait(response) or 0.0)
        return response

    def asked_to_wait(self, response: httpx.Response) -> float | None:
        """Return the seconds that a reply asks for; Vapi names none with a 429, whose minute ends with UTC's."""
        seconds = faults.retry_after(response.headers)
        if response.status_code != 429:
            return seconds
        if seconds is None:
            return 60.0 - self._clock.seconds() % 60.0 + _SPREAD * self._jitter()
        return min(seconds, _LONGEST_PAUSE)

    async def recording(self, address: str, headers: Mapping[str, str]) -> httpx.Response:
        """Ask for a recording; see `recordings.opened`."""
        return await recordings.opened(self._http, self._key, self.base_url, address, headers)

    async def _learn_time(self, response: httpx.Response) -> None:
        """Set the clock as soon as the head of a reply is there; a proxy's own page tells the proxy's own time."""
        if self._is_vapi(response.request) and "json" in response.headers.get("content-type", ""):
            self._clock.learn(response.headers.get("date"))

    def _is_vapi(self, request: httpx.Request) -> bool:
        return request.url.host == self._base.host


@lru_cache(16)  # nearly all requests go to one address, which takes long to read
def _address(base_url: str, path: str) -> httpx.URL:
    return httpx.URL(f"{base_url}{path}")
