"""A backend for calls that a flow's children placed: each is known by its row, whichever start of a child placed it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Final

from concierge_calls.backend import Placed, Turn
from concierge_calls.kestra.searched import BackendBefore, Searched, first_day, never_dialled, row_of
from concierge_calls.models import CallMethod, CallRequest

# A backend is asked by which way calls go, not one call; each call has a task of its own, from its dial to its result.
_IS_DIALLED_HERE: Final = ContextVar("is_dialled_here", default=False)

STANDS: Final = 1.0  # seconds in which one look is that of all who look for another row


class SoughtBackend(BackendBefore):
    """Keeps the sentences of `Backend` over another one, but finds a row's call by any key that its child gave it."""

    def __init__(self, backend: Searched, run_id: str) -> None:
        """Look for the calls of this run by `backend`."""
        super().__init__(backend)
        self._run_id = run_id
        self._one_at_a_time = asyncio.Lock()
        self._since: datetime | None = None  # the earliest that was asked for
        self._looked_at = float("-inf")
        self._calls: dict[str, Placed] = {}  # by row

    def __repr__(self) -> str:
        return f"<SoughtBackend of run {self._run_id} over {self._backend!r}>"

    @property
    def method(self) -> CallMethod:
        """By Kestra, where who is left to follow was called; directly for a call that was dialled anew from here."""
        return self._backend.method if _IS_DIALLED_HERE.get() else CallMethod.KESTRA

    async def place(self, request: CallRequest, key: str, turn: Turn) -> Placed:
        """Place the call by the other backend."""
        _IS_DIALLED_HERE.set(True)
        return await self._backend.place(request, key, turn)

    async def find(self, keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        """Look once for calls of the rows that these keys are of; one that may have rung goes before all others.

        Those count too that were placed after `until`, since a flow may have dialled anew, and before `since`, as far
        as the run may have begun by then: that is of this machine's clock, and not of the backend's.
        """
        since = min(since, first_day(self._run_id, self.now()))
        async with self._one_at_a_time:
            is_earlier = self._since is None or since < self._since
            if is_earlier or asyncio.get_running_loop().time() > self._looked_at + STANDS:
                self._since = since if self._since is None else min(since, self._since)
                self._calls = await self._look(self._since)
                self._looked_at = asyncio.get_running_loop().time()
        return {key: self._calls[row_of(key)] for key in keys if row_of(key) in self._calls}

    async def _look(self, since: datetime) -> dict[str, Placed]:
        calls: dict[str, Placed] = {}
        for key, placed in (await self._backend.find_all(f"{self._run_id}-", since)).items():
            row = row_of(key)
            if row not in calls or never_dialled(calls[row]):
                calls[row] = placed
        return calls
