"""A look at a dead process's run keeps what is learnt of a call, and changes nothing else of the run."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.errors import RunLocked
from concierge_calls.journal import Attempt, Journal, RunRecord, looks
from concierge_calls.models import Analysis, AnalysisStatus, CallOutcome, CallState, CallStatus, Reason
from tests.journal.conftest import START, Hands

Begin = Callable[..., Awaitable[RunRecord]]
KEY = Reason("key", "Vapi does not know this key.")
NUMBER = "+12005550100"


def row_of(path: Path, run_id: str) -> dict[str, Any]:
    """The run's own row as it stands in the file."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return dict(db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone())


async def dialled(record: RunRecord) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    return attempt


async def placed(record: RunRecord) -> Attempt:
    attempt = await dialled(record)
    await record.placed(attempt, "call-1", START)
    return attempt


async def found_over(journal: Journal, run_id: str) -> None:
    """Look at the run, and find that its call is over."""
    async with journal.looking_at(run_id) as look:
        [attempt] = await look.on_the_line()
        if attempt.state is CallState.DIALING:
            await look.placed(attempt, "call-1", START)
        await look.ended(attempt, CallOutcome(status=CallStatus.COMPLETED), None)


async def found_unrung(journal: Journal, run_id: str) -> None:
    """Look at the run, and find that its call was never dialled."""
    async with journal.looking_at(run_id) as look:
        [attempt] = await look.on_the_line()
        await look.void(attempt, Reason("no_line", "The call was never dialled."))


@pytest.mark.parametrize("state", ["dialing", "placed"])
def test_a_run_that_was_ended_keeps_its_end_its_reason_its_worked_time_and_owes_nothing(
    journal: Journal, begin: Begin, hands: Hands, path: Path, state: str
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        await (dialled(record) if state == "dialing" else placed(record))
        hands.move(30)
        await record.finish(finished=False, stopped=KEY)
        record.document_is_out()
        record.close()
        before = row_of(path, record.id)
        hands.move(3600)
        await found_over(journal, record.id)

        assert row_of(path, record.id) == before
        assert [each.state for each in await record.unfinished()] == [CallState.ENDED]
        assert journal.on_the_line(NUMBER, but="another") is None
        assert journal.called_since(NUMBER, START - timedelta(hours=1)) == (record.id, START)

    asyncio.run(run())


def test_a_look_that_finds_that_nobody_was_rung_has_the_row_wait_and_changes_nothing_else(
    journal: Journal, begin: Begin, hands: Hands, path: Path
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        await placed(record)
        hands.move(30)
        await record.finish(finished=False, stopped=KEY)
        record.document_is_out()
        record.close()
        before = row_of(path, record.id)
        hands.move(3600)
        await found_unrung(journal, record.id)

        assert row_of(path, record.id) == before
        assert (await record.unfinished(), (await record.counts())[CallState.PENDING]) == ([], 2)
        assert journal.on_the_line(NUMBER, but="another") is None
        assert journal.called_since(NUMBER, START - timedelta(hours=1)) is None

    asyncio.run(run())


def test_who_asked_in_a_call_that_a_look_finds_over_is_not_called_again_by_anybody(
    journal: Journal, begin: Begin
) -> None:
    async def run() -> None:
        dead, record = await begin(journal, 1), await begin(journal, 1)
        await placed(dead)
        dead.close()
        wish = Analysis(status=AnalysisStatus.COMPLETE, structured_data={"do_not_call": True})
        async with journal.looking_at(dead.id) as look:
            [attempt] = await look.on_the_line()
            await look.ended(attempt, CallOutcome(status=CallStatus.COMPLETED, analysis=wish), None)
        claim = await record.claim(redial_after=None)

        assert (claim.attempt, [reason.code for _, _, reason in claim.skipped]) == (None, ["do_not_call"])
        assert [entry.note for entry in journal.list_do_not_call()] == [f"asked so on the phone, in run {dead.id}"]

    asyncio.run(run())


def test_a_run_whose_process_was_killed_has_worked_until_its_own_last_event(
    journal: Journal, begin: Begin, hands: Hands
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        hands.move(20)
        await placed(record)
        record.close()
        hands.move(3600)
        await found_over(journal, record.id)
        seen = journal.result(record.id)
        assert (seen.stats.duration_ms, seen.run.ended_at, seen.run.finished) == (20_000, None, False)
        hands.move(3600)
        again = await journal.open_run(record.id)
        await again.take_up()
        hands.move(5)
        await again.claim(redial_after=None)
        assert journal.result(record.id).stats.duration_ms == 25_000

    asyncio.run(run())


def test_a_resume_after_a_look_wakes_the_run_as_any_other_does(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        await placed(record)
        await record.finish(finished=False, stopped=KEY)
        record.close()
        await found_over(journal, record.id)
        again = await journal.open_run(record.id)
        await again.take_up()
        await again.claim(redial_after=None)
        seen = journal.result(record.id).run
        assert (seen.stopped, seen.ended_at, journal.owes_document(record.id)) == (None, None, True)

    asyncio.run(run())


def test_a_run_that_is_opened_and_not_taken_up_is_as_it_was(
    journal: Journal, begin: Begin, hands: Hands, path: Path
) -> None:
    async def run() -> None:
        for ends in (True, False):
            record = await begin(journal, 1)
            hands.move(30)
            if ends:
                await record.finish(finished=True)
                record.document_is_out()
            record.close()
            before = row_of(path, record.id)
            hands.move(60)
            (await journal.open_run(record.id)).close()
            assert row_of(path, record.id) == before

    asyncio.run(run())


def test_who_wants_to_work_waits_until_a_look_is_over(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        record.close()
        async with journal.looking_at(record.id):
            assert not journal.is_worked_on(record.id)
            opening = asyncio.ensure_future(journal.open_run(record.id))
            await asyncio.wait([opening], timeout=looks.PAUSE)
            assert not opening.done()
        again = await opening
        assert journal.is_worked_on(record.id)
        again.close()

    asyncio.run(run())


def test_a_look_that_never_ends_is_not_waited_for(
    journal: Journal, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        record.close()
        monkeypatch.setattr(looks, "LONGEST_LOOK", 0.0)
        async with journal.looking_at(record.id):
            with pytest.raises(RunLocked) as refused:
                await journal.open_run(record.id)
            assert refused.value.message == (
                f"Run {record.id} is being looked at by another process, for longer than that should take;"
                f" wait until that one ends, or stop it, then: concierge-calls resume {record.id}"
            )
            assert not journal.is_worked_on(record.id)

    asyncio.run(run())


def test_nobody_looks_at_a_run_that_is_worked_on(journal: Journal, begin: Begin, path: Path) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        await placed(record)
        with pytest.raises(RunLocked):
            async with journal.looking_at(record.id):
                pytest.fail("somebody works on it")
        record.close()
        assert list((path.parent / "locks").iterdir()) == []

    asyncio.run(run())


def test_two_looks_at_one_run_follow_each_other(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        await placed(record)
        record.close()
        found: list[int] = []

        async def look() -> None:
            async with journal.looking_at(record.id) as look:
                left = await look.on_the_line()
                found.append(len(left))
                for attempt in left:
                    await look.ended(attempt, CallOutcome(status=CallStatus.COMPLETED), None)

        await asyncio.gather(look(), look())
        assert found == [1, 0]

    asyncio.run(run())


def test_a_number_that_a_dead_run_may_have_on_the_line_waits_for_a_look_and_the_others_are_dialled(
    journal: Journal, begin: Begin
) -> None:
    async def run() -> None:
        dead, record = await begin(journal, 1), await begin(journal, 2)
        await placed(dead)
        dead.close()
        first = await record.claim(redial_after=None, believed=())
        second = await record.claim(redial_after=None, believed=())

        assert first.attempt is not None
        assert (first.attempt.index, list(first.skipped), first.unsure) == (1, [], {dead.id})
        assert (second.attempt, list(second.skipped), second.unsure) == (None, [], {dead.id})
        assert (await record.counts())[CallState.PENDING] == 1

        looked = await record.claim(redial_after=None, believed={dead.id})
        assert [(asked.index, reason.code) for _, asked, reason in looked.skipped] == [(0, "on_the_line")]

    asyncio.run(run())


def test_a_number_that_a_living_run_has_on_the_line_is_skipped_without_a_look(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        living, record = await begin(journal, 1), await begin(journal, 1)
        await placed(living)
        claim = await record.claim(redial_after=None, believed=())
        assert ([reason.code for _, _, reason in claim.skipped], list(claim.unsure)) == (["on_the_line"], [])

    asyncio.run(run())


def test_the_reason_says_whom_a_resume_of_the_other_run_also_calls(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        other, record = await begin(journal, 3), await begin(journal, 1)
        await placed(other)
        reason = journal.why_not(NUMBER, record.id)
        assert reason == Reason(
            "on_the_line",
            f"Run {other.id} has this number on the line; to follow it to its end,"
            f" which also calls the 2 providers left in it: concierge-calls resume {other.id}",
        )

    asyncio.run(run())


def test_what_is_left_over_is_every_run_that_nobody_works_on_and_that_is_not_done(
    journal: Journal, begin: Begin, hands: Hands
) -> None:
    async def run() -> None:
        records = []
        for finished in (True, True, False, False):
            hands.move(60)
            record = await begin(journal, 2)
            await record.finish(finished=finished)
            records.append(record)
        done, unwritten, unfinished, _ = records
        done.document_is_out()
        for record in records[:3]:
            record.close()
        left = [(run.id, run.source, run.finished, run.left) for run in journal.left_over()]
        assert left == [(unfinished.id, "providers.csv", False, 2), (unwritten.id, "providers.csv", True, 2)]

    asyncio.run(run())


def test_the_latest_unfinished_run_is_the_latest_but_those_that_are_passed_over(
    journal: Journal, begin: Begin, hands: Hands
) -> None:
    async def run() -> None:
        first = await begin(journal, 1)
        hands.move(60)
        second = await begin(journal, 1)
        assert journal.latest_unfinished() == second.id
        assert journal.latest_unfinished(but=[second.id]) == first.id
        assert journal.latest_unfinished(but=[second.id, first.id]) is None

    asyncio.run(run())


def test_a_run_is_as_old_as_its_last_call_whenever_it_was_resumed_since(
    journal: Journal, begin: Begin, hands: Hands
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        await placed(record)
        hands.move(3600)
        await record.finish(finished=False)
        record.close()
        assert [run.id for run in journal.forgetting.ended_before(START + timedelta(seconds=1))] == [record.id]
        assert list(journal.forgetting.ended_before(START)) == []

    asyncio.run(run())
