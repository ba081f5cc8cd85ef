"""A row in doubt that is dialled once more: what it said is kept until the new attempt may have rung, too."""

from __future__ import annotations

import sqlite3

from concierge_calls.journal.entries import Attempt
from concierge_calls.journal.rows import load_result
from concierge_calls.models import CallOutcome, CallRequest, CallResult, CallStatus


def keep(db: sqlite3.Connection, run_id: str, index: int) -> None:
    """Keep what this row says of its latest attempt, which is in doubt, before another one takes its place."""
    sql = "INSERT INTO doubts (attempt_id, result) SELECT attempt_id, result FROM rows WHERE run_id = ? AND idx = ?"
    db.execute(sql, (run_id, index))


def earlier(db: sqlite3.Connection, attempt: Attempt) -> tuple[int, CallResult] | None:
    """The latest of the earlier attempts that are in doubt, by its id, with what its row said; None for none."""
    sql = """
        SELECT attempts.id, attempts.call_id, doubts.result FROM doubts JOIN attempts ON attempts.id = doubts.attempt_id
        WHERE run_id = ? AND idx = ? ORDER BY ordinal DESC LIMIT 1
    """
    for row in db.execute(sql, (attempt.run_id, attempt.index)).fetchall():
        return row["id"], _result(attempt.asked, row)
    return None


def take_up_again(db: sqlite3.Connection, attempt: Attempt, earlier_id: int) -> None:
    """Have the row of this attempt, which rang nobody, be that of the earlier one again."""
    sql = "UPDATE rows SET attempt_id = ? WHERE run_id = ? AND idx = ?"
    db.execute(sql, (earlier_id, attempt.run_id, attempt.index))
    db.execute("DELETE FROM doubts WHERE attempt_id = ?", (earlier_id,))


def _result(asked: CallRequest, row: sqlite3.Row) -> CallResult:
    if row["result"] is not None:
        return load_result(asked, row["result"])
    return CallResult.of(asked, CallOutcome(status=CallStatus.UNCERTAIN), call_id=row["call_id"])
