"""A backend on paper, in a time that passes only while everybody waits."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from concierge_calls.backend import Fault, Identity, Placed, Progress, Sighting, Stage, Turn, Verdict
from concierge_calls.errors import ComeBackLater, PlacementError, PlacementInDoubt, ReadFailed
from concierge_calls.models import (
    CallMethod,
    CallOutcome,
    CallRequest,
    CallStatus,
    Reason,
)

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, 10, tzinfo=UTC)
LATEST_END = 600.0  # seconds after its creation, by when a call is settled
LAG = 3600.0  # seconds more, if the backend does not know it
LATEST_ANALYSIS = 120.0  # seconds after its end, by when a call's analysis is no longer awaited
STUCK = 20.0  # seconds after which the journal's thread is taken for dead


class NoWaiting(selectors.DefaultSelector):
    """Jumps to the next moment at which something is due; waits for nothing but the journal's thread."""

    passed = 0.0
    writes = 0  # that the journal's thread has not done yet

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        waits_for_the_journal = self.writes > 0 and timeout != 0
        found: list[tuple[selectors.SelectorKey, int]] = super().select(STUCK if waits_for_the_journal else 0)
        if not found and (timeout is None or waits_for_the_journal):
            raise RuntimeError("everybody waits, and nothing will ever happen")
        if not found:
            self.passed += timeout or 0.0
        return found

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Stand still until the journal's thread has done its work."""
        self.writes += 1
        try:
            yield
        finally:
            self.writes -= 1


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anybody works."""

    def __init__(self) -> None:
        self.clock = NoWaiting()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.passed


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


def moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class Take:
    """What becomes of one request to dial."""

    error: PlacementError | None = None  # instead of a receipt
    after: float | None = 0.0  # the reply comes so many seconds after the request; None: it never comes
    dials: bool = True  # with an error of doubt: whether there is a call after all
    shown: float = 0.0  # `find` sees the call so many seconds after the request
    talk: float = 10.0  # seconds from the request to the end
    analysis: float = 0.0  # seconds from the end to the final outcome
    status: CallStatus = CallStatus.COMPLETED
    verdict: Verdict = Verdict.FINAL  # WITHDRAWN: it waits for a line, and after `talk` it is taken back
    read_back: float = 0.0  # seconds from when it was taken back until that is seen
    reason: str = "over"
    fault: Fault | None = None
    sightings: Sequence[float] = ()  # seconds from the request: it is unknown, it is known again, and so on


@dataclass
class PaperCall:
    """A call that the backend knows of."""

    id: str
    key: str
    created: float
    take: Take
    over: asyncio.Event = field(default_factory=asyncio.Event)
    impatient: asyncio.Event = field(default_factory=asyncio.Event)  # it is to wait no longer
    taken_back: bool = False
    ended: float | None = None
    cancelled: bool = False

    @property
    def rings(self) -> bool:
        """Whether it gets a line at all."""
        return self.take.verdict in (Verdict.FINAL, Verdict.LOST)

    @property
    def waits(self) -> bool:
        """Whether it waits for a line."""
        return self.take.verdict is Verdict.WITHDRAWN and not self.taken_back and self.ended is None


class Sent(NamedTuple):
    """A request that left, and how its attempt stood in the journal's file at that moment."""

    at: float
    row: int
    key: str
    committed: str | None


class Deleted(NamedTuple):
    """A call that was taken back, and whether that it was to be was in the journal's file at that moment."""

    call_id: str
    committed: bool


class PaperTurn:
    """A turn that counts how many are out."""

    def __init__(self, backend: FakeBackend) -> None:
        self._backend: FakeBackend | None = backend
        backend.turns_out += 1
        backend.turns_taken += 1

    def release(self, *, unused: bool = False) -> None:
        if self._backend is not None:
            self._backend.turns_out -= 1
            self._backend.turns_unused += unused
            self._backend = None


class FakeBackend:
    """Keeps the sentences of `Backend`, and remembers the truth; `takes` says what becomes of each row's attempts."""

    method = CallMethod.DIRECT_VAPI

    def __init__(
        self,
        takes: Mapping[int, Sequence[Take]],
        committed: Callable[[str], str | None],
        intended: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self.takes = {index: list(each) for index, each in takes.items()}
        self.calls: dict[str, PaperCall] = {}
        self.sent: list[Sent] = []
        self.looks: list[tuple[float, frozenset[str]]] = []
        self.followed: Counter[str] = Counter()
        self.deleted: list[Deleted] = []
        self.hung_up: list[str] = []
        self.live: set[str] = set()
        self.peak = 0
        self.turns_out = 0
        self.turns_taken = 0
        self.turns_unused = 0  # given back with the word that nothing was sent
        self.is_open = False
        self.unreadable = False  # every look fails
        self.looks_hang = False  # no look ever returns
        self.tells_after = 0.0  # seconds from the beginning of following until anything is told
        self.account_lines = 0  # how many calls may be live at once; 0 is any number
        self.too_many = Take(error=ComeBackLater("No line.", "no_line"))  # what becomes of one call more
        self.turn_takes = 0.0  # seconds until a request may leave
        self.bug: Exception | None = None  # raised by `follow`
        self._committed = committed
        self._intended = intended
        self._withdraws = False
        self._following: set[str] = set()

    @property
    def withdrawn(self) -> list[str]:
        """The ids of the calls that were taken back, each as often as that was asked for."""
        return [call.call_id for call in self.deleted]

    @property
    def order(self) -> list[int]:
        """The rows in the order in which they were dialled."""
        return [sent.row for sent in self.sent]

    @property
    def starts(self) -> list[float]:
        """When each request left."""
        return [sent.at for sent in self.sent]

    def now(self) -> datetime:
        return moment(asyncio.get_running_loop().time())

    def latest_end(self, created_at: datetime, *, known: bool = True) -> datetime:
        return created_at + timedelta(seconds=LATEST_END + (0.0 if known else LAG))

    def latest_analysis(self, ended_at: datetime) -> datetime:
        return ended_at + timedelta(seconds=LATEST_ANALYSIS)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self.is_open = True
        try:
            yield
        finally:
            self.is_open = False

    async def check(self) -> Identity:
        return Identity()

    async def turn(self) -> Turn:
        await asyncio.sleep(self.turn_takes)
        return PaperTurn(self)

    async def place(self, request: CallRequest, key: str, turn: Turn) -> Placed:
        self.sent.append(Sent(now(), request.index, key, self._committed(key)))
        coming = self.takes.get(request.index)
        full = 0 < self.account_lines <= len(self.live)
        take = self.too_many if full else coming.pop(0) if coming else Take()
        dials = take.error is None or (isinstance(take.error, PlacementInDoubt) and take.dials)
        call = self._dial(key, take) if dials else None
        await (asyncio.Event().wait() if take.after is None else asyncio.sleep(take.after))
        turn.release()
        if take.error is not None or call is None:
            raise take.error or AssertionError
        return _receipt(call)

    async def find(self, keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        self.looks.append((now(), frozenset(keys)))
        if self.unreadable:
            raise ReadFailed
        if self.looks_hang:
            await asyncio.Event().wait()
        seen = (call for call in self.calls.values() if call.key in keys and now() >= call.created + call.take.shown)
        return {call.key: _receipt(call) for call in seen if since <= moment(call.created) <= (until or self.now())}

    async def follow(self, placed: Placed) -> AsyncIterator[Progress | Sighting]:
        assert self.is_open
        call = self.calls[placed.call_id]
        self.followed[call.id] += 1
        if self.bug is not None:
            raise self.bug
        self._following.add(call.id)
        try:
            async for progress in self._told(call, placed):
                yield progress
        finally:
            self._following.discard(call.id)

    async def _told(self, call: PaperCall, placed: Placed) -> AsyncIterator[Progress | Sighting]:
        if self._withdraws:
            self._hurry(call)
        await asyncio.sleep(self.tells_after)
        if call.rings and not call.over.is_set():
            yield Progress(stage=Stage.RINGING)
            yield Progress(stage=Stage.IN_PROGRESS)
        ours = placed.withdrawing
        if call.waits:
            await call.impatient.wait()
            if call.waits:
                if not ours:
                    yield Progress(stage=Stage.WITHDRAWING)
                self._take_back(call)
                ours = True
        for number, seconds in enumerate(call.take.sightings):
            await asyncio.sleep(max(0.0, call.created + seconds - now()))
            yield Sighting(known=number % 2 == 1)
        await call.over.wait()
        outcome, verdict = _outcome(call), call.take.verdict
        if (placed.rang and verdict is not Verdict.LOST) or (verdict is Verdict.WITHDRAWN and not ours):
            verdict = Verdict.FINAL
        reason = None if verdict is Verdict.FINAL else Reason(verdict.value, f"It is {verdict.value}.")
        fault = call.take.fault
        yield Progress(stage=Stage.ENDED, outcome=outcome, verdict=verdict, reason=reason, fault=fault)
        if verdict is Verdict.FINAL:
            await asyncio.sleep(max(0.0, (call.ended or 0.0) + call.take.analysis - now()))
            yield Progress(stage=Stage.SETTLED, outcome=outcome)

    def hang_up(self, call_id: str) -> None:
        self.hung_up.append(call_id)
        call = self.calls[call_id]
        if call.waits:
            self._hurry(call)
            return
        call.cancelled = call.ended is None
        self._end(call)

    def withdraw(self) -> list[str]:
        self._withdraws = True
        waiting = [call for name in sorted(self._following) if (call := self.calls[name]).waits]
        for call in waiting:
            self._hurry(call)
        return [call.id for call in waiting]

    def _hurry(self, call: PaperCall) -> None:
        if call.waits:
            call.impatient.set()

    def _take_back(self, call: PaperCall) -> None:
        self.deleted.append(Deleted(call.id, self._intended(call.key)))
        call.taken_back = True
        asyncio.get_running_loop().call_later(call.take.read_back, self._end, call)

    def _dial(self, key: str, take: Take) -> PaperCall:
        call = PaperCall(f"call-{len(self.calls) + 1}", key, now(), take)
        self.calls[call.id] = call
        if call.rings:
            self.live.add(call.id)
            self.peak = max(self.peak, len(self.live))
        due = call.impatient.set if call.waits else partial(self._end, call)
        asyncio.get_running_loop().call_later(take.talk, due)
        return call

    def _end(self, call: PaperCall) -> None:
        call.ended = now() if call.ended is None else call.ended
        self.live.discard(call.id)
        call.impatient.set()
        call.over.set()


def _receipt(call: PaperCall) -> Placed:
    blocked = call.take.verdict is Verdict.WITHDRAWN
    over = (
        Progress(stage=Stage.ENDED, outcome=_outcome(call), verdict=call.take.verdict) if call.over.is_set() else None
    )
    return Placed(call_id=call.id, created_at=moment(call.created), blocked=blocked, over=over)


def _outcome(call: PaperCall) -> CallOutcome:
    status = CallStatus.CANCELLED if call.cancelled else call.take.status
    return CallOutcome(
        status=status,
        ended_reason=call.take.reason,
        started_at=moment(call.created),
        ended_at=moment(call.ended or 0.0),
        transcript=f"What was said in {call.id}.",
    )
