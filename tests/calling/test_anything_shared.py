"""Whatever befalls several runs on one exchange: nobody rung twice, never a line too many, none idle, none kept."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from concierge_calls.caller import Caller
from concierge_calls.errors import JournalFull
from tests.calling.fakes import Take
from tests.calling.office import Office, played, starts
from tests.calling.rehearsal import Rehearsal, Rehearse
from tests.calling.test_anything import ROWS, certainly_rang_nobody, expected


def lifetimes(runs: Sequence[Rehearsal]) -> list[tuple[float, float]]:
    """From when to when each call had a line at the backend."""
    calls = (call for run in runs for call in run.backend.calls.values() if call.rings)
    return [(call.created, call.ended if call.ended is not None else math.inf) for call in calls]


def at_once(spans: Sequence[tuple[float, float]], at: float) -> int:
    return sum(begin <= at < end for begin, end in spans)


SEVERAL = st.lists(ROWS, min_size=2, max_size=4)


@settings(max_examples=60, deadline=None)
@given(plots=SEVERAL, lines=st.integers(1, 5), interval=st.sampled_from([0.0, 1.0, 7.5]), begins=st.integers(0, 150))
def test_whatever_befalls_several_runs_each_row_comes_to_its_end_and_all_together_keep_the_bound(
    rehearse: Rehearse, plots: list[list[list[Take]]], lines: int, interval: float, begins: int
) -> None:
    runs = [rehearse(len(rows), dict(enumerate(rows))) for rows in plots]

    async def scenario() -> list[Caller]:
        office = Office.of(lines, interval)

        async def call(number: int, run: Rehearsal) -> Caller:
            await asyncio.sleep(number * begins)
            return await office.call_all(run)

        callers = await asyncio.gather(*(call(number, run) for number, run in enumerate(runs)))
        assert (office.lines.busy, office.brakes.runs) == (0, [])
        return list(callers)

    callers = played(runs, scenario)

    spans = lifetimes(runs)
    assert max((at_once(spans, begin) for begin, _ in spans), default=0) <= lines
    assert all(later - earlier >= interval - 1e-6 for earlier, later in pairwise(starts(runs)))
    for run, rows, caller in zip(runs, plots, callers, strict=True):
        assert (run.backend.turns_out, caller.stopped, caller.on_the_line) == (0, None, 0)
        assert len({sent.key for sent in run.backend.sent}) == len(run.backend.sent)
        assert {sent.committed for sent in run.backend.sent} <= {"dialing"}
        for row, (status, takes) in enumerate(zip(run.statuses(), rows, strict=True)):
            assert all(certainly_rang_nobody(take) for take in takes[: run.backend.order.count(row)][:-1])
            assert status in expected(takes) or (caller.interrupted and status == "pending")


CALLS = st.lists(st.builds(Take, talk=st.integers(1, 60).map(float), analysis=st.sampled_from([0.0, 30.0])), max_size=6)


@settings(max_examples=60, deadline=None)
@given(plots=st.lists(CALLS, min_size=2, max_size=5), lines=st.integers(1, 4))
def test_while_anybody_is_left_to_call_in_any_run_no_line_is_idle(
    rehearse: Rehearse, plots: list[list[Take]], lines: int
) -> None:
    runs = [rehearse(len(takes), {row: [take] for row, take in enumerate(takes)}) for takes in plots if takes]

    async def scenario() -> list[Caller]:
        return await Office.of(lines).together(runs)

    played(runs, scenario)

    spans = lifetimes(runs)
    last = max((begin for begin, _ in spans), default=0.0)
    moments = sorted({moment for span in spans for moment in span if moment < last})
    assert [at_once(spans, moment) for moment in moments] == [lines] * len(moments)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, writes=st.integers(1, 25), lines=st.integers(1, 3), interval=st.sampled_from([0.0, 1.0]))
def test_a_run_that_breaks_at_any_write_leaves_nothing_taken_and_the_others_go_on(
    rehearse: Rehearse, rows: list[list[Take]], writes: int, lines: int, interval: float
) -> None:
    broken, other, left = rehearse(len(rows), dict(enumerate(rows))), rehearse(4), Counter({"writes": writes})

    def break_down(method: str) -> JournalFull | None:
        left["writes"] -= 1
        return JournalFull() if left["writes"] < 0 else None

    async def scenario() -> None:
        office = Office.of(lines, interval)
        callers = [await office.caller(run) for run in (broken, other)]
        broken.broken = break_down
        await asyncio.gather(*(caller.call_all() for caller in callers), return_exceptions=True)
        assert (office.lines.busy, broken.backend.turns_out, office.brakes.runs) == (0, 0, [])
        assert callers[1].interrupted or other.statuses() == ["completed"] * 4

    played([broken, other], scenario)
