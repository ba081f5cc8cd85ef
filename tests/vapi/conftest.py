"""A Vapi on paper: its calls go as each test writes them, in a time that passes only while everybody waits."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

import httpx
import pytest

from concierge_calls.backend import Backend, Placed, Progress, Sighting, Stage
from concierge_calls.vapi.backend import VapiBackend
from concierge_calls.vapi.client import VapiClient
from concierge_calls.vapi.clock import VapiClock
from concierge_calls.vapi.gate import Gate

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, 10, tzinfo=UTC)
TURNS = [
    {"role": "bot", "message": "Have I reached Ace Plumbing?", "secondsFromStart": 0.4},
    {"role": "user", "message": "You have, and we can come tomorrow.", "secondsFromStart": 3.0},
]
ANALYSIS = {"summary": "They can come.", "structuredData": {"availability": "available"}, "successEvaluation": "true"}


class _NoWaiting(selectors.DefaultSelector):
    """Jumps to the next moment at which something is due, instead of waiting for it."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if timeout is None and not found:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        if not found:
            self.passed += timeout or 0.0
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anybody works."""

    def __init__(self) -> None:
        self._clock = _NoWaiting()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.passed


def moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return moment(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class PaperCall:
    """A call, and what is going to become of it: (when, what then is different, does `updatedAt` move)."""

    id: str
    created: float
    changes: list[tuple[float, dict[str, Any], bool]] = field(default_factory=list)
    hidden_from: float = float("inf")  # from then on the list does not show it
    lag: float = 0.0  # by so many seconds the list shows it late
    unknown_until: float = float("-inf")  # GET answers 404 as long
    deaf: bool = False  # its control URL takes the order, and nobody hangs up
    takes_orders: bool = True
    survives_delete: bool = False

    def shown(self, at: float) -> dict[str, Any] | None:
        if at < self.created:
            return None
        url = f"https://control.test/{self.id}"
        body: dict[str, Any] = {"id": self.id, "createdAt": stamp(self.created), "monitor": {"controlUrl": url}}
        updated = self.created
        for when, what, moves in self.changes:
            if when <= at:
                body |= what
                updated = when if moves else updated
        return body | {"updatedAt": stamp(updated)}

    def cut_short(self, at: float, **what: Any) -> None:
        self.changes = [change for change in self.changes if change[0] <= at]
        self.changes.append((at, what, True))


class PaperVapi:
    """Answers like Vapi's API about the calls written on it; `requests` says what was asked, and when."""

    def __init__(self) -> None:
        self.calls: dict[str, PaperCall] = {}
        self.requests: list[tuple[float, str, dict[str, str]]] = []
        self.page = 1000  # the most that a list shows, whatever is asked for
        self.answer: Callable[[str, float], httpx.Response | None] = lambda kind, at: None  # instead of the truth
        self.delays: dict[str, float] = {}  # kind of request -> seconds until the answer
        self.clock_error: Callable[[str, float], float] = lambda kind, at: 0.0  # seconds, of an answer's Date
        self.created_with: dict[str, Any] = {}  # what becomes of a call that is created
        self.bodies: list[dict[str, Any]] = []
        self.assistant: dict[str, Any] = {"id": "theirs"}
        self.number = {"id": "ours", "number": "+18645550100", "name": "Front desk"}
        self.warnings: list[str] = []
        self.limit = 0  # requests a minute that we allow ourselves; 0 is no limit
        self.gate: Gate

    @property
    def asked(self) -> Counter[str]:
        return Counter(kind for _, kind, _ in self.requests)

    def moments(self, kind: str) -> list[float]:
        return [round(at, 3) for at, what, _ in self.requests if what == kind]

    def call(
        self,
        id: str = "c-1",  # noqa: A002
        *,
        created: float = 0.0,
        status: str = "queued",
        rings: float | None = 1.0,
        answered: float | None = 5.0,
        ends: float | None = 30.0,
        reason: str = "customer-ended-call",
        turns: list[dict[str, Any]] = TURNS,
        analysed: float | None = 4.0,
        frozen: bool = False,
        blocked: bool = False,
        **more: Any,
    ) -> Placed:
        """Write a call; moments are seconds from its creation, `analysed` from its end."""
        limits = {"subscriptionLimits": {"concurrencyBlocked": blocked}}
        steps: list[tuple[float | None, dict[str, Any], bool]] = [
            (0.0, {"status": status, **limits}, True),
            (rings, {"status": "ringing"}, True),
            (answered, {"status": "in-progress", "startedAt": stamp(created + (answered or 0.0))}, True),
        ]
        if ends is not None:
            end = {"status": "ended", "endedReason": reason, "endedAt": stamp(created + ends)}
            steps.append((ends, end | {"artifact": {"messages": turns}}, True))
            steps.append((analysed if analysed is None else ends + analysed, {"analysis": ANALYSIS}, not frozen))
        changes = [(created + after, what, moves) for after, what, moves in steps if after is not None]
        self.calls[id] = PaperCall(id, created, changes, **more)
        return Placed(call_id=id, created_at=moment(created), blocked=blocked)

    def run(self, scenario: Callable[[VapiBackend], Awaitable[T]], **settings: Any) -> T:
        """Play a scenario against it, to the end; an hour takes no time."""

        async def play() -> T:
            loop = asyncio.get_running_loop()
            clock = VapiClock(monotonic=loop.time, wall=lambda: EPOCH.timestamp() + loop.time())
            self.gate = Gate(self.limit, now=clock.seconds)
            transport = httpx.MockTransport(self._reply)
            async with VapiClient(
                "key", gate=self.gate, clock=clock, transport=transport, jitter=lambda: 0.5
            ) as client:
                backend = VapiBackend(
                    client,
                    phone_number_id="ours",
                    warn=self.warnings.append,
                    **{"assistant_id": None, "call_timeout": 300, "analysis_timeout": 120.0, "record": False}
                    | settings,
                )
                async with backend.open():
                    return await scenario(backend)

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(play())

    def follow(self, *placed: Placed, **settings: Any) -> list[list[tuple[float, Progress]]]:
        """Follow calls to their end, and return what was told of each, and when."""

        async def scenario(backend: VapiBackend) -> list[list[tuple[float, Progress]]]:
            return list(await asyncio.gather(*(told_of(backend, each) for each in placed)))

        return self.run(scenario, **settings)

    async def _reply(self, request: httpx.Request) -> httpx.Response:
        loop = asyncio.get_running_loop()
        kind, name = _kind(request), request.url.path.rpartition("/")[2]
        self.requests.append((loop.time(), kind, dict(request.url.params)))
        await asyncio.sleep(self.delays.get(kind, 0.0))
        at = loop.time()
        reply = self.answer(kind, at) or self._truth(kind, at, name, request)
        reply.headers["Date"] = format_datetime(moment(at + self.clock_error(kind, at)), usegmt=True)
        return reply

    def _truth(self, kind: str, at: float, name: str, request: httpx.Request) -> httpx.Response:
        if kind == "list":
            return httpx.Response(200, json=self._list(at, request.url.params))
        if kind == "create":
            return self._create(at, json.loads(request.content))
        if kind in ("phone-number", "assistant"):
            return httpx.Response(200, json=self.assistant if kind == "assistant" else self.number)
        return self._of_one_call(kind, at, self.calls.get(name))

    def _of_one_call(self, kind: str, at: float, call: PaperCall | None) -> httpx.Response:
        shown = call.shown(at) if call and at >= call.unknown_until else None
        if call is None or shown is None:
            return httpx.Response(404, json={"message": "Not Found", "statusCode": 404})
        if kind == "control":
            if not call.takes_orders or shown["status"] in ("scheduled", "queued", "ended"):
                return httpx.Response(400, json={"message": "not live"})
            if not call.deaf:
                call.cut_short(at, status="ended", endedReason="manually-canceled", endedAt=stamp(at))
        if kind == "delete" and not call.survives_delete:
            call.cut_short(at, status="ended", endedReason="scheduled-call-deleted", endedAt=stamp(at))
        return httpx.Response(200, json=shown)

    def _create(self, at: float, body: dict[str, Any]) -> httpx.Response:
        self.bodies.append(body)
        name = f"c-{len(self.calls) + 1}"
        self.call(name, created=at, **self.created_with)
        self.calls[name].changes.append((at, {"customer": body["customer"]}, False))
        return httpx.Response(201, json=self.calls[name].shown(at))

    def _list(self, at: float, filters: httpx.QueryParams) -> list[dict[str, Any]]:
        bodies = [call.shown(at - call.lag) for call in self.calls.values() if at < call.hidden_from]
        found = [body for body in bodies if body and _passes(body, filters)]
        found.sort(key=lambda body: str(body["createdAt"]), reverse=True)
        return found[: min(self.page, int(filters["limit"]))]


async def told_of(backend: VapiBackend, placed: Placed) -> list[tuple[float, Progress]]:
    loop = asyncio.get_running_loop()
    return [(round(loop.time(), 3), progress) async for progress in steps(backend, placed)]


async def steps(backend: Backend, placed: Placed) -> AsyncIterator[Progress]:
    """Follow the call, and leave out whether Vapi knows it."""
    async for told in backend.follow(placed):
        if isinstance(told, Progress):
            yield told


async def sighted(backend: VapiBackend, placed: Placed) -> list[tuple[float, bool | Stage]]:
    """Follow the call, and return when it was told that Vapi knows it or does not, and how far it came."""
    loop = asyncio.get_running_loop()
    told = [(round(loop.time(), 3), each) async for each in backend.follow(placed)]
    return [(at, each.known if isinstance(each, Sighting) else each.stage) for at, each in told]


def _kind(request: httpx.Request) -> str:
    if request.url.host == "control.test":
        return "control"
    kinds = {("POST", "/call"): "create", ("GET", "/call"): "list"}
    found = kinds.get((request.method, request.url.path))
    if found is None and request.url.path.startswith("/call/"):
        return "get" if request.method == "GET" else "delete"
    return found or request.url.path.split("/")[1]


def _passes(body: dict[str, Any], filters: httpx.QueryParams) -> bool:
    tests = {"Ge": lambda a, b: a >= b, "Le": lambda a, b: a <= b}
    return all(
        tests[name[-2:]](body[name[:-2]], value)
        for name, value in filters.items()
        if name[-2:] in tests and "At" in name
    )


@pytest.fixture
def vapi() -> PaperVapi:
    return PaperVapi()
