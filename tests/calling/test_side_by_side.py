"""Rows that are claimed side by side: where dials keep no distance several share a commit, and none is lost by it."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from concierge_calls.backend import Verdict
from concierge_calls.dispatcher import SIDE_BY_SIDE
from concierge_calls.errors import ComeBackLater
from concierge_calls.models import CallStatus
from tests.calling.fakes import Take
from tests.calling.rehearsal import Rehearsal, Rehearse

HOPS = 100  # turns of the event loop in which all have claimed who may


class Disk:
    """A connection that notes how many rows each commit claims, and is as slow as whoever claims meanwhile."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._loop = asyncio.get_running_loop()
        self._claimed = 0
        self.claims: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._claimed += sql.lstrip().startswith("INSERT INTO attempts")
        if sql == "COMMIT" and self._claimed:
            self.claims.append(self._claimed)
            self._claimed = 0
            asyncio.run_coroutine_threadsafe(self._meanwhile(), self._loop).result()
        return self._db.execute(sql, *values)

    async def _meanwhile(self) -> None:
        for _ in range(HOPS):
            await asyncio.sleep(0)


@pytest.mark.parametrize(("interval", "most"), [(0.0, SIDE_BY_SIDE), (1.0, 1)])
def test_while_one_claim_is_committed_the_next_ones_gather_for_the_next_commit(
    rehearse: Rehearse, interval: float, most: int
) -> None:
    disks: list[Disk] = []

    async def scenario(run: Rehearsal) -> None:
        caller = await run.caller(12, start_interval=interval)
        writer = run._open[1]._writer
        writer._db = Disk(writer._db)
        disks.append(writer._db)
        await caller.call_all()

    run = rehearse(12)
    run.play(scenario)

    assert (max(disks[0].claims), sum(disks[0].claims)) == (most, 12)
    assert run.statuses() == ["completed"] * 12


@pytest.mark.parametrize("rows", range(1, 2 * SIDE_BY_SIDE + 2))
@pytest.mark.parametrize("lines", [1, 2, SIDE_BY_SIDE, 9])
def test_rows_that_are_put_back_when_nobody_else_is_left_are_dialled_all_the_same(
    rehearse: Rehearse, rows: int, lines: int
) -> None:
    later = Take(error=ComeBackLater("Later."), after=2)
    never_dialled = Take(talk=7, read_back=1, verdict=Verdict.NO_LINE, status=CallStatus.CANCELLED)
    run = rehearse(rows, {index: [later, never_dialled] for index in range(rows)})
    run.call_all(lines=lines)

    assert run.statuses() == ["completed"] * rows
    assert len(run.backend.starts) == 3 * rows
