"""Whoever is expected to have a line longest is dialled first, and the results stay in the file's order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from concierge_calls.journal import Journal, NewRun, OnTheLine, RunRecord, ToldBy, longest, transitions
from concierge_calls.models import CallOutcome, CallRequest, CallResult, CallStatus, Reason, ServiceRequest
from tests.journal.conftest import START, Hands

Asked = Callable[..., CallRequest]
New = Callable[..., NewRun]
Outcome = Callable[..., CallOutcome]
Draft = Callable[..., Awaitable[RunRecord]]
Earlier = Callable[..., Awaitable[None]]
Row = tuple[float | None, str | None]

ROWS = 60  # that are not to be looked at
NO_LINE = Reason("no_line", "No line was free.")

HINTS = [
    ([None, None, None, None], [0, 1, 2, 3]),
    ([30.0, 120.0, 60.0, 90.0], [1, 3, 2, 0]),
    ([60.0, 60.0, 60.0, 60.0], [0, 1, 2, 3]),
    ([None, 120.0, 30.0, None], [1, 0, 3, 2]),  # an unknown one is taken for one of average length
    ([None, 120.0, None], [0, 1, 2]),
]


@pytest.fixture
def draft(journal: Journal, new_run: New, asked: Asked) -> Draft:
    """Draft a run of rows with what the file says they take, and a service."""

    async def drafted(*rows: Row, simulated: bool = False) -> RunRecord:
        record = await journal.draft(new_run(simulated=simulated))
        requests = [
            replace(asked(index), expected=expected, request=ServiceRequest(service_needed=service))
            for index, (expected, service) in enumerate(rows)
        ]
        await record.add(requests)
        return record

    return drafted


@pytest.fixture
def earlier(draft: Draft, hands: Hands, outcome: Outcome) -> Earlier:
    """Have an earlier run call for one service, each call as long as the others."""

    async def called(
        service: str | None,
        talked: float,
        *,
        line: float = 0.0,
        calls: int = longest.LEAST,
        status: CallStatus = CallStatus.COMPLETED,
        simulated: bool = False,
    ) -> None:
        record = await draft(*[(None, service)] * calls, simulated=simulated)
        await record.start()
        known = replace(outcome(status, seconds=talked), started_at=START if talked else None)
        while (attempt := (await record.claim(redial_after=None)).attempt) is not None:
            await record.placed(attempt, attempt.key, attempt.dialed_at)
            hands.move(line)
            await record.ended(attempt, known)
            hands.move(5.0)  # until the analysis is there
            await record.settled(attempt, CallResult.of(attempt.asked, known))
        record.close()

    return called


async def order(record: RunRecord) -> tuple[list[int], set[ToldBy]]:
    """Arrange and begin a run, dial everybody, and return whom, in order, and who told that."""
    told = await record.arrange()
    await record.start()
    return await dialled(record), set(told)


async def dialled(record: RunRecord) -> list[int]:
    indices = []
    while (attempt := (await record.claim(redial_after=None)).attempt) is not None:
        indices.append(attempt.index)
    return indices


@pytest.mark.parametrize(("hints", "indices"), HINTS)
def test_the_longest_expected_call_is_dialled_first_and_equal_ones_in_the_files_order(
    draft: Draft, hints: list[float | None], indices: list[int]
) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        return await order(await draft(*((hint, "plumbing") for hint in hints)))

    assert asyncio.run(run()) == (indices, {ToldBy.FILE} if indices != sorted(indices) else set())


def test_the_results_stay_in_the_files_order(journal: Journal, draft: Draft) -> None:
    async def run() -> list[int]:
        record = await draft((30.0, None), (90.0, None), (60.0, None))
        assert await order(record) == ([1, 2, 0], {ToldBy.FILE})
        return [result.index for result in journal.result(record.id).results]

    assert asyncio.run(run()) == [0, 1, 2]


def test_without_a_hint_it_is_what_earlier_calls_for_the_service_took(draft: Draft, earlier: Earlier) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 40.0)
        await earlier("Moving ", 200.0)
        await earlier("plumbing", 60.0)
        # The mean of 50 and 200 is also that of a service for which nobody was ever called.
        return await order(await draft((None, "plumbing"), (None, "roofing"), (None, "moving")))

    assert asyncio.run(run()) == ([2, 1, 0], {ToldBy.EARLIER_CALLS})


def test_a_hint_goes_before_what_earlier_calls_took(draft: Draft, earlier: Earlier) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 50.0)
        await earlier("moving", 200.0)
        return await order(await draft((None, "plumbing"), (170.0, "plumbing"), (None, "moving"), (20.0, "moving")))

    assert asyncio.run(run()) == ([2, 1, 0, 3], {ToldBy.FILE, ToldBy.EARLIER_CALLS})


def test_beside_hints_earlier_calls_tell_of_the_one_service_that_is_asked_for(draft: Draft, earlier: Earlier) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("moving", 200.0)
        return await order(await draft((60.0, "moving"), (None, "moving")))

    assert asyncio.run(run()) == ([1, 0], {ToldBy.FILE, ToldBy.EARLIER_CALLS})


def test_earlier_calls_change_nothing_where_everybody_is_asked_for_the_same(draft: Draft, earlier: Earlier) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 40.0)
        await earlier("moving", 200.0)
        return await order(await draft(*[(None, "moving")] * 3))

    assert asyncio.run(run()) == ([0, 1, 2], set())


@pytest.mark.parametrize(("calls", "indices"), [(longest.LEAST - 1, [0, 1]), (longest.LEAST, [1, 0])])
def test_a_service_is_known_only_from_some_calls_on(
    draft: Draft, earlier: Earlier, calls: int, indices: list[int]
) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 40.0)
        await earlier("moving", 200.0, calls=calls)
        return await order(await draft((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run())[0] == indices


def test_a_rare_service_is_known_however_many_calls_there_were_since_for_another(
    draft: Draft, earlier: Earlier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longest, "LATEST", longest.LEAST)

    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("moving", 200.0)
        await earlier("plumbing", 40.0, calls=2 * longest.LEAST)
        return await order(await draft((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run()) == ([1, 0], {ToldBy.EARLIER_CALLS})


@pytest.mark.parametrize("limit", ["LATEST", "TOGETHER"])
def test_the_latest_calls_for_a_service_tell_how_long_one_takes_now(
    draft: Draft, earlier: Earlier, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(longest, limit, longest.LEAST)

    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 500.0)
        await earlier("moving", 200.0)
        await earlier("plumbing", 40.0)
        return await order(await draft((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run()) == ([1, 0], {ToldBy.EARLIER_CALLS})


def test_a_call_that_nobody_takes_is_as_long_as_it_rings(draft: Draft, earlier: Earlier) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 20.0, line=25.0)
        await earlier("moving", 0.0, line=30.0, status=CallStatus.NO_ANSWER)
        return await order(await draft((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run()) == ([1, 0], {ToldBy.EARLIER_CALLS})


def test_a_call_whose_end_was_seen_a_day_late_was_no_longer_than_it_rang_and_talked(
    draft: Draft, earlier: Earlier
) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 20.0, line=86_400.0)
        await earlier("moving", 90.0, line=95.0)
        return await order(await draft((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run()) == ([1, 0], {ToldBy.EARLIER_CALLS})


def test_of_calls_that_others_dialled_it_is_what_they_have_told_of_the_line(
    draft: Draft, earlier: Earlier, outcome: Outcome
) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        record = await draft(*[(None, "moving")] * longest.LEAST)
        await record.start()
        handovers = record.handovers
        handover = await handovers.begin(namespace="ns", flow_id="a_flow", revision=3, allowed=60.0)
        page = await handovers.claim(handover, after=-1, at=START, redial_after=None, is_doubted=lambda run_id: False)
        for attempt in page.attempts:
            result = CallResult.of(attempt.asked, outcome(seconds=20.0), call_id=attempt.key)
            await handovers.settled(attempt, result, OnTheLine(START, START + timedelta(seconds=55)))
        await earlier("plumbing", 40.0, line=50.0)
        return await order(await draft((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run()) == ([1, 0], {ToldBy.EARLIER_CALLS})


def test_simulated_calls_tell_nothing_of_real_ones(draft: Draft, earlier: Earlier) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 40.0, simulated=True)
        await earlier("moving", 200.0, simulated=True)
        return await order(await draft((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run()) == ([0, 1], set())


def test_a_forgotten_run_tells_nothing(journal: Journal, draft: Draft, earlier: Earlier) -> None:
    async def run() -> tuple[list[int], set[ToldBy]]:
        await earlier("plumbing", 40.0)
        await earlier("moving", 200.0)
        for info in list(journal.infos()):
            await journal.forgetting.forget(info.id)
        return await order(await draft((None, "plumbing"), (None, "moving")))

    assert asyncio.run(run()) == ([0, 1], set())


def test_a_provider_with_what_is_no_json_is_called_all_the_same(
    journal: Journal, new_run: New, asked: Asked, outcome: Outcome
) -> None:
    async def run() -> list[CallStatus]:
        record = await journal.draft(new_run())
        odd = replace(asked(0).provider, extra={"rating": float("nan")})
        await record.add([replace(asked(0), provider=odd), asked(1)])
        assert await record.arrange() == set()
        await record.start()
        while (attempt := (await record.claim(redial_after=None)).attempt) is not None:
            await record.placed(attempt, attempt.key, attempt.dialed_at)
            await record.ended(attempt, outcome())
            await record.settled(attempt, CallResult.of(attempt.asked, outcome()))
        return [result.status for result in journal.result(record.id).results]

    assert asyncio.run(run()) == [CallStatus.COMPLETED] * 2


def test_a_row_that_waits_again_comes_at_its_own_place(draft: Draft) -> None:
    async def run() -> list[int]:
        record = await draft((30.0, None), (90.0, None), (60.0, None))
        await record.arrange()
        await record.start()
        first = (await record.claim(redial_after=None)).attempt
        second = (await record.claim(redial_after=None)).attempt
        assert first is not None
        assert second is not None
        await record.void(second, NO_LINE)
        return await dialled(record)

    assert asyncio.run(run()) == [2, 0]


def steps(path: Path, work: Callable[[sqlite3.Connection], object]) -> int:
    """Return how many steps SQLite takes for it, which is undone."""
    taken = 0

    def one() -> int:
        nonlocal taken
        taken += 1
        return 0

    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.set_progress_handler(one, 1)
        work(db)
    return taken


def test_calls_for_services_that_nobody_asks_for_now_cost_no_time(draft: Draft, earlier: Earlier, path: Path) -> None:
    async def run() -> tuple[int, int]:
        record = await draft((None, "plumbing"), (None, "moving"))
        await earlier("plumbing", 40.0)
        before = steps(path, lambda db: longest.arrange(db, record.id))
        await earlier("roofing", 60.0, calls=ROWS)
        return before, steps(path, lambda db: longest.arrange(db, record.id))

    before, after = asyncio.run(run())
    assert 0 < after < before + ROWS  # a step more or less is the next run's row, which may be there or not


def test_who_is_dialled_next_is_found_without_a_look_at_all_who_wait(draft: Draft, path: Path) -> None:
    async def run() -> tuple[int, int]:
        few, many = [await draft(*((float(row), None) for row in range(1, rows))) for rows in (20, 20 + 2 * ROWS)]
        return (
            steps(path, lambda db: transitions.next_pending(db, few.id, -1)),
            steps(path, lambda db: transitions.next_pending(db, many.id, -1)),
        )

    few, many = asyncio.run(run())
    assert 0 < many < few + ROWS
