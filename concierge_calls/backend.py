"""The contract of a telephony backend: who places calls, whatever network it speaks to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from concierge_calls.models import CallMethod, CallOutcome, CallRequest, Reason

# Our own deadline for a call is its creation, so many seconds of ringing, its own limit, and so many to end.
RINGING = 60.0  # Vapi, OpenAPI VapiSipTransport.dialTimeout
ENDING = 30.0


class Stage(StrEnum):
    """How far a call has come; each is told at most once, and never backwards."""

    WITHDRAWING = "withdrawing"  # it waits for a line, and is about to be taken back; it may ring all the same
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    ENDED = "ended"
    SETTLED = "settled"


class Verdict(StrEnum):
    """What an ended call means for its row and its run."""

    FINAL = "final"  # the outcome stands, whatever it is
    NO_LINE = "no_line"  # never dialled, for lack of lines: the row is placed again later
    START_FAILED = "start_failed"  # never dialled, the backend's own fault: once more
    WITHDRAWN = "withdrawn"  # never dialled: we took it back ourselves while it waited for a line
    ACCOUNT = "account"  # never dialled, and every other call would end so: the run is stopped
    LOST = "lost"  # the backend no longer knows the call: uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The backend's receipt for a call: from now on it is followed by its id and never dialled again."""

    call_id: str
    created_at: datetime  # in the backend's clock
    control_url: str | None = field(default=None, repr=False)  # a key to the live call: kept in memory only
    blocked: bool = False  # waits for a free line; the backend may dial it later by itself
    rang: bool = False  # a phone was heard to ring already, under an earlier process
    withdrawing: bool = False  # it was to be taken back already, so that may have been done
    over: Progress | None = field(default=None, repr=False)  # of a call that had ended when it was found: how


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a call failed that is not its number's fault, so that others may fail by it too."""

    reason: Reason  # why the run is stopped for it, and what to mend
    times: int = 3  # so many calls in a row that end for the same reason stop the run; 1: this one does
    before: Stage = Stage.IN_PROGRESS  # what it kept the call from; one that came so far begins the row anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step of a call that is followed."""

    stage: Stage
    outcome: CallOutcome | None = None  # with ended (as far as known) and settled (final)
    verdict: Verdict = Verdict.FINAL  # with ended
    reason: Reason | None = None  # with a verdict that is not final: why
    fault: Fault | None = None  # with ended
    body: bytes | None = None  # with ended and settled: the backend's own record, without keys to the call


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Whether the backend knows a call that is followed; while it does not, the call's line is another's."""

    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who calls, as those who are called see and hear it."""

    number: str | None = field(default=None, repr=False)  # E.164
    name: str | None = None  # what the number is called at the backend
    assistant: str | None = None  # the user's own; None for the tool's


class Turn(Protocol):
    """The right to let one request to place a call leave now."""

    def release(self, *, unused: bool = False) -> None:
        """Give the turn back, with the word that nothing was sent; once is enough, more does no harm."""


class Backend(Protocol):
    """Whoever places calls keeps these sentences; `caller` relies on nothing else.

    1. `check` reads what can be read before the first dial, tells who calls, and dials nobody.
    2. `turn` waits until a request may leave, so that the intent is committed just before it does.
    3. `place` sends at most one request that could make a phone ring, whatever happens to its reply.
    4. `place` raises NumberRefused, AccountRefused or ComeBackLater only when certainly nobody's phone rang.
    5. Every other failure of `place` is PlacementInDoubt.
    6. `find` looks for calls by the keys they were placed with; that one is absent proves nothing.
    7. `follow` yields ended exactly once, also for a call that must be hung up for its time limit.
    8. `follow` yields settled last, after ended, as soon as the outcome is final; with a verdict other than
       FINAL, ended is the last.
    9. A failed read never ends a call: it is asked again for as long as it takes.
    10. `hang_up` asks for the end of a call; that it ended is told by `follow` alone.
    11. `withdraw` takes back the calls that still wait for a line, those too that are followed from then on, and
        leaves those alone that ring.
    12. A verdict other than FINAL or LOST is told only of a call of which nothing was ever heard.
    13. `follow` raises AccountRefused when the backend has long refused to tell of any call; the calls go on.
    14. `turn` waits for as long as nobody can be reached, and nobody is dialled before a read was answered again.
    15. Of a call that ended for a reason that is not its number's fault, ended has the fault.
    16. `follow` yields withdrawing before anything leaves that takes a call back, so that the intent is committed;
        nothing leaves before it is asked for the next step.
    17. Of a call whose receipt says so already withdrawing is not told again, and when it turns out to have been
        taken back, it was us.
    18. `follow` tells when the backend has said for minutes that it knows no such call, and when it knows it again;
        neither ends the call.
    """

    @property
    def method(self) -> CallMethod:
        """By which way calls are placed here."""

    def now(self) -> datetime:
        """The time in the backend's clock."""

    def latest_end(self, created_at: datetime, *, known: bool = True) -> datetime:
        """Until when at the latest a call that was created then is settled, if the backend can be asked; its clock.

        It takes longer where the backend does not know the call, which may show itself until it is given up.
        """

    def latest_analysis(self, ended_at: datetime) -> datetime:
        """Until when at the latest the analysis of a call that ended then is awaited; the backend's clock."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Run whatever following needs while the context lasts."""

    async def check(self) -> Identity:
        """Ask whether calls can be placed at all, and by whom.

        Raises BackendUnreachable after 10 seconds without an answer, RunRefused when the answer is no.
        """

    async def turn(self) -> Turn:
        """Wait for the right to send one request."""

    async def place(self, request: CallRequest, key: str, turn: Turn) -> Placed:
        """Place the call under this key, and give the turn back when the reply is there."""

    async def find(self, keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        """Look once for calls that were placed with these keys in that time; returns those that were found."""

    def follow(self, placed: Placed) -> AsyncIterator[Progress | Sighting]:
        """Follow the call until its outcome is final; raises AccountRefused when that is not allowed any more."""

    def hang_up(self, call_id: str) -> None:
        """End this call for the user; its outcome is `cancelled` once it has ended."""

    def withdraw(self) -> Collection[str]:
        """Take back every followed call that still waits for a line; returns their ids, told of by `follow`."""
