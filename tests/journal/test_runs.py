"""A run begins as a draft, is listed once it has begun, and can be taken up until it is finished."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.errors import IllegalTransition, JournalError, NoSuchRun, RunLocked
from concierge_calls.journal import Journal, NewRun, Owner, RunRecord
from concierge_calls.models import (
    CallOutcome,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    EventKind,
    Format,
    Reason,
)

Begin = Callable[..., Awaitable[RunRecord]]
Ask = Callable[..., CallRequest]
New = Callable[..., NewRun]

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
DUPLICATE = Reason("duplicate", "duplicate of line 2")
KEY = Reason("key_refused", "Vapi refused the key.")


def _locks(path: Path) -> list[str]:
    return sorted(entry.name for entry in (path.parent / "locks").iterdir())


def test_nobody_sees_a_draft_but_who_asks_for_its_result(journal: Journal, new_run: New, asked: Ask) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add([asked(0), asked(1, skip=DUPLICATE)])
        assert list(journal.runs()) == []
        assert journal.latest_unfinished() is None
        with pytest.raises(NoSuchRun, match="never began"):
            await journal.open_run(record.id)
        seen = journal.result(record.id, dry_run=True)
        assert seen.run.dry_run
        assert [result.status for result in seen.results] == [CallStatus.PENDING, CallStatus.SKIPPED]

    asyncio.run(run())


def test_a_draft_that_is_discarded_leaves_nothing_behind(
    journal: Journal, path: Path, new_run: New, asked: Ask
) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add([asked(0), asked(1)])
        assert _locks(path) == [f"{record.id}.lock"]
        await record.discard()
        assert _locks(path) == []
        with pytest.raises(NoSuchRun):
            journal.result(record.id)
        assert journal._reader.fetch("SELECT * FROM rows") == []

    asyncio.run(run())


def test_a_run_that_has_begun_cannot_be_added_to_or_begun_again(journal: Journal, begin: Begin, asked: Ask) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        for step in (record.add([asked(1)]), record.start()):
            with pytest.raises(IllegalTransition, match="no draft any more"):
                await step

    asyncio.run(run())


def test_a_run_that_has_begun_is_discarded_as_long_as_it_has_dialled_nobody(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        idle, busy = await begin(journal, 1), await begin(journal, 1)
        await busy.claim(redial_after=None)
        assert (await idle.has_dialled(), await busy.has_dialled()) == (False, True)
        await idle.discard()
        with pytest.raises(IllegalTransition, match="has dialled somebody"):
            await busy.discard()
        assert [info.id for info, _ in journal.runs()] == [busy.id]

    asyncio.run(run())


def test_a_draft_cannot_end(journal: Journal, new_run: New) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        with pytest.raises(IllegalTransition, match="has not begun"):
            await record.finish(finished=True)

    asyncio.run(run())


@pytest.mark.parametrize("indices", [[1], [0, 2], [0, 0], [1, 0]])
def test_rows_are_added_in_the_files_order_without_gaps(
    journal: Journal, new_run: New, asked: Ask, indices: list[int]
) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        with pytest.raises(IllegalTransition, match="out of order"):
            await record.add([asked(index) for index in indices])
        assert journal.result(record.id).stats.total == 0

    asyncio.run(run())


def test_beginning_tells_of_the_run_and_then_of_each_skipped_row(journal: Journal, new_run: New, asked: Ask) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add([asked(0, skip=DUPLICATE), asked(1)])
        await record.add([asked(2, skip=DUPLICATE)])
        assert record.history() == []
        started = await record.start()
        assert [(row.kind, row.index) for row in record.history()] == [
            (EventKind.RUN_STARTED, None),
            (EventKind.CALL_SKIPPED, 0),
            (EventKind.CALL_SKIPPED, 2),
        ]
        assert record.history()[0] == started
        assert journal.history(record.id, after=started.seq, limit=1) == record.history()[1:2]

    asyncio.run(run())


def test_runs_are_listed_newest_first_with_their_figures(journal: Journal, begin: Begin, hands: Any) -> None:
    async def run() -> list[str]:
        begun = []
        for rows in range(1, 4):
            begun.append((await begin(journal, rows)).id)
            hands.move(60)
        return begun

    begun = asyncio.run(run())
    assert [(info.id, stats.total) for info, stats in journal.runs()] == list(zip(begun, [1, 2, 3], strict=True))[::-1]


def test_more_runs_than_a_page_are_listed_whole(journal: Journal, begin: Begin) -> None:
    async def run() -> set[str]:
        return {(await begin(journal, 0)).id for _ in range(205)}

    begun = asyncio.run(run())
    listed = [info.id for info, _ in journal.runs()]
    assert (len(listed), set(listed)) == (205, begun)


def test_the_latest_unfinished_run_is_that_of_its_owner(journal: Journal, begin: Begin, hands: Any) -> None:
    async def run() -> None:
        first = await begin(journal, 1)
        hands.move(60)
        second = await begin(journal, 1)
        hands.move(60)
        served = await begin(journal, 1, owner=Owner.API)
        assert journal.latest_unfinished() == second.id
        assert journal.latest_unfinished(Owner.API) == served.id
        await second.finish(finished=True)
        assert journal.latest_unfinished() == first.id
        await first.finish(finished=False)
        assert journal.latest_unfinished() == first.id

    asyncio.run(run())


def test_a_run_says_what_it_was_told(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        info = journal.result(record.id).run
        assert (info.source, info.version, info.output, info.via) == ("providers.csv", "0.1.0", "out.json", "direct")
        assert info.format is Format.CSV
        assert (info.started_at, info.ended_at, info.finished, info.dry_run) == (WHEN, None, False, False)
        assert journal.options(record.id) == {"call_timeout": 300}

    asyncio.run(run())


def test_the_document_is_json_where_nothing_else_was_said(journal: Journal) -> None:
    async def run() -> None:
        new = NewRun(owner="cli", via="direct", simulated=False, max_concurrent=1, source="a.csv", version="0.1.0")
        record = await journal.draft(new)
        assert journal.result(record.id).run.format is Format.JSON

    asyncio.run(run())


def test_a_path_that_is_no_valid_text_is_kept(journal: Journal) -> None:
    async def run() -> None:
        new = NewRun(
            owner="cli", via="direct", simulated=False, max_concurrent=1, source="caf\udce9.csv", version="0.1.0"
        )
        record = await journal.draft(new)
        assert journal.result(record.id).run.source == "caf\udce9.csv"

    asyncio.run(run())


@pytest.mark.parametrize("run_id", ["20261124-nothing", "../../etc/passwd", "", "\udce9"])
def test_a_run_that_is_not_there_is_said_to_be_missing(journal: Journal, path: Path, run_id: str) -> None:
    for ask in (
        journal.result,
        journal.options,
        journal.is_worked_on,
        lambda name: asyncio.run(journal.open_run(name)),
    ):
        with pytest.raises(NoSuchRun, match="concierge-calls runs"):
            ask(run_id)
    assert not (path.parent / "locks").exists()


def test_a_run_that_is_worked_on_cannot_be_opened_until_it_is_closed(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        with pytest.raises(RunLocked, match="wait until that one ends"):
            await journal.open_run(record.id)
        record.close()
        record.close()
        (await journal.open_run(record.id)).close()

    asyncio.run(run())


def test_ending_says_whether_it_is_finished_and_why_it_stopped(journal: Journal, begin: Begin, hands: Any) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        hands.move(30)
        row = await record.finish(finished=False, stopped=KEY)
        assert (row.kind, row.at) == (EventKind.RUN_ENDED, WHEN + timedelta(seconds=30))
        seen = journal.result(record.id)
        assert (seen.run.finished, seen.run.stopped, seen.run.ended_at) == (False, KEY, row.at)
        assert (seen.stats.not_called, seen.stats.pending) == (2, 0)
        assert [(result.status, result.error) for result in seen.results] == [(CallStatus.NOT_CALLED, KEY)] * 2

    asyncio.run(run())


def test_a_run_that_is_taken_up_is_no_longer_ended_or_stopped(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        await record.finish(finished=True, stopped=KEY)
        await record.claim(redial_after=None)
        seen = journal.result(record.id)
        assert (seen.run.finished, seen.run.stopped, seen.run.ended_at) == (False, None, None)
        assert (seen.stats.in_progress, seen.stats.pending) == (1, 1)
        assert journal.latest_unfinished() == record.id

    asyncio.run(run())


def test_looking_at_an_ended_run_leaves_it_ended(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        await record.finish(finished=False, stopped=KEY)
        record.close()
        before = journal.result(record.id).run
        (await journal.open_run(record.id)).close()
        assert journal.result(record.id).run == before

    asyncio.run(run())


def test_the_time_worked_is_added_up_over_resumes(journal: Journal, begin: Begin, hands: Any) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        hands.move(30)
        await record.finish(finished=False)
        record.close()
        hands.move(3600)
        again = await journal.open_run(record.id)
        await again.claim(redial_after=None)
        hands.move(12.5)
        await again.finish(finished=True)
        assert journal.result(record.id).stats.duration_ms == 42_500

    asyncio.run(run())


def test_the_time_worked_does_not_depend_on_who_sets_the_clock(journal: Journal, begin: Begin, hands: Any) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        hands.move(30)
        hands.time -= timedelta(hours=1)
        await record.finish(finished=True)
        assert journal.result(record.id).stats.duration_ms == 30_000

    asyncio.run(run())


def test_a_sitting_that_died_counts_up_to_its_latest_event(journal: Journal, begin: Begin, hands: Any) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        hands.move(20)
        await record.claim(redial_after=None)
        record.close()  # as a kill would, before anything was ended
        assert journal.result(record.id).stats.duration_ms == 20_000
        hands.move(3600)
        again = await journal.open_run(record.id)
        hands.move(3600)  # until somebody has said yes
        await again.take_up()
        hands.move(5)
        await again.finish(finished=False)
        assert journal.result(record.id).stats.duration_ms == 25_000

    asyncio.run(run())


def test_the_peak_is_kept_over_the_runs_whole_life(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 4)
        calls = [(await record.claim(redial_after=None)).attempt for _ in range(3)]
        for number, attempt in enumerate(calls):
            assert attempt is not None
            await record.placed(attempt, f"call-{number}", datetime.now(UTC))
            await record.ended(attempt, CallOutcome(status=CallStatus.COMPLETED), None)
        record.close()
        again = await journal.open_run(record.id)
        await again.claim(redial_after=None)
        assert journal.result(record.id).stats.peak_concurrent == 3

    asyncio.run(run())


def test_attempts_that_certainly_rang_nobody_do_not_count_in_the_peak(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 3)
        first, second, third = [(await record.claim(redial_after=None)).attempt for _ in range(3)]
        assert first is not None
        assert second is not None
        assert third is not None
        await record.void(third, Reason("no_line", "No line was free."))
        await record.placed(first, "call-1", datetime.now(UTC))
        assert journal.result(record.id).stats.peak_concurrent == 2
        await record.void(second, Reason("credits", "No credit."))
        assert journal.result(record.id).stats.peak_concurrent == 1

    asyncio.run(run())


def test_every_state_is_counted_those_with_no_row_too(journal: Journal, new_run: New, asked: Ask) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add([asked(0), asked(1, skip=DUPLICATE)])
        counts = await record.counts()
        assert counts == dict.fromkeys(CallState, 0) | {CallState.PENDING: 1, CallState.SKIPPED: 1}

    asyncio.run(run())


def test_a_draft_that_could_not_be_written_leaves_no_lock(journal: Journal, path: Path, new_run: New) -> None:
    async def run() -> None:
        journal.close()
        with pytest.raises(JournalError, match="has been closed"):
            await journal.draft(new_run())
        assert _locks(path) == []

    asyncio.run(run())


def test_a_closed_journal_says_that_it_is_closed(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        journal.close()
        with pytest.raises(JournalError, match="has been closed"):
            await record.counts()

    asyncio.run(run())


def test_the_very_latest_run_is_unfinished_until_its_document_is_out(
    journal: Journal, begin: Begin, hands: Any
) -> None:
    async def run() -> None:
        first = await begin(journal, 0)
        await first.finish(finished=True)
        assert (journal.latest_unfinished(), journal.owes_document(first.id)) == (first.id, True)
        hands.move(60)
        second = await begin(journal, 0)
        await second.finish(finished=True)
        second.document_is_out()
        assert (journal.latest_unfinished(), journal.owes_document(second.id)) == (None, False)
        assert journal.owes_document(first.id)
        second.close()
        again = await journal.open_run(second.id)
        assert not journal.owes_document(second.id)
        await again.take_up()
        assert journal.owes_document(second.id)

    asyncio.run(run())


def test_a_run_with_a_call_in_doubt_is_found_only_by_who_asks_for_it(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = (await record.claim(redial_after=None)).attempt
        assert attempt is not None
        await record.uncertain(attempt, CallResult.of(attempt.asked, CallOutcome(status=CallStatus.UNCERTAIN)))
        await record.finish(finished=True)
        record.document_is_out()
        assert journal.latest_unfinished() is None
        assert journal.latest_unfinished(or_in_doubt=True) == record.id

    asyncio.run(run())
