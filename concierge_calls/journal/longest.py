"""Who is dialled first among those who wait: whoever is expected to have a line the longest."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from enum import StrEnum

LATEST = 200  # calls for a service, which tell how long the next one will take
LEAST = 10  # the mean of fewer is chance
TOGETHER = 4_000  # calls for all services, so that a run of many services begins as soon as others
RINGING = 60  # seconds for which a phone rings at most

# As the index has it. What a program put into a provider's other columns may be no JSON for SQLite, such as NaN.
_SERVICE = "CASE WHEN json_valid(request) THEN lower(trim(json_extract(request, '$.request.service_needed'))) END"
# A line is taken from the dial on, also by a phone that rings in vain. Of a call that was followed late, since its
# process had died, the end was seen late, and of one that others dialled and told little of both were; so what was
# talked says how long it was at the least and, with the ringing, at the most.
_SECONDS = """
    SELECT max(talked, min(talked + :ringing, coalesce(line * 86400, talked))) AS seconds FROM (
        SELECT coalesce(duration, 0) AS talked, coalesce(
            julianday(line_until) - julianday(line_from),
            (
                SELECT julianday(max(at) FILTER (WHERE kind = 'call.ended'))
                    - julianday(max(at) FILTER (WHERE kind = 'call.dialing'))
                FROM history WHERE run_id = rows.run_id AND idx = rows.idx
            )
        ) AS line
"""
_USUAL = f"""
    UPDATE services SET seconds = (
        SELECT CASE WHEN count(*) >= :least THEN avg(seconds) END FROM (
            {_SECONDS}
            FROM rows JOIN attempts ON attempts.id = rows.attempt_id
            WHERE {_SERVICE} = services.service AND rows.state = 'settled'
                AND attempts.simulated = (SELECT simulated FROM runs WHERE id = :run_id)
            ORDER BY rows.attempt_id DESC LIMIT :latest
            )
        )
    )
"""  # noqa: S608 -- ours
_WAITS = "run_id = :run_id AND state = 'pending'"


class ToldBy(StrEnum):
    """Who tells how long calls will have their lines."""

    FILE = "file"
    EARLIER_CALLS = "earlier calls"


def arrange(db: sqlite3.Connection, run_id: str) -> frozenset[ToldBy]:
    """Have those dialled first who are expected to have a line longest, and return who tells; nobody: the file's order.

    Of whom the file does not say it, it is the mean of the latest calls for the same service, and where there were too
    few the mean of those of whom it is known, since nobody knows whether such a call is long.
    """
    run = {"run_id": run_id}
    told = {ToldBy.FILE} if _expected(db, run)[0] else set()
    if _by_service(db, run, is_hinted=bool(told)):
        told.add(ToldBy.EARLIER_CALLS)
    mean, is_one_like_another = _expected(db, run)
    if mean is not None:
        db.execute(f"UPDATE rows SET expected = :mean WHERE {_WAITS} AND expected = 0", {**run, "mean": mean})  # noqa: S608 -- ours
    return frozenset() if is_one_like_another else frozenset(told)


def _expected(db: sqlite3.Connection, run: Mapping[str, object]) -> tuple[float | None, bool]:
    """Return the mean of what is expected, as far as anything is, and whether it is the same of all these rows."""
    sql = f"SELECT avg(expected), min(expected) IS max(expected) FROM rows WHERE {_WAITS} AND expected > 0"  # noqa: S608 -- ours
    mean, is_same = db.execute(sql, run).fetchall()[0]
    return mean, bool(is_same)


def _by_service(db: sqlite3.Connection, run: Mapping[str, object], *, is_hinted: bool) -> bool:
    """Have the rows without a hint expect what their service usually takes, and return whether any of them does."""
    # Beside the journal, and never read into this program: a service is any text at all. It has no type here as it has
    # none in the index, which could not be searched for one of another type.
    db.execute("CREATE TEMP TABLE asked (idx INTEGER PRIMARY KEY, service)")
    db.execute("CREATE TEMP TABLE services (service PRIMARY KEY, seconds REAL)")
    db.execute(f"INSERT INTO asked SELECT idx, {_SERVICE} FROM rows WHERE {_WAITS} AND expected = 0", run)  # noqa: S608 -- ours
    db.execute("INSERT INTO services (service) SELECT DISTINCT service FROM asked WHERE service <> ''")
    # Of one service all calls are as long as each other, for all that is known.
    services = db.execute("SELECT count(*) FROM services").fetchall()[0][0]
    if services > 1 or (services and is_hinted):
        latest = max(LEAST, min(LATEST, TOGETHER // services))
        db.execute(_USUAL, {**run, "ringing": RINGING, "least": LEAST, "latest": latest})
    sql = """
        UPDATE rows SET expected = (SELECT seconds FROM services JOIN asked USING (service) WHERE asked.idx = rows.idx)
        WHERE run_id = :run_id AND idx IN (SELECT idx FROM services JOIN asked USING (service) WHERE seconds > 0)
    """
    changed = db.execute(sql, run).rowcount
    db.execute("DROP TABLE asked")
    db.execute("DROP TABLE services")
    return changed > 0
