"""A journal that another process holds: before a run has begun that is an error, later it is waited for."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from concierge_calls.errors import JournalError
from concierge_calls.journal import Attempt, Journal, RunRecord, opening
from concierge_calls.journal.writer import Writer
from concierge_calls.models import CallOutcome, CallState, CallStatus

Begin = Callable[..., Awaitable[RunRecord]]

LONGEST = 10.0  # seconds until what is waited for counts as never coming
OVER = CallOutcome(status=CallStatus.COMPLETED, transcript="Tomorrow at nine.")


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every try to get the journal be over in no time."""
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.01)


def waiting(path: Path) -> str:
    return (
        f"Another process holds the journal {path}, so nobody new is dialled, and what comes of the calls on the line "
        "waits to be written down; if that process is stopped, continue it or end it."
    )


def busy(path: Path) -> str:
    return (
        f"The journal {path} was kept busy by another process for a minute; "
        "if that one is stopped, continue it or end it, then try again."
    )


@contextmanager
def held(path: Path, *how: str) -> Iterator[sqlite3.Connection]:
    """Hold the journal as another process would, until the context ends or the connection lets go of it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        for statement in how or ("BEGIN EXCLUSIVE",):
            other.execute(statement).fetchall()
        yield other


class Tries:
    """How often a writer has begun to write."""

    def __init__(self, writer: Writer) -> None:
        self._begun = threading.Semaphore(0)
        writer._db.set_trace_callback(self._note)

    def _note(self, sql: str) -> None:
        if sql == "BEGIN IMMEDIATE":
            self._begun.release()

    async def come(self, times: int) -> None:
        """Wait until there were so many."""
        acquired = [await asyncio.to_thread(self._begun.acquire, timeout=LONGEST) for _ in range(times)]
        assert all(acquired), "it has given up"


@contextmanager
def refused() -> Iterator[pytest.ExceptionInfo[JournalError]]:
    """Expect an error, and no waiting."""
    patience = asyncio.get_running_loop().call_later(LONGEST, asyncio.current_task().cancel)  # type: ignore[union-attr]
    with pytest.raises(JournalError) as raised:
        yield raised
    patience.cancel()


async def on_the_line(journal: Journal, begin: Begin) -> tuple[RunRecord, Attempt]:
    """Begin a run of two rows, of which one is on the line."""
    record = await begin(journal, 2)
    await record.keep_room(1)
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    await record.placed(attempt, "call-0", attempt.dialed_at)
    return record, attempt


@pytest.mark.parametrize(
    "how", [("BEGIN EXCLUSIVE",), ("BEGIN IMMEDIATE",), ("BEGIN", "SELECT * FROM opened")], ids=["all", "write", "read"]
)
def test_with_a_call_on_the_line_what_comes_of_it_waits_however_long_and_each_wait_is_told_once(
    journal: Journal, path: Path, begin: Begin, caplog: pytest.LogCaptureFixture, how: tuple[str, ...]
) -> None:
    async def run() -> None:
        record, attempt = await on_the_line(journal, begin)
        with held(path, *how) as other:
            tries = Tries(journal._writer)
            ending = asyncio.ensure_future(record.ended(attempt, OVER))
            await tries.come(4)
            assert (ending.done(), caplog.messages) == (False, [waiting(path)])
            other.rollback()
            await ending
        assert (await record.counts())[CallState.ENDED] == 1
        assert [result.transcript for result in journal.result(record.id).results] == [OVER.transcript, ""]
        with held(path, *how) as other:
            tries = Tries(journal._writer)
            again = asyncio.ensure_future(journal.add_do_not_call("+12005550199"))
            await tries.come(4)
            other.rollback()
            await again
        assert caplog.messages == [waiting(path)] * 2

    asyncio.run(run())


def test_nobody_is_dialled_while_the_journal_is_held_and_the_next_one_as_soon_as_it_is_free(
    journal: Journal, path: Path, begin: Begin
) -> None:
    async def run() -> None:
        record, _ = await on_the_line(journal, begin)
        with held(path) as other:
            tries = Tries(journal._writer)
            claim = asyncio.ensure_future(record.claim(redial_after=None))
            await tries.come(3)
            assert not claim.done()
            other.rollback()
        attempt = (await claim).attempt
        assert attempt is not None
        assert attempt.index == 1

    asyncio.run(run())


def test_whoever_was_to_be_dialled_and_is_not_after_all_is_left_alone_when_the_journal_is_free(
    journal: Journal, path: Path, begin: Begin
) -> None:
    async def run() -> None:
        record, attempt = await on_the_line(journal, begin)
        with held(path) as other:
            tries = Tries(journal._writer)
            claim = asyncio.ensure_future(record.claim(redial_after=None))
            await tries.come(3)
            claim.cancel()
            await asyncio.wait([claim])
            other.rollback()
        await record.ended(attempt, OVER)
        kinds = [event.kind for event in record.history()]
        assert kinds == ["run.started", "call.dialing", "call.placed", "call.ended"]

    asyncio.run(run())


def test_before_a_run_has_begun_a_journal_that_is_held_is_an_error(
    journal: Journal, path: Path, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        with held(path), refused() as drafting:
            await begin(journal, 2)
        record = await begin(journal, 2)
        with held(path), refused() as adding:
            await journal.add_do_not_call("+12005550199")
        await record.keep_room(1)
        with held(path), refused() as beginning:
            await record.claim(redial_after=None)
        assert [raised.value.message for raised in (drafting, adding, beginning)] == [busy(path)] * 3
        assert caplog.messages == []

    asyncio.run(run())


def test_once_the_run_is_over_a_journal_that_is_held_is_an_error_again(
    journal: Journal, path: Path, begin: Begin
) -> None:
    async def run() -> None:
        record, _ = await on_the_line(journal, begin)
        record.close()
        with held(path), refused() as raised:
            await journal.add_do_not_call("+12005550199")
        assert raised.value.message == busy(path)

    asyncio.run(run())


def test_a_thread_that_stands_still_until_its_write_is_done_does_not_stand_for_ever(
    journal: Journal, path: Path, begin: Begin
) -> None:
    async def run() -> None:
        record, attempt = await on_the_line(journal, begin)
        with held(path) as other:
            tries = Tries(journal._writer)
            ending = asyncio.ensure_future(record.ended(attempt, OVER))
            await tries.come(1)
            with pytest.raises(JournalError) as raised:
                record.document_is_out()
            other.rollback()
            await ending
        assert raised.value.message == busy(path)

    asyncio.run(run())


def test_closing_waits_no_longer_than_a_try_for_a_journal_that_is_held(path: Path, begin: Begin) -> None:
    async def run() -> None:
        with Journal(path) as journal:
            record, attempt = await on_the_line(journal, begin)
            tries = Tries(journal._writer)
            with held(path):
                ending = asyncio.ensure_future(journal.add_do_not_call("+12005550199"))
                await tries.come(2)
                journal.close()
                with pytest.raises(JournalError) as raised:
                    await ending
        record.close()
        assert raised.value.message == busy(path)
        with Journal(path) as journal:
            taken_up = await journal.open_run(attempt.run_id)
            assert [each.state for each in await taken_up.unfinished()] == [CallState.PLACED]
            taken_up.close()

    asyncio.run(run())


def test_whoever_opens_or_reads_a_journal_that_is_held_is_told_so_in_a_sentence(
    journal: Journal, path: Path, begin: Begin
) -> None:
    async def begun() -> str:
        record = await begin(journal, 2)
        record.close()
        return record.id

    run = asyncio.run(begun())
    results = journal.result(run).results
    readings: list[Callable[[], object]] = [
        lambda: Journal(path),
        lambda: journal.result(run),
        lambda: results[0],
        lambda: list(results),
        lambda: list(journal.runs()),
        lambda: journal.history(run),
        lambda: list(journal.live(run)),
        lambda: list(journal.line_times(run)),
        lambda: journal.cost_a_minute(),
        lambda: journal.latest_unfinished(),
        lambda: journal.owes_document(run),
        lambda: journal.do_not_call("+12005550100"),
        lambda: journal.why_not("+12005550100", run),
        lambda: journal.dead_holder("+12005550100", but=run),
        lambda: list(journal.list_do_not_call()),
    ]
    with held(path):
        for read in readings:
            with pytest.raises(JournalError) as raised:
                read()
            assert raised.value.message == busy(path)
