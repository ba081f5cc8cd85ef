"""What moves a row from one state to the next; each moves exactly the one it expects, or nothing at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from concierge_calls.errors import IllegalTransition
from concierge_calls.journal import doubts, guards, starts, wishes
from concierge_calls.journal.entries import Attempt, Claim, HistoryRow
from concierge_calls.journal.keys import key_of
from concierge_calls.journal.rows import dump, dump_outcome, event, load_attempt, load_request, to_text
from concierge_calls.models import CallOutcome, CallRequest, CallResult, CallState, EventKind, Reason

_VOID = "void"  # of an attempt, whose row is pending or in doubt again
MOST_SKIPPED = 100  # rows held back by one claim, so that no commit takes long
_STEPS_ON_THE_LINE = (EventKind.CALL_RINGING, EventKind.CALL_IN_PROGRESS)
_LIVE = (CallState.DIALING, CallState.PLACED, CallState.ENDED)


class _Known(NamedTuple):
    """What a row says of its call beside the state."""

    status: str | None = None
    duration: float | None = None
    cost: float | None = None
    result: str | None = None


_NOTHING = _Known()


def claim(db: sqlite3.Connection, run_id: str, at: datetime, now: datetime, guard: guards.Guard) -> Claim:
    """Dial the run's next pending row that the guard does not hold back; one that waits for a look stays pending."""
    _must_have_begun(db, run_id)
    skipped: list[tuple[HistoryRow, CallRequest, Reason]] = []
    unsure, after = set[str](), -1
    while len(skipped) < MOST_SKIPPED and (asked := next_pending(db, run_id, after)):
        held_back = guard(db, _number(asked))
        if held_back is None:
            attempt = new_attempt(db, run_id, asked, at, now)
            move_row(db, attempt, (CallState.PENDING,), CallState.DIALING, now)
            return Claim(attempt=attempt, skipped=skipped, event=last_event(db), unsure=unsure)
        if isinstance(held_back, Reason):
            skipped.append((skip(db, run_id, asked, held_back, now), asked, held_back))
        else:
            unsure.add(held_back)
            after = asked.index
    return Claim(attempt=None, skipped=skipped, unsure=unsure)


def redial(db: sqlite3.Connection, attempt: Attempt, at: datetime, now: datetime) -> Claim | Reason:
    """Dial an uncertain row once more, because the user asked for its number; or why that cannot be."""
    if held_back := guards.why_not(db, _number(attempt.asked), attempt.run_id, None):
        return held_back
    doubts.keep(db, attempt.run_id, attempt.index)
    again = new_attempt(db, attempt.run_id, attempt.asked, at, now)
    move_row(db, again, (CallState.UNCERTAIN,), CallState.DIALING, now)
    return Claim(attempt=again, event=last_event(db))


def placed(
    db: sqlite3.Connection, attempt: Attempt, call_id: str, created_at: datetime | None, adopted: bool, now: datetime
) -> HistoryRow:
    """Keep the id under which the call is followed from now on."""
    expected = (CallState.DIALING, CallState.UNCERTAIN) if adopted else (CallState.DIALING,)
    created = None if created_at is None else to_text(created_at)
    facts = {"call_id": call_id, "created_at": created, "adopted": adopted, "waiting": 0}
    return _move(db, attempt, expected, CallState.PLACED, now, facts=facts)


def progressed(db: sqlite3.Connection, attempt: Attempt, kind: EventKind, now: datetime) -> HistoryRow | None:
    """Keep the backend's last status of a call on the line; None when that has been told before."""
    if kind not in _STEPS_ON_THE_LINE:
        raise IllegalTransition(f"A call on the line does not progress to {kind}; this is a bug, please report it.")
    on_the_line = "SELECT last_status FROM attempts WHERE id = ? AND state = 'placed'"
    found = db.execute(on_the_line, (attempt.id,)).fetchall()
    if not found:
        raise _illegal(attempt, (CallState.PLACED,), kind)
    status = kind.removeprefix("call.")
    if found[0]["last_status"] in (status, "in_progress"):
        return None
    db.execute("UPDATE attempts SET last_status = ?, since = ? WHERE id = ?", (status, to_text(now), attempt.id))
    return last_event(db)


def withdrawing(db: sqlite3.Connection, attempt: Attempt, now: datetime) -> None:
    """Keep that a call on the line is about to be taken back, before it is."""
    sql = "UPDATE attempts SET withdrawing = 1, since = ? WHERE id = ? AND state = 'placed'"
    if db.execute(sql, (to_text(now), attempt.id)).rowcount != 1:
        raise _illegal(attempt, (CallState.PLACED,), "withdrawing")


def ended(
    db: sqlite3.Connection, attempt: Attempt, outcome: CallOutcome, body: bytes | None, now: datetime
) -> HistoryRow:
    """Keep what is known of a call that is over, and the wish not to be called again, and give its number free."""
    wishes.keep(db, attempt, outcome, now)
    known = _known(outcome)._replace(status=None)
    return _move(db, attempt, (CallState.PLACED,), CallState.ENDED, now, known, _with_body(body))


def settled(
    db: sqlite3.Connection, attempt: Attempt, result: CallResult, body: bytes | None, now: datetime
) -> HistoryRow:
    """Keep the final result, and the wish not to be called again."""
    wishes.keep(db, attempt, result, now)
    return _move(db, attempt, (CallState.ENDED,), CallState.SETTLED, now, _known(result), _with_body(body))


def refused(db: sqlite3.Connection, attempt: Attempt, result: CallResult, now: datetime) -> HistoryRow:
    """Keep that certainly nobody's phone rang, by this number's own fault; a row in doubt before is so again."""
    _move_attempt(db, attempt, (CallState.DIALING,), CallState.REFUSED, now)
    return _leave(db, attempt, (CallState.DIALING,), CallState.REFUSED, now, _known(result))


def uncertain(db: sqlite3.Connection, attempt: Attempt, result: CallResult, now: datetime) -> HistoryRow:
    """Keep that the phone may have rung."""
    return _move(db, attempt, _LIVE, CallState.UNCERTAIN, now, _known(result))


def void(db: sqlite3.Connection, attempt: Attempt, reason: Reason, now: datetime) -> HistoryRow:
    """Have the row wait again, since this attempt certainly rang nobody; a row in doubt before is so again."""
    _move_attempt(db, attempt, _LIVE, _VOID, now, {"reason": dump(reason)})
    return _leave(db, attempt, _LIVE, CallState.PENDING, now)


def unfinished(db: sqlite3.Connection, run_id: str) -> list[Attempt]:
    """The attempts of the run that are not at their end, in the file's order."""
    sql = """
        SELECT attempts.id, attempts.run_id, attempts.idx, attempts.state,
            ordinal, key, dialed_at, last_status, withdrawing, call_id, created_at, request, result
        FROM rows JOIN attempts ON attempts.id = rows.attempt_id
        WHERE rows.run_id = ? AND rows.state IN ('dialing', 'placed', 'ended', 'uncertain') ORDER BY rows.idx
    """
    rows = db.execute(sql, (run_id,)).fetchall()
    return [load_attempt(row, starts.failed(db, run_id, row["idx"])) for row in rows]


def last_event(db: sqlite3.Connection) -> HistoryRow:
    """What the triggers wrote last; within a transaction nobody else can have written since."""
    return event(db.execute("SELECT * FROM history ORDER BY seq DESC LIMIT 1").fetchall()[0])


def _must_have_begun(db: sqlite3.Connection, run_id: str) -> None:
    if not db.execute("SELECT 1 FROM runs WHERE id = ? AND NOT draft", (run_id,)).fetchall():
        raise IllegalTransition(f"Run {run_id} has not begun, so it dials nobody; this is a bug, please report it.")


def next_pending(db: sqlite3.Connection, run_id: str, after: int) -> CallRequest | None:
    """The row that is to be dialled next, of those that come after the row with this index; of all of them for -1."""
    sql = """
        WITH last AS (SELECT coalesce((SELECT expected FROM rows WHERE run_id = ?1 AND idx = ?2), 9e999) AS expected)
        SELECT idx, request FROM rows
        WHERE run_id = ?1 AND state = 'pending'
            AND expected <= (SELECT expected FROM last) AND (expected < (SELECT expected FROM last) OR idx > ?2)
        ORDER BY expected DESC, idx LIMIT 1
    """
    for index, request in db.execute(sql, (run_id, after)).fetchall():
        return load_request(index, request, None)
    return None


def _number(asked: CallRequest) -> str:
    return asked.provider.phone or ""


def skip(db: sqlite3.Connection, run_id: str, asked: CallRequest, reason: Reason, now: datetime) -> HistoryRow:
    """Keep that a row that waits is not to be called, and why."""
    sql = """
        UPDATE rows SET state = 'skipped', since = ?, reason_code = ?, reason = ?
        WHERE run_id = ? AND idx = ? AND state = 'pending'
    """
    db.execute(sql, (to_text(now), reason.code, dump(reason), run_id, asked.index))
    return last_event(db)


def new_attempt(db: sqlite3.Connection, run_id: str, asked: CallRequest, at: datetime, now: datetime) -> Attempt:
    """Begin the next attempt to dial a row, with a key of its own."""
    earlier = "SELECT coalesce(max(ordinal), 0) FROM attempts WHERE run_id = ? AND idx = ?"
    ordinal = 1 + int(db.execute(earlier, (run_id, asked.index)).fetchall()[0][0])
    key = key_of(db, run_id, asked.index, ordinal)
    sql = """
        INSERT INTO attempts (run_id, idx, ordinal, key, number, simulated, busy, state, dialed_at, since)
        VALUES (
            ?, ?, ?, ?, ?,
            (SELECT simulated FROM runs WHERE id = ?),
            -- A line is given back only once the journal knows that its call has ended, so these are the busy lines.
            (SELECT 1 + count(*) FROM attempts WHERE run_id = ? AND state IN ('dialing', 'placed') AND NOT waiting),
            'dialing', ?, ?
        )
    """
    values = (run_id, asked.index, ordinal, key, _number(asked), run_id, run_id, to_text(at), to_text(now))
    new_id = db.execute(sql, values).lastrowid
    db.execute("UPDATE rows SET attempt_id = ? WHERE run_id = ? AND idx = ?", (new_id, run_id, asked.index))
    return Attempt(
        id=int(new_id or 0),
        run_id=run_id,
        ordinal=ordinal,
        key=key,
        state=CallState.DIALING,
        asked=asked,
        dialed_at=at,
        failed_starts=starts.failed(db, run_id, asked.index) if ordinal > 1 else 0,
    )


def _move(
    db: sqlite3.Connection,
    attempt: Attempt,
    expected: Collection[CallState],
    to: CallState,
    now: datetime,
    known: _Known = _NOTHING,
    facts: Mapping[str, object] = MappingProxyType({}),
) -> HistoryRow:
    _move_attempt(db, attempt, expected, to, now, facts)
    move_row(db, attempt, expected, to, now, known)
    return last_event(db)


def _leave(
    db: sqlite3.Connection,
    attempt: Attempt,
    expected: Collection[CallState],
    to: CallState,
    now: datetime,
    known: _Known = _NOTHING,
) -> HistoryRow:
    """Move the row on from an attempt that rang nobody; if an earlier one may have, back to where that left it."""
    earlier = doubts.earlier(db, attempt)
    if earlier is None:
        move_row(db, attempt, expected, to, now, known)
        return last_event(db)
    earlier_id, result = earlier
    move_row(db, attempt, expected, CallState.UNCERTAIN, now, _known(result))
    doubts.take_up_again(db, attempt, earlier_id)
    return replace(last_event(db), result=result)


def _move_attempt(
    db: sqlite3.Connection,
    attempt: Attempt,
    expected: Collection[CallState],
    to: str,
    now: datetime,
    facts: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Move the attempt alone, and keep what else is known of it, by column."""
    columns = "".join(f", {name} = ?" for name in facts)
    sql = f"UPDATE attempts SET state = ?, since = ?{columns} WHERE id = ? AND state = ?"  # noqa: S608 -- our own names
    which = [(to, to_text(now), *facts.values(), attempt.id, state) for state in expected]
    moved = db.executemany(sql, which).rowcount
    if moved != 1:
        raise _illegal(attempt, expected, to)


def move_row(
    db: sqlite3.Connection,
    attempt: Attempt,
    expected: Collection[CallState],
    to: CallState,
    now: datetime,
    known: _Known = _NOTHING,
) -> None:
    """Move the attempt's row alone; it must stand as expected."""
    sql = """
        UPDATE rows SET state = ?, since = ?, status = ?, duration = ?, cost = ?, result = ?
        WHERE attempt_id = ? AND run_id = ? AND idx = ? AND state = ?
    """
    which = (attempt.id, attempt.run_id, attempt.index)
    moved = db.executemany(sql, [(to, to_text(now), *known, *which, state) for state in expected]).rowcount
    if moved != 1:
        raise _illegal(attempt, expected, to)


def _illegal(attempt: Attempt, expected: Collection[CallState], to: str) -> IllegalTransition:
    return IllegalTransition(
        f"Row {attempt.index} of run {attempt.run_id} was to become {to}, but its attempt {attempt.ordinal} is not "
        f"{' or '.join(expected)}; this is a bug, please report it."
    )


def _known(outcome: CallOutcome) -> _Known:
    timed = outcome.started_at is not None and outcome.ended_at is not None
    return _Known(outcome.status, outcome.duration if timed else None, outcome.cost, dump_outcome(outcome))


def _with_body(body: bytes | None) -> Mapping[str, object]:
    return {} if body is None else {"body": body}
