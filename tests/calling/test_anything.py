"""Whatever happens to whichever row, killed or not: one entry a row, nobody rung twice, never a line too many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from concierge_calls.backend import Verdict
from concierge_calls.errors import AccountRefused, ComeBackLater, NumberRefused, PlacementInDoubt
from concierge_calls.models import CallStatus
from concierge_calls.streaks import MOST_IN_DOUBT
from tests.calling.fakes import Take
from tests.calling.rehearsal import Rehearsal, Rehearse

SECONDS = st.integers(1, 200).map(float)
REPLIES = st.integers(0, 20).map(float)
PUT_BACK = (Verdict.NO_LINE, Verdict.WITHDRAWN, Verdict.START_FAILED)
ENDINGS = [CallStatus.COMPLETED, CallStatus.NO_ANSWER, CallStatus.BUSY, CallStatus.TIMEOUT, CallStatus.VOICEMAIL]
IN_DOUBT = st.integers(1, 120).map(float)  # a call that is not found keeps its line no longer
NEVER = 10.0**9  # seconds


def ends(status: st.SearchStrategy[CallStatus] | None = None) -> st.SearchStrategy[Take]:
    return st.builds(Take, after=REPLIES, talk=SECONDS, analysis=SECONDS, status=status or st.sampled_from(ENDINGS))


def put_back() -> st.SearchStrategy[Take]:
    verdicts, cancelled = st.sampled_from(PUT_BACK), st.just(CallStatus.CANCELLED)
    return st.builds(Take, after=REPLIES, talk=SECONDS, read_back=SECONDS, verdict=verdicts, status=cancelled)


def later() -> st.SearchStrategy[Take]:
    waits = st.one_of(st.none(), st.integers(0, 90).map(float))
    return st.builds(Take, error=st.builds(ComeBackLater, retry_after=waits), after=REPLIES)


def final() -> st.SearchStrategy[Take]:
    """What a row ends with, whatever was before."""
    doubt = st.builds(PlacementInDoubt)
    return st.one_of(
        ends(),
        st.builds(Take, error=st.builds(NumberRefused), after=REPLIES),
        st.builds(Take, error=doubt, after=REPLIES, dials=st.just(False)),
        st.builds(Take, error=doubt, after=REPLIES, talk=IN_DOUBT, shown=st.one_of(SECONDS, st.just(NEVER))),
        st.builds(Take, talk=SECONDS, verdict=st.just(Verdict.LOST), shown=st.just(NEVER)),
    )


ROWS = st.lists(
    st.tuples(st.lists(st.one_of(later(), put_back()), max_size=3), final()).map(lambda plot: [*plot[0], plot[1]]),
    min_size=1,
    max_size=7,
)


def expected(takes: Sequence[Take]) -> set[str]:
    """The statuses that a row may have at the end, by what became of its attempts."""
    failed_starts = 0
    for take in takes:
        failed_starts += take.verdict is Verdict.START_FAILED
        if take.verdict is Verdict.START_FAILED and failed_starts > 1:
            return {take.status.value}
    last = takes[-1]
    if isinstance(last.error, NumberRefused):
        return {"error"}
    if last.verdict is Verdict.LOST or not last.dials or last.shown == NEVER:
        return {"uncertain"}
    if isinstance(last.error, PlacementInDoubt):
        return {"completed", "uncertain"}  # the list may show it only when nobody looks any more
    return {last.status.value}


def certainly_rang_nobody(take: Take) -> bool:
    return isinstance(take.error, ComeBackLater | NumberRefused | AccountRefused) or take.verdict in PUT_BACK


def check(run: Rehearsal, plots: list[list[Take]], lines: int) -> None:
    results = run.results()
    assert [result.index for result in results] == list(range(len(plots)))
    assert len({sent.key for sent in run.backend.sent}) == len(run.backend.sent)
    assert {sent.committed for sent in run.backend.sent} == {"dialing"}
    assert all(call.committed for call in run.backend.deleted)
    for row, plot in enumerate(plots):
        taken = plot[: run.backend.order.count(row)]
        assert all(certainly_rang_nobody(take) for take in taken[:-1])
    assert run.backend.peak <= run.peak() <= lines
    assert run.backend.turns_out == 0


@settings(max_examples=60, deadline=None)
@given(plots=ROWS, lines=st.integers(1, 4), interval=st.sampled_from([0.0, 1.0, 7.5]))
def test_every_row_comes_to_the_end_that_it_was_given(
    rehearse: Rehearse, plots: list[list[Take]], lines: int, interval: float
) -> None:
    run = rehearse(len(plots), dict(enumerate(plots)))
    caller = run.call_all(lines=lines, start_interval=interval)

    check(run, plots, lines)
    assert (caller.stopped, caller.on_the_line) == (None, 0)
    for status, plot in zip(run.statuses(), plots, strict=True):
        # A quarter of an hour of nothing but failures ends a run, and so do lost replies in a row; the rest of it is
        # left to a resume.
        assert status in expected(plot) or (caller.interrupted and status == "pending")
    told = {event.index for event in run.events if event.kind == "call.settled"}
    assert told == {row for row, status in enumerate(run.statuses()) if status != "pending"}


@settings(max_examples=30, deadline=None)
@given(plots=ROWS, lines=st.integers(1, 4), stopped=st.integers(0, 6), why=st.data())
def test_when_the_account_is_refused_nobody_else_is_dialled_and_who_was_is_in_the_record(
    rehearse: Rehearse, plots: list[list[Take]], lines: int, stopped: int, why: st.DataObject
) -> None:
    stopped %= len(plots)
    refused = Take(error=AccountRefused("No credit."), after=why.draw(REPLIES))
    plots[stopped] = [why.draw(st.sampled_from([refused, Take(verdict=Verdict.ACCOUNT, talk=5.0)]))]
    run = rehearse(len(plots), dict(enumerate(plots)))
    caller = run.call_all(lines=lines)

    check(run, plots, lines)
    # So many lost replies may have stopped it before.
    in_doubt = sum(isinstance(plot[-1].error, PlacementInDoubt) for plot in plots)
    assert caller.stopped is not None or (caller.interrupted and in_doubt >= MOST_IN_DOUBT)
    assert run.statuses()[stopped] == "pending"
    undialled = set(range(len(plots))) - set(run.backend.order)
    assert all(run.statuses()[row] == "pending" for row in undialled)


@settings(max_examples=40, deadline=None)
@given(plots=ROWS, lines=st.integers(1, 4), kills=st.lists(st.integers(0, 400), max_size=4))
@example(
    plots=[[Take(verdict=Verdict.WITHDRAWN, read_back=50, status=CallStatus.CANCELLED), Take()]], lines=1, kills=[60]
)
def test_a_run_that_is_killed_again_and_again_is_finished_with_nobody_called_twice(
    rehearse: Rehearse, plots: list[list[Take]], lines: int, kills: list[int]
) -> None:
    async def scenario(run: Rehearsal) -> None:
        for seconds in kills:
            calling = asyncio.ensure_future((await run.caller(lines=lines)).call_all())
            await asyncio.wait([calling], timeout=seconds / 4)
            calling.cancel()
            await asyncio.wait([calling])
            run.die()
        while await interrupted(run):
            run.die()

    async def interrupted(run: Rehearsal) -> bool:
        caller = await run.caller(lines=lines)
        await caller.call_all()
        return caller.interrupted

    run = rehearse(len(plots), dict(enumerate(plots)))
    run.play(scenario)

    check(run, plots, lines)
    for status, plot in zip(run.statuses(), plots, strict=True):
        assert status in expected(plot) | {"uncertain"}
