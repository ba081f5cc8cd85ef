"""Vapi as a backend: the contract of `concierge_calls.backend`, kept with the rest of this package."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast

from concierge_calls.backend import Identity, Placed, Progress, Sighting, Stage, Turn, Verdict
from concierge_calls.errors import AccountRefused, BackendUnreachable, ReadFailed, ReadRefused, RunRefused
from concierge_calls.models import CallMethod, CallRequest
from concierge_calls.vapi.assistant import duration_limit
from concierge_calls.vapi.client import VapiClient
from concierge_calls.vapi.following import Do, Life, Pace, Step, after_the_end, is_unseen, moments_passed, on_the_line
from concierge_calls.vapi.found import over
from concierge_calls.vapi.gate import Priority, Ticket
from concierge_calls.vapi.hangup import HangUp
from concierge_calls.vapi.outcomes import OURS, Expected
from concierge_calls.vapi.pages import pages, stamp
from concierge_calls.vapi.request import create_body
from concierge_calls.vapi.schemas import Assistant, Call
from concierge_calls.vapi.telling import awaits_analysis, progress
from concierge_calls.vapi.watch import Watch

T = TypeVar("T")
log = logging.getLogger(__name__)

CHECK_PATIENCE: Final = 10.0  # seconds

_REFUSALS: Final = {
    401: "Vapi does not know this key. Set VAPI_API_KEY to the organisation's private key, not the public one.",
    402: "Vapi wants to be paid first. See to the organisation's billing in Vapi's dashboard.",
    403: "Vapi does not let this key, or this network, ask about the {thing}. "
    "Check the key's rights in Vapi's dashboard, and whether a firewall stands in between.",
    404: "Vapi does not know the {thing}. Check {setting}, and that the key is of the same organisation.",
}
_REFUSALS[400] = _REFUSALS[422] = _REFUSALS[404]
_ANY_REFUSAL: Final = "Vapi refused to tell about the {thing} (HTTP {status}). Check VAPI_API_KEY and {setting}."


class VapiBackend:
    """Places calls by Vapi and follows them; see `concierge_calls.backend.Backend` for what it promises.

    `call_timeout` and `analysis_timeout` are seconds, as is `poll_interval`, the time between two looks at all live
    calls. `assistant_id` is the user's own assistant; without one ours is sent along, with `server_url` and the secret
    by which its messages are known, if any. Runs of one account share a `watch`. `warn` takes a sentence for the user
    about a call that would not end.
    """

    def __init__(
        self,
        client: VapiClient,
        *,
        phone_number_id: str,
        assistant_id: str | None,
        call_timeout: int,
        analysis_timeout: float,
        record: bool,
        poll_interval: float = 1.0,
        simulated: bool = False,
        server_url: str | None = None,
        server_secret: str | None = None,
        pace: Pace | None = None,
        watch: Watch | None = None,
        warn: Callable[[str], object] = log.warning,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._assistant: Assistant | None = None  # the user's own, once it was read
        self._client = client
        self._phone_number_id = phone_number_id
        self._assistant_id = assistant_id
        self._call_timeout = call_timeout
        self._analysis_timeout = analysis_timeout
        self._record = record
        self._simulated = simulated
        self._server_url = server_url
        self._server_secret = server_secret
        self._warn = warn
        self._pace = pace or Pace()
        self._expects = replace(OURS, recording=record)
        self._unwanted: set[str] = set()  # hung up before they were followed
        self._watch = watch or Watch(
            client,
            phone_number_id=phone_number_id,
            poll_interval=poll_interval,
            pace=self._pace,
            warn=warn,
            sleep=sleep,
        )
        self._hang_up = HangUp(client, self._watch, sleep=sleep)

    def __repr__(self) -> str:
        return f"<VapiBackend {self.method} {self._watch!r}>"

    @property
    def method(self) -> CallMethod:
        """Simulated, or directly by Vapi."""
        return CallMethod.SIMULATED if self._simulated else CallMethod.DIRECT_VAPI

    def now(self) -> datetime:
        """The time in Vapi's clock."""
        return self._client.clock.now()

    def latest_end(self, created_at: datetime, *, known: bool = True) -> datetime:
        """The call's deadline, and what it takes to give it up and to wait for its analysis."""
        lag = 0.0 if known else self._pace.forgotten
        return self._deadline(created_at) + timedelta(seconds=lag + self._pace.stuck + self._analysis_timeout)

    def latest_analysis(self, ended_at: datetime) -> datetime:
        """The end, and the time that is allowed for the analysis."""
        return ended_at + timedelta(seconds=self._analysis_timeout)

    def open(self) -> AbstractAsyncContextManager[None]:
        """Run the change feed while the context lasts."""
        return self._watch.open()

    async def check(self) -> Identity:
        """Read the phone number and, where it is the user's own, the assistant.

        Raises BackendUnreachable after 10 seconds without an answer, RunRefused when the answer is no.
        """
        number = await self._told(
            self._client.get_phone_number(self._phone_number_id), "phone number to call from", "VAPI_PHONE_NUMBER_ID"
        )
        if self._assistant_id:
            self._assistant = await self._told(
                self._client.get_assistant(self._assistant_id), "assistant", "VAPI_ASSISTANT_ID"
            )
            self._expects = replace(Expected.of(self._assistant), recording=self._record)  # which we override
        own = (self._assistant.name or self._assistant.id) if self._assistant else None
        return Identity(number=number.number, name=number.name, assistant=own)

    async def turn(self) -> Ticket:
        """Wait for a create's turn at the gate, and for Vapi while it is out of reach."""
        while True:
            await self._client.reach.wait(partial(self._client.get_phone_number, self._phone_number_id))
            ticket = await self._client.gate.enter(Priority.CREATE)
            if not self._client.reach.is_lost:
                return ticket
            ticket.release(unused=True)

    async def place(self, request: CallRequest, key: str, turn: Turn) -> Placed:
        """Send one `POST /call` and no second one; raises what the client makes of the answer, a PlacementError."""
        with cast(Ticket, turn) as ticket:
            body = create_body(
                request,
                key,
                phone_number_id=self._phone_number_id,
                assistant_id=self._assistant_id,
                call_timeout=self._call_timeout,
                record=self._record,
                saved=self._saved_artifact_plan(),
                server_url=self._server_url,
                server_secret=self._server_secret,
            )
            return self._receipt(await self._client.create_call(body, ticket))

    async def find(self, keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        """Look once through the list of calls created in that time, for those with these keys. Raises ReadFailed."""
        return await self._found(frozenset(keys).__contains__, since, until)

    async def find_all(self, beginning: str, since: datetime) -> Mapping[str, Placed]:
        """Look once through the list of calls created since then, for those whose key begins so. Raises ReadFailed."""
        return await self._found(lambda key: key.startswith(beginning), since)

    async def follow(self, placed: Placed) -> AsyncIterator[Progress | Sighting]:
        """Tell how the call comes on, from whatever it is at now to its final outcome."""
        life = self._watch.follow(placed, self._deadline(placed.created_at))
        if placed.call_id in self._unwanted:
            self._unwanted.discard(placed.call_id)
            life.unwanted = True
        try:
            is_last = False
            while not is_last:
                told = await self._next(life)
                yield told
                if isinstance(told, Progress):
                    life.may_be_deleted = life.may_be_deleted or told.stage is Stage.WITHDRAWING
                    is_last = told.stage is Stage.SETTLED or told.verdict is not Verdict.FINAL
        finally:
            self._watch.leave(life)

    def hang_up(self, call_id: str) -> None:
        """End this call for the user, also one that is about to be followed; one that has ended is left as it is."""
        if life := self._watch.get(call_id):
            life.unwanted = True
            life.news.set()
        else:
            self._unwanted.add(call_id)

    def withdraw(self) -> Collection[str]:
        """Take back every followed call that still waits for a line, and return their ids; later ones too."""
        return self._watch.hurry()

    # What was asked

    async def _told(self, question: Coroutine[Any, Any, T], thing: str, setting: str) -> T:
        try:
            async with asyncio.timeout(CHECK_PATIENCE):
                return await question
        except ReadRefused as error:
            sentence = _REFUSALS.get(error.status, _ANY_REFUSAL)
            raise RunRefused(sentence.format(thing=thing, setting=setting, status=error.status)) from error
        except (ReadFailed, TimeoutError) as error:
            raise BackendUnreachable from error

    async def _found(
        self, is_wanted: Callable[[str], bool], since: datetime, until: datetime | None = None
    ) -> dict[str, Placed]:
        found = dict[str, Placed]()
        filters = {"phoneNumberId": self._phone_number_id, "createdAtGe": stamp(since)}
        if until is not None:
            filters["createdAtLe"] = stamp(until)
        async for page in pages(self._client, Priority.OVERDUE, filters):
            found |= {key: self._receipt(call) for call in page if (key := call.key()) and is_wanted(key)}
        return found

    def _saved_artifact_plan(self) -> dict[str, Any]:
        return self._assistant.artifact_plan.model_dump(by_alias=True, exclude_unset=True) if self._assistant else {}

    def _receipt(self, call: Call) -> Placed:
        return Placed(
            call_id=call.id,
            created_at=call.created_at or self.now(),
            control_url=call.monitor.control_url,
            blocked=call.subscription_limits.concurrency_blocked,
            over=over(call, self._expects, self._client.base_url),
        )

    def _deadline(self, created_at: datetime) -> datetime:
        allowed = self._pace.ringing + duration_limit(self._call_timeout) + self._pace.slack
        return created_at + timedelta(seconds=allowed)

    # What comes of a call

    async def _next(self, life: Life) -> Progress | Sighting:
        while True:
            if isinstance(life.fault, AccountRefused):
                raise AccountRefused(life.fault.message, life.fault.code) from life.fault
            if life.fault:
                raise RuntimeError(f"Call {life.id} could not be followed; this is a bug.") from life.fault
            step = self._step(life)
            if step.do is Do.WAIT:
                await self._watch.news(life, step.seconds)
            elif step.do is Do.HANG_UP:
                self._hang_up.begin(life)
            elif step.do is Do.ASK:
                self._ask(life)
            elif step.do is Do.SIGHT:
                return self._sighting(life)
            else:
                return self._progress(life, step)

    def _step(self, life: Life) -> Step:
        if life.told is not Stage.ENDED:
            return on_the_line(life, self.now(), self._watch.sweep)
        return after_the_end(life, self.now(), self._analysis_timeout, awaited=awaits_analysis(life, self._expects))

    def _ask(self, life: Life) -> None:
        if life.told is Stage.ENDED:
            life.asks = moments_passed(life, self.now(), self._analysis_timeout)
            self._watch.ask_soon(life, Priority.ANALYSIS)
        else:
            self._watch.ask_soon(life, Priority.SWEEP)

    def _sighting(self, life: Life) -> Sighting:
        life.unseen = is_unseen(life)
        if life.unseen:
            self._warn(
                f"Vapi does not know call {life.id} any more, so its line is used for the next one; "
                "it is asked for until it shows itself, at the longest for an hour after its time limit."
            )
        return Sighting(known=not life.unseen)

    def _progress(self, life: Life, step: Step) -> Progress:
        if step.do is Do.GIVE_UP:
            self._warn(f"Call {life.id} did not end although it was hung up; look at it in Vapi's dashboard.")
        if step.do is not Do.LOSE:
            life.told = step.stage
        return progress(life, step, self._expects, self._client.base_url)
