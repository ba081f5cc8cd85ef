"""Whether a number may be called now, by what the journal knows of it from all runs."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from concierge_calls.journal.rows import moment, to_text
from concierge_calls.models import Reason


def why_not(db: sqlite3.Connection, number: str, run_id: str, redial_after: datetime | None) -> Reason | None:
    """Why this run must not call the number now, or None when it may; a simulated run rings nobody, so it may."""
    if db.execute("SELECT simulated FROM runs WHERE id = ?", (run_id,)).fetchall()[0][0]:
        return None
    if since := do_not_call_since(db, number):
        return asked_not_to_be_called(since)
    if holder := on_the_line(db, number, run_id):
        return still_on_the_line(holder)
    if redial_after and (called := called_since(db, number, redial_after, run_id)):
        return called_lately(*called)
    return None


def asked_not_to_be_called(since: datetime) -> Reason:
    """The reason not to call somebody who asked for that."""
    return Reason("do_not_call", f"They asked on {since.astimezone():%Y-%m-%d} not to be called.")


def still_on_the_line(run_id: str) -> Reason:
    """The reason not to call a number that another run may have on the line."""
    return Reason(
        "on_the_line",
        f"Run {run_id} has this number on the line; to follow it to its end: concierge-calls resume {run_id}",
    )


def called_lately(run_id: str, when: datetime) -> Reason:
    """The reason not to call a number that another run called a short while ago."""
    return Reason(
        "called_lately",
        f"Run {run_id} called this number on {when.astimezone():%Y-%m-%d at %H:%M};"
        " to call it again all the same: --allow-redial.",
    )


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


def holders(db: sqlite3.Connection, run_id: str) -> list[str]:
    """The other real runs that may have a number on the line which this run is still to call."""
    sql = """
        SELECT DISTINCT attempts.run_id FROM attempts JOIN rows ON rows.number = attempts.number
        WHERE attempts.state IN ('dialing', 'placed') AND NOT attempts.simulated AND attempts.run_id <> ?
            AND rows.run_id = ? AND rows.state IN ('pending', 'uncertain')
    """
    return [str(other) for (other,) in db.execute(sql, (run_id, run_id)).fetchall()]
