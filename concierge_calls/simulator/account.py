"""Vapi's side of an account: its calls, its lines, and what becomes due as time goes by.

Nothing runs in the background. Whatever is due stands in a heap, and each request first lets everything happen that
should have happened by then, in order and at its own moment. So thousands of live calls cost nothing between requests.
"""

import heapq
import itertools
import json
import os
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from concierge_calls.simulator import calls
from concierge_calls.simulator.calls import Call
from concierge_calls.simulator.endings import Ending, Manner
from concierge_calls.simulator.options import SimulatorOptions

OVER_THE_LIMIT: Final = "call.start.error-subscription-concurrency-limit-reached"
OUT_OF_CREDIT: Final = "call.start.error-subscription-insufficient-credits"
_HANG_UP_SECONDS: Final = 0.5
_NO_LIMIT: Final = 10_000


class NoLineError(Exception):
    """All lines are taken, and the options say that Vapi refuses at the create."""


class Account:
    """All calls of the account; every public method first catches up with the clock, under one lock."""

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.calls: dict[str, Call] = {}
        self.created: list[Call] = []
        self.log: list[tuple[float, Call]] = []
        self.live = 0
        self.peak = 0
        self.lock = threading.RLock()
        self._due: list[tuple[float, int, Call, str, str | None]] = []
        self._order = itertools.count()
        self._blocked: deque[Call] = deque()
        self._assistants: dict[str, dict[str, Any]] = {}
        # Read once: a clock that jumped would put the past before what has happened already.
        self._began = time.time() - time.monotonic() + options.clock_skew

    def __repr__(self) -> str:
        return f"<Account {self.live} on the line, {len(self._blocked)} blocked, {len(self.calls)} calls>"

    def now(self) -> float:
        """Return the moment in Vapi's clock, which never runs backwards."""
        return self._began + time.monotonic()

    def create(self, body: dict[str, Any]) -> Call:
        """Take a call and let its phone ring in due course.

        Raises:
            NoLineError: all lines are taken, in the shapes `400` and `429`.
        """
        with self.lock:
            now = self.catch_up()
            full = self._is_full()
            if full and self.options.lines_shape in ("400", "429"):
                raise NoLineError
            call = calls.plan(_identifier(now), self._shared(body), self.options, now)
            self._enter(call, full)
            return call

    def catch_up(self) -> float:
        """Let everything happen that is due by now, and return that moment."""
        with self.lock:
            now = self.now()
            while self._due and self._due[0][0] <= now:
                moment, _, call, what, reason = heapq.heappop(self._due)
                self._happen(moment, call, what, reason)
            while self._blocked and not self._is_full():
                self._dial_blocked(now)
            return now

    def hang_up(self, call: Call) -> None:
        """End a call that is in progress, as its control URL does."""
        with self.lock:
            if not self.options.deaf:
                self._schedule(self.catch_up() + _HANG_UP_SECONDS / call.speed, call, "end", "manually-canceled")

    def delete(self, call: Call) -> None:
        """Erase a call's data; one that waits for a line is cancelled instead and stays readable."""
        with self.lock:
            now = self.catch_up()
            if call.status == "scheduled":
                self._blocked.remove(call)
                self._finish(now, call, "scheduled-call-deleted")
            else:
                call.erased = True

    def changed_since(self, since: float, until: float) -> Iterator[Call]:
        """Yield each call once whose `updatedAt` moved between the two moments."""
        start = bisect_left(self.log, since, key=lambda entry: entry[0])
        seen: set[str] = set()
        for moment, call in itertools.islice(self.log, start, None):
            if moment > until:
                return
            if call.id not in seen:
                seen.add(call.id)
                yield call

    def newest(self, before: float) -> Iterator[Call]:
        """Yield the calls created up to that moment, the newest first."""
        end = bisect_left(self.created, before, key=lambda call: call.created)
        while end < len(self.created) and self.created[end].created <= before:
            end += 1
        return reversed(self.created[:end])

    def _is_full(self) -> bool:
        return 0 < self.options.lines <= self.live

    def _enter(self, call: Call, full: bool) -> None:
        self.calls[call.id] = call
        self.created.append(call)
        if self.options.refuse == "credits-ended":
            call.ending = _never_placed(OUT_OF_CREDIT)
        if full and self.options.lines_shape == "ended":
            call.ending = _never_placed(OVER_THE_LIMIT)
        elif full:
            self._blocked.append(call)
            self._change(call.created, call, "scheduled")
        if not call.changes:
            self._dial(call.created, call)
        call.limits = self._limits(blocked=call.status == "scheduled")

    def _limits(self, *, blocked: bool) -> dict[str, Any]:
        limit = self.options.lines or _NO_LIMIT
        # Vapi: remainingConcurrentCalls counts "including this call" (OpenAPI, schema SubscriptionLimits).
        left = 0 if blocked else max(0, limit - self.live + 1)
        return {"concurrencyBlocked": blocked, "concurrencyLimit": limit, "remainingConcurrentCalls": left}

    def _dial(self, moment: float, call: Call) -> None:
        if call.ending.manner is not Manner.UNPLACED:
            call.on_line = True
            self.live += 1
            self.peak = max(self.peak, self.live)
        self._change(moment, call, "queued")
        following = "end" if call.ending.manner is Manner.UNPLACED else "ring"
        self._then(moment, calls.QUEUE_SECONDS, call, following)

    def _dial_blocked(self, moment: float) -> None:
        call = self._blocked.popleft()
        call.limits = {**call.limits, "concurrencyBlocked": False}
        self._dial(moment, call)

    def _happen(self, moment: float, call: Call, what: str, reason: str | None) -> None:
        if what == "analysis":
            self._analyse(moment, call)
        elif call.ended is None:
            {"ring": self._ring, "answer": self._answer, "end": self._end}[what](moment, call, reason)

    def _ring(self, moment: float, call: Call, _reason: str | None) -> None:
        call.rang = moment
        self._change(moment, call, "ringing")
        self._then(moment, call.ending.ring, call, "answer" if call.is_answered() else "end")

    def _answer(self, moment: float, call: Call, _reason: str | None) -> None:
        call.answered = moment
        self._change(moment, call, "in-progress")
        self._then(moment, call.talk, call, "end")

    def _end(self, moment: float, call: Call, reason: str | None) -> None:
        self._finish(moment, call, reason or call.ending.reason)
        delay = self.options.analysis_delay / call.speed
        if self.options.analysis != "missing" and call.answered is not None:
            self._schedule(moment + delay, call, "analysis")

    def _finish(self, moment: float, call: Call, reason: str) -> None:
        call.ended, call.reason = moment, reason
        self._change(moment, call, "ended")
        if call.on_line:
            call.on_line = False
            self.live -= 1
        if self._blocked and not self._is_full():
            self._dial_blocked(moment)

    def _analyse(self, moment: float, call: Call) -> None:
        call.analysed = moment
        if self.options.analysis == "late" and any(call.findings()):
            self._change(moment, call, "ended")

    def _change(self, moment: float, call: Call, status: str) -> None:
        call.changes.append((moment, status))
        self.log.append((moment, call))

    def _then(self, moment: float, seconds: float, call: Call, what: str) -> None:
        if self.options.stuck.get(call.number) != call.status:
            self._schedule(moment + seconds / call.speed, call, what)

    def _schedule(self, moment: float, call: Call, what: str, reason: str | None = None) -> None:
        heapq.heappush(self._due, (moment, next(self._order), call, what, reason))

    def _shared(self, body: dict[str, Any]) -> dict[str, Any]:
        """Keep one copy of an assistant that is sent along with each of thousands of calls."""
        if not body.get("assistant"):
            return body
        text = json.dumps(body["assistant"], sort_keys=True)
        return {**body, "assistant": self._assistants.setdefault(text, body["assistant"])}


def _never_placed(reason: str) -> Ending:
    return Ending(reason, Manner.UNPLACED, "available", "0", 0.0)


def _identifier(now: float) -> str:
    """Return a UUID of version 7, which Vapi's call ids are: the time in front, the rest at random."""
    bits = int(now * 1000) << 80 | 0x7 << 76 | int.from_bytes(os.urandom(10)) & ~(0xF << 76)
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
