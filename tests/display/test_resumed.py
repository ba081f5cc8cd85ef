"""A board that begins where a journal stands, as when a run is resumed: everybody and every cent is counted once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from concierge_calls.display.board import Board, View
from concierge_calls.journal import Attempt, HistoryRow, Journal, NewRun, Owner, RunRecord
from concierge_calls.models import CallEvent, CallOutcome, CallRequest, CallResult, CallStatus, Reason
from tests.display.calls import ASKED, AT, Calls, heard

Scene = Callable[["Resumed"], Awaitable[None]]
OUTCOME = CallOutcome(status=CallStatus.COMPLETED, started_at=AT, ended_at=AT + timedelta(seconds=60), cost=0.25)


class Resumed:
    """A run of six in a real journal, and a board that takes it over."""

    def __init__(self, journal: Journal, record: RunRecord) -> None:
        self.board = Board(heard)
        self.record = record
        self._journal = journal

    async def dialled(self) -> Attempt:
        """The next row, dialled and placed."""
        attempt = (await self.record.claim(redial_after=None)).attempt
        assert attempt is not None
        await self.record.placed(attempt, f"call-{attempt.index}", AT)
        return attempt

    async def doubted(self) -> Attempt:
        """The next row, in doubt."""
        attempt = (await self.record.claim(redial_after=None)).attempt
        assert attempt is not None
        await self.record.uncertain(attempt, self.result(attempt, CallOutcome(status=CallStatus.UNCERTAIN)))
        return attempt

    def begin(self) -> None:
        """Show the run as the journal has it."""
        self.board.begin(self._journal.result(self.record.id), self._journal.live(self.record.id), AT)

    def tell(self, row: HistoryRow | None, attempt: Attempt, result: CallResult | None = None) -> None:
        """Tell the board what was committed."""
        assert row is not None
        asked = attempt.asked
        told = CallEvent(
            seq=row.seq, at=row.at, run_id="r", kind=row.kind, index=asked.index, request=asked, result=result
        )
        self.board.fold(told)

    @staticmethod
    def result(attempt: Attempt, outcome: CallOutcome) -> CallResult:
        """What came of it."""
        return CallResult.of(attempt.asked, outcome, call_id=f"call-{attempt.index}")

    @property
    def view(self) -> View:
        """The board as it is."""
        return self.board.view(9, AT)

    @property
    def figures(self) -> tuple[int, int, int, int]:
        """Done, on the line, in analysis, and not yet called."""
        view = self.view
        return view.done, view.on_the_line, view.in_analysis, view.pending

    def agrees(self) -> None:
        """The board says what the journal says."""
        stats = self._journal.result(self.record.id).stats
        view = self.view
        assert (view.pending, view.on_the_line + view.in_analysis) == (stats.pending, stats.in_progress)
        assert view.done == stats.total - stats.pending - stats.in_progress - stats.skipped
        assert view.cost == pytest.approx(stats.cost)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    """Play a scene with a run of six."""

    @asynccontextmanager
    async def begun() -> AsyncIterator[Resumed]:
        with Journal(tmp_path / "runs.db") as journal:
            new = NewRun(owner=Owner.CLI, via="direct", simulated=False, max_concurrent=3, source="a.csv", version="0")
            record = await journal.draft(new)
            providers = [Calls().provider(index) for index in range(6)]
            await record.add(
                [CallRequest(index=index, provider=one, request=ASKED) for index, one in enumerate(providers)]
            )
            await record.start()
            yield Resumed(journal, record)
            record.close()

    async def played(scene: Scene) -> None:
        async with begun() as resumed:
            await scene(resumed)

    return lambda scene: asyncio.run(played(scene))


def test_a_call_in_doubt_that_is_found_beside_calls_on_the_line_is_counted_once(play: Callable[[Scene], None]) -> None:
    async def scene(run: Resumed) -> None:
        first, second, doubtful = await run.dialled(), await run.dialled(), await run.doubted()
        run.begin()
        assert run.figures == (1, 2, 0, 3)
        run.tell(await run.record.placed(doubtful, "found", AT, adopted=True), doubtful)
        assert run.figures == (0, 3, 0, 3)
        for attempt in (first, second, doubtful):
            run.tell(await run.record.ended(attempt, OUTCOME), attempt)
            result = run.result(attempt, OUTCOME)
            run.tell(await run.record.settled(attempt, result), attempt, result)
        assert run.figures == (3, 0, 0, 3)
        run.agrees()

    play(scene)


def test_a_call_that_had_ended_is_paid_once(play: Callable[[Scene], None]) -> None:
    async def scene(run: Resumed) -> None:
        settled, ended, talking = await run.dialled(), await run.dialled(), await run.dialled()
        await run.record.ended(settled, OUTCOME)
        await run.record.settled(settled, run.result(settled, OUTCOME))
        await run.record.ended(ended, OUTCOME)
        run.begin()
        assert (run.figures, run.view.cost) == ((1, 1, 1, 3), 0.5)
        dearer = run.result(ended, replace(OUTCOME, cost=0.3))  # its analysis is paid, too
        run.tell(await run.record.settled(ended, dearer), ended, dearer)
        assert run.view.cost == pytest.approx(0.55)
        run.tell(await run.record.ended(talking, OUTCOME), talking)
        result = run.result(talking, OUTCOME)
        run.tell(await run.record.settled(talking, result), talking, result)
        assert run.figures == (3, 0, 0, 3)
        assert run.view.cost == pytest.approx(0.8)
        run.agrees()

    play(scene)


def test_a_call_of_an_earlier_process_that_is_put_back_waits_and_costs_nothing(play: Callable[[Scene], None]) -> None:
    async def scene(run: Resumed) -> None:
        ended, placed = await run.dialled(), await run.dialled()
        await run.record.ended(ended, OUTCOME)
        run.begin()
        for attempt in (ended, placed):
            run.tell(await run.record.void(attempt, Reason("start_failed", "It never began.")), attempt)
        assert (run.figures, run.view.cost) == ((0, 0, 0, 6), 0.0)
        run.agrees()

    play(scene)


def test_a_row_that_was_put_back_and_dialled_again_counts_from_its_last_dial(play: Callable[[Scene], None]) -> None:
    async def scene(run: Resumed) -> None:
        await run.record.void(await run.dialled(), Reason("no_line", "No line was free."))
        await run.dialled()
        run.begin()
        assert run.figures == (0, 1, 0, 5)
        run.agrees()

    play(scene)


def test_a_call_in_doubt_that_somebody_asked_to_dial_again_is_counted_once(play: Callable[[Scene], None]) -> None:
    async def scene(run: Resumed) -> None:
        doubtful, *_ = [await run.doubted() for _ in range(6)]
        run.begin()
        assert run.figures == (6, 0, 0, 0)
        again = await run.record.redial(doubtful)
        assert not isinstance(again, Reason)
        assert again.attempt is not None
        run.tell(again.event, again.attempt)
        assert run.figures == (5, 1, 0, 0)
        back = await run.record.void(again.attempt, Reason("no_line", "No line was free."))
        run.tell(back, again.attempt, back.result)
        assert run.figures == (6, 0, 0, 0)  # in doubt as it was
        run.agrees()

    play(scene)
