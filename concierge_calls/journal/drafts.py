"""How a run begins in the journal: as a draft, and perhaps by a request that has a key."""

from __future__ import annotations

import sqlite3

from concierge_calls.errors import KeyInUse
from concierge_calls.journal.entries import NewRun, RequestKey
from concierge_calls.journal.rows import dump
from concierge_calls.journal.sittings import owe_document


def draft(db: sqlite3.Connection, run_id: str, new: NewRun, at: str) -> None:
    """Write down what is known of the run before its first row; raises KeyInUse when its request's key is taken."""
    about = {
        "source": new.source,
        "version": new.version,
        "output": new.output,
        "format": new.format,
        "options": new.options,
    }
    sql = """
        INSERT INTO runs (id, owner, simulated, via, max_concurrent, started_at, about) VALUES (?, ?, ?, ?, ?, ?, ?)
    """
    db.execute(sql, (run_id, new.owner, new.simulated, new.via, new.max_concurrent, at, dump(about)))
    owe_document(db, run_id)
    if new.request is not None:
        _keep_request(db, run_id, new.request)


def _keep_request(db: sqlite3.Connection, run_id: str, request: RequestKey) -> None:
    sql = "INSERT OR IGNORE INTO requests (key, body, run_id) VALUES (?, ?, ?)"
    if db.execute(sql, (request.key, request.body, run_id)).rowcount != 1:
        raise KeyInUse
