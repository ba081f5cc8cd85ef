"""Rows that are claimed side by side: where dials keep no distance several share a commit, and none is lost by it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from concierge_calls.backend import Verdict
from concierge_calls.caller import Caller
from concierge_calls.dispatcher import SIDE_BY_SIDE
from concierge_calls.errors import ComeBackLater, JournalError
from concierge_calls.journal import Claim
from concierge_calls.models import CallStatus
from concierge_calls.stopping import LEAVING_LIMIT
from tests.calling.fakes import Take
from tests.calling.office import Office, played
from tests.calling.rehearsal import Rehearsal, Rehearse

HOPS = 100  # turns of the event loop in which all have claimed who may


class Disk:
    """A connection that is as slow as whoever claims meanwhile, and notes how many rows each commit claims."""

    def __init__(self, db: sqlite3.Connection, asked_for: Callable[[], int]) -> None:
        self._db = db
        self._asked_for = asked_for
        self._loop = asyncio.get_running_loop()
        self._claimed = 0
        self.claims: list[int] = []
        self.under_way: list[int] = []  # claims, as each of these commits ends: those in it, and those for the next

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
        await hops(HOPS)
        self.under_way.append(self._asked_for())


def claims_of(caller: Caller) -> Callable[[], int]:
    """Tell how many claims this caller has asked for that are not made yet."""
    claims = caller._dispatcher._claims
    claim, asked_for = claims.next, 0

    async def counted() -> Claim:
        nonlocal asked_for
        asked_for += 1
        try:
            return await claim()
        finally:
            asked_for -= 1

    claims.next = counted  # type: ignore[method-assign]
    return lambda: asked_for


@pytest.mark.parametrize(("interval", "most"), [(0.0, SIDE_BY_SIDE), (1.0, 1)])
def test_while_one_claim_is_committed_the_next_ones_gather_for_the_next_commit(
    rehearse: Rehearse, interval: float, most: int
) -> None:
    disks: list[Disk] = []

    async def scenario(run: Rehearsal) -> None:
        caller = await run.caller(12, start_interval=interval)
        writer = run._open[1]._writer
        writer._db = Disk(writer._db, claims_of(caller))
        disks.append(writer._db)
        await caller.call_all()

    run = rehearse(12)
    run.play(scenario)

    [disk] = disks
    assert max(disk.under_way) == most
    assert (max(disk.claims) > 1, sum(disk.claims)) == (most > 1, 12)
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


async def hops(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def claims_wait(caller: Caller, until: Callable[[int], Awaitable[object]]) -> None:
    """Have each claim of this caller, once it is committed, told only after this, which takes its number."""
    claims = caller._dispatcher._claims
    claim, number = claims.next, 0

    async def told_late() -> Claim:
        nonlocal number
        number += 1
        mine, claimed = number, await claim()
        await until(mine)
        return claimed

    claims.next = told_late  # type: ignore[method-assign]


@pytest.mark.parametrize("later", range(4))
def test_a_call_that_breaks_the_run_as_others_are_claimed_leaves_nothing_taken(rehearse: Rehearse, later: int) -> None:
    async def scenario(run: Rehearsal) -> None:
        office = Office.of(8)
        caller = await office.caller(run)
        broken = asyncio.Event()

        async def until(number: int) -> None:
            if number > 1:
                await broken.wait()

        async def placed(*_: object, **__: object) -> None:
            await hops(HOPS)
            await run.record.counts()  # what was claimed is committed
            broken.set()
            await hops(later)
            raise JournalError("It breaks.")

        claims_wait(caller, until)
        monkeypatch.setattr(caller._dialer._record, "placed", placed, raising=False)
        with pytest.raises(BaseExceptionGroup) as raised:
            await caller.call_all()
        await hops(HOPS)
        assert raised.group_contains(JournalError)
        assert not raised.group_contains(RuntimeError)
        assert (office.lines.busy, run.backend.turns_out, len(office.brakes.doubts._in_flight)) == (0, 0, 0)

    with pytest.MonkeyPatch.context() as monkeypatch:
        rehearse(12).play(scenario)


def test_calls_that_were_claimed_as_somebody_left_get_ten_seconds_as_all_do(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> float:
        caller = await run.caller(lines=8)
        left = asyncio.Event()

        async def until(_: int) -> None:
            asyncio.get_running_loop().call_soon(left.set)

        claims_wait(caller, until)
        calling = asyncio.ensure_future(caller.call_all())
        await left.wait()
        await caller.leave()
        await asyncio.wait([calling])
        return asyncio.get_running_loop().time()

    run = rehearse(8, {index: [Take(after=None)] for index in range(8)})
    assert run.play(scenario) <= LEAVING_LIMIT


def test_a_run_has_one_place_among_those_that_wait_for_a_line_however_many_it_claims(rehearse: Rehearse) -> None:
    runs = [rehearse(20), *(rehearse(1) for _ in range(3))]

    async def scenario() -> None:
        office = Office.of(1)

        async def later(run: Rehearsal) -> None:
            await asyncio.sleep(11)
            await office.call_all(run)

        await asyncio.gather(office.call_all(runs[0]), *map(later, runs[1:]))

    played(runs, scenario)
    assert sorted(run.backend.starts[0] for run in runs[1:]) == [30, 40, 50]
