"""Claims the next row to be dialled; one that a dead run may have on the line waits until that run was looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from concierge_calls.errors import ReadFailed
from concierge_calls.journal import Claim, RunRecord
from concierge_calls.models import CallOutcome, CallResult, CallStatus

LOOK_STANDS: Final = 60.0  # seconds in which a run is not looked at again, however many of its numbers are met
LOOK_AGAIN: Final = 5.0  # seconds after a look that came to nothing
LONGEST_WAIT: Final = 300.0  # seconds for which that goes on; then the journal is believed

# Looks at a run; raises ReadFailed when that came to nothing, so that the run is to be looked at again.
LookAt = Callable[[str], Awaitable[object]]

log = logging.getLogger(__name__)

_WAIT: Final = "%s Whoever it may have on the line waits until that is known, at the longest for 5 minutes."


class Claims:
    """Claims row after row of one run, and has the dead runs looked after that are in the way, beside the dialling."""

    def __init__(
        self,
        record: RunRecord,
        now: Callable[[], datetime],
        redial_after: datetime | None,
        tell: Callable[..., object],
        look: LookAt | None,
        looked: Callable[[], object],
    ) -> None:
        """Claim in this record by the backend's time; `look` takes the id of a run, `looked` is told that it is done.

        `tell` is told of each row that a guard holds back. Without a `look` whatever the journal says is believed.
        """
        self._record = record
        self._now = now
        self._redial_after = redial_after
        self._tell = tell
        self._look = look
        self._looked = looked
        self._group: asyncio.TaskGroup | None = None
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._looked_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Claims of {self._record.id}, {len(self._looks)} looks under way>"

    @property
    def are_waiting(self) -> bool:
        """Whether a look is under way or to be taken again, so that rows may still come to be dialled or skipped."""
        return bool(self._looks)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Let looks be taken while the context lasts; those that are under way at its end are given up."""
        async with asyncio.TaskGroup() as self._group:
            try:
                yield
            finally:
                for look in self._looks.values():
                    look.cancel()

    async def next(self) -> Claim:
        """Claim a row, tell of those that a guard holds back, and begin to look at the runs that others wait for."""
        claim = await self._record.claim(
            at=self._now(), redial_after=self._redial_after, believed=None if self._look is None else self._believed()
        )
        for row, asked, reason in claim.skipped:
            outcome = CallOutcome(status=CallStatus.SKIPPED, error=reason)
            self._tell(row, asked, result=CallResult.of(asked, outcome))
        for run_id in claim.unsure:
            self._begin_to_look(run_id)
        return claim

    def _believed(self) -> Collection[str]:
        now = _monotonic()
        return frozenset(run_id for run_id, since in self._looked_at.items() if now - since < LOOK_STANDS)

    def _begin_to_look(self, run_id: str) -> None:
        if self._look is not None and self._group is not None and run_id not in self._looks:
            self._looks[run_id] = self._group.create_task(self._look_at(run_id, self._look))

    async def _look_at(self, run_id: str, look: LookAt) -> None:
        try:
            await _until_known(run_id, look)
        finally:
            self._looked_at[run_id] = _monotonic()
            del self._looks[run_id]
            self._looked()


async def _until_known(run_id: str, look: LookAt) -> None:
    until, is_told = _monotonic() + LONGEST_WAIT, False
    while (fault := await _fault_of(look(run_id))) is not None and _monotonic() < until:
        if not is_told:
            log.warning(_WAIT, fault.message)
            is_told = True
        await asyncio.sleep(LOOK_AGAIN)


async def _fault_of(looking: Awaitable[object]) -> ReadFailed | None:
    try:
        await looking
    except ReadFailed as fault:
        return fault
    return None


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
