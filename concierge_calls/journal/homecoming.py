"""What moves a row that was handed over: as it would have moved here, in one commit, once others have told of it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from concierge_calls.errors import IllegalTransition
from concierge_calls.journal import transitions
from concierge_calls.journal.entries import Attempt, HistoryRow
from concierge_calls.journal.rows import to_text
from concierge_calls.models import CallResult, CallState, Reason


@dataclass(frozen=True, slots=True)
class OnTheLine:
    """From when until when a call had its line, as others have told."""

    begun: datetime | None = None
    ended: datetime | None = None


NOT_TOLD: Final = OnTheLine()


def begun(db: sqlite3.Connection, attempt: Attempt, now: datetime, line: OnTheLine = NOT_TOLD) -> list[HistoryRow]:
    """Keep that somebody dials the row, and its line as far as that is told; nothing when it was told before."""
    since = to_text(line.begun or now)
    db.execute(
        "UPDATE attempts SET line_from = coalesce(?, line_from), line_until = coalesce(?, line_until) WHERE id = ?",
        (line.begun and since, line.ended and to_text(line.ended), attempt.id),
    )
    sql = "UPDATE attempts SET waiting = 0, since = ? WHERE id = ? AND waiting"
    if db.execute(sql, (since, attempt.id)).rowcount == 0:
        return []
    return [transitions.last_event(db)]


def placed(db: sqlite3.Connection, attempt: Attempt, now: datetime, call_id: str, line: OnTheLine) -> list[HistoryRow]:
    """Keep the id of a call that others placed."""
    told = begun(db, attempt, now, line)
    if attempt.state is CallState.PLACED:
        return told
    adopted = attempt.state is CallState.UNCERTAIN
    return [*told, transitions.placed(db, attempt, call_id, line.begun, adopted, now)]


def settled(
    db: sqlite3.Connection, attempt: Attempt, now: datetime, result: CallResult, line: OnTheLine
) -> list[HistoryRow]:
    """Keep the final result of a call that others placed, with all that has happened to it."""
    if result.call_id is None:
        raise IllegalTransition(f"Row {attempt.index} was to be settled without a call; this is a bug.")
    told = [] if attempt.state is CallState.ENDED else placed(db, attempt, now, result.call_id, line)
    if attempt.state is not CallState.ENDED:
        told.append(transitions.ended(db, attempt, result, None, now))
    return [*told, transitions.settled(db, attempt, result, None, now)]


def refused(db: sqlite3.Connection, attempt: Attempt, now: datetime, result: CallResult) -> list[HistoryRow]:
    """Keep that certainly nobody's phone rang, by this number's own fault."""
    return [*begun(db, attempt, now), transitions.refused(db, attempt, result, now)]


def uncertain(
    db: sqlite3.Connection, attempt: Attempt, now: datetime, result: CallResult, line: OnTheLine
) -> list[HistoryRow]:
    """Keep that the phone may have rung, with the call's id where there is one."""
    if result.call_id is None:
        return [transitions.uncertain(db, attempt, result, now)]
    return [
        *placed(db, attempt, now, result.call_id, line),
        transitions.uncertain(db, attempt, result, now),
    ]


def put_back(db: sqlite3.Connection, attempt: Attempt, now: datetime, reason: Reason) -> list[HistoryRow]:
    """Have the row wait again; nothing is told of one that nobody was told of."""
    waiting = db.execute("SELECT waiting FROM attempts WHERE id = ?", (attempt.id,)).fetchall()[0][0]
    told = transitions.void(db, attempt, reason, now)
    return [] if waiting else [told]


def skipped(db: sqlite3.Connection, attempt: Attempt, now: datetime, reason: Reason) -> list[HistoryRow]:
    """Keep that a row that others were to dial is not to be called."""
    told = put_back(db, attempt, now, Reason("not_dialled", reason.message))
    return [*told, transitions.skip(db, attempt.run_id, attempt.asked, reason, now)]
