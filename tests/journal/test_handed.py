"""A part of a run that was handed over: its id is given, and its rows have their numbers in the whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from concierge_calls.errors import RunLocked
from concierge_calls.journal import Journal, NewRun, Owner
from concierge_calls.models import CallRequest, Provider, ServiceRequest

RUN = "20261124-abcdefgh"
PART = NewRun(
    owner=Owner.CLI, via="direct", simulated=False, max_concurrent=1, source="flow", version="1", numbers=(7, 30)
)
ASKED = [
    CallRequest(index=index, provider=Provider(name="One", phone=f"+1864555010{index}"), request=ServiceRequest())
    for index in range(2)
]


async def begun(journal: Journal, part: NewRun = PART) -> list[str]:
    """Begin the part, claim all its rows, and return the keys of its attempts."""
    record, has_begun = await journal.draft_or_open(RUN, part)
    assert not has_begun
    await record.add(ASKED)
    await record.start()
    claims = [await record.claim(redial_after=None) for _ in ASKED]
    record.close()
    return [claim.attempt.key for claim in claims if claim.attempt is not None]


def test_keys_have_the_numbers_of_the_rows_in_the_whole_run(journal: Journal) -> None:
    assert asyncio.run(begun(journal)) == [f"{RUN}-7-1", f"{RUN}-30-1"]


def test_without_numbers_a_key_has_the_index_of_its_row(journal: Journal) -> None:
    assert asyncio.run(begun(journal, replace(PART, numbers=()))) == [f"{RUN}-0-1", f"{RUN}-1-1"]


def test_a_run_that_has_begun_is_opened_again(journal: Journal) -> None:
    async def again() -> tuple[bool, int]:
        await begun(journal)
        record, has_begun = await journal.draft_or_open(RUN, PART)
        left = await record.unfinished()
        record.close()
        return has_begun, len(left)

    assert asyncio.run(again()) == (True, 2)


def test_a_draft_whose_process_is_dead_is_drafted_anew(journal: Journal) -> None:
    async def again() -> tuple[bool, int]:
        dead, _ = await journal.draft_or_open(RUN, PART)
        await dead.add(ASKED)
        dead.close()
        record, has_begun = await journal.draft_or_open(RUN, PART)
        await record.add(ASKED[:1])
        total = journal.result(RUN).stats.total
        await record.discard()
        return has_begun, total

    assert asyncio.run(again()) == (False, 1)


def test_a_draft_that_somebody_works_on_is_locked(journal: Journal, path: Path) -> None:
    async def twice() -> None:
        record, _ = await journal.draft_or_open(RUN, PART)
        with Journal(path) as other, pytest.raises(RunLocked):
            await other.draft_or_open(RUN, PART)
        await record.discard()

    asyncio.run(twice())
