"""Follows one execution to its end: what it shows is gathered, and it is ended when that is asked or due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from concierge_calls.errors import KestraError, KestraRefused, KestraUnreachable
from concierge_calls.journal import Handover, RunRecord
from concierge_calls.kestra import followed
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind
from concierge_calls.kestra.followed import Seen
from concierge_calls.kestra.gathering import Gathering
from concierge_calls.kestra.schemas import Execution
from concierge_calls.kestra.server import Ready
from concierge_calls.models import Reason
from concierge_calls.plain import shown
from concierge_calls.stopping import Stopping

LATEST_WORD: Final = 10.0  # seconds in which children that were told to stop have told what they know
LAG: Final = 1.0  # seconds until a search knows all that there is
LOST_AFTER: Final = 300.0  # seconds in which one that was killed is over, and a kill that is due goes through
LAST_LOOKS: Final = 4  # after the kill of one that is left; half a second apart

log = logging.getLogger(__name__)


class Following:
    """One execution that is followed; whoever stops it has it killed."""

    def __init__(
        self,
        record: RunRecord,
        ready: Ready,
        handover: Handover,
        gathering: Gathering,
        stopping: Stopping,
        *,
        poll: float,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """Follow what was handed over so, whose execution is known, and have what its children tell gathered.

        `poll` is the seconds between two looks.
        """
        self._record = record
        self._ready = ready
        self._handover = handover
        self._gathering = gathering
        self._stopping = stopping
        self._poll = poll
        self._sleep = sleep
        self._kinds = {kind.flow_id: kind for kind in FlowKind}
        self._until = 0.0  # when it is to be killed, in the loop's time: this machine's clock may be set meanwhile
        self._to_be_killed = False
        self._killed_at: float | None = None
        self._cannot_be_killed = False  # as far as was told
        self._leaving = False
        self._is_silent = False
        self._changed = asyncio.Event()
        self.at_work = 0  # calls that may be on the line, as far as that is shown

    def __repr__(self) -> str:
        return f"<Following of {self._id}, {self._gathering!r}>"

    @property
    def _id(self) -> str:
        return self._handover.execution_id or ""

    @property
    def was_killed(self) -> bool:
        """Whether it was ended from here, so that its children may have been dialling until a moment ago."""
        return self._killed_at is not None

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
        await self._gathering.begin()
        self._until = _now() + max(0.0, self._left())
        is_over: bool | None = None
        while not self._leaving and is_over is None:
            is_over = await self._step()
        if is_over is None:
            is_over = self._to_be_killed and await self._kill() and await self._is_over_at_once()
        if not is_over:
            await self._record.handovers.add_up(self._handover)
        return is_over

    async def _step(self) -> bool | None:
        """Look once, and have it ended where that is due; returns what `follow` does, None while it goes on."""
        try:
            execution = await self._look()
            if execution.is_over:
                await self._bring_last(execution)
                return True
        except KestraUnreachable as error:
            self._say_once(error)
        except KestraRefused as error:
            if error.status:
                return self._refused(error)
            self._say_once(error)  # a page of somebody in between, of which Kestra knows nothing
        if self._to_be_killed or _now() >= self._until:
            await self._kill()
        if (given_up := self._given_up()) is None and not self._leaving:
            await self._pause()
        return given_up

    async def _is_over_at_once(self) -> bool:
        # Whoever leaves still hears what takes but a moment: who certainly never was dialled.
        for _ in range(LAST_LOOKS):
            await self._sleep(LAG / 2)
            with suppress(KestraError):
                if (execution := await self._look()).is_over:
                    await self._bring_last(execution)
                    return True
        return False

    def _refused(self, error: KestraRefused) -> bool:
        log.warning(error.message)
        if error.is_about_credentials:  # the calls go on, and a resume brings them home
            self._stopping.refuse(Reason("kestra_refused", error.message))
        return not error.is_about_credentials

    def _left(self) -> float:
        posted_at = self._handover.posted_at or datetime.now(UTC)
        return self._handover.allowed - max(0.0, (datetime.now(UTC) - posted_at).total_seconds())

    def _given_up(self) -> bool | None:
        if self._killed_at is not None:
            return True if _now() > self._killed_at + LOST_AFTER else None
        if _now() <= self._until + LOST_AFTER:
            return None
        log.warning(
            f"The execution {self._id} at Kestra takes longer than all its calls may, and could not be ended."
            " Once Kestra is well, have the rest brought home with: concierge-calls resume"
        )
        return False

    async def _look(self) -> Execution:
        execution = await self._ready.client.execution(self._id)
        seen = await self._seen(execution)
        self._is_silent = False
        self.at_work = seen.at_work
        await self._gathering.bring(seen.children)
        await self._gathering.tell_begun(seen.running)
        return execution

    async def _kill(self) -> bool:
        """Have it ended, once; returns whether that went through."""
        if self._killed_at is not None:
            return True
        if not (self._to_be_killed or self._cannot_be_killed):
            log.warning(f"The execution {self._id} at Kestra takes longer than all its calls may, so it is ended.")
        try:
            await self._ready.client.kill(self._id)
        except KestraError as error:
            if not self._cannot_be_killed:
                self._cannot_be_killed = True
                log.warning(f"{error.message} Until it is ended the execution {self._id} goes on, and so do its calls.")
            return False
        self._killed_at = _now()
        return True

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._changed.wait()
        self._changed.clear()

    def _say_once(self, error: KestraError) -> None:
        if not self._is_silent:
            self._is_silent = True
            log.warning(f"{error.message} It is asked again until it answers; the calls there may go on.")

    # What is seen

    async def _seen(self, execution: Execution, iterations: int | None = None) -> Seen:
        if self._kinds.get(execution.flow_id) is FlowKind.ONE_TASK:
            outputs = await self._ready.client.task_outputs(execution, followed.TASK)
            return followed.one_task(execution, outputs, self._gathering.left, self._ready.limit)
        if self._ready.server.dialect is Dialect.V2:
            outputs = await self._ready.client.task_outputs(execution, followed.LOOP)
            return followed.loop(execution, outputs, iterations)
        return followed.for_each(execution)

    async def _bring_last(self, execution: Execution) -> None:
        """Bring home what the flow itself tells, too, and have those wait again who certainly never were dialled."""
        seen = await self._last_seen(execution)
        await self._gathering.bring(seen.children)
        told = tuple(followed.in_outputs(await self._ready.client.outputs(execution))) if self._gathering.left else ()
        await self._gathering.bring((*seen.children, *told), is_last=True)
        if await self._gathering.put_back_all_but(seen.begun) and not self.was_killed:
            state = shown(execution.state, 20)
            log.warning(f"The execution {self._id} at Kestra ended as {state} before everybody was called.")
        self._gathering.say_what_is_missing()
        # Where it is left so early that this cannot be told yet, a resume may be told who never began.
        if not (self._leaving and self._gathering.left and seen.begun is None):
            await self._record.handovers.close(self._handover)

    async def _last_seen(self, execution: Execution) -> Seen:
        seen = await self._seen(execution)
        waited = 0.0
        # Of a Loop what was cut short is listed a moment later, and a search knows it a moment after that.
        while self._ready.server.dialect is Dialect.V2 and seen.begun is None and self._gathering.left:
            await self._sleep(LAG)
            waited += LAG
            iterations = len(await self._ready.client.iterations(execution.id))
            seen = await self._seen(await self._ready.client.execution(execution.id), iterations)
            if waited >= LATEST_WORD or self._leaving:
                break
        return seen


def _now() -> float:
    return asyncio.get_running_loop().time()
