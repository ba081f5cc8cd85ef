"""The key of an attempt, by which its call is found at the backend again, whoever placed it."""

from __future__ import annotations

import sqlite3


def key_of(db: sqlite3.Connection, run_id: str, index: int, ordinal: int) -> str:
    """The key of a row's n-th attempt; a row of a part of a run has its number in the whole there."""
    sql = "SELECT coalesce(json_extract(about, '$.numbers[' || ? || ']'), ?) FROM runs WHERE id = ?"
    number = db.execute(sql, (index, index, run_id)).fetchall()[0][0]
    return f"{run_id}-{number}-{ordinal}"
