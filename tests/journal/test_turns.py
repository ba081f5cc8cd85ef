"""Whoever is expected to talk longest is dialled first, and the results stay in the file's order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from concierge_calls.journal import Journal, NewRun, RunRecord
from concierge_calls.models import CallOutcome, CallRequest, CallResult, Reason, ServiceRequest

Asked = Callable[..., CallRequest]
New = Callable[..., NewRun]
Outcome = Callable[..., CallOutcome]
Begin = Callable[..., Awaitable[RunRecord]]

NO_LINE = Reason("no_line", "No line was free.")

HINTS = [
    ([None, None, None, None], [0, 1, 2, 3]),
    ([30.0, 120.0, 60.0, 90.0], [1, 3, 2, 0]),
    ([60.0, 60.0, 60.0, 60.0], [0, 1, 2, 3]),
    ([None, 120.0, 30.0, None], [1, 0, 3, 2]),  # an unknown one is taken for one of average length
]


@pytest.fixture
def begun(journal: Journal, new_run: New, asked: Asked) -> Begin:
    async def begin(*rows: tuple[float | None, str | None], simulated: bool = False) -> RunRecord:
        record = await journal.draft(new_run(simulated=simulated))
        requests = [
            replace(asked(index), expected=expected, request=ServiceRequest(service_needed=service))
            for index, (expected, service) in enumerate(rows)
        ]
        await record.add(requests)
        await record.start()
        return record

    return begin


async def _dialled(record: RunRecord, *, seconds: float | None = None, outcome: Outcome | None = None) -> list[int]:
    """Dial everybody who is left, one after the other, and return whom, in order; with `seconds` each call is over."""
    indices = []
    while (attempt := (await record.claim(redial_after=None)).attempt) is not None:
        indices.append(attempt.index)
        if outcome is not None:
            known = outcome() if seconds is None else outcome(seconds=seconds)
            await record.placed(attempt, attempt.key, attempt.dialed_at)
            await record.ended(attempt, known)
            await record.settled(attempt, CallResult.of(attempt.asked, known))
    return indices


@pytest.mark.parametrize(("hints", "order"), HINTS)
def test_the_longest_expected_call_is_dialled_first_and_equal_ones_in_the_files_order(
    begun: Begin, hints: list[float | None], order: list[int]
) -> None:
    async def run() -> list[int]:
        return await _dialled(await begun(*((hint, "plumbing") for hint in hints)))

    assert asyncio.run(run()) == order


def test_the_results_stay_in_the_files_order(journal: Journal, begun: Begin, outcome: Outcome) -> None:
    async def run() -> list[int]:
        record = await begun((30.0, None), (90.0, None), (60.0, None))
        assert await _dialled(record, outcome=outcome) == [1, 2, 0]
        return [result.index for result in journal.result(record.id).results]

    assert asyncio.run(run()) == [0, 1, 2]


def test_without_a_hint_it_is_what_earlier_calls_for_the_service_took(begun: Begin, outcome: Outcome) -> None:
    async def run() -> list[int]:
        for service, seconds in (("plumbing", 40.0), ("Moving ", 200.0), ("plumbing", 60.0)):
            await _dialled(await begun((None, service)), seconds=seconds, outcome=outcome)
        # The mean of 50 and 200, which is also that of a service nobody was ever called for.
        rows = ((None, "plumbing"), (None, "roofing"), (None, "moving"), (170.0, "plumbing"))
        return await _dialled(await begun(*rows))

    assert asyncio.run(run()) == [2, 3, 1, 0]


def test_earlier_calls_change_nothing_where_everybody_is_asked_for_the_same(begun: Begin, outcome: Outcome) -> None:
    async def run() -> list[int]:
        for service, seconds in (("plumbing", 40.0), ("moving", 200.0)):
            await _dialled(await begun((None, service)), seconds=seconds, outcome=outcome)
        return await _dialled(await begun(*[(None, "moving")] * 3))

    assert asyncio.run(run()) == [0, 1, 2]


def test_simulated_calls_tell_nothing_of_real_ones(begun: Begin, outcome: Outcome) -> None:
    async def run() -> list[int]:
        for service, seconds in (("plumbing", 40.0), ("moving", 200.0)):
            earlier = await begun((None, service), simulated=True)
            await _dialled(earlier, seconds=seconds, outcome=outcome)
        return await _dialled(await begun((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run()) == [0, 1]


def test_a_row_that_waits_again_comes_at_its_own_turn(begun: Begin) -> None:
    async def run() -> list[int]:
        record = await begun((30.0, None), (90.0, None), (60.0, None))
        first = (await record.claim(redial_after=None)).attempt
        second = (await record.claim(redial_after=None)).attempt
        assert first is not None
        assert second is not None
        await record.void(second, NO_LINE)
        return await _dialled(record)

    assert asyncio.run(run()) == [2, 0]
