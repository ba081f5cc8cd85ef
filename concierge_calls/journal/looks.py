"""A look at a run that nobody works on: what is learnt of its calls is kept, and whoever wants to work waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from concierge_calls.errors import RunLocked
from concierge_calls.journal import transitions
from concierge_calls.journal.entries import Attempt, Clock, HistoryRow
from concierge_calls.journal.lock import RunLock, is_held
from concierge_calls.journal.sittings import quietly
from concierge_calls.journal.writer import Writer
from concierge_calls.models import CallOutcome, CallState, Reason

LONGEST_LOOK: Final = 15.0  # seconds that a look is waited for
PAUSE: Final = 0.05  # seconds between two tries
_ON_THE_LINE: Final = (CallState.DIALING, CallState.PLACED)


class Look:
    """A run that is looked at from outside; what a method returns is committed, and nothing else of the run changes."""

    def __init__(self, run_id: str, writer: Writer, clock: Clock) -> None:
        """Look at this run, at which nobody else looks."""
        self._run_id = run_id
        self._writer = writer
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Look at {self._run_id}>"

    async def on_the_line(self) -> list[Attempt]:
        """The attempts that may be on the line."""
        unfinished = await self._writer.write(partial(transitions.unfinished, run_id=self._run_id))
        return [attempt for attempt in unfinished if attempt.state in _ON_THE_LINE]

    async def placed(self, attempt: Attempt, call_id: str, created_at: datetime) -> None:
        """From dialing to placed."""
        await self._move(transitions.placed, attempt, call_id=call_id, created_at=created_at, adopted=False)

    async def ended(self, attempt: Attempt, outcome: CallOutcome, body: bytes | None) -> None:
        """From placed to ended, with what is known so far; who said not to be called is kept in the same commit."""
        await self._move(transitions.ended, attempt, outcome=outcome, body=body)

    async def void(self, attempt: Attempt, reason: Reason) -> None:
        """From placed back to pending, since this attempt certainly rang nobody; a resume dials the row."""
        await self._move(transitions.void, attempt, reason=reason)

    async def _move(self, transition: Callable[..., HistoryRow], attempt: Attempt, **facts: object) -> None:
        operation = partial(transition, attempt=attempt, now=self._clock.now(), **facts)
        await self._writer.write(partial(quietly, run_id=self._run_id, operation=operation))


async def lock_for_a_look(folder: Path, run_id: str) -> RunLock:
    """Keep work and other looks from the run; raises RunLocked when somebody works on it."""
    lock = await _alone(folder, run_id)
    if is_held(folder, run_id):
        lock.release()
        raise RunLocked
    return lock


async def no_look(folder: Path, run_id: str) -> None:
    """Wait until nobody looks at a run whose own lock is held, which every later look respects.

    Raises RunLocked when that takes longer than 15 seconds.
    """
    (await _alone(folder, run_id)).release()


async def _alone(folder: Path, run_id: str) -> RunLock:
    # A look has a lock of its own, so that a run which is only looked at never seems to be worked on. Whoever works
    # takes the run's lock first and this one after it, and whoever looks the other way round: neither misses the other.
    deadline = asyncio.get_running_loop().time() + LONGEST_LOOK
    while True:
        try:
            return RunLock(folder, f"{run_id}.look")
        except RunLocked:
            if asyncio.get_running_loop().time() >= deadline:
                raise RunLocked(
                    f"Run {run_id} is being looked at by another process, for longer than that should take;"
                    f" wait until that one ends, or stop it, then: concierge-calls resume {run_id}"
                ) from None
        await asyncio.sleep(PAUSE)
