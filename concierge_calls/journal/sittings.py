"""What a run's own row keeps of the work on it: since when, how long, how it ended, whether its document is owed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from concierge_calls.errors import IllegalTransition
from concierge_calls.journal.entries import HistoryRow
from concierge_calls.journal.reading import LATEST_EVENT, worked_ms
from concierge_calls.journal.rows import dump
from concierge_calls.journal.transitions import last_event
from concierge_calls.models import Reason

T = TypeVar("T")


def take_up(db: sqlite3.Connection, run_id: str, at: str) -> None:
    """Begin to work on a run that an earlier process began."""
    owe_document(db, run_id)
    _end_dead_sitting(db, run_id)
    # A run that was ended stays so until something in it moves.
    db.execute("UPDATE runs SET sitting_since = ? WHERE id = ? AND ended_at IS NULL", (at, run_id))


def finish(
    db: sqlite3.Connection, run_id: str, finished: bool, stopped: Reason | None, worked_ms: int, at: str
) -> HistoryRow:
    """End the sitting."""
    sql = """
        UPDATE runs SET finished = ?, stopped = ?, ended_at = ?, worked_ms = worked_ms + ?, sitting_since = NULL
        WHERE id = ? AND NOT draft
    """
    values = (finished, None if stopped is None else dump(stopped), at, worked_ms, run_id)
    if db.execute(sql, values).rowcount != 1:
        raise IllegalTransition(f"Run {run_id} has not begun, so it cannot end; this is a bug, please report it.")
    return last_event(db)


def stop_for_good(db: sqlite3.Connection, run_id: str, reason: Reason, hang_up: bool) -> None:
    """Keep why nobody is dialled any more, unless the run is finished; what was to be hung up once stays so."""
    sql = """
        UPDATE runs SET stopped = ?1, about = json_set(
            about, '$.for_good', ?1, '$.hang_up', coalesce(json_extract(about, '$.hang_up'), 0) OR ?2
        ) WHERE id = ?3 AND NOT finished
    """
    db.execute(sql, (dump(reason), hang_up, run_id))


def quietly(db: sqlite3.Connection, run_id: str, operation: Callable[[sqlite3.Connection], T]) -> T:
    """Move a call of a run that nobody works on, whose end, reason and worked time stay as they are.

    The run's document is not owed for it: a call that is over still awaits its result, so the document says as before
    that it is in progress, and the resume that brings the result writes a new one anyway.
    """
    _end_dead_sitting(db, run_id)
    db.execute("UPDATE runs SET about = json_set(about, '$.looked_at', 1) WHERE id = ?", (run_id,))
    done = operation(db)
    db.execute("UPDATE runs SET about = json_remove(about, '$.looked_at') WHERE id = ?", (run_id,))
    return done


def owe_document(db: sqlite3.Connection, run_id: str) -> None:
    """Keep that the run's document is still to be written, if it was told where."""
    sql = "UPDATE runs SET about = json_set(about, '$.owed', json_extract(about, '$.output') IS NOT NULL) WHERE id = ?"
    db.execute(sql, (run_id,))


def document_is_out(db: sqlite3.Connection, run_id: str) -> None:
    """Keep that the run's document was written."""
    db.execute("UPDATE runs SET about = json_set(about, '$.owed', 0) WHERE id = ?", (run_id,))


def _end_dead_sitting(db: sqlite3.Connection, run_id: str) -> None:
    # A sitting that was killed never said how long it was; its last event is the best that is known.
    run = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchall()[0]
    latest = db.execute(LATEST_EVENT, (run_id,)).fetchall()[0]["at"]
    sql = "UPDATE runs SET worked_ms = ?, sitting_since = NULL WHERE id = ? AND sitting_since IS NOT NULL"
    db.execute(sql, (worked_ms(run, latest), run_id))
