"""Hands the rows that wait to an execution: each is claimed first, one request is posted, and no second one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from concierge_calls.claiming import LookAt
from concierge_calls.errors import KestraError, KestraInDoubt, KestraNotStarted
from concierge_calls.journal import Attempt, Handover, RunRecord
from concierge_calls.kestra.home import Home
from concierge_calls.kestra.inputs import Options, inputs, items
from concierge_calls.kestra.server import Ready
from concierge_calls.models import CallOutcome, CallStatus, Reason

LABEL: Final = "handover"  # what an execution is found by; `run` beside it is for people
LOOK_AFTER: Final = (0.5, 1.0, 1.5, 3.0, 4.0)  # seconds between the looks for an execution whose reply was lost
MOST_LOOKS: Final = 25  # while Kestra does not answer, each of which takes the client's patience
LOST: Final = "kestra_in_doubt"
SILENT: Final = (
    "Kestra does not answer, so whether it has started the run is not known; it is asked for some minutes, and started"
    " no second time."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a hand-over keeps to: calls at once, what each child is told, and who was called too lately."""

    limit: int
    options: Options
    redial_after: datetime | None = None


class Handing:
    """Hands over what is left to call of one run."""

    def __init__(
        self,
        record: RunRecord,
        ready: Ready,
        terms: Terms,
        home: Home,
        *,
        look: LookAt | None,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """Hand over to this server; `look` takes the id of a dead run that may have a number on the line."""
        self._record = record
        self._ready = ready
        self._terms = terms
        self._home = home
        self._look = look
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"<Handing of {self._record.id} to {self._ready.client!r}>"

    async def hand_over(self, is_wanted: Callable[[], bool]) -> Handover | None:
        """Deploy the flow, claim every row that waits and start one execution for them; None when none is there.

        `is_wanted` says until the last moment whether to go on. Raises KestraNotStarted when certainly nothing was
        started, with all rows waiting again.
        """
        handovers, kind, client = self._record.handovers, self._ready.kind, self._ready.client
        try:
            revision = await client.deploy(kind.flow_id, self._ready.source)
        except KestraError as error:
            raise KestraNotStarted(error.message) from error
        handover = await handovers.begin(
            namespace=client.namespace, flow_id=kind.flow_id, revision=revision, allowed=self._ready.allowed
        )
        attempts = await self._claim_all(handover, is_wanted)
        if not (attempts and is_wanted()):
            await handovers.give_back(handover)
            return None
        return await self._start(handover, attempts, is_wanted)

    async def found(self, handover: Handover, is_wanted: Callable[[], bool]) -> Handover | None:
        """Look for an execution whose reply was lost, by its label, several times; None when it is not found.

        A look that was not answered says nothing, so it is taken again for minutes, as long as that `is_wanted`.
        """
        answered = 0
        for look in range(1, MOST_LOOKS + 1):
            is_answered, execution_id = await self._look_for(handover, LOOK_AFTER[answered])
            if execution_id is not None:
                return await self._record.handovers.posted(handover, execution_id)
            answered += is_answered
            if look == 1 and not is_answered:
                log.warning(SILENT)
            if answered == len(LOOK_AFTER) or (look >= len(LOOK_AFTER) and not is_wanted()):
                break
        return None

    async def _look_for(self, handover: Handover, wait: float) -> tuple[bool, str | None]:
        await self._sleep(wait)
        try:
            client, namespace = self._ready.client, handover.namespace  # that of now may be another
            found = await client.find(handover.flow_id, LABEL, handover.label, namespace=namespace)
        except KestraError:
            return False, None
        return True, found[-1] if found else None  # the oldest, should somebody have replayed it

    async def _claim_all(self, handover: Handover, is_wanted: Callable[[], bool]) -> list[Attempt]:
        attempts: list[Attempt] = []
        looked_at: set[str] | None = None if self._look is None else set()
        while is_wanted():
            unsure = await self._claim_pages(handover, attempts, looked_at, is_wanted)
            if not unsure or looked_at is None or self._look is None:
                break
            await asyncio.gather(*map(self._look, unsure))
            looked_at |= unsure
        return sorted(attempts, key=lambda attempt: attempt.index)

    async def _claim_pages(
        self, handover: Handover, attempts: list[Attempt], looked_at: set[str] | None, is_wanted: Callable[[], bool]
    ) -> set[str]:
        unsure, after = set[str](), -1
        while is_wanted():
            page = await self._record.handovers.claim(
                handover,
                after=after,
                at=datetime.now(UTC),
                redial_after=self._terms.redial_after,
                is_doubted=lambda run_id: self._record.is_doubted(looked_at, run_id),
            )
            self._home.skipped(page.skipped)
            attempts += page.attempts
            unsure |= set(page.unsure)
            if page.last is None:
                break
            after = page.last
        return unsure

    async def _start(
        self, handover: Handover, attempts: list[Attempt], is_wanted: Callable[[], bool]
    ) -> Handover | None:
        limit, run_id = self._terms.limit, self._record.id
        asked = [attempt.asked for attempt in attempts]
        handed = items(run_id, asked, limit=limit, options=self._terms.options)
        given = inputs(self._ready.kind, self._ready.server.dialect, run_id, handed, limit=limit)
        handover = await self._record.handovers.posting(handover)
        try:
            execution_id = await self._ready.client.start(
                handover.flow_id,
                revision=handover.revision,
                inputs=given.texts,
                files=given.files,
                labels={"run": run_id, LABEL: handover.label},
            )
        except KestraNotStarted:
            await self._record.handovers.give_back(handover)
            raise
        except KestraInDoubt as error:
            if (found := await self.found(handover, is_wanted)) is None:
                await self._doubt(attempts, error)
            return found
        return await self._record.handovers.posted(handover, execution_id)

    async def _doubt(self, attempts: list[Attempt], error: KestraInDoubt) -> None:
        why = f"{error.message} Look for it with: concierge-calls resume {self._record.id}"
        log.warning(why)
        outcome = CallOutcome(status=CallStatus.UNCERTAIN, error=Reason(LOST, why))
        for attempt in attempts:
            await self._home.doubt(attempt, outcome)
