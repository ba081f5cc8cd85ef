"""Erases from the journal what was said in a run and by whom, and keeps which numbers were called when.

What is kept is named here, and so whatever is added later goes unless somebody names it:

- runs.about: version and format stay; the names of the providers file and of the output file go, and the options.
- runs.stopped, rows.reason, attempts.reason, and the error in rows.result: the code stays; its sentence may quote a
  cell of the file, or Vapi, and goes.
- rows.request: the line in the file stays; name, extension, id, number as given, other columns, the service request
  and the warning go.
- rows.number, and the same number in rows.request: stays where there was an attempt; who was never dialled is unknown.
- rows.result: status, endedReason, times, cost, call id and method stay; transcript, messages, analysis and the
  recording's address go.
- doubts.result, what a row said before it was dialled again, goes.
- attempts.body, the call as Vapi gave it, goes; number, times and call id stay, which is all that the guards ask for.
- All else in these tables, and the history, is states, times and figures; do_not_call is not touched.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from concierge_calls.errors import JournalError, NoSuchRun
from concierge_calls.journal.directions import to_resume
from concierge_calls.journal.entries import Clock
from concierge_calls.journal.faults import explained
from concierge_calls.journal.guards import LEFT_IN
from concierge_calls.journal.lock import RunLock, is_held
from concierge_calls.journal.opening import open_for_writing
from concierge_calls.journal.reading import PAGE, Reader, info_of
from concierge_calls.journal.rows import dump, dump_outcome, dump_request, load_request, load_result, to_text
from concierge_calls.journal.writer import Writer
from concierge_calls.models import CallOutcome, CallRequest, CallResult, Provider, Reason, RunInfo, ServiceRequest

FORGOTTEN = "(forgotten)"

_NEVER_CALLED = Reason("forgotten", "The run was forgotten before this provider was called.")
# A call that is uncertain has been looked for in vain; to wait for it would be to keep the run for ever.
_OPEN_CALLS = "SELECT count(*) AS calls FROM rows WHERE run_id = ? AND state IN ('dialing', 'placed', 'ended')"

_LATEST_OF_A_CALL = "SELECT at FROM history WHERE run_id = ? AND idx IS NOT NULL ORDER BY seq DESC LIMIT 1"


class Forgetting:
    """Forgets runs of one journal; every method raises JournalError when the file cannot be used."""

    def __init__(self, reader: Reader, writer: Writer, clock: Clock) -> None:
        """Forget in the journal that these read and write."""
        self._reader = reader
        self._writer = writer
        self._clock = clock

    def ended_before(self, moment: datetime) -> Iterator[RunInfo]:
        """The runs whose last call was before then and that have something left to forget, newest first.

        A run in which nothing ever happened to a provider counts from its own end.
        """
        for run in self._reader.runs():
            if not _is_done(run) and self._end(run) < to_text(moment):
                yield info_of(run)

    def check(self, run_id: str) -> bool:
        """Whether there is anything left to forget in the run.

        Raises NoSuchRun, RunLocked while another process works on it, and JournalError where it has calls on the line
        or in doubt and can still be resumed.
        """
        with self._held(run_id) as run:
            return not _is_done(run)

    async def forget(self, run_id: str) -> None:
        """Erase what was said in the run and by whom, for good once `scrub` has been done; raises as `check` does.

        Its rows, statuses and figures stay, nobody in it is called any more, and it cannot be resumed.
        """
        with self._held(run_id):
            await self._writer.write(partial(_begin, run_id=run_id))
            after: int | None = -1
            while after is not None:
                after = await self._writer.write(partial(_erase_page, run_id=run_id, after=after))

    async def scrub(self, run_ids: Collection[str]) -> bool:
        """Rid the file of old copies of what was forgotten in these runs; whether that could be done.

        The file is closed to everybody for as long as it takes, so it is not done while any run is being worked on.
        """
        if self._somebody_works():
            return False
        path = self._reader.path
        # Overwriting is not enough: SQLite leaves a row's earlier versions in free room of the file.
        with explained(path), closing(open_for_writing(path, self._clock.now())) as db:
            db.execute("VACUUM")
        await self._writer.write(partial(_done, run_ids=run_ids))
        return True

    @contextmanager
    def _held(self, run_id: str) -> Iterator[sqlite3.Row]:
        self._visible(run_id)
        lock = RunLock(self._reader.path.parent, run_id)
        try:
            run = self._visible(run_id)  # it may have been discarded or resumed before the lock was ours
            self._refuse_open_calls(run)
            yield run
        finally:
            lock.release()

    def _visible(self, run_id: str) -> sqlite3.Row:
        run = self._reader.run(run_id)
        if run["draft"]:
            raise NoSuchRun(f"Run {run_id} never began; see: concierge-calls runs")
        return run

    def _refuse_open_calls(self, run: sqlite3.Row) -> None:
        # A simulated run cannot be resumed, and nobody's phone rings there.
        if run["simulated"] or run["finished"]:
            return
        if calls := self._reader.fetch(_OPEN_CALLS, run["id"])[0]["calls"]:
            has = "a call" if calls == 1 else f"{calls:,} calls"
            kept = f"Run {run['id']} has {has} on the line, without its result or in doubt, so it is not forgotten"
            left = self._reader.fetch(LEFT_IN, run["id"])[0][0]
            raise JournalError(to_resume(f"{kept}; finish it first", run["id"], left))

    def _end(self, run: sqlite3.Row) -> str:
        latest = self._reader.fetch(_LATEST_OF_A_CALL, run["id"])
        return str(latest[0]["at"] if latest else run["ended_at"] or run["started_at"])

    def _somebody_works(self) -> bool:
        folder = self._reader.path.parent
        with explained(folder):
            names = [path.stem for path in (folder / "locks").glob("*.lock")]
        return any(is_held(folder, name) for name in names)


def is_forgotten(run: sqlite3.Row) -> bool:
    """Tell whether this run was forgotten, be it only in part."""
    return "forgotten" in json.loads(run["about"])


def _is_done(run: sqlite3.Row) -> bool:
    return json.loads(run["about"]).get("forgotten") is True


def _begin(db: sqlite3.Connection, run_id: str) -> None:
    """Mark the run before its rows lose what a call needs, so that none of them is ever dialled, and close it."""
    db.execute("PRAGMA secure_delete = 1")
    _end_for_good(db, run_id)
    for (about,) in db.execute("SELECT about FROM runs WHERE id = ?", (run_id,)).fetchall():
        known = json.loads(about)
        kept = {"source": FORGOTTEN, "version": known["version"], "output": None, "format": known["format"]}
        sql = "UPDATE runs SET about = ? WHERE id = ?"
        db.execute(sql, (dump(kept | {"options": {}, "forgotten": False}), run_id))


def _end_for_good(db: sqlite3.Connection, run_id: str) -> None:
    sql = "UPDATE runs SET stopped = json_set(stopped, '$.message', ?) WHERE id = ?"
    db.execute(sql, (FORGOTTEN, run_id))
    # Only a simulated run still has such calls here; it is shown as it was left.
    sql = """
        UPDATE runs SET finished = 1, stopped = ?
        WHERE id = ? AND NOT finished AND NOT EXISTS (
            SELECT 1 FROM rows WHERE run_id = runs.id AND state IN ('dialing', 'placed', 'ended')
        )
    """
    db.execute(sql, (dump(_NEVER_CALLED), run_id))
    sql = """
        UPDATE runs SET ended_at = (SELECT at FROM history WHERE run_id = runs.id ORDER BY seq DESC LIMIT 1)
        WHERE id = ? AND finished AND ended_at IS NULL
    """
    db.execute(sql, (run_id,))


def _erase_page(db: sqlite3.Connection, run_id: str, after: int) -> int | None:
    """Erase the next rows after this index; returns the last one's, None when there are none."""
    db.execute("PRAGMA secure_delete = 1")
    sql = "SELECT * FROM rows WHERE run_id = ? AND idx > ? ORDER BY idx LIMIT ?"
    rows = db.execute(sql, (run_id, after, PAGE)).fetchall()
    if not rows:
        return None
    sql = """
        UPDATE rows SET number = :number, request = :request, reason = :reason, result = :result
        WHERE run_id = :run_id AND idx = :idx
    """
    db.executemany(sql, [_bare(row) for row in rows])
    last = int(rows[-1]["idx"])
    sql = """
        UPDATE attempts SET body = NULL, reason = json_set(reason, '$.message', ?)
        WHERE run_id = ? AND idx > ? AND idx <= ?
    """
    db.execute(sql, (FORGOTTEN, run_id, after, last))
    sql = """
        UPDATE doubts SET result = NULL
        WHERE attempt_id IN (SELECT id FROM attempts WHERE run_id = ? AND idx > ? AND idx <= ?)
    """
    db.execute(sql, (run_id, after, last))
    return last


def _done(db: sqlite3.Connection, run_ids: Collection[str]) -> None:
    sql = "UPDATE runs SET about = json_set(about, '$.forgotten', json('true')) WHERE id = ?"
    db.executemany(sql, [(run_id,) for run_id in run_ids])


def _bare(row: sqlite3.Row) -> dict[str, Any]:
    """The row's columns with nothing left in them that anybody said, or that says who it was."""
    asked = load_request(row["idx"], row["request"], row["reason"])
    number = row["number"] if row["attempt_id"] is not None else None
    provider = Provider(name=FORGOTTEN, phone=number, line=asked.provider.line)
    bare = CallRequest(index=asked.index, provider=provider, request=ServiceRequest(urgency=""))
    skip = _without_words(asked.skip)
    return {
        "run_id": row["run_id"],
        "idx": row["idx"],
        "number": number if number or row["state"] == "skipped" else "",
        "request": dump_request(bare),
        "reason": None if skip is None else dump(skip),
        "result": None if row["result"] is None else _bare_result(bare, load_result(asked, row["result"])),
    }


def _bare_result(bare: CallRequest, known: CallResult) -> str:
    outcome = CallOutcome(
        status=known.status,
        ended_reason=known.ended_reason,
        started_at=known.started_at,
        ended_at=known.ended_at,
        cost=known.cost,
        error=_without_words(known.error),
    )
    return dump_outcome(CallResult.of(bare, outcome, call_id=known.call_id, call_method=known.call_method))


def _without_words(reason: Reason | None) -> Reason | None:
    return None if reason is None else Reason(reason.code, FORGOTTEN)
