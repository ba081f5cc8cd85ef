"""One way to one Kestra: who asks, for how long a question is asked again, and whether a request has left."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from concierge_calls.errors import KestraNotStarted, KestraUnreachable, SettingsError
from concierge_calls.kestra.faults import Credentials, Place, will_last
from concierge_calls.kestra.refusals import Answer
from concierge_calls.loopback import is_loopback
from concierge_calls.wire import Wire, sent

LONGEST_TRY: Final = 90.0  # seconds; an input of some megabytes takes Kestra several
SHORTEST_TRY: Final = 5.0
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 4.0
_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0, pool=5.0)
_LOST: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)

Params = Mapping[str, str] | Sequence[tuple[str, str]]
Form = Sequence[tuple[str, tuple[str | None, bytes]]]  # a part for each input


class Connection:
    """Sends requests to one Kestra with one set of credentials.

    Raises SettingsError for credentials that cannot be used as they are. Proxies of the environment are used for https
    alone, where they only tunnel: one that reads a plain request may also repeat it.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None,
        password: str | None,
        api_token: str | None,
        tenant: str,
        patience: float,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[None]],
        monotonic: Callable[[], float],
    ) -> None:
        self._base = httpx.URL(url.rstrip("/"))
        kind, header = authorization(username, password, api_token)
        is_plain = self._base.scheme != "https"
        secrets = tuple(secret for secret in (password, api_token, header.partition(" ")[2]) if secret)
        self.place = Place(
            address=f"{self._base.scheme}://{self._base.netloc.decode('ascii')}{self._base.path.rstrip('/')}",
            tenant=tenant,
            credentials=kind,
            is_plain=is_plain,
            hide=secrets,
        )
        self.exposes_credentials = is_plain and kind != "none" and not is_loopback(self._base.host)
        self._patience = patience
        self._sleep = sleep
        self._monotonic = monotonic
        self._http = httpx.AsyncClient(
            headers={"Authorization": header} if header else {},
            transport=transport,
            timeout=_TIMEOUT,
            # A connection that is kept for longer may be closed by Kestra just as we send.
            limits=httpx.Limits(keepalive_expiry=5.0),
            follow_redirects=False,
            trust_env=not is_plain and not is_loopback(self._base.host),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def ask(
        self, what: str, method: str, path: str, *, params: Params | None = None, yaml: str | None = None
    ) -> bytes:
        """Ask about `what` until there is an answer, and return its body; only for what may be asked twice.

        Raises KestraRefused at a no, KestraUnreachable when patience is at an end.
        """
        until = self._monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            failure: KestraUnreachable
            try:
                answer = await self._once(method, path, params, yaml, until - self._monotonic())
            except _LOST as error:
                failure = self.place.unreachable(error)
                if will_last(error):
                    raise failure from error
            else:
                if isinstance(answer, bytes):
                    return answer
                if not answer.may_be_better_soon:
                    raise self.place.refusal(what, answer)
                failure = self.place.unanswered(what, answer)
            if self._monotonic() + pause > until:
                raise failure
            await self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def send_once(self, what: str, path: str, *, params: Params, form: Form) -> bytes:
        """Post a form once, whatever becomes of its reply, and return the reply's body.

        Raises KestraNotStarted when it certainly did nothing, else KestraInDoubt.
        """
        wire = Wire()
        request = self._request("POST", path, params=params, files=form or None, extensions={"trace": wire})
        try:
            response = await sent(self._http, request, LONGEST_TRY)
        except Exception as error:
            if wire.never_left(error):
                raise KestraNotStarted(self.place.unreachable(error).message) from error
            raise self.place.lost(error) from error
        if response.is_success:
            return response.content
        answer = _answer(response)
        if answer.certainly_did_nothing:
            refusal = self.place.refusal(what, answer)
            raise KestraNotStarted(refusal.message) from refusal
        raise self.place.doubt(answer)

    async def _once(
        self, method: str, path: str, params: Params | None, yaml: str | None, left: float
    ) -> bytes | Answer:
        headers = {"Content-Type": "application/x-yaml"} if yaml is not None else {}
        content = None if yaml is None else yaml.encode()
        request = self._request(method, path, params=params, content=content, headers=headers)
        response = await sent(self._http, request, min(LONGEST_TRY, max(left, SHORTEST_TRY)))
        return response.content if response.is_success else _answer(response)

    def _request(self, method: str, path: str, *, params: Params | None, **rest: Any) -> httpx.Request:
        asked = urlencode(params or (), quote_via=quote)  # with a %20, where httpx would write a +
        return self._http.build_request(method, f"{self._base}{path}{'?' if asked else ''}{asked}", **rest)


def authorization(username: str | None, password: str | None, api_token: str | None) -> tuple[Credentials, str]:
    """Return which credentials there are and the header that carries them, empty without any.

    Raises SettingsError for both kinds, for half of a pair, and for characters that neither can have.
    """
    if api_token and (username or password):
        raise SettingsError(
            "KESTRA_API_TOKEN is set, and KESTRA_USERNAME or KESTRA_PASSWORD as well, so it is not clear as whom to"
            " speak with Kestra. Unset the token (for the open-source edition), or the other two."
        )
    if api_token:
        if not all("!" <= letter <= "~" for letter in api_token):
            raise SettingsError("KESTRA_API_TOKEN has a character that no token has; copy it once more from Kestra.")
        return "token", f"Bearer {api_token}"
    if bool(username) != bool(password):
        there, missing = ("KESTRA_USERNAME", "KESTRA_PASSWORD") if username else ("KESTRA_PASSWORD", "KESTRA_USERNAME")
        raise SettingsError(f"{there} is set and {missing} is not; Kestra wants both. Set {missing}, or unset {there}.")
    if not username or not password:
        return "none", ""
    if ":" in username or not f"{username}{password}".isprintable():
        raise SettingsError(
            "KESTRA_USERNAME has a colon, or it or KESTRA_PASSWORD has a line end or the like, which neither can have;"
            " copy both once more."
        )
    return "basic", f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode('ascii')}"


def form(inputs: Mapping[str, str], files: Mapping[str, bytes]) -> Form:
    """Return the form by which an execution is started: a part for each input, a named one for a file."""
    return [
        *((name, (None, value.encode())) for name, value in inputs.items()),
        *((name, (name, content)) for name, content in files.items()),
    ]


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.content, response.headers.get("location", ""))
