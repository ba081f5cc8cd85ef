"""The calls of a run that are not settled yet, as the events that brought each of them where it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from concierge_calls.journal.reading import PAGE, Reader
from concierge_calls.journal.rows import event, load_request
from concierge_calls.models import CallEvent, EventKind

# A call in doubt that was found again has been told as settled; that is no longer so. CROSS has SQLite go from the few
# rows to their events instead of through the whole history.
_LIVE = """
    SELECT history.seq, history.at, history.idx, history.kind, rows.request, attempts.call_id,
        CASE history.kind WHEN 'call.ended' THEN json_extract(rows.result, '$.ended_reason') END AS ended_reason
    FROM rows
    JOIN attempts ON attempts.id = rows.attempt_id
    CROSS JOIN history ON history.run_id = rows.run_id AND history.idx = rows.idx
    WHERE rows.run_id = ? AND rows.state IN ('dialing', 'placed', 'ended') AND history.kind <> 'call.settled'
        AND history.seq > ? AND history.seq >= (
            SELECT max(seq) FROM history
            WHERE run_id = rows.run_id AND idx = rows.idx AND kind = 'call.dialing'
        )
    ORDER BY history.seq LIMIT ?
"""


def live_events(reader: Reader, run_id: str) -> Iterator[CallEvent]:
    """What has happened to each call that is not settled yet since it was last dialled, oldest first."""
    after = 0
    while page := reader.fetch(_LIVE, run_id, after, PAGE):
        yield from (_event(row, run_id) for row in page)
        after = page[-1]["seq"]


def _event(row: sqlite3.Row, run_id: str) -> CallEvent:
    told = event(row)
    return CallEvent(
        seq=told.seq,
        at=told.at,
        run_id=run_id,
        kind=told.kind,
        index=told.index,
        request=load_request(row["idx"], row["request"], None),
        call_id=None if told.kind is EventKind.CALL_DIALING else row["call_id"],
        ended_reason=row["ended_reason"],
    )
