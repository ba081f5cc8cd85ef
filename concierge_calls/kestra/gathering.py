"""Gathers what the children of one execution tell, out of lines and files, and brings each row's result home."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Final

from concierge_calls.errors import KestraRefused
from concierge_calls.journal import Attempt, Handover, RunRecord
from concierge_calls.kestra import results
from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.followed import Brought
from concierge_calls.kestra.home import NEVER_BEGUN, Home
from concierge_calls.kestra.results import OPEN, Result, Step
from concierge_calls.models import CallState
from concierge_calls.plain import count
from concierge_calls.stopping import Stopping

UNSAID: Final = (
    "What was said in {calls} did not come home from Kestra, since the file with it is gone; how they ended did. It is"
    " in the journal of the worker, and Vapi shows it by the call's id."
)

log = logging.getLogger(__name__)


class Gathering:
    """The rows of one hand-over whose results are not home yet, and what is told of them."""

    def __init__(
        self,
        record: RunRecord,
        client: KestraClient,
        handover: Handover,
        home: Home,
        stopping: Stopping,
        *,
        asks_vapi: bool,
    ) -> None:
        """Gather what was handed over so; a fault of the account that a child tells stops the run.

        `asks_vapi` says that whoever comes next can ask Vapi for what is not told here.
        """
        self.left: dict[int, Attempt] = {}  # by row
        self._record = record
        self._client = client
        self._handover = handover
        self._home = home
        self._stopping = stopping
        self._asks_vapi = asks_vapi
        self._begun: set[int] = set()  # rows that were told as being dialled
        self._gone: set[str] = set()  # files that are no longer there
        self._unsaid = 0  # calls that came home without what was said in them

    def __repr__(self) -> str:
        return f"<Gathering, {len(self.left)} not home>"

    async def begin(self) -> None:
        """Read from the journal whose results are not home."""
        self.left = {each.index: each for each in await self._record.handovers.attempts(self._handover)}

    async def tell_begun(self, rows: Iterable[int]) -> None:
        """Tell that these rows are being dialled, each once."""
        for row in rows:
            if row in self.left and row not in self._begun:
                self._begun.add(row)
                await self._home.begun(self.left[row])

    async def bring(self, children: Iterable[Brought], *, is_last: bool = False) -> None:
        """Bring home what these children told; what may still change is left until the last word of all.

        Raises KestraError for a file that cannot be had, and JournalError.
        """
        told: dict[int, Result] = {}
        for child in children:
            for result in await self._told(child, is_last):
                told[result.index] = results.surest(told.get(result.index), result)
        for row, result in told.items():
            if row in self.left and (is_last or result.step not in OPEN):
                await self._bring_one(self.left[row], result)

    async def put_back_all_but(self, begun: Collection[int] | None) -> bool:
        """Have those wait again whose children certainly never began, if it is known who did; tell whether any do."""
        never = [each for row, each in self.left.items() if begun is not None and row not in begun]
        for attempt in never:
            await self._home.put_back(attempt, NEVER_BEGUN)
        return bool(never)

    def say_what_is_missing(self) -> None:
        """Warn of the calls that came home without what was said in them."""
        if self._unsaid:
            log.warning(UNSAID.format(calls=count(self._unsaid, "call")))

    async def _told(self, child: Brought, is_last: bool) -> Iterable[Result]:
        told = {each.index: each for each in results.own(child.results, self._record.id)}
        if child.file is not None and (self._wants(told.values(), is_last) if told else is_last):
            told |= {each.index: each for each in await self._in_file(child.file)}
        return told.values()

    def _wants(self, told: Iterable[Result], is_last: bool) -> bool:
        return any(each.index in self.left and (is_last or each.step not in OPEN) for each in told)

    async def _in_file(self, uri: str) -> list[Result]:
        if uri in self._gone:
            return []
        try:
            content = await self._client.file(self._handover.execution_id or "", uri)
        except KestraRefused as error:
            if error.is_about_credentials:
                raise
            self._gone.add(uri)
            return []
        return list(results.in_file(content, self._record.id))

    async def _bring_one(self, attempt: Attempt, result: Result) -> None:
        if result.step is Step.PUT_BACK and result.reason is not None and result.status != "pending":
            self._stopping.refuse(result.reason)
        if result.step is Step.SETTLED and self._asks_vapi and not result.is_whole:
            left: Attempt | None = await self._home.place(attempt, result)  # Vapi still has what was said
        else:
            left = await self._home.bring(attempt, result)
            self._unsaid += result.step is Step.SETTLED and not result.is_whole and result.started_at is not None
        self.left.pop(attempt.index)
        if left is not None and left.state is not CallState.UNCERTAIN:
            self.left[attempt.index] = left
