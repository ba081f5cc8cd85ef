"""Room on the disk is kept for the results of calls on the line, and a disk that fills up loses none of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from concierge_calls.errors import JournalFull
from concierge_calls.journal import Attempt, Journal, RunRecord
from concierge_calls.journal.room import FOR_A_CALL, MOST_CALLS, Room, wanted
from concierge_calls.models import CallOutcome, CallResult, CallState, CallStatus
from tests.journal.test_opening import _fill, _mounted

Begin = Callable[..., Awaitable[RunRecord]]

LONG = CallOutcome(status=CallStatus.COMPLETED, transcript="x" * 200_000)
BODY = b"{}" * 50_000


@contextmanager
def _small_disk(folder: Path) -> Iterator[tuple[Path, Path]]:
    """A disk of 4 MB, as the journal on it and the film that will fill it."""
    with _mounted(folder / "disk", "size=4m"):
        yield folder / "disk" / "runs.db", folder / "disk" / "film.mp4"


def _lock(record: RunRecord) -> Path:
    return record._lock.path


async def _placed(record: RunRecord) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    await record.placed(attempt, f"call-{attempt.index}", attempt.dialed_at)
    return attempt


async def _settle(record: RunRecord, attempt: Attempt) -> None:
    await record.ended(attempt, LONG, BODY)
    await record.settled(attempt, CallResult.of(attempt.asked, LONG, call_id="call"), BODY)


def test_a_disk_that_fills_up_stops_the_dialling_and_keeps_every_result(tmp_path: Path, begin: Begin) -> None:
    async def run(path: Path, film: Path) -> None:
        with Journal(path) as journal:
            record = await begin(journal, 6)
            await record.keep_room(3)
            live = [await _placed(record) for _ in range(3)]
            _fill(film)
            for attempt in live:
                await _settle(record, attempt)
                assert (await record.claim(redial_after=None)).attempt is None
            assert record.lacks_room
            assert [result.status for result in journal.result(record.id).results] == ["completed"] * 3 + [
                "pending"
            ] * 3
            assert all(result.transcript == LONG.transcript for result in journal.result(record.id).results[:3])

            os.unlink(film)
            assert (await _placed(record)).index == 3
            assert _lock(record).stat().st_size == 4 * FOR_A_CALL

    with _small_disk(tmp_path) as (path, film):
        asyncio.run(run(path, film))


def test_an_intent_is_never_written_into_the_room_of_the_results(tmp_path: Path, begin: Begin) -> None:
    async def run(path: Path, film: Path) -> None:
        with Journal(path) as journal:
            record = await begin(journal, 500)
            await record.keep_room(1)
            _fill(film)
            claimed = 0
            while (await record.claim(redial_after=None)).attempt is not None:
                claimed += 1
            assert record.lacks_room
            counts = await record.counts()
            assert (counts[CallState.DIALING], counts[CallState.PENDING]) == (claimed, 500 - claimed)

    with _small_disk(tmp_path) as (path, film):
        asyncio.run(run(path, film))


def test_a_disk_without_room_for_the_results_is_known_before_anybody_is_dialled(tmp_path: Path, begin: Begin) -> None:
    async def run(path: Path) -> None:
        with Journal(path) as journal:
            record = await begin(journal, 1)
            with pytest.raises(JournalFull, match="free some room"):
                await record.keep_room(20)
            assert _lock(record).stat().st_size == 0
            assert not record.lacks_room

    with _small_disk(tmp_path) as (path, _):
        asyncio.run(run(path))


@pytest.mark.parametrize(("calls", "holds"), [(1, 2), (5, 6), (10_000, 1 + MOST_CALLS)])
def test_the_room_grows_with_the_calls_on_the_line_up_to_a_bound(tmp_path: Path, calls: int, holds: int) -> None:
    path = tmp_path / "run.lock"
    path.touch()
    room = Room(path, calls)
    assert path.stat().st_blocks * 512 >= path.stat().st_size == wanted(calls) == holds * FOR_A_CALL
    assert (room.give_up(), room.give_up(), path.stat().st_size) == (True, False, 0)
    assert (room.take_again(), room.is_held, path.stat().st_size) == (True, True, holds * FOR_A_CALL)
    room.close()
    room.close()
    assert path.stat().st_size == 0


def test_the_room_is_gone_with_the_run(journal: Journal, path: Path, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        await record.keep_room(2)
        assert _lock(record).stat().st_size == 3 * FOR_A_CALL
        record.close()
        assert list((path.parent / "locks").iterdir()) == []
        assert journal._writer._rooms == []

    asyncio.run(run())
