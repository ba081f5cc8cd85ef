"""How a run begins in the journal: as a draft, and perhaps by a request that has a key."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from concierge_calls.errors import IllegalTransition, KeyInUse
from concierge_calls.journal.entries import HistoryRow, NewRun, RequestKey
from concierge_calls.journal.rows import dump, dump_request, event
from concierge_calls.journal.sittings import owe_document
from concierge_calls.models import CallRequest, CallState


def draft(db: sqlite3.Connection, run_id: str, new: NewRun, at: str) -> None:
    """Write down what is known of the run before its first row; raises KeyInUse when its request's key is taken."""
    about = {
        "source": new.source,
        "version": new.version,
        "output": new.output,
        "format": new.format,
        "options": new.options,
        **({"numbers": new.numbers} if new.numbers else {}),
    }
    sql = """
        INSERT INTO runs (id, owner, simulated, via, max_concurrent, started_at, about) VALUES (?, ?, ?, ?, ?, ?, ?)
    """
    db.execute(sql, (run_id, new.owner, new.simulated, new.via, new.max_concurrent, at, dump(about)))
    owe_document(db, run_id)
    if new.request is not None:
        _keep_request(db, run_id, new.request)


def draft_unless_begun(db: sqlite3.Connection, run_id: str, new: NewRun, at: str) -> bool:
    """Draft a run of this id, and return whether it has begun before, and then it is as it was."""
    # Whoever holds the lock and finds a draft has it from a process that died before its first dial.
    db.execute("DELETE FROM runs WHERE id = ? AND draft", (run_id,))
    if db.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchall():
        return True
    draft(db, run_id, new, at)
    return False


def add(db: sqlite3.Connection, run_id: str, requests: Sequence[CallRequest], at: str) -> None:
    """Add the next rows to the draft."""
    _one_draft(db, run_id)
    sql = "SELECT coalesce(max(idx) + 1, 0) FROM rows WHERE run_id = ?"
    start = db.execute(sql, (run_id,)).fetchall()[0][0]
    if any(asked.index != start + offset for offset, asked in enumerate(requests)):
        raise IllegalTransition(f"Rows of run {run_id} came out of order; this is a bug, please report it.")
    db.executemany(
        """
        INSERT INTO rows (run_id, idx, state, since, number, expected, reason_code, reason, request)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (_columns(run_id, asked, at) for asked in requests),
    )


def _columns(run_id: str, asked: CallRequest, at: str) -> tuple[object, ...]:
    state, code, reason = (
        (CallState.SKIPPED, asked.skip.code, dump(asked.skip)) if asked.skip else (CallState.PENDING, None, None)
    )
    expected = asked.expected or 0.0
    return (run_id, asked.index, state, at, asked.provider.phone, expected, code, reason, dump_request(asked))


def start(db: sqlite3.Connection, run_id: str, at: str) -> HistoryRow:
    """Have the draft begin, and return what is told of it first."""
    _one_draft(db, run_id)
    sql = "UPDATE runs SET draft = 0, started_at = ?, sitting_since = ? WHERE id = ? AND draft"
    db.execute(sql, (at, at, run_id))
    first = "SELECT * FROM history WHERE run_id = ? ORDER BY seq LIMIT 1"
    return event(db.execute(first, (run_id,)).fetchall()[0])


def discard(db: sqlite3.Connection, run_id: str) -> None:
    """Forget a run that has dialled nobody."""
    if has_dialled(db, run_id):
        raise IllegalTransition(f"Run {run_id} has dialled somebody, so it is kept; this is a bug, please report it.")
    db.execute("DELETE FROM runs WHERE id = ?", (run_id,))


def has_dialled(db: sqlite3.Connection, run_id: str) -> bool:
    """Whether there was ever an attempt to dial somebody."""
    return bool(db.execute("SELECT 1 FROM attempts WHERE run_id = ? LIMIT 1", (run_id,)).fetchall())


def _one_draft(db: sqlite3.Connection, run_id: str) -> None:
    if not db.execute("SELECT 1 FROM runs WHERE id = ? AND draft", (run_id,)).fetchall():
        raise IllegalTransition(f"Run {run_id} is no draft any more; this is a bug, please report it.")


def _keep_request(db: sqlite3.Connection, run_id: str, request: RequestKey) -> None:
    sql = "INSERT OR IGNORE INTO requests (key, body, run_id) VALUES (?, ?, ?)"
    if db.execute(sql, (request.key, request.body, run_id)).rowcount != 1:
        raise KeyInUse
