"""Whichever write fails, for whatever reason: nobody is dialled without their intent, and no earlier result is lost."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from concierge_calls.errors import JournalError
from concierge_calls.journal import Journal, RunRecord
from concierge_calls.models import CallOutcome, CallResult, CallState, CallStatus

Begin = Callable[..., Awaitable[RunRecord]]

IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a folder of our own is made there
ROWS = 3
LONG = CallOutcome(status=CallStatus.COMPLETED, transcript="x" * 200_000)
BODY = b"{}" * 50_000
FAULTS = {
    "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "broken": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    "held": (sqlite3.SQLITE_BUSY, "database is locked"),
}
SOME = 5  # times in a row
ALWAYS = 1_000_000  # not for a journal that is held, which would be waited for


class Failing:
    """A connection of which statements fail, so many times from the n-th on: all of them count, or only commits."""

    def __init__(self, db: sqlite3.Connection, fault: str, nth: int, times: int, *, commits: bool) -> None:
        self._db = db
        self._code, self._words = FAULTS[fault]
        self._due = range(nth, nth + times)
        self._commits = commits
        self._passed = 0

    @property
    def has_failed(self) -> bool:
        return self._passed >= self._due.start

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._count(sql)
        return self._db.execute(sql, *values)

    def executemany(self, sql: str, values: Any) -> sqlite3.Cursor:
        self._count(sql)
        return self._db.executemany(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def _count(self, sql: str) -> None:
        if sql.startswith("ROLLBACK") or (self._commits and sql != "COMMIT"):
            return
        self._passed += 1
        if self._passed in self._due:
            error = sqlite3.OperationalError(self._words)
            error.sqlite_errorcode = self._code
            raise error


@dataclass
class Called:
    """Who was dialled and whose result was committed, by their indices, as the one who calls saw it."""

    dialled: list[int] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)

    async def everybody(self, record: RunRecord) -> None:
        """Call one after the other until nobody is left or something cannot be written."""
        while (attempt := (await record.claim(redial_after=None)).attempt) is not None:
            self.dialled.append(attempt.index)
            await record.placed(attempt, f"call-{attempt.index}", attempt.dialed_at)
            await record.ended(attempt, LONG, BODY)
            await record.settled(attempt, CallResult.of(attempt.asked, LONG, call_id="call"), BODY)
            self.settled.append(attempt.index)
        await record.finish(finished=False)


async def _call(path: Path, begin: Begin, fault: str, nth: int, times: int, *, commits: bool) -> tuple[Called, bool]:
    """Have a run meet the fault, and return what came of it and whether it has met it; the journal must agree."""
    called = Called()
    with Journal(path) as journal:
        record = await begin(journal, ROWS)
        await record.keep_room(1)
        whole = journal._writer._db
        failing = Failing(whole, fault, nth, times, commits=commits)
        journal._writer._db = failing  # type: ignore[assignment]
        with suppress(JournalError):
            await called.everybody(record)
        journal._writer._db = whole
        _agrees(journal, record.id, await record.counts(), called)
        record.close()
        taken_up = await journal.open_run(record.id)
        left = [attempt.index for attempt in await taken_up.unfinished()]
        taken_up.close()
    assert left == called.dialled[len(called.settled) :]
    return called, failing.has_failed


def _agrees(journal: Journal, run: str, counts: Any, called: Called) -> None:
    results = list(journal.result(run).results)
    assert counts[CallState.PENDING] == ROWS - len(called.dialled)
    assert counts[CallState.SETTLED] == len(called.settled)
    assert [results[index].transcript for index in called.settled] == [LONG.transcript] * len(called.settled)


def call(begin: Begin, fault: str, nth: int, times: int, *, commits: bool) -> bool:
    """Have a run meet the fault and judge it; whether it came so far at all."""
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        called, met = asyncio.run(_call(Path(folder) / "runs.db", begin, fault, nth, times, commits=commits))
    everybody = list(range(ROWS))
    if fault == "held":  # before the first intent is committed nobody waits, and then nobody is dialled
        assert (called.dialled, called.settled) in ((everybody, everybody), ([], []))
    elif fault == "full" and times == 1:  # there is room for whoever was dialled
        assert called.settled == called.dialled
    return met


@pytest.mark.parametrize(
    ("fault", "times"),
    [("full", 1), ("full", SOME), ("full", ALWAYS), ("broken", 1), ("broken", ALWAYS), ("held", 1), ("held", SOME)],
)
def test_whichever_commit_fails_the_journal_agrees_with_whoever_calls(begin: Begin, fault: str, times: int) -> None:
    nth = 1
    while call(begin, fault, nth, times, commits=True):
        nth += 1
    assert nth == 2 + ROWS * 4 + 1  # each that a run makes, the last claim that finds nobody and its end too


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    fault=st.sampled_from(sorted(FAULTS)),
    nth=st.integers(min_value=1, max_value=130),
    times=st.sampled_from([1, 2, SOME]),
)
@example(fault="held", nth=1, times=1)
def test_whichever_statement_fails_the_journal_agrees_with_whoever_calls(
    begin: Begin, fault: str, nth: int, times: int
) -> None:
    call(begin, fault, nth, times, commits=False)
