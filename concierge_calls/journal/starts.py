"""How often a row's calls never began, which its next attempt is told."""

from __future__ import annotations

import sqlite3
from typing import Final

START_FAILED: Final = "start_failed"  # the code of a void attempt that never began, by the backend's own fault


def failed(db: sqlite3.Connection, run_id: str, index: int) -> int:
    """Return how many attempts of the row never began; 0 while an earlier one is in doubt.

    One too many is a row's final result, and would end that doubt.
    """
    sql = """
        SELECT count(*) FROM attempts
        WHERE run_id = ?1 AND idx = ?2 AND state = 'void' AND json_extract(reason, '$.code') = ?3 AND NOT EXISTS (
            SELECT 1 FROM doubts JOIN attempts ON attempts.id = doubts.attempt_id WHERE run_id = ?1 AND idx = ?2
        )
    """
    return int(db.execute(sql, (run_id, index, START_FAILED)).fetchall()[0][0])
