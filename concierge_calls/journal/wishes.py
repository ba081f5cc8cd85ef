"""Who does not want to be called again, because they said so on the phone or in any other way."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from concierge_calls.journal.entries import Attempt
from concierge_calls.journal.rows import dump, to_text
from concierge_calls.models import CallOutcome


def keep(db: sqlite3.Connection, attempt: Attempt, known: CallOutcome, now: datetime) -> None:
    """Keep that whoever took this call does not want to be called again, if they said so."""
    number = attempt.asked.provider.phone
    if number is not None and _asked_not_to_be_called(known.analysis.structured_data):
        do_not_call(db, number, f"asked so on the phone, in run {attempt.run_id}", now)


def do_not_call(db: sqlite3.Connection, number: str, note: str, now: datetime) -> None:
    """Keep that the number is not to be called; whoever said so first is remembered."""
    sql = "INSERT OR IGNORE INTO do_not_call (number, since, note) VALUES (?, ?, ?)"
    db.execute(sql, (number, to_text(now), dump(note)))


def _asked_not_to_be_called(data: Mapping[str, Any]) -> bool:
    # A user's own assistant may bring back several outputs, each an object of its own.
    parts = (data, *(part for part in data.values() if isinstance(part, Mapping)))
    return any(part.get("do_not_call") is True for part in parts)
