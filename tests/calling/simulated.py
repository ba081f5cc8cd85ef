"""Real runs against a simulator by real HTTP; its ledger says what happened, whatever we say."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx

from concierge_calls import CallEvent, CallResult, EventKind, Provider, RunResult, ServiceRequest, call_providers
from concierge_calls.simulator import Simulator

REQUEST = ServiceRequest(service_needed="plumbing", user_criteria="licensed", location="Greenville SC")
PHONE_NUMBER_ID = str(uuid.UUID(int=0x555))
ENVIRONMENT = {
    "VAPI_API_KEY": "a-key",
    "VAPI_PHONE_NUMBER_ID": PHONE_NUMBER_ID,
    "VAPI_START_INTERVAL": "0",
    "VAPI_POLL_INTERVAL": "0.02",
    "VAPI_MAX_REQUESTS_PER_MINUTE": "0",
}


class Span(NamedTuple):
    """From when until when a call was on the line, as the ledger has it."""

    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start


class Vapi:
    """A simulator that the environment points to."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.options = simulator.options

    def call(self, whom: Iterable[Provider], **options: Any) -> RunResult:
        return asyncio.run(call_providers(whom, REQUEST, **options))

    def dial(self, number: str) -> None:
        """Place a call for somebody else on the same account."""
        body = {"phoneNumberId": PHONE_NUMBER_ID, "assistantId": "theirs", "customer": {"number": number}}
        headers = {"Authorization": "Bearer a-key"}
        httpx.post(f"{self.simulator.url}/call", json=body, headers=headers).raise_for_status()

    def now(self) -> float:
        """The moment by the clock of the ledger."""
        return self.simulator._account.now()

    def hang_up(self, whom: Provider) -> None:
        """Have this provider end the latest call with them now."""
        self._happens(whom, "end", "customer-ended-call")

    def analyse(self, whom: Provider) -> None:
        """Have the analysis of the latest call with this provider, which has ended, come now."""
        self._happens(whom, "analysis")

    def _happens(self, whom: Provider, what: str, reason: str | None = None) -> None:
        account = self.simulator._account
        with account.lock:
            latest = [call for call in account.created if call.number == whom.phone][-1]
            account._schedule(account.now(), latest, what, reason)

    def asked(self, kind: str) -> int:
        """How many requests of this kind came."""
        return int(self.simulator.ledger()["requests"][kind])

    def peak(self) -> int:
        return int(self.simulator.ledger()["peak"])

    def times_rung(self, whom: Sequence[Provider]) -> list[int]:
        numbers = self.simulator.ledger()["numbers"]
        return [numbers[each.phone]["rang"] if each.phone in numbers else 0 for each in whom]

    def spans(self, whom: Sequence[Provider]) -> list[Span]:
        numbers = self.simulator.ledger()["numbers"]
        calls = [numbers[each.phone]["calls"][0] for each in whom]
        return [Span(call["createdAt"], call["endedAt"]) for call in calls]


class Held:
    """Calls stuck in progress that go on until all lines are busy: then the first ends, and the patient ones last."""

    def __init__(self, vapi: Vapi, whom: Sequence[Provider], lines: int, patient: Sequence[int] = ()) -> None:
        self._vapi = vapi
        self._whom = whom
        self._lines = lines
        self._patient = patient
        self._left = len(whom)
        self._talking: list[int] = []

    def __call__(self, event: CallEvent) -> None:
        if event.kind is EventKind.CALL_IN_PROGRESS and event.index is not None:
            self._talking.append(event.index)
            while self._talking and len(self._talking) == min(self._lines, self._left):
                self._end(next((index for index in self._talking if index not in self._patient), self._talking[0]))

    def _end(self, index: int) -> None:
        self._talking.remove(index)
        self._left -= 1
        self._vapi.hang_up(self._whom[index])


class StartVapi(Protocol):
    """Starts a simulator with these options, and points the environment to it."""

    def __call__(self, **options: Any) -> Vapi: ...


def providers(endings: str) -> list[Provider]:
    """A provider for each of these last digits, which decide how its call ends."""
    found: list[Provider] = []
    used: Counter[str] = Counter()
    for digit in endings:
        found.append(Provider(name=f"Provider {len(found)}", phone=f"+131255501{used[digit]}{digit}"))
        used[digit] += 1
    return found


def statuses(results: Sequence[CallResult]) -> list[str]:
    return [result.status.value for result in results]


def kept(state: Path, name: str = "journal.db") -> list[str]:
    """Every run of the journal, drafts too, and every lock."""
    if not (state / name).exists():
        return []
    with closing(sqlite3.connect(state / name)) as db:
        runs = [row[0] for row in db.execute("SELECT id FROM runs UNION ALL SELECT run_id FROM rows")]
    return runs + [lock.name for lock in (state / "locks").glob("*")]
