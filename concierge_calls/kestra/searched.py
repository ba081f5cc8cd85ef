"""A backend that also finds calls by how their keys begin, and what is common to the backends put before such a one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from concierge_calls.backend import Backend, Identity, Placed, Progress, Sighting, Turn, Verdict
from concierge_calls.models import CallMethod

UNDATED: Final = timedelta(hours=24)  # how far back calls are looked for where a run's id does not tell its day
LONGEST_AGO: Final = timedelta(days=30)
NEVER_DIALLED: Final = frozenset({Verdict.NO_LINE, Verdict.START_FAILED, Verdict.WITHDRAWN, Verdict.ACCOUNT})

_DATED: Final = re.compile(r"(\d{8})-")


class Searched(Backend, Protocol):
    """A backend that also finds calls by how their keys begin."""

    async def find_all(self, beginning: str, since: datetime) -> Mapping[str, Placed]:
        """Look once for all calls since then whose key begins so. Raises ReadFailed."""


class BackendBefore:
    """Stands before another backend and passes on to it whatever a subclass does not do in its own way."""

    def __init__(self, backend: Searched) -> None:
        self._backend = backend

    @property
    def method(self) -> CallMethod:
        """The other backend's."""
        return self._backend.method

    def now(self) -> datetime:
        """The time in the other backend's clock."""
        return self._backend.now()

    def latest_end(self, created_at: datetime, *, known: bool = True) -> datetime:
        """As the other backend says."""
        return self._backend.latest_end(created_at, known=known)

    def latest_analysis(self, ended_at: datetime) -> datetime:
        """As the other backend says."""
        return self._backend.latest_analysis(ended_at)

    def open(self) -> AbstractAsyncContextManager[None]:
        """Run whatever the other backend needs for following."""
        return self._backend.open()

    async def check(self) -> Identity:
        """Ask the other backend; raises what that raises."""
        return await self._backend.check()

    async def turn(self) -> Turn:
        """Wait for the other backend's turn."""
        return await self._backend.turn()

    def follow(self, placed: Placed) -> AsyncIterator[Progress | Sighting]:
        """Follow by the other backend."""
        return self._backend.follow(placed)

    def hang_up(self, call_id: str) -> None:
        """Have the other backend end the call."""
        self._backend.hang_up(call_id)

    def withdraw(self) -> Collection[str]:
        """Have the other backend take back what waits for a line."""
        return self._backend.withdraw()


def never_dialled(placed: Placed) -> bool:
    """Tell whether a call that was found is over without anybody having been dialled."""
    return placed.over is not None and placed.over.verdict in NEVER_DIALLED


def first_day(run_id: str, now: datetime) -> datetime:
    """Return since when at the earliest there can be calls of the run: its id begins with the day, if it is ours."""
    earliest = now - UNDATED
    if found := _DATED.match(run_id):
        try:
            day = datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            return earliest
        earliest = min(earliest, day - timedelta(hours=1))  # the clock that named it may be off
    return max(earliest, now - LONGEST_AGO)


def row_of(key: str) -> str:
    """Return how the keys of all attempts of this one's row begin."""
    return key.rpartition("-")[0] + "-"
