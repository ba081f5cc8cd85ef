"""Whether a number may be called now, by what the journal knows of it from all runs."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from concierge_calls.journal.rows import moment, to_text
from concierge_calls.models import Reason


def why_not(db: sqlite3.Connection, number: str, run_id: str, redial_after: datetime | None) -> Reason | None:
    """Why this run must not call the number now, or None when it may."""
    if do_not_call_since(db, number):
        return Reason("do_not_call", "Whoever answers there asked not to be called; see: concierge-calls do-not-call")
    if holder := on_the_line(db, number, run_id):
        return Reason(
            "on_the_line",
            f"Run {holder} has this number on the line; to follow it to its end: concierge-calls resume {holder}",
        )
    if redial_after and (called := called_since(db, number, redial_after, run_id)):
        other, when = called
        return Reason(
            "called_lately",
            f"Run {other} called this number on {when:%Y-%m-%d at %H:%M} UTC; to call it again: --allow-redial",
        )
    return None


def do_not_call_since(db: sqlite3.Connection, number: str) -> datetime | None:
    """Since when the number is not to be called; None when it may be."""
    for (since,) in db.execute("SELECT since FROM do_not_call WHERE number = ?", (number,)).fetchall():
        return moment(since)
    return None


def on_the_line(db: sqlite3.Connection, number: str, but: str) -> str | None:
    """The run, other than `but`, that is dialling the number or has it on the line."""
    sql = """
        SELECT run_id FROM attempts
        WHERE number = ? AND state IN ('dialing', 'placed') AND run_id <> ? AND NOT simulated
        ORDER BY dialed_at DESC LIMIT 1
    """
    for (run_id,) in db.execute(sql, (number, but)).fetchall():
        return str(run_id)
    return None


def called_since(db: sqlite3.Connection, number: str, since: datetime, but: str) -> tuple[str, datetime] | None:
    """The run, other than `but`, that called the number last since then, and when.

    Every attempt counts that ever got a call id or is uncertain; void ones and those of simulated runs do not.
    """
    sql = """
        SELECT attempts.run_id, attempts.dialed_at
        FROM attempts JOIN runs ON runs.id = attempts.run_id
        WHERE attempts.number = ? AND attempts.dialed_at >= ? AND attempts.run_id <> ?
          AND attempts.state <> 'void' AND (attempts.call_id IS NOT NULL OR attempts.state = 'uncertain')
          AND NOT runs.simulated
        ORDER BY attempts.dialed_at DESC LIMIT 1
    """
    for run_id, dialed_at in db.execute(sql, (number, to_text(since), but)).fetchall():
        return str(run_id), moment(dialed_at)
    return None
