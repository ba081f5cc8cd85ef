"""A run that is told to stop while a claim is being committed: nobody was dialled, and nothing of it is taken up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from concierge_calls.caller import Caller
from concierge_calls.models import CallState
from tests.calling.rehearsal import Rehearsal, Rehearse

HOPS = 100  # turns of the event loop in which all that can happen before the commit has happened

Stop = Callable[[Caller], Awaitable[None]]


class SlowDisk:
    """A connection whose first commit of a claim lasts until somebody has done something meanwhile."""

    def __init__(self, db: sqlite3.Connection, meanwhile: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._db = db
        self._loop = asyncio.get_running_loop()
        self._meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        claimed = "SELECT 1 FROM attempts WHERE state = 'dialing'"
        if sql == "COMMIT" and self._meanwhile is not None and self._db.execute(claimed).fetchall():
            asyncio.run_coroutine_threadsafe(self._meanwhile(), self._loop).result()
            self._meanwhile = None
        return self._db.execute(sql, *values)


async def drain(caller: Caller) -> None:
    caller.drain()


async def leave(caller: Caller) -> None:
    caller.drain()
    await caller.leave()


@pytest.mark.parametrize("interval", [0.0, 1.0], ids=["several at once", "one after the other"])
@pytest.mark.parametrize("stop", [drain, leave])
def test_a_claim_that_is_being_committed_is_taken_back_before_anything_else_of_the_run_is_read(
    rehearse: Rehearse, stop: Stop, interval: float
) -> None:
    async def scenario(run: Rehearsal) -> None:
        caller = await run.caller(start_interval=interval)

        async def meanwhile() -> None:
            await stop(caller)
            for _ in range(HOPS):
                await asyncio.sleep(0)

        writer = run._open[1]._writer
        writer._db = SlowDisk(writer._db, meanwhile)
        await caller.call_all()
        assert (await run.record.counts())[CallState.PENDING] == 2
        assert caller.interrupted

    run = rehearse(2)
    run.play(scenario)

    assert (run.backend.order, run.backend.looks, run.backend.turns_out, run.events) == ([], [], 0, [])
    assert {attempt.state for attempt in run.attempts()} == {"void"}
