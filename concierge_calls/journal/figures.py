"""How long calls had their lines, and what a minute on the line has cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from concierge_calls.journal.entries import LineSpan
from concierge_calls.journal.reading import PAGE, Reader
from concierge_calls.journal.rows import moment, to_moment
from concierge_calls.models import CallStatus

RECENT = 1_000  # calls that tell what a minute costs now

# Of a call that others dialled they have told when it had its line.
# A refused row was never on the line, and one that waits again is not, whatever its history says. Each attempt was told
# as dialling once; where later ones rang nobody a row in doubt is that of an earlier one, which has not changed since.
_LINE_SPANS = """
    WITH dialled AS (
        SELECT rows.idx, status, rows.state, attempts.since, line_from, line_until, (
            SELECT seq FROM history AS dial
            WHERE run_id = rows.run_id AND idx = rows.idx AND kind = 'call.dialing' AND attempts.ordinal = (
                SELECT count(*) FROM history
                WHERE run_id = dial.run_id AND idx = dial.idx AND kind = 'call.dialing' AND seq <= dial.seq
            )
        ) AS seq
        FROM rows JOIN attempts ON attempts.id = rows.attempt_id
        WHERE rows.run_id = ? AND rows.state IN ('dialing', 'placed', 'ended', 'settled', 'uncertain')
            AND rows.idx BETWEEN ? AND ?
    )
    SELECT idx, status, coalesce(line_from, (SELECT at FROM history WHERE seq = dialled.seq)) AS taken,
        coalesce(line_until, (
            SELECT at FROM history
            WHERE run_id = ? AND idx = dialled.idx AND seq > dialled.seq AND at <= since
                AND kind IN ('call.ended', 'call.settled') AND dialled.state NOT IN ('dialing', 'placed')
            ORDER BY kind = 'call.settled', seq DESC LIMIT 1
        )) AS freed
    FROM dialled WHERE coalesce(line_from, seq) IS NOT NULL ORDER BY idx
"""
_COST_A_MINUTE = """
    SELECT total(cost) AS cost, total(duration) AS seconds FROM (
        SELECT rows.cost, rows.duration
        FROM attempts JOIN rows ON rows.run_id = attempts.run_id AND rows.idx = attempts.idx
        WHERE NOT attempts.simulated AND attempts.state = 'settled' AND rows.attempt_id = attempts.id
            AND rows.duration > 0 AND rows.cost IS NOT NULL
        ORDER BY attempts.id DESC LIMIT ?
    )
"""


def line_spans(reader: Reader, run_id: str) -> Iterator[LineSpan]:
    """For each call that has or had a line, in the file's order, from its last dial until its line was free.

    A dial that rang nobody does not count where an earlier one is in doubt. A call in doubt holds its line until it is
    given up.
    """
    rows = reader.fetch("SELECT count(*) AS number FROM rows WHERE run_id = ?", run_id)[0]["number"]
    for first in range(0, rows, PAGE):
        for row in reader.fetch(_LINE_SPANS, run_id, first, first + PAGE - 1, run_id):
            yield LineSpan(
                index=row["idx"],
                begun=moment(row["taken"]),
                ended=to_moment(row["freed"]),
                status=CallStatus(row["status"]) if row["status"] else None,
            )


def seconds_on_the_line(spans: Iterable[LineSpan]) -> Iterator[float]:
    """How many seconds each of these calls had its line, but those that have it now."""
    return (max(0.0, (span.ended - span.begun).total_seconds()) for span in spans if span.ended is not None)


def cost_a_minute(reader: Reader) -> float | None:
    """What a minute on the line has cost in the latest real calls; None when nothing was paid for any."""
    paid = reader.fetch(_COST_A_MINUTE, RECENT)[0]
    return float(paid["cost"] / paid["seconds"] * 60) if paid["cost"] > 0 else None
