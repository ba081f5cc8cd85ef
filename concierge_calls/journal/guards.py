"""Whether a number may be called now, by what the journal knows of it from all runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime

from concierge_calls.journal.directions import to_resume
from concierge_calls.journal.rows import moment, to_text
from concierge_calls.models import Reason

ON_THE_LINE = "on_the_line"  # the code of the one reason that a look at Vapi may lift
LEFT_IN = "SELECT count(*) FROM rows WHERE run_id = ? AND state = 'pending'"

Guard = Callable[[sqlite3.Connection, str], Reason | str | None]  # as `held_back` is, for one run


def why_not(db: sqlite3.Connection, number: str, run_id: str, redial_after: datetime | None) -> Reason | None:
    """Why this run must not call the number now, or None when it may; a simulated run rings nobody, so it may."""
    if db.execute("SELECT simulated FROM runs WHERE id = ?", (run_id,)).fetchall()[0][0]:
        return None
    if since := do_not_call_since(db, number):
        return asked_not_to_be_called(since)
    if holder := on_the_line(db, number, run_id):
        return still_on_the_line(holder, left_in(db, holder))
    if redial_after and (called := called_since(db, number, redial_after, run_id)):
        return called_lately(*called)
    return None


def held_back(
    db: sqlite3.Connection,
    number: str,
    *,
    run_id: str,
    redial_after: datetime | None,
    is_doubted: Callable[[str], bool],
) -> Reason | str | None:
    """Why this run must not call the number now, or the doubted run that is to be looked at before that is known."""
    reason = why_not(db, number, run_id, redial_after)
    if reason is None or reason.code != ON_THE_LINE:
        return reason
    holder = on_the_line(db, number, run_id)
    return holder if holder is not None and is_doubted(holder) else reason


def asked_not_to_be_called(since: datetime) -> Reason:
    """The reason not to call somebody who asked for that."""
    return Reason("do_not_call", f"They asked on {since.astimezone():%Y-%m-%d} not to be called.")


def still_on_the_line(run_id: str, left: int) -> Reason:
    """The reason not to call a number that another run may have on the line, in which so many are left to call."""
    return Reason(
        ON_THE_LINE, to_resume(f"Run {run_id} has this number on the line; to follow it to its end", run_id, left)
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


def left_in(db: sqlite3.Connection, run_id: str) -> int:
    """How many providers of the run nobody has called yet, whom a resume by name calls."""
    return int(db.execute(LEFT_IN, (run_id,)).fetchall()[0][0])
