"""A backend that dials a row only when certainly no other start of its task, on whatever worker, has done so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from concierge_calls.backend import Placed, Progress, Sighting, Stage, Turn
from concierge_calls.dialer import LOOK_BACK
from concierge_calls.errors import (
    AccountRefused,
    ComeBackLater,
    JournalError,
    NumberRefused,
    PlacementError,
    PlacementInDoubt,
    ReadFailed,
    ReadRefused,
)
from concierge_calls.kestra.markers import Markers
from concierge_calls.kestra.searched import NEVER_DIALLED, BackendBefore, Searched, first_day, never_dialled, row_of
from concierge_calls.models import CallRequest

_MARKED = (
    "An earlier start of this task was about to dial this number, and Vapi shows no call of it: the phone may have"
    " rung, so it is not dialled again."
)
_ENDING = "The task has to end, so this number is not dialled by it; nobody's phone rang."


@dataclass(frozen=True, slots=True)
class _Found:
    """A call of this run at the backend, and whether it ended without anybody having been dialled."""

    placed: Placed
    never_dialled: bool


class MarkedBackend(BackendBefore):
    """Keeps the sentences of `Backend` over another one, and before each dial marks it and looks for an earlier one.

    A call of the row that is found is followed. One that was marked before and is not found is in doubt.
    """

    def __init__(
        self, backend: Searched, markers: Markers, run_id: str, numbers: Sequence[int], *, ends: asyncio.Event
    ) -> None:
        """Place the calls of this run by `backend`; `numbers` gives each row's number in the whole run.

        Once it `ends`, nobody more is dialled.
        """
        super().__init__(backend)
        self._markers = markers
        self._run_id = run_id
        self._numbers = numbers
        self._ends = ends
        self._found: dict[str, _Found] = {}
        self._looked_at: datetime | None = None
        self._keys: dict[str, str] = {}  # call id -> the key that it was placed with

    def __repr__(self) -> str:
        return f"<MarkedBackend of run {self._run_id} over {self._backend!r}>"

    async def place(self, request: CallRequest, key: str, turn: Turn) -> Placed:
        """Mark the attempt, look for a call of its row, and place one only where there is neither a mark nor a call."""
        try:
            if (found := await self._earlier_call(key)) is not None:
                return found
            return await self._pass_on(replace(request, index=self._numbers[request.index]), key, turn)
        finally:
            turn.release(unused=True)  # where nothing was sent; once is enough

    async def find(self, keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        """Look once for calls of the rows that these keys are of, whichever start placed them, be it after `until`."""
        await self._look(min(since, self._since()))
        found = {key: self._call_of(key) for key in keys}
        return {key: placed for key, placed in found.items() if placed is not None}

    async def follow(self, placed: Placed) -> AsyncIterator[Progress | Sighting]:
        """Follow by the other backend; the mark of a call that was never dialled is taken back."""
        async for told in self._backend.follow(placed):
            if isinstance(told, Progress) and told.stage is Stage.ENDED and told.verdict in NEVER_DIALLED:
                await self._forget(placed)
            yield told

    async def _earlier_call(self, key: str) -> Placed | None:
        others = await self._mark(key)
        try:
            await self._unless_it_ends(self._look(self._since()))
        except ReadFailed as error:
            raise self._unseen(key, others, error) from error
        found = self._call_of(key)
        if found is None and others - {each for each, call in self._found.items() if call.never_dialled}:
            raise PlacementInDoubt(_MARKED, "marked")
        if found is None and self._ends.is_set():
            await asyncio.to_thread(self._markers.take_back, key)
            raise ComeBackLater(_ENDING, "ending")
        return found

    async def _unless_it_ends(self, looking: Coroutine[Any, Any, None]) -> None:
        look, end = asyncio.ensure_future(looking), asyncio.ensure_future(self._ends.wait())
        try:
            await asyncio.wait({look, end}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.cancel()
            look.cancel()  # does nothing to one that is over
        with suppress(asyncio.CancelledError):
            await look

    # What is marked

    async def _mark(self, key: str) -> frozenset[str]:
        """Mark this attempt and return what was marked of its row before; itself, if it was."""
        try:
            is_new = await asyncio.to_thread(self._markers.put, key)
            others = await asyncio.to_thread(self._markers.beginning, row_of(key))
        except JournalError as error:
            raise AccountRefused(error.message, "not_marked") from error
        return frozenset(each for each in others if row_of(each) == row_of(key)) - ({key} if is_new else set())

    def _unseen(self, key: str, others: frozenset[str], error: ReadFailed) -> PlacementError:
        if others:
            return PlacementInDoubt(_MARKED, "marked")
        self._markers.take_back(key)
        if isinstance(error, ReadRefused):
            return AccountRefused(error.message, "not_looked_for")
        return ComeBackLater(error.message, "not_looked_for")

    async def _pass_on(self, request: CallRequest, key: str, turn: Turn) -> Placed:
        try:
            placed = await self._backend.place(request, key, turn)
        except (NumberRefused, AccountRefused, ComeBackLater):
            await asyncio.to_thread(self._markers.take_back, key)
            raise
        self._keys[placed.call_id] = key
        return placed

    async def _forget(self, placed: Placed) -> None:
        key = self._keys.get(placed.call_id)
        if key is not None:
            self._found[key] = _Found(placed, never_dialled=True)
            await asyncio.to_thread(self._markers.take_back, key)

    # What the backend knows

    def _since(self) -> datetime:
        now = self.now()
        if self._looked_at is not None:  # what was there before is known; the list may lag
            return self._looked_at - LOOK_BACK
        return first_day(self._run_id, now)

    async def _look(self, since: datetime) -> None:
        began = self.now()
        for key, placed in (await self._backend.find_all(f"{self._run_id}-", since)).items():
            never = never_dialled(placed)
            known = self._found.get(key)
            self._keys[placed.call_id] = key
            if known is None or not known.never_dialled:
                # What was said is not kept for each call of a long run: following asks for it.
                self._found[key] = _Found(replace(placed, over=None), never)
        self._looked_at = began

    def _call_of(self, key: str) -> Placed | None:
        """Return the call of this attempt, or of another one of its row by which somebody may have been rung."""
        if key in self._found:
            return self._found[key].placed
        rang = (
            call.placed for each, call in self._found.items() if row_of(each) == row_of(key) and not call.never_dialled
        )
        return next(rang, None)
