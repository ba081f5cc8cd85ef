"""Follows one execution to its end: what its children tell comes home, and it is ended when that is asked or due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from concierge_calls.errors import KestraError, KestraRefused, KestraUnreachable
from concierge_calls.journal import Attempt, Handover, RunRecord
from concierge_calls.kestra import followed, results
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind
from concierge_calls.kestra.followed import Child, Seen
from concierge_calls.kestra.home import NEVER_BEGUN, Home
from concierge_calls.kestra.results import OPEN, Result, Step
from concierge_calls.kestra.schemas import Execution
from concierge_calls.kestra.server import Ready
from concierge_calls.models import CallState, Reason
from concierge_calls.plain import shown
from concierge_calls.stopping import Stopping

LATEST_WORD: Final = 5.0  # seconds in which children that were told to stop have told what they know
LAG: Final = 1.0  # seconds until a search knows all that there is
LOST_AFTER: Final = 300.0  # seconds after its kill was due
FORBIDDEN: Final = frozenset({401, 403})

log = logging.getLogger(__name__)


class Following:
    """One execution that is followed; whoever stops it has it killed."""

    def __init__(
        self,
        record: RunRecord,
        ready: Ready,
        handover: Handover,
        home: Home,
        stopping: Stopping,
        *,
        asks_vapi: bool,
        poll: float,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """Follow what was handed over so, whose execution is known; `poll` is the seconds between two looks.

        `asks_vapi` says that whoever comes next can ask Vapi for what is not told here.
        """
        self._record = record
        self._ready = ready
        self._handover = handover
        self._home = home
        self._stopping = stopping
        self._asks_vapi = asks_vapi
        self._poll = poll
        self._sleep = sleep
        self._attempts: dict[int, Attempt] = {}  # by row: those whose results are not home
        self._begun: set[int] = set()  # rows that were told as being dialled
        self._kinds = {kind.flow_id: kind for kind in FlowKind}
        self._gone: set[str] = set()  # files that are no longer there
        self._to_be_killed = False
        self._was_killed = False
        self._leaving = False
        self._is_silent = False
        self._changed = asyncio.Event()
        self.at_work = 0  # children that are at work, as far as that is shown

    def __repr__(self) -> str:
        return f"<Following of {self._id}, {len(self._attempts)} not home>"

    @property
    def _id(self) -> str:
        return self._handover.execution_id or ""

    def stop(self) -> None:
        """Have the execution killed, so that nobody new is dialled."""
        self._to_be_killed = True
        self._changed.set()

    def leave(self) -> None:
        """Follow no longer; a kill that was asked for is still sent."""
        self._leaving = True
        self._changed.set()

    async def follow(self) -> bool:
        """Follow until what the children told is home, or until this is left; returns whether nothing more comes of it.

        Rows of children that certainly never began wait again; of what else is not home nothing is known. Raises
        JournalError.
        """
        self._attempts = {each.index: each for each in await self._record.handovers.attempts(self._handover)}
        while not self._leaving:
            try:
                execution = await self._look()
                if execution.is_over:
                    await self._bring_last(execution)
                    await self._record.handovers.close(self._handover)
                    return True
            except KestraUnreachable as error:
                self._say_once(error)
            except KestraRefused as error:
                return self._refused(error)
            if self._is_due(LOST_AFTER):
                return True
            if self._to_be_killed or self._is_due():
                await self._kill()
            if not self._leaving:
                await self._pause()
        if self._to_be_killed:
            await self._kill()
        await self._record.handovers.add_up(self._handover)
        return False

    def _refused(self, error: KestraRefused) -> bool:
        log.warning(error.message)
        if error.status in FORBIDDEN:  # the calls go on, and a resume brings them home
            self._stopping.refuse(Reason("kestra_refused", error.message))
        return error.status not in FORBIDDEN

    def _is_due(self, slack: float = 0.0) -> bool:
        begun = self._handover.posted_at or datetime.now(UTC)
        return datetime.now(UTC) > begun + timedelta(seconds=self._handover.allowed + slack)

    async def _look(self) -> Execution:
        execution = await self._ready.client.execution(self._id)
        seen = await self._seen(execution)
        self._is_silent = False
        self.at_work = seen.at_work
        await self._bring(seen.children, is_last=False)
        for row in seen.running:
            if row in self._attempts and row not in self._begun:
                self._begun.add(row)
                await self._home.begun(self._attempts[row])
        return execution

    async def _kill(self) -> None:
        if self._was_killed:
            return
        if not self._to_be_killed:
            log.warning(f"The execution {self._id} at Kestra takes longer than all its calls may, so it is ended.")
        try:
            await self._ready.client.kill(self._id)
            self._was_killed = True
        except KestraError as error:
            self._say_once(error)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._changed.wait()
        self._changed.clear()

    def _say_once(self, error: KestraError) -> None:
        if not self._is_silent:
            self._is_silent = True
            log.warning(error.message)

    # What is seen

    async def _seen(self, execution: Execution, iterations: int | None = None) -> Seen:
        if self._kinds.get(execution.flow_id) is FlowKind.ONE_TASK:
            outputs = await self._ready.client.task_outputs(execution, followed.TASK)
            return followed.one_task(execution, outputs, self._attempts)
        if self._ready.server.dialect is Dialect.V2:
            outputs = await self._ready.client.task_outputs(execution, followed.LOOP)
            return followed.loop(execution, outputs, iterations)
        return followed.for_each(execution)

    async def _bring_last(self, execution: Execution) -> None:
        """Bring home what the flow itself tells, too, and have those wait again who certainly never were dialled."""
        seen = await self._last_seen(execution)
        await self._bring(seen.children, is_last=True)
        if self._attempts:
            await self._bring(followed.in_outputs(await self._ready.client.outputs(execution)), is_last=True)
        never = [each for row, each in self._attempts.items() if seen.begun is not None and row not in seen.begun]
        for attempt in never:
            await self._home.put_back(attempt, NEVER_BEGUN)
        if never and not self._was_killed:
            state = shown(execution.state, 20)
            log.warning(f"The execution {self._id} at Kestra ended as {state} before everybody was called.")

    async def _last_seen(self, execution: Execution) -> Seen:
        seen = await self._seen(execution)
        waited = 0.0
        # Of a Loop what was cut short is listed a moment later, and a search knows it a moment after that.
        while self._ready.server.dialect is Dialect.V2 and seen.begun is None and self._attempts:
            await self._sleep(LAG)
            waited += LAG
            iterations = len(await self._ready.client.iterations(execution.id))
            seen = await self._seen(await self._ready.client.execution(execution.id), iterations)
            if waited >= LATEST_WORD or self._leaving:
                break
        return seen

    # What is brought home

    async def _bring(self, children: Iterable[Child], *, is_last: bool) -> None:
        for child in children:
            told = {each.index: each for each in results.own(child.results, self._record.id)}
            if child.file is not None and (self._wants(told.values(), is_last) if told else is_last):
                told |= {each.index: each for each in await self._in_file(child.file)}
            for row, result in told.items():
                if row in self._attempts and (is_last or result.step not in OPEN):
                    await self._bring_one(self._attempts[row], result, is_last)

    def _wants(self, told: Iterable[Result], is_last: bool) -> bool:
        return any(each.index in self._attempts and (is_last or each.step not in OPEN) for each in told)

    async def _in_file(self, uri: str) -> list[Result]:
        if uri in self._gone:
            return []
        try:
            content = await self._ready.client.file(self._id, uri)
        except KestraRefused as error:
            if error.status in FORBIDDEN:
                raise
            self._gone.add(uri)
            return []
        return list(results.in_file(content, self._record.id))

    async def _bring_one(self, attempt: Attempt, result: Result, is_last: bool) -> None:
        if result.step is Step.PUT_BACK and result.reason is not None and result.status != "pending":
            self._stopping.refuse(result.reason)
        if result.step is Step.SETTLED and self._asks_vapi and not result.is_whole:
            left: Attempt | None = await self._home.place(attempt, result)  # Vapi still has what was said
        else:
            left = await self._home.bring(attempt, result)
        self._attempts.pop(attempt.index)
        if left is not None and left.state is not CallState.UNCERTAIN:
            self._attempts[attempt.index] = left
