"""Reads runs, figures and results page by page, so that nobody's reading keeps a run from writing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, overload

from concierge_calls.errors import NoSuchRun
from concierge_calls.journal.entries import HistoryRow
from concierge_calls.journal.faults import explained
from concierge_calls.journal.opening import open_for_reading
from concierge_calls.journal.rows import event, load_reason, load_request, load_result, moment, to_moment
from concierge_calls.models import (
    SKIPPED_ON_PURPOSE,
    CallMethod,
    CallOutcome,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    Format,
    Reason,
    RunInfo,
    RunStats,
)

PAGE = 100  # rows that are read at a time
PEAK = """
    SELECT max(
        (SELECT coalesce(max(busy), 0) FROM attempts WHERE run_id = ?1 AND state NOT IN ('void', 'refused')),
        (SELECT coalesce(max(peak), 0) FROM handovers WHERE run_id = ?1)
    ) AS peak
"""
_RESULTS = """
    SELECT rows.idx, rows.state, rows.status, rows.reason, rows.request, rows.result, attempts.call_id
    FROM rows LEFT JOIN attempts ON attempts.id = rows.attempt_id
"""
_REQUESTS = "SELECT idx, reason, request FROM rows"
_WANTED = "WHERE rows.run_id = ? AND rows.idx BETWEEN ? AND ? AND (rows.idx - ?) % ? = 0 ORDER BY rows.idx"
_IN_STATES = """
    WHERE rows.run_id = ? AND rows.idx > ? AND rows.state IN (SELECT value FROM json_each(?)) ORDER BY rows.idx LIMIT ?
"""
LATEST_EVENT = "SELECT at FROM history WHERE run_id = ? ORDER BY seq DESC LIMIT 1"


class Reader:
    """Reads beside the writer; each reading has a connection of its own that is closed when it returns."""

    def __init__(self, path: Path) -> None:
        """Read the journal at this path."""
        self.path = path

    def fetch(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query that is bounded; raises JournalError."""
        with explained(self.path), closing(open_for_reading(self.path)) as db:
            return db.execute(sql, values).fetchall()

    def run(self, run_id: str) -> sqlite3.Row:
        """A run's own row, a draft's too; raises NoSuchRun."""
        # What is typed may be any bytes at all; a run's id never is, and SQLite takes only valid text.
        for row in self.fetch("SELECT * FROM runs WHERE id = ?", run_id) if run_id.isascii() else ():
            return row
        raise NoSuchRun(f"There is no run {run_id} in the journal {self.path}; see: concierge-calls runs")

    def runs(self) -> Iterator[sqlite3.Row]:
        """The rows of all runs but drafts, newest first."""
        sql = """
            SELECT * FROM runs WHERE NOT draft AND (started_at, id) < (?, ?)
            ORDER BY started_at DESC, id DESC LIMIT ?
        """
        after = ("9999", "")
        while page := self.fetch(sql, *after, PAGE):
            yield from page
            after = (page[-1]["started_at"], page[-1]["id"])

    def stats(self, run: sqlite3.Row) -> RunStats:
        """The figures of this run."""
        sql = """
            SELECT state, status, reason_code, count(*) AS rows, count(duration) AS timed,
                   total(duration) AS duration, total(cost) AS cost
            FROM rows WHERE run_id = ? GROUP BY state, status, reason_code
        """
        groups = self.fetch(sql, run["id"])
        latest = self.fetch(LATEST_EVENT, run["id"])
        peak = self.fetch(PEAK, run["id"])[0]["peak"]
        return _add_up(groups, run, worked_ms(run, latest[0]["at"] if latest else None), peak)

    def history(self, run_id: str, after: int, limit: int) -> list[HistoryRow]:
        """What happened in the run after the event with this number, oldest first."""
        sql = "SELECT * FROM history WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?"
        return [event(row) for row in self.fetch(sql, run_id, after, limit)]


class Results(Sequence[CallResult]):
    """A run's results in the file's order, read when they are asked for and never kept."""

    def __init__(self, reader: Reader, run: RunInfo, indices: range) -> None:
        """The results with these indices, as the run stood when it was read."""
        self._reader = reader
        self._run = run
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, which: int) -> CallResult: ...
    @overload
    def __getitem__(self, which: slice) -> Results: ...
    def __getitem__(self, which: int | slice) -> CallResult | Results:
        if isinstance(which, slice):
            return Results(self._reader, self._run, self._indices[which])
        index = self._indices[which]
        return result_of(self._rows(range(index, index + 1))[0], self._run)

    def __iter__(self) -> Iterator[CallResult]:
        for start in range(0, len(self), PAGE):
            # One by one: a page of results that are long takes much more memory than their text, and time.
            for row in self._rows(self._indices[start : start + PAGE]):
                yield result_of(row, self._run)

    def requests(self) -> Iterator[CallRequest]:
        """What was asked of each provider, in the same order, without reading what came of it."""
        for start in range(0, len(self), PAGE):
            for row in self._rows(self._indices[start : start + PAGE], _REQUESTS):
                yield load_request(row["idx"], row["request"], row["reason"])

    def __repr__(self) -> str:
        return f"<{len(self)} results of run {self._run.id}>"

    def _rows(self, indices: range, select: str = _RESULTS) -> list[sqlite3.Row]:
        first, last = min(indices), max(indices)
        found = self._reader.fetch(f"{select} {_WANTED}", self._run.id, first, last, first, abs(indices.step))
        return found if indices.step > 0 else found[::-1]


def results_in(reader: Reader, run: RunInfo, states: Iterable[CallState]) -> Iterator[CallResult]:
    """The run's results in these states, in the file's order, as they are when they are asked for."""
    wanted, last = json.dumps(list(states)), -1
    while rows := reader.fetch(f"{_RESULTS} {_IN_STATES}", run.id, last, wanted, PAGE):
        for row in rows:
            yield result_of(row, run)
        last = rows[-1]["idx"]


def info_of(row: sqlite3.Row, *, dry_run: bool = False) -> RunInfo:
    """What there is to know of a run, from its own row."""
    about = json.loads(row["about"])
    return RunInfo(
        id=row["id"],
        started_at=moment(row["started_at"]),
        ended_at=to_moment(row["ended_at"]),
        via=row["via"],
        simulated=bool(row["simulated"]),
        dry_run=dry_run,
        max_concurrent=row["max_concurrent"],
        source=about["source"],
        version=about["version"],
        finished=bool(row["finished"]),
        output=about["output"],
        format=Format(about["format"]),
        stopped=load_reason(row["stopped"]),
    )


def options_of(row: sqlite3.Row) -> Mapping[str, Any]:
    """The settings that a resume of this run needs."""
    options: Mapping[str, Any] = json.loads(row["about"])["options"]
    return options


def stop_of(row: sqlite3.Row) -> tuple[Reason | None, bool]:
    """Why nobody in this run is ever to be dialled any more, if so, and whether the calls on its lines are to end."""
    about = json.loads(row["about"])
    return load_reason(about.get("for_good")), bool(about.get("hang_up"))


def worked_ms(run: sqlite3.Row, latest: str | None) -> int:
    """How long the run has been worked on, a sitting that goes on or died up to its latest event included."""
    if run["sitting_since"] is None or latest is None:
        return int(run["worked_ms"])
    return int(run["worked_ms"]) + milliseconds(moment(run["sitting_since"]), moment(latest))


def milliseconds(start: datetime, end: datetime) -> int:
    """From one moment to another; 0 when the clock was set back in between."""
    return max(0, round((end - start).total_seconds() * 1000))


def result_of(row: sqlite3.Row, run: RunInfo) -> CallResult:
    """One row's entry in the document, whatever state it is in."""
    asked = load_request(row["idx"], row["request"], row["reason"])
    status = _shown(row["state"], row["status"], run.stopped)
    if row["result"] is None:
        known = CallResult.of(asked, CallOutcome(status=status))
    else:
        known = load_result(asked, row["result"])
    call_id = known.call_id or row["call_id"]
    shown: dict[str, Any] = {
        "status": status,
        "error": known.error or _why(status, asked, run),
        "call_id": call_id,
        "call_method": known.call_method or (_method(run) if call_id else None),
    }
    # A settled one is shown as it was kept; of thousands a copy of each takes time.
    return known if all(getattr(known, name) == value for name, value in shown.items()) else replace(known, **shown)


def _shown(state: str, status: str | None, stopped: Reason | None) -> CallStatus:
    match CallState(state):
        case CallState.PENDING:
            return CallStatus.NOT_CALLED if stopped else CallStatus.PENDING
        case CallState.DIALING | CallState.PLACED | CallState.ENDED:
            return CallStatus.IN_PROGRESS
        case CallState.SKIPPED:
            return CallStatus.SKIPPED
        case _:
            return CallStatus(status or "")


def _why(status: CallStatus, asked: CallRequest, run: RunInfo) -> Reason | None:
    return run.stopped if status is CallStatus.NOT_CALLED else asked.skip


def _method(run: RunInfo) -> CallMethod:
    if run.simulated:
        return CallMethod.SIMULATED
    return CallMethod.KESTRA if run.via == "kestra" else CallMethod.DIRECT_VAPI


def _add_up(groups: Iterable[sqlite3.Row], run: sqlite3.Row, duration_ms: int, peak: int) -> RunStats:
    stopped = load_reason(run["stopped"])
    counts: dict[str, int] = {}
    total = timed = unusable = 0
    seconds = cost = 0.0
    for group in groups:
        status = _shown(group["state"], group["status"], stopped)
        name = status.counted_as
        counts[name] = counts.get(name, 0) + group["rows"]
        total += group["rows"]
        timed += group["timed"]
        seconds += group["duration"]
        cost += group["cost"]
        if status is CallStatus.SKIPPED and group["reason_code"] not in SKIPPED_ON_PURPOSE:
            unusable += group["rows"]
    return RunStats(
        **counts,
        total=total,
        unusable=unusable,
        duration_ms=duration_ms,
        average_call_duration=seconds / timed if timed else 0.0,
        peak_concurrent=peak,
        cost=cost,
    )
