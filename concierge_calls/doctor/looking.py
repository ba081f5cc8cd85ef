"""Looks at the settings, at the journal and at Vapi, and dials nobody; what it means is decided elsewhere."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from concierge_calls.doctor import account, house
from concierge_calls.doctor.check import Check, State
from concierge_calls.doctor.facts import (
    MOST_CALLS,
    Disk,
    JournalFacts,
    SettingsFacts,
    UnendedCall,
    UnfinishedRun,
    VapiFacts,
)
from concierge_calls.errors import JournalError, ReadFailed, SettingsError, UsageError
from concierge_calls.journal import Journal
from concierge_calls.journal.room import free_beside, wanted
from concierge_calls.models import CallStatus, RunInfo, RunStats
from concierge_calls.plain import masked
from concierge_calls.settings.fields import SETTINGS
from concierge_calls.vapi.clock import VapiClock

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings
    from concierge_calls.vapi.client import VapiClient
    from concierge_calls.vapi.schemas import Call

T = TypeVar("T")

PATIENCE: Final = 10.0  # seconds for everything
ASKED_AGAIN: Final = 0.8  # of the wait for an answer, so that what is in its way is said rather than that it is over
MOST_RUNS: Final = 100  # the latest; older ones are nobody's next step
MOST_ASKED_FOR: Final = 3  # calls that would not end
LONGEST_ON_THE_LINE: Final = timedelta(days=2)  # Vapi ends every call after 12 hours at the latest
AN_HOUR: Final = timedelta(hours=1)


async def examine(*, patience: float = PATIENCE) -> list[Check]:
    """Check everything that a run needs, within `patience` seconds; a check that fails hides no other.

    Nothing is written but what opening the journal writes.
    """
    try:
        found = _settings()
    except SettingsError as error:
        return [Check("settings", State.WRONG, masked(error.message))]
    journal, vapi = await _look(found, patience / 2)
    return [
        *house.settings(found),
        *account.checks(found, vapi),
        house.journal(journal, vapi.ended),
        *house.kestra(
            found.settings.via,
            enabled=found.settings.kestra_enabled,
            has_address=found.settings.kestra_url is not None,
        ),
    ]


def _settings() -> SettingsFacts:
    """Read the settings, also beside wrong ones; raises SettingsError when .env hides what is set."""
    from concierge_calls.phone import checked_region
    from concierge_calls.settings.loading import load

    wrong: set[str] = set()
    faults: list[str] = []
    try:
        settings = load()
    except SettingsError as error:
        faults = error.message.splitlines()  # each begins with its variable
        wrong = {name for name, known in SETTINGS.items() if any(_is_about(known.variable, each) for each in faults)}
        if not wrong:
            raise
        settings = load(without=wrong)
    try:
        checked_region(settings.region)
    except UsageError as error:
        faults.append(f"CONCIERGE_REGION: {error.message}")
    return SettingsFacts(settings, frozenset(wrong), tuple(faults))


def _is_about(variable: str, sentence: str) -> bool:
    return sentence.startswith(f"{variable} ")


async def _look(found: SettingsFacts, wait: float) -> tuple[JournalFacts, VapiFacts]:
    """Look at all that waits for nothing else, then at the rest, `wait` seconds each."""
    settings, clock = found.settings, _ListeningClock()
    patience = wait * ASKED_AGAIN
    async with AsyncExitStack() as stack:
        client = None
        if settings.api_key and "base_url" not in found.wrong:  # the key goes nowhere but where it was meant to go
            client = await stack.enter_async_context(_client(settings, clock))
        number_id, assistant_id = settings.phone_number_id, settings.assistant_id
        journal, number, assistant = await asyncio.gather(
            _journal(settings.journal_path(simulated=False), settings.max_concurrent, wait),
            _answer(client.get_phone_number(number_id, patience=patience) if client and number_id else None, wait),
            _answer(client.get_assistant(assistant_id, patience=patience) if client and assistant_id else None, wait),
        )
        # By now Vapi's clock is known, by which the last hour is meant.
        calls, ended = await asyncio.gather(
            _answer(_latest_calls(client, patience) if client else None, wait),
            _ended(client, [call.id for call in journal.unended[:MOST_ASKED_FOR]], wait),
        )
    ahead = clock.seconds() - time.time() if clock.was_set else None
    return journal, VapiFacts(number=number, assistant=assistant, calls=calls, ahead=ahead, ended=ended)


async def _answer(question: Awaitable[T] | None, wait: float) -> T | ReadFailed | None:
    if question is None:
        return None
    try:
        async with asyncio.timeout(wait):
            return await question
    except TimeoutError:
        return ReadFailed(f"Vapi did not answer in {wait:g} seconds.")
    except ReadFailed as error:
        return error


async def _latest_calls(client: VapiClient, patience: float) -> list[Call]:
    # Of all numbers, for they share the lines.
    from concierge_calls.vapi.gate import Priority
    from concierge_calls.vapi.pages import stamp

    since = stamp(client.clock.now() - AN_HOUR)
    return await client.list_calls(Priority.OVERDUE, limit=MOST_CALLS, patience=patience, createdAtGe=since)


async def _ended(client: VapiClient | None, call_ids: list[str], wait: float) -> frozenset[str]:
    from concierge_calls.vapi.gate import Priority
    from concierge_calls.vapi.schemas import Call

    if client is None:
        return frozenset()
    questions = (client.get_call(call_id, Priority.OVERDUE, patience=wait * ASKED_AGAIN) for call_id in call_ids)
    answers = await asyncio.gather(*(_answer(question, wait) for question in questions))
    return frozenset(call.id for call in answers if isinstance(call, Call) and call.status == "ended")


class _ListeningClock(VapiClock):
    """Vapi's clock, which knows whether a reply has set it."""

    was_set = False

    def learn(self, date_header: str | None) -> None:
        """Take note that there was a Date, and set the clock by it."""
        self.was_set = self.was_set or date_header is not None
        super().learn(date_header)


def _client(settings: Settings, clock: VapiClock) -> VapiClient:
    from concierge_calls.vapi.client import VapiClient
    from concierge_calls.vapi.gate import Gate

    key = settings.api_key.get_secret_value() if settings.api_key else ""
    gate = Gate(settings.max_requests_per_minute, now=clock.seconds)
    return VapiClient(key, base_url=settings.base_url, gate=gate, clock=clock)


async def _journal(path: Path, lines: int, wait: float) -> JournalFacts:
    try:
        async with asyncio.timeout(wait):
            return await asyncio.wrap_future(_aside(lambda: _read_journal(path, lines)))
    except JournalError as error:
        return JournalFacts(path=path, fault=error)
    except TimeoutError:
        return JournalFacts(
            path=path,
            fault=JournalError(
                f"The journal {path} was kept busy for {wait:g} seconds; "
                "see what another concierge-calls waits for, then try again."
            ),
        )


def _aside(work: Callable[[], T]) -> Future[T]:
    # A thread that nobody waits for at the end: SQLite waits a minute for a journal that another process holds.
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return future


def _read_journal(path: Path, lines: int) -> JournalFacts:
    with Journal(path) as journal:
        latest = list(islice(journal.runs(), MOST_RUNS))
        unfinished = tuple(
            UnfinishedRun(run.id, run.source, journal.is_worked_on(run.id), stats.pending + stats.not_called)
            for run, stats in latest
            if not run.finished
        )
        unwritten = tuple(run.id for run in journal.left_over() if run.finished)
        unended = tuple(_unended(journal, latest))
        disk = Disk(free=free_beside(path), wanted=wanted(lines), lines=lines)
        return JournalFacts(path=path, unfinished=unfinished, unwritten=unwritten, unended=unended, disk=disk)


def _unended(journal: Journal, latest: list[tuple[RunInfo, RunStats]]) -> Iterator[UnendedCall]:
    since = datetime.now(UTC) - LONGEST_ON_THE_LINE
    suspects = (run for run, stats in latest if stats.timed_out and run.started_at > since)
    for run in suspects:
        for row in journal.result(run.id).results:
            never_ended = row.status is CallStatus.TIMEOUT and row.ended_at is None and row.ended_reason is None
            if never_ended and row.call_id:
                yield UnendedCall(row.call_id, run.id)
