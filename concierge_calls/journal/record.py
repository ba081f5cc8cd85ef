"""One run's record: its rows, how each moves on, and the lock that keeps others away from it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from concierge_calls.errors import IllegalTransition, JournalError, JournalFull
from concierge_calls.journal import drafts, guards, longest, sittings, transitions
from concierge_calls.journal.entries import Attempt, Claim, Clock, HistoryRow
from concierge_calls.journal.handovers import Handovers
from concierge_calls.journal.lock import RunLock, is_held
from concierge_calls.journal.reading import Reader
from concierge_calls.journal.redials import Redials
from concierge_calls.journal.room import Room
from concierge_calls.journal.rows import to_text
from concierge_calls.journal.starts import START_FAILED
from concierge_calls.journal.writer import Writer
from concierge_calls.models import CallOutcome, CallRequest, CallResult, CallState, EventKind, Reason

T = TypeVar("T")


class RunRecord:
    """A run that this process works on; what a method returns is committed."""

    def __init__(self, run_id: str, writer: Writer, reader: Reader, lock: RunLock, clock: Clock) -> None:
        """Work on this run, whose lock is held."""
        self.id = run_id
        self.handovers = Handovers(run_id, writer, clock)
        self._writer = writer
        self._reader = reader
        self._lock = lock
        self._clock = clock
        self._sitting_since = clock.monotonic()
        self._room: Room | None = None
        self._taken_up = False
        self._dials = True
        self._redials = Redials()
        self._redialling = asyncio.Lock()  # of several that claim at once, one asks who is next

    def __repr__(self) -> str:
        return f"<RunRecord {self.id}>"

    def close(self) -> None:
        """Let others work on the run."""
        if self._room is not None:
            self._writer.forget(self._room)
            self._room.close()
            self._room = None
        self._lock.release()

    # — before the first dial —

    async def add(self, requests: Sequence[CallRequest]) -> None:
        """Add the next rows to the draft; those with a reason to skip are skipped."""
        await self._writer.write(partial(drafts.add, run_id=self.id, requests=requests, at=to_text(self._clock.now())))

    async def arrange(self) -> frozenset[longest.ToldBy]:
        """Have those dialled first who are expected to have a line longest, and return who tells that.

        Without it, and where nobody tells, the rows are dialled in the file's order.
        """
        return await self._writer.write(partial(longest.arrange, run_id=self.id))

    async def start(self) -> HistoryRow:
        """Begin the run: from now on it is listed, and can be resumed."""
        self._sitting_since = self._clock.monotonic()
        return await self._writer.write(partial(drafts.start, run_id=self.id, at=to_text(self._clock.now())))

    async def take_up(self) -> None:
        """Begin to work on a run that an earlier process began, whose document is owed again; once is enough."""
        if not self._taken_up:
            self._sitting_since = self._clock.monotonic()
            at = to_text(self._clock.now())
            await self._writer.write(partial(sittings.take_up, run_id=self.id, at=at))
            self._taken_up = True

    async def discard(self) -> None:
        """Forget a run that has dialled nobody, draft or not, altogether."""
        await self._writer.write(partial(drafts.discard, run_id=self.id))
        self.close()

    async def keep_room(self, calls: int) -> None:
        """Keep room on the disk for so many calls to end when it fills up; raises JournalFull when there is too little.

        Once that room was needed nobody is claimed until the disk has room again.
        """
        self._room = await asyncio.to_thread(Room, self._lock.path, calls)
        self._writer.keep(self._room)

    @property
    def lacks_room(self) -> bool:
        """Whether the disk was full, so that nobody new was dialled."""
        return self._room is not None and not self._room.is_held

    def dial_nobody(self) -> None:
        """Claim no row from now on, but those that are dialled again on request."""
        self._dials = False

    def dial_again(self, attempt: Attempt) -> None:
        """Have an attempt that is in doubt followed by another one before any other row is claimed.

        One that rings nobody because it came at a bad time is followed by yet another, until this sitting ends.
        """
        self._redials.ask(attempt)

    # — calling —

    async def claim(
        self, *, redial_after: datetime | None, at: datetime | None = None, believed: Collection[str] | None = None
    ) -> Claim:
        """Dial the next pending row that no guard holds back; rows that one holds back are skipped.

        With neither an attempt nor a skipped row nobody is left to dial. A number counts as called lately when another
        run called it after `redial_after`; None switches that guard off. `at` is the time in the backend's clock, for
        whoever has to look for the call later; this machine's stands in for it. A row whose number is on the line in
        a run that nobody works on waits for a look at that run, unless it is among those `believed`; None: all are.
        """
        now = self._clock.now()
        if self._room is not None and self.lacks_room and not await asyncio.to_thread(self._room.take_again):
            return Claim(attempt=None)
        try:
            if (again := await self._claim_again(at or now)) is not None or not self._dials:
                return again or Claim(attempt=None)
            is_doubted = partial(self.is_doubted, believed)
            guard = partial(guards.held_back, run_id=self.id, redial_after=redial_after, is_doubted=is_doubted)
            return await self._claimed(partial(transitions.claim, run_id=self.id, at=at or now, now=now, guard=guard))
        except JournalFull:
            if not self.lacks_room:
                raise
            return Claim(attempt=None)

    def is_doubted(self, believed: Collection[str] | None, run_id: str) -> bool:
        """Whether the other run has to be looked at before it is believed that it has a number on the line."""
        return believed is not None and run_id not in believed and not is_held(self._reader.path.parent, run_id)

    async def redial(self, attempt: Attempt, *, at: datetime | None = None) -> Claim | Reason:
        """Dial an uncertain row once more, because the user asked for its number; or why that cannot be."""
        now = self._clock.now()
        return await self._claimed(partial(transitions.redial, attempt=attempt, at=at or now, now=now))

    async def _claim_again(self, at: datetime) -> Claim | None:
        async with self._redialling:
            while (attempt := self._redials.next) is not None:
                claim: Claim | Reason | None = None
                with suppress(IllegalTransition):  # it is in doubt no longer, since it was found meanwhile
                    claim = await self.redial(attempt, at=at)
                self._redials.dialled(claim)
                if isinstance(claim, Claim):
                    return claim
            return None

    async def _claimed(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        return await self._writer.write_for(operation, self._take_back)

    def take_back(self, attempt: Attempt) -> None:
        """Have the row of an attempt that was never sent wait again, as soon as can be; whoever asks does not wait."""
        with suppress(JournalError):  # the journal has been closed; a resume looks for the call, and finds none
            self._writer.submit(partial(self._void, attempt))

    def _take_back(self, db: sqlite3.Connection, claim: object) -> None:
        if isinstance(claim, Claim) and claim.attempt is not None:  # and whoever claimed was cancelled before
            self._void(claim.attempt, db)

    def _void(self, attempt: Attempt, db: sqlite3.Connection) -> None:
        reason = Reason("not_sent", "The run was interrupted before the request left.")
        transitions.void(db, attempt=attempt, reason=reason, now=self._clock.now())

    async def placed(
        self, attempt: Attempt, call_id: str, created_at: datetime | None, *, adopted: bool = False
    ) -> HistoryRow:
        """From dialing to placed; with `adopted`, for a call found at the backend, from uncertain too."""
        return await self._move(transitions.placed, attempt, call_id=call_id, created_at=created_at, adopted=adopted)

    async def progressed(self, attempt: Attempt, kind: EventKind) -> HistoryRow | None:
        """A placed call rings or was taken; None when that has been told before."""
        return await self._move(transitions.progressed, attempt, kind=kind)

    async def withdrawing(self, attempt: Attempt) -> None:
        """A placed call is about to be taken back; nothing is told of it, and a resume knows it."""
        await self._move(transitions.withdrawing, attempt)

    async def ended(self, attempt: Attempt, outcome: CallOutcome, body: bytes | None = None) -> HistoryRow:
        """From placed to ended, with what is known so far; the number is free for other runs."""
        return await self._move(transitions.ended, attempt, outcome=outcome, body=body)

    async def settled(self, attempt: Attempt, result: CallResult, body: bytes | None = None) -> HistoryRow:
        """From ended to settled; who said on the phone not to be called is kept in the same commit."""
        return await self._move(transitions.settled, attempt, result=result, body=body)

    async def refused(self, attempt: Attempt, result: CallResult) -> HistoryRow:
        """From dialing to refused, or back to uncertain where an earlier attempt of its row is."""
        row = await self._move(transitions.refused, attempt, result=result)
        if row.result is not None:
            self._redials.put_back(attempt, result.error, for_good=True)
        return row

    async def uncertain(self, attempt: Attempt, result: CallResult) -> HistoryRow:
        """From dialing, placed or ended to uncertain."""
        return await self._move(transitions.uncertain, attempt, result=result)

    async def void(self, attempt: Attempt, reason: Reason) -> HistoryRow:
        """From dialing, placed or ended back to pending, since this attempt certainly rang nobody.

        Where an earlier attempt of its row may have, back to uncertain, and that attempt is its latest again.
        """
        row = await self._move(transitions.void, attempt, reason=reason)
        if row.result is not None:
            self._redials.put_back(attempt, reason, for_good=reason.code == START_FAILED)
        return row

    # — the run as a whole —

    def history(self, after: int = 0, limit: int = 100) -> list[HistoryRow]:
        """What happened after the event with this number, oldest first."""
        return self._reader.history(self.id, after, limit)

    async def unfinished(self) -> list[Attempt]:
        """The attempts that a resume takes up: dialing, placed, ended or uncertain."""
        return await self._writer.write(partial(transitions.unfinished, run_id=self.id))

    async def has_dialled(self) -> bool:
        """Whether there was ever an attempt to dial somebody."""
        return await self._writer.write(partial(drafts.has_dialled, run_id=self.id))

    async def counts(self) -> Mapping[CallState, int]:
        """How many rows are in each state."""
        return await self._writer.write(partial(_counts, run_id=self.id))

    async def finish(self, *, finished: bool, stopped: Reason | None = None) -> HistoryRow:
        """End this sitting: whether nothing is left to do, and why dialling stopped early if it did."""
        now = self._clock.monotonic()
        worked, self._sitting_since = now - self._sitting_since, now
        return await self._writer.write(
            partial(
                sittings.finish,
                run_id=self.id,
                finished=finished,
                stopped=stopped,
                worked_ms=round(worked * 1000),
                at=to_text(self._clock.now()),
            )
        )

    async def stop_for_good(self, reason: Reason, *, hang_up: bool = False) -> None:
        """Keep that nobody is dialled in this run any more, whoever takes it up, and whether its calls are hung up."""
        await self._writer.write(partial(sittings.stop_for_good, run_id=self.id, reason=reason, hang_up=hang_up))

    async def go(self, via: str) -> None:
        """Keep which way the run's calls go, where that has turned out since it was drafted."""
        sql = "UPDATE runs SET via = ? WHERE id = ?"
        await self._writer.write(lambda db: db.execute(sql, (via, self.id)).rowcount)

    def document_is_out(self) -> None:
        """Keep that the run's document was written, so that no resume owes it any more."""
        self._writer.submit(partial(sittings.document_is_out, run_id=self.id)).result()

    async def _move(self, transition: Callable[..., T], attempt: Attempt, **facts: object) -> T:
        return await self._writer.write(partial(transition, attempt=attempt, now=self._clock.now(), **facts))


def _counts(db: sqlite3.Connection, run_id: str) -> Mapping[CallState, int]:
    sql = "SELECT state, count(*) FROM rows WHERE run_id = ? GROUP BY state"
    return dict.fromkeys(CallState, 0) | {
        CallState(state): rows for state, rows in db.execute(sql, (run_id,)).fetchall()
    }
