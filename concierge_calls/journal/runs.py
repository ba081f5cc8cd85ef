"""The SQLite record of every run: opens it, begins and finds runs, and knows whom not to call."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from concierge_calls.errors import KeyInUse, NoSuchRun
from concierge_calls.journal import drafts, figures, guards, wishes
from concierge_calls.journal.entries import (
    SYSTEM_CLOCK,
    Clock,
    DoNotCall,
    HistoryRow,
    LeftOver,
    LineSpan,
    NewRun,
    Owner,
    RequestKey,
)
from concierge_calls.journal.faults import explained
from concierge_calls.journal.forgetting import Forgetting, is_forgotten
from concierge_calls.journal.live import live_events
from concierge_calls.journal.lock import RunLock, is_held
from concierge_calls.journal.looks import Look, lock_for_a_look, no_look
from concierge_calls.journal.opening import open_for_reading, open_for_writing
from concierge_calls.journal.reading import PAGE, Reader, Results, info_of, options_of, results_in, stop_of
from concierge_calls.journal.record import RunRecord
from concierge_calls.journal.rows import moment, to_text
from concierge_calls.journal.writer import Writer
from concierge_calls.models import CallEvent, CallResult, CallState, Reason, RunInfo, RunResult, RunStats

_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is taken for another when it is typed


class Journal:
    """The record of all runs in one file; real and simulated runs have a file each.

    The async methods are committed when they return. Reading sees what is committed. Every method raises JournalError
    when the file cannot be used, JournalFull when its disk is full.
    """

    def __init__(self, path: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        """Open the journal at this path, or make it.

        Raises JournalError when it cannot be written, is damaged, or was written by a newer version.
        """
        self.path = path
        self._clock = clock
        self._reader = Reader(path)
        self._writer = Writer(open_for_writing(path, clock.now()), path)
        self.forgetting = Forgetting(self._reader, self._writer, clock)
        # Planning asks the guards about each row of a file: one connection for all of it, with nothing open in between.
        with explained(path):
            self._guarding = open_for_reading(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Journal {self.path}>"

    def close(self) -> None:
        """Commit what was asked for, and close the file; results that were handed out can still be read."""
        self._writer.close()
        self._guarding.close()

    # — runs to work on —

    async def draft(self, new: NewRun) -> RunRecord:
        """A new run, which nobody sees until it is started, and which is swept when this process dies before that.

        Raises KeyInUse when a run was begun, or is about to be, by the same request's key.
        """
        run_id = f"{self._clock.now():%Y%m%d}-{''.join(secrets.choice(_ID_LETTERS) for _ in range(8))}"
        return (await self.draft_or_open(run_id, new))[0]

    async def draft_or_open(self, run_id: str, new: NewRun) -> tuple[RunRecord, bool]:
        """The run with this id and whether it has begun: a new draft, unless an earlier process has begun it.

        Raises RunLocked while another process works on it, and KeyInUse as `draft` does.
        """
        lock = RunLock(self.path.parent, run_id)
        try:
            at = to_text(self._clock.now())
            begun = await self._writer.write(partial(drafts.draft_unless_begun, run_id=run_id, new=new, at=at))
        except BaseException:
            lock.release()
            raise
        return RunRecord(run_id, self._writer, self._reader, lock, self._clock), begun

    async def open_run(self, run_id: str) -> RunRecord:
        """A run to be resumed, of which nothing has changed until it is taken up.

        Waits while somebody only looks at it. Raises NoSuchRun, and RunLocked while another process works on it.
        """
        if self._reader.run(run_id)["draft"]:
            raise NoSuchRun(f"Run {run_id} never began; see: concierge-calls runs")
        lock = RunLock(self.path.parent, run_id)
        try:
            await no_look(self.path.parent, run_id)
            self._refuse_forgotten(run_id)
        except BaseException:
            lock.release()
            raise
        return RunRecord(run_id, self._writer, self._reader, lock, self._clock)

    def _refuse_forgotten(self, run_id: str) -> None:
        if is_forgotten(self._reader.run(run_id)):
            raise NoSuchRun(f"Run {run_id} was forgotten, so nothing of it can be resumed; see: concierge-calls runs")

    @asynccontextmanager
    async def looking_at(self, run_id: str) -> AsyncIterator[Look]:
        """Look at a run from outside, and keep work and other looks from it meanwhile.

        Waits while somebody else looks. Raises RunLocked when a process works on the run.
        """
        lock = await lock_for_a_look(self.path.parent, run_id)
        try:
            yield Look(run_id, self._writer, self._clock)
        finally:
            lock.release()

    # — runs to look at —

    def infos(self) -> Iterator[RunInfo]:
        """All runs but drafts, newest first, without their figures."""
        return map(info_of, self._reader.runs())

    def runs(self) -> Iterator[tuple[RunInfo, RunStats]]:
        """All runs but drafts, newest first."""
        return ((info_of(row), self._reader.stats(row)) for row in self._reader.runs())

    def latest_unfinished(
        self, owner: Owner | str = Owner.CLI, *, or_in_doubt: bool = False, but: Collection[str] = ()
    ) -> str | None:
        """The latest run of this owner that began and is not finished; or, if asked for, that has a call in doubt.

        Those in `but` are passed over. The very latest run of all is not finished either while its document was not
        written; an older one's may have been replaced by a later run's since.
        """
        sql = """
            SELECT id FROM runs WHERE NOT draft AND owner = ? AND (
                NOT finished
                OR (? AND EXISTS (SELECT 1 FROM rows WHERE rows.run_id = runs.id AND rows.state = 'uncertain'))
                OR (json_extract(about, '$.owed') = 1 AND NOT EXISTS (
                    SELECT 1 FROM runs AS later
                    WHERE NOT later.draft AND (later.started_at, later.id) > (runs.started_at, runs.id)
                ))
            )
            AND id NOT IN (SELECT value FROM json_each(?))
            ORDER BY started_at DESC, id DESC LIMIT 1
        """
        found = self._reader.fetch(sql, owner, or_in_doubt, json.dumps(list(but)))
        return str(found[0]["id"]) if found else None

    def left_over(self, owner: Owner | str = Owner.CLI) -> list[LeftOver]:
        """The latest 100 runs of this owner that are unfinished or owe their document, but those that are worked on."""
        sql = """
            SELECT *, (SELECT count(*) FROM rows WHERE run_id = runs.id AND state = 'pending') AS waiting FROM runs
            WHERE NOT draft AND owner = ? AND (NOT finished OR json_extract(about, '$.owed') = 1)
            ORDER BY started_at DESC, id DESC LIMIT ?
        """
        return [
            LeftOver(id=run.id, source=run.source, finished=run.finished, left=row["waiting"])
            for row in self._reader.fetch(sql, owner, PAGE)
            if not self.is_worked_on((run := info_of(row)).id)
        ]

    def unfinished(self, owner: Owner | str) -> Iterator[RunInfo]:
        """The runs of this owner that began and are not finished, newest first."""
        return (info_of(row) for row in self._reader.runs() if row["owner"] == owner and not row["finished"])

    def requested(self, key: str) -> tuple[RequestKey, str] | None:
        """The request that came with this key, and the id of its run; None when none came.

        Raises KeyInUse while that is a draft.
        """
        sql = "SELECT body, run_id, draft FROM requests JOIN runs ON runs.id = run_id WHERE key = ?"
        for row in self._reader.fetch(sql, key):
            if row["draft"]:
                raise KeyInUse
            return RequestKey(key, row["body"]), str(row["run_id"])
        return None

    def stopped_for_good(self, run_id: str) -> tuple[Reason | None, bool]:
        """Why nobody in this run is ever to be dialled any more, if so, and whether its calls end; raises NoSuchRun."""
        return stop_of(self._reader.run(run_id))

    def owes_document(self, run_id: str) -> bool:
        """Whether the run was to write a document and has not; raises NoSuchRun."""
        return bool(json.loads(self._reader.run(run_id)["about"]).get("owed"))

    def result(self, run_id: str, *, dry_run: bool = False) -> RunResult:
        """The run as it stands, a draft too; its results are read when they are asked for. Raises NoSuchRun."""
        row = self._reader.run(run_id)
        run, stats = info_of(row, dry_run=dry_run), self._reader.stats(row)
        return RunResult(run=run, stats=stats, results=Results(self._reader, run, range(stats.total)))

    def in_state(self, run_id: str, *states: CallState) -> Iterator[CallResult]:
        """The run's results in these states, in the file's order, without reading the others; raises NoSuchRun."""
        return results_in(self._reader, info_of(self._reader.run(run_id)), states)

    def begun(self, run_id: str) -> RunResult | None:
        """The run as it stands, unless it is a draft; None when there is none with this id."""
        with suppress(NoSuchRun):
            return None if self._reader.run(run_id)["draft"] else self.result(run_id)
        return None

    def options(self, run_id: str) -> Mapping[str, Any]:
        """The settings that a resume of this run needs; raises NoSuchRun."""
        return options_of(self._reader.run(run_id))

    def history(self, run_id: str, after: int = 0, limit: int = 100) -> list[HistoryRow]:
        """What happened in the run after the event with this number, oldest first."""
        return self._reader.history(run_id, after, limit)

    def latest(self, run_id: str) -> int:
        """The number of the run's latest event; 0 where nothing has happened yet."""
        sql = "SELECT coalesce(max(seq), 0) AS seq FROM history WHERE run_id = ?"
        return int(self._reader.fetch(sql, run_id)[0]["seq"])

    def live(self, run_id: str) -> Iterator[CallEvent]:
        """What has happened to each call that is not settled yet since it was last dialled, oldest first."""
        return live_events(self._reader, run_id)

    def is_worked_on(self, run_id: str) -> bool:
        """Whether a process, this one too, works on the run now; keeps none from doing so. Raises NoSuchRun."""
        self._reader.run(run_id)
        return is_held(self.path.parent, run_id)

    def line_times(self, run_id: str) -> Iterator[float]:
        """For each call that was on the line, in the file's order, the seconds that it had its line."""
        return figures.seconds_on_the_line(figures.line_spans(self._reader, run_id))

    def line_spans(self, run_id: str) -> Iterator[LineSpan]:
        """From when until when each call had its line, in the file's order, those too that are on the line now."""
        return figures.line_spans(self._reader, run_id)

    def cost_a_minute(self) -> float | None:
        """What a minute on the line has cost in the latest real runs; None when nothing was paid yet."""
        return figures.cost_a_minute(self._reader)

    # — whom not to call —

    def why_not(self, number: str, run_id: str) -> Reason | None:
        """Why the run must not call the number now, whenever it was called last; None when it may."""
        with explained(self.path):
            return guards.why_not(self._guarding, number, run_id, None)

    def on_the_line(self, number: str, *, but: str) -> str | None:
        """The real run, other than `but`, that may have the number on the line."""
        with explained(self.path):
            return guards.on_the_line(self._guarding, number, but)

    def dead_holder(self, number: str, *, but: str) -> str | None:
        """The real run, other than `but`, that may have the number on the line, if nobody works on that run."""
        holder = self.on_the_line(number, but=but)
        return None if holder is None or self.is_worked_on(holder) else holder

    def left_in(self, run_id: str) -> int:
        """How many providers of the run nobody has called yet, whom a resume by name calls."""
        with explained(self.path):
            return guards.left_in(self._guarding, run_id)

    def called_since(self, number: str, since: datetime, *, but: str = "") -> tuple[str, datetime] | None:
        """The real run, other than `but`, that called the number last since then, and when."""
        with explained(self.path):
            return guards.called_since(self._guarding, number, since, but)

    def do_not_call(self, number: str) -> datetime | None:
        """Since when the number is not to be called; None when it may be."""
        with explained(self.path):
            return guards.do_not_call_since(self._guarding, number)

    async def add_do_not_call(self, number: str, note: str = "") -> None:
        """Keep that the number is not to be called."""
        await self._writer.write(partial(wishes.do_not_call, number=number, note=note, now=self._clock.now()))

    async def remove_do_not_call(self, number: str) -> bool:
        """Have the number called again; whether it was kept at all."""
        sql = "DELETE FROM do_not_call WHERE number = ?"
        return await self._writer.write(lambda db: db.execute(sql, (number,)).rowcount == 1)

    def list_do_not_call(self) -> Iterator[DoNotCall]:
        """The numbers that are not to be called, in their own order."""
        sql = "SELECT * FROM do_not_call WHERE number > ? ORDER BY number LIMIT ?"
        after = ""
        while page := self._reader.fetch(sql, after, PAGE):
            yield from (DoNotCall(row["number"], moment(row["since"]), json.loads(row["note"])) for row in page)
            after = page[-1]["number"]
