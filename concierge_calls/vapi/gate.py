"""The one gate that every request to Vapi passes: how many in flight, how many a minute, and who goes first."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum, StrEnum
from typing import Final

from concierge_calls.plain import count

log = logging.getLogger(__name__)

FEED_EVERY: Final = 5.0  # seconds within which the feed gets one request, whatever else there is to ask
HANG_UPS_IN_FLIGHT: Final = 2
_MINUTE: Final = 60.0
_PAUSED: Final = (
    "Vapi takes no more requests just now, so nobody is dialled and nothing is asked for {seconds}; the calls on the "
    "line go on. If this comes often, set VAPI_MAX_REQUESTS_PER_MINUTE lower."
)
_SHORTEST_SLEEP: Final = 0.01  # clocks disagree by less; without it a wait could end just too early, again and again


class Priority(IntEnum):
    """What a request is for, in the order of right of way."""

    HANG_UP = 0
    CREATE = 1
    FEED = 2
    OVERDUE = 3
    ANALYSIS = 4
    SWEEP = 5


class Lane(StrEnum):
    """Requests of one lane share its places; a lane that is full holds up no other."""

    HANG_UPS = "hang-ups"
    CREATES = "creates"
    READS = "reads"


_CAN_WAIT: Final = frozenset({Priority.ANALYSIS, Priority.SWEEP})
_LANES: Final = {Priority.HANG_UP: Lane.HANG_UPS, Priority.CREATE: Lane.CREATES}


def lane_of(priority: Priority) -> Lane:
    """Return the lane a request of this priority goes by."""
    return _LANES.get(priority, Lane.READS)


class Ticket:
    """The right to send one HTTP request now; as a context manager it is given back at the end."""

    def __init__(self, priority: Priority, give_back: Callable[[bool], None]) -> None:
        self.priority = priority
        self._give_back: Callable[[bool], None] | None = give_back

    def __repr__(self) -> str:
        return f"<Ticket {self.priority.name}{'' if self._give_back else ', given back'}>"

    def __enter__(self) -> Ticket:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self, *, unused: bool = False) -> None:
        """Give the place in flight back, and the request itself if none was sent; once is enough."""
        give_back, self._give_back = self._give_back, None
        if give_back:
            give_back(unused)


class Budget:
    """The requests of one UTC minute, counted as Vapi counts them: a tumbling window, bursts allowed.

    Source: Vapi SDK 3.0.0, OrgApiLimitsDto. While `feeding`, room for one feed request in `FEED_EVERY` seconds is kept
    out of everybody's reach but the hang-ups'. A limit too small for that gives the feed half. What can wait leaves
    room for as many of what cannot as there were in the minute before, or a line would be idle until the next one; a
    tenth of the limit is for it all the same.
    """

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self.spent = 0
        self.feeding = False
        self.fed_at = -math.inf
        self.minute = now // _MINUTE
        self._urgent = self._urgent_before = 0  # in this minute, and in the one before

    def turn(self, now: float) -> None:
        """Begin a new minute, if it is one; a clock that was set back a little begins none."""
        minute = now // _MINUTE
        if minute > self.minute or minute < self.minute - 1:
            self._urgent_before = self._urgent if minute == self.minute + 1 else 0
            self.minute, self.spent, self._urgent = minute, 0, 0

    def spend(self, priority: Priority, now: float) -> None:
        """Count one request."""
        self.spent += 1
        self._urgent += priority not in _CAN_WAIT
        if priority is Priority.FEED:
            self.fed_at = now

    def give_back(self, priority: Priority) -> None:
        """Count one request of this minute no longer, because it was not sent."""
        self.spent -= 1
        self._urgent -= priority not in _CAN_WAIT

    def opens(self, priority: Priority, now: float) -> float:
        """Return from when on a request of this priority may be sent; `now` when it may at once."""
        left = self.limit - self.spent
        next_minute = (max(now // _MINUTE, self.minute) + 1) * _MINUTE
        kept = self._kept(now, next_minute)
        if priority in _CAN_WAIT:
            expected = math.ceil(self._urgent_before * (next_minute - now) / _MINUTE)
            kept = max(kept, min(expected, self.limit - max(1, self.limit // 10)))
        if not self.limit or left > kept:
            return now
        if left > 0 and priority is Priority.HANG_UP:
            return now
        if left > 0 and priority is Priority.FEED and self.feeding:
            return min(max(now, self.fed_at + self._pace()), next_minute)
        return next_minute

    def _kept(self, now: float, until: float) -> int:
        """Return how many requests of this minute are the feed's."""
        due = max(now, self.fed_at + self._pace())
        return math.ceil((until - due) / self._pace()) if self.feeding and due < until else 0

    def _pace(self) -> float:
        return max(FEED_EVERY, _MINUTE / (self.limit // 2)) if self.limit > 1 else math.inf


class Gate:
    """At most `in_flight` creates and as many reads at once, and at most so many requests a minute; 0 is no limit.

    `now` is Vapi's clock in seconds, because Vapi counts in UTC minutes. Every HTTP request takes a ticket of its own.
    """

    def __init__(
        self,
        max_requests_per_minute: int = 150,
        *,
        in_flight: int = 4,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._seen = now()
        self._budget = Budget(max_requests_per_minute, self._seen)
        self._places = {Lane.HANG_UPS: HANG_UPS_IN_FLIGHT, Lane.CREATES: in_flight, Lane.READS: in_flight}
        self._in_flight = dict.fromkeys(Priority, 0)
        self._waiting: dict[Priority, deque[asyncio.Future[Ticket]]] = {each: deque() for each in Priority}
        self._paused_until = -math.inf
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = math.inf

    def __repr__(self) -> str:
        lanes = ", ".join(f"{self._taken(lane)}/{places} {lane}" for lane, places in self._places.items())
        minute = f"{self._budget.spent}/{self._budget.limit or '∞'} this minute"
        waiting = sum(map(len, self._waiting.values()))
        paused = ", paused" if self._paused_until > self._now() else ""
        return f"<Gate {lanes} in flight, {minute}, {waiting} waiting{paused}>"

    async def enter(self, priority: Priority) -> Ticket:
        """Wait until a request of this priority may be sent; first come, first served among equals."""
        turn: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._waiting[priority].append(turn)
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            self._withdraw(priority, turn)
            raise

    def pause(self, seconds: float) -> None:
        """Let nobody pass but hang-ups for so many seconds, as after a 429, and say so once."""
        now = self._read_clock()
        if seconds > 0 and self._paused_until <= now:
            log.warning(_PAUSED.format(seconds=count(math.ceil(seconds), "second")))
        self._paused_until = max(self._paused_until, now + seconds)

    def feeding(self, on: bool) -> None:
        """Keep room for the feed, or no longer."""
        self._budget.feeding = on
        self._admit()

    def _withdraw(self, priority: Priority, turn: asyncio.Future[Ticket]) -> None:
        """Take back a wait that was cancelled, and what had been granted to it a moment before."""
        if turn.done() and not turn.cancelled():
            turn.result().release(unused=True)
            return
        with contextlib.suppress(ValueError):  # whoever admits meanwhile has dropped it already
            self._waiting[priority].remove(turn)
        self._admit()

    def _admit(self) -> None:
        """Let everybody pass who may now, in the order of right of way, and set the alarm for those who may not."""
        now = self._read_clock()
        self._budget.turn(now)
        nearest = math.inf
        for priority, queue in self._waiting.items():
            while queue and self._has_place(priority):
                opens = self._opens(priority, now)
                if opens > now:
                    nearest = min(nearest, opens)
                    break
                self._let_pass(priority, queue.popleft(), now)
        self._set_alarm(nearest)

    def _let_pass(self, priority: Priority, turn: asyncio.Future[Ticket], now: float) -> None:
        if turn.done():  # cancelled, and not yet withdrawn
            return
        self._in_flight[priority] += 1
        self._budget.spend(priority, now)
        minute = self._budget.minute
        turn.set_result(Ticket(priority, lambda unused: self._leave(priority, minute if unused else None)))

    def _leave(self, priority: Priority, unused_in: float | None) -> None:
        self._in_flight[priority] -= 1
        if unused_in == self._budget.minute:  # of a minute that is over nothing is left to give back
            self._budget.give_back(priority)
        self._admit()

    def _taken(self, lane: Lane) -> int:
        return sum(count for priority, count in self._in_flight.items() if lane_of(priority) is lane)

    def _has_place(self, priority: Priority) -> bool:
        """Say whether the lane has room; its last place is kept for the feed, so that slow reads never stop that."""
        lane = lane_of(priority)
        others = lane is Lane.READS and priority is not Priority.FEED and self._places[lane] > 1
        kept = others and self._budget.feeding and not self._in_flight[Priority.FEED]
        return self._taken(lane) + kept < self._places[lane]

    def _opens(self, priority: Priority, now: float) -> float:
        opens = self._budget.opens(priority, now)
        return opens if priority is Priority.HANG_UP else max(self._paused_until, opens)

    def _read_clock(self) -> float:
        """Read Vapi's clock; where it was set back, what is waited for moves with it."""
        now = self._now()
        back = min(0.0, now - self._seen)
        self._paused_until += back
        self._budget.fed_at += back
        self._seen = now
        return now

    def _set_alarm(self, at: float) -> None:
        """Come back when the clock lets somebody pass; an alarm that rings too early only looks again."""
        if self._alarm and self._alarm_at <= at < math.inf and not self._alarm.done():
            return
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if at < math.inf:
            self._alarm_at = at
            self._alarm = asyncio.get_running_loop().create_task(self._ring(at - self._seen), name="gate")

    async def _ring(self, seconds: float) -> None:
        await self._sleep(max(seconds, _SHORTEST_SLEEP))
        self._alarm = None
        self._admit()
