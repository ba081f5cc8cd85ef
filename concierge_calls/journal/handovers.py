"""What of a run was handed to others to be dialled there: kept before the request leaves, until all of it is home."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from concierge_calls.journal import guards, homecoming, transitions
from concierge_calls.journal.entries import Attempt, Clock, HistoryRow
from concierge_calls.journal.homecoming import OnTheLine
from concierge_calls.journal.rows import load_attempt, to_moment, to_text
from concierge_calls.journal.writer import Writer
from concierge_calls.models import CallRequest, CallResult, CallState, Reason

T = TypeVar("T")

PAGE: Final = 100  # rows that are claimed in one commit
_WANTED: Final = (CallState.DIALING, CallState.PLACED, CallState.ENDED, CallState.UNCERTAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Rows that were handed over together, as one execution of a flow."""

    id: int
    label: str  # what the execution is found by
    namespace: str
    flow_id: str
    revision: int
    allowed: float  # seconds, after which it is killed
    posted_at: datetime | None = None  # None: its request certainly never left
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedPage:
    """One page of rows: those that were claimed, those that a guard held back, the dead runs others wait for."""

    attempts: list[Attempt]
    skipped: list[tuple[HistoryRow, CallRequest, Reason]] = field(repr=False)
    unsure: Collection[str]
    last: int | None  # index of the last row that was looked at; None when there was none


class Handovers:
    """Keeps what a run has handed over; what a method returns is committed, and each event it caused is in it."""

    def __init__(self, run_id: str, writer: Writer, clock: Clock) -> None:
        """Keep the handovers of this run, whose lock is held."""
        self._run_id = run_id
        self._writer = writer
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Handovers of {self._run_id}>"

    async def still_open(self) -> list[Handover]:
        """Those of which something may still come, oldest first."""
        return await self._writer.write(partial(_still_open, run_id=self._run_id))

    async def begin(self, *, namespace: str, flow_id: str, revision: int, allowed: float) -> Handover:
        """Begin one, of which nothing has left yet."""
        values = (namespace, flow_id, revision, allowed)
        return await self._writer.write(partial(_begin, run_id=self._run_id, values=values))

    async def claim(
        self,
        handover: Handover,
        *,
        after: int,
        at: datetime,
        redial_after: datetime | None,
        is_doubted: Callable[[str], bool],
    ) -> ClaimedPage:
        """Claim the next rows that wait, behind this index, as `RunRecord.claim` does; nobody is told that they dial.

        `at` is the time in the backend's clock.
        """
        guard = partial(guards.held_back, run_id=self._run_id, redial_after=redial_after, is_doubted=is_doubted)
        claim = partial(_claim, handover=handover, run_id=self._run_id, after=after, at=at, guard=guard)
        return await self._writer.write(partial(claim, now=self._clock.now()))

    async def posting(self, handover: Handover) -> Handover:
        """The request leaves now, so that its execution may be there from now on."""
        return await self._update(handover, posted_at=to_text(self._clock.now()))

    async def posted(self, handover: Handover, execution_id: str) -> Handover:
        """The execution is known."""
        return await self._update(handover, execution_id=execution_id)

    async def give_back(self, handover: Handover) -> None:
        """Have all its rows wait as though they had never been claimed: its request certainly never left."""
        await self._writer.write(partial(_give_back, handover=handover, at=to_text(self._clock.now())))

    async def in_doubt(self, handover: Handover) -> None:
        """Keep that those that nobody told of may have been dialled until now, so that they are looked for anew."""
        await self._writer.write(partial(_in_doubt, handover=handover, at=to_text(self._clock.now())))

    async def close(self, handover: Handover) -> None:
        """Nothing more comes of it; how many of its calls were on the line at once is added up."""
        await self.add_up(handover)
        await self._update(handover, closed_at=to_text(self._clock.now()))

    async def add_up(self, handover: Handover) -> None:
        """Add up how many of its calls were on the line at once, by what is known now."""
        await self._writer.write(partial(_add_up, handover=handover, at=to_text(self._clock.now())))

    async def attempts(self, handover: Handover) -> list[Attempt]:
        """The attempts whose results are not home yet, those too that are uncertain, in the file's order."""
        return await self._writer.write(partial(_attempts, handover=handover))

    async def begun(self, attempt: Attempt) -> list[HistoryRow]:
        """Somebody dials the row now; nothing when that has been told before."""
        return await self._move(homecoming.begun, attempt)

    async def placed(self, attempt: Attempt, call_id: str, line: OnTheLine) -> list[HistoryRow]:
        """The row's call is known, and may be on the line."""
        return await self._move(homecoming.placed, attempt, call_id=call_id, line=line)

    async def settled(self, attempt: Attempt, result: CallResult, line: OnTheLine) -> list[HistoryRow]:
        """The row's call is over, and its result final."""
        return await self._move(homecoming.settled, attempt, result=result, line=line)

    async def refused(self, attempt: Attempt, result: CallResult) -> list[HistoryRow]:
        """Certainly nobody's phone rang, by this number's own fault."""
        return await self._move(homecoming.refused, attempt, result=result)

    async def uncertain(self, attempt: Attempt, result: CallResult, line: OnTheLine) -> list[HistoryRow]:
        """The phone may have rung; a call's id is kept where there is one."""
        return await self._move(homecoming.uncertain, attempt, result=result, line=line)

    async def put_back(self, attempt: Attempt, reason: Reason) -> list[HistoryRow]:
        """The row was certainly never dialled, and waits again; nothing is told of one that nobody was told of."""
        return await self._move(homecoming.put_back, attempt, reason=reason)

    async def skipped(self, attempt: Attempt, reason: Reason) -> list[HistoryRow]:
        """The row was certainly never dialled, and is not to be called."""
        return await self._move(homecoming.skipped, attempt, reason=reason)

    async def _update(self, handover: Handover, **column: str) -> Handover:
        return await self._writer.write(partial(_update, handover=handover, column=column))

    async def _move(self, move: Callable[..., T], attempt: Attempt, **facts: object) -> T:
        return await self._writer.write(partial(move, attempt=attempt, now=self._clock.now(), **facts))


def _still_open(db: sqlite3.Connection, run_id: str) -> list[Handover]:
    sql = "SELECT * FROM handovers WHERE run_id = ? AND closed_at IS NULL ORDER BY id"
    return [_load(row) for row in db.execute(sql, (run_id,)).fetchall()]


def _begin(db: sqlite3.Connection, run_id: str, values: tuple[object, ...]) -> Handover:
    # A label is never used twice, or the execution of an earlier one would be found by it.
    count = "SELECT count(*) FROM handovers WHERE run_id = ?"
    label = f"{run_id}.{1 + int(db.execute(count, (run_id,)).fetchall()[0][0])}"
    sql = "INSERT INTO handovers (run_id, label, namespace, flow_id, revision, allowed) VALUES (?, ?, ?, ?, ?, ?)"
    new_id = db.execute(sql, (run_id, label, *values)).lastrowid
    return _load(db.execute("SELECT * FROM handovers WHERE id = ?", (new_id,)).fetchall()[0])


def _load(row: sqlite3.Row) -> Handover:
    names = ("id", "label", "namespace", "flow_id", "revision", "allowed", "execution_id")
    known: dict[str, Any] = {name: row[name] for name in names}
    return Handover(**known, posted_at=to_moment(row["posted_at"]))


def _claim(
    db: sqlite3.Connection,
    handover: Handover,
    run_id: str,
    after: int,
    at: datetime,
    now: datetime,
    guard: guards.Guard,
) -> ClaimedPage:
    attempts: list[Attempt] = []
    skipped: list[tuple[HistoryRow, CallRequest, Reason]] = []
    unsure, last = set[str](), None
    for _ in range(PAGE):
        asked = transitions.next_pending(db, run_id, after if last is None else last)
        if asked is None:
            break
        last = asked.index
        held_back = guard(db, asked.provider.phone or "")
        if held_back is None:
            attempts.append(_hand_over(db, handover, run_id, asked, at, now))
        elif isinstance(held_back, Reason):
            skipped.append((transitions.skip(db, run_id, asked, held_back, now), asked, held_back))
        else:
            unsure.add(held_back)
    return ClaimedPage(attempts, skipped, unsure, last)


def _hand_over(
    db: sqlite3.Connection, handover: Handover, run_id: str, asked: CallRequest, at: datetime, now: datetime
) -> Attempt:
    attempt = transitions.new_attempt(db, run_id, asked, at, now)
    sql = "UPDATE attempts SET handover_id = ?, waiting = 1, busy = 0 WHERE id = ?"
    db.execute(sql, (handover.id, attempt.id))
    transitions.move_row(db, attempt, (CallState.PENDING,), CallState.DIALING, now)
    return attempt


def _update(db: sqlite3.Connection, handover: Handover, column: dict[str, str]) -> Handover:
    [(name, value)] = column.items()
    db.execute(f"UPDATE handovers SET {name} = ? WHERE id = ?", (value, handover.id))  # noqa: S608 -- a name of ours
    return _load(db.execute("SELECT * FROM handovers WHERE id = ?", (handover.id,)).fetchall()[0])


def _give_back(db: sqlite3.Connection, handover: Handover, at: str) -> None:
    theirs = "SELECT id FROM attempts WHERE handover_id = ? AND waiting AND state = 'dialing'"
    db.execute(
        f"UPDATE rows SET state = 'pending', since = ? WHERE state = 'dialing' AND attempt_id IN ({theirs})",  # noqa: S608 -- ours
        (at, handover.id),
    )
    sql = """
        UPDATE rows SET attempt_id = (
            SELECT max(id) FROM attempts
            WHERE run_id = rows.run_id AND idx = rows.idx AND id <> rows.attempt_id
        )
        WHERE state = 'pending' AND attempt_id IN (SELECT id FROM attempts WHERE handover_id = ?)
    """
    db.execute(sql, (handover.id,))
    db.execute("DELETE FROM attempts WHERE handover_id = ?", (handover.id,))
    if db.execute("DELETE FROM handovers WHERE id = ? AND posted_at IS NULL", (handover.id,)).rowcount != 1:
        db.execute("UPDATE handovers SET closed_at = ? WHERE id = ?", (at, handover.id))


def _in_doubt(db: sqlite3.Connection, handover: Handover, at: str) -> None:
    db.execute("UPDATE attempts SET dialed_at = ? WHERE handover_id = ? AND state = 'dialing'", (at, handover.id))


def _add_up(db: sqlite3.Connection, handover: Handover, at: str) -> None:
    db.execute("UPDATE handovers SET peak = ? WHERE id = ?", (_peak(_spans(db, handover, at)), handover.id))


def _spans(db: sqlite3.Connection, handover: Handover, at: str) -> list[tuple[str, str]]:
    # Where nobody told, since its result did not come home, a call's own times stand in; some go on until now.
    sql = """
        SELECT coalesce(line_from, created_at, CASE WHEN waiting THEN NULL ELSE attempts.since END) AS begun,
            CASE WHEN attempts.state IN ('dialing', 'placed') THEN ?
                ELSE coalesce(line_until, json_extract(result, '$.ended_at')) END AS over
        FROM attempts JOIN rows ON rows.attempt_id = attempts.id
        WHERE handover_id = ? AND attempts.state NOT IN ('void', 'refused')
    """
    rows = db.execute(sql, (at, handover.id)).fetchall()
    return [(row["begun"], row["over"]) for row in rows if row["begun"] and row["over"]]


def _peak(spans: Iterable[tuple[str, str]]) -> int:
    most = now = 0
    # Of one moment the end is first: a line that was given back then is the next one's.
    for _, step in sorted(edge for begun, over in spans for edge in ((begun, 1), (max(begun, over), -1))):
        now += step
        most = max(most, now)
    return most


def _attempts(db: sqlite3.Connection, handover: Handover) -> list[Attempt]:
    sql = f"""
        SELECT attempts.id, attempts.run_id, attempts.idx, attempts.state,
            ordinal, key, dialed_at, last_status, withdrawing, call_id, created_at, request, result
        FROM attempts JOIN rows ON rows.attempt_id = attempts.id
        WHERE handover_id = ? AND attempts.state IN ({", ".join("?" * len(_WANTED))}) ORDER BY attempts.idx
    """  # noqa: S608 -- places for values
    return [load_attempt(row, 0) for row in db.execute(sql, (handover.id, *_WANTED)).fetchall()]
