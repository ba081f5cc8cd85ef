"""Whose turn it is among those who wait: whoever is expected to talk longest is dialled first."""

from __future__ import annotations

import sqlite3

RECENT = 1_000  # calls that tell how long one for a service takes

# A call that nobody took has taken no time, so where many do not answer a service's calls are short on average.
_USUAL = """
    INSERT INTO usual
    SELECT service, avg(seconds) FROM (
        SELECT lower(trim(json_extract(rows.request, '$.request.service_needed'))) AS service,
            coalesce(rows.duration, 0) AS seconds
        FROM attempts JOIN rows ON rows.run_id = attempts.run_id AND rows.idx = attempts.idx
        WHERE attempts.state = 'settled' AND rows.attempt_id = attempts.id
            AND attempts.simulated = (SELECT simulated FROM runs WHERE id = ?)
        ORDER BY attempts.id DESC LIMIT ?
    )
    WHERE service <> '' GROUP BY service HAVING avg(seconds) > 0
"""
_SERVICE = "lower(trim(json_extract(request, '$.request.service_needed')))"
_WAITS = "run_id = ? AND state = 'pending'"


def arrange(db: sqlite3.Connection, run_id: str) -> None:
    """Give a turn to the rows that have none, while nobody is dialled yet.

    It is by the mean of the latest calls for the row's service, and where there were none by the mean of the rows that
    have a turn, since nobody knows whether such a call is long. Where nothing is known the file's order stays.
    """
    if _asks_for_several(db, run_id):
        _by_service(db, run_id)
    mean = db.execute(f"SELECT avg(turn) FROM rows WHERE {_WAITS} AND turn < 0", (run_id,)).fetchall()[0][0]  # noqa: S608 -- ours
    if mean is not None:
        db.execute(f"UPDATE rows SET turn = ? WHERE {_WAITS} AND turn = 0", (mean, run_id))  # noqa: S608 -- ours


def _asks_for_several(db: sqlite3.Connection, run_id: str) -> bool:
    # Of one service all calls are as long as each other, for all that is known.
    sql = f"SELECT DISTINCT {_SERVICE} FROM rows WHERE {_WAITS} LIMIT 2"  # noqa: S608 -- ours
    return bool(db.execute(f"SELECT count(*) > 1 FROM ({sql})", (run_id,)).fetchall()[0][0])  # noqa: S608 -- ours


def _by_service(db: sqlite3.Connection, run_id: str) -> None:
    # Beside the journal, and never read into this program: a service is any text at all.
    db.execute("CREATE TEMP TABLE usual (service TEXT PRIMARY KEY, seconds REAL NOT NULL)")
    db.execute(_USUAL, (run_id, RECENT))
    db.execute(
        f"""
        UPDATE rows SET turn = -(SELECT seconds FROM usual WHERE service = {_SERVICE})
        WHERE {_WAITS} AND turn = 0 AND {_SERVICE} IN (SELECT service FROM usual)
        """,  # noqa: S608 -- ours
        (run_id,),
    )
    db.execute("DROP TABLE usual")
