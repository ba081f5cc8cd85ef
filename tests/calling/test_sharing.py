"""Several runs on one exchange: what befalls the calls of one holds for all, and none keeps what is the others'."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from concierge_calls.backend import Fault
from concierge_calls.caller import Caller
from concierge_calls.errors import AccountRefused, ComeBackLater, JournalFull, PlacementInDoubt
from concierge_calls.models import CallEvent, CallStatus, Reason
from concierge_calls.stopping import OFFLINE_LIMIT
from tests.calling.fakes import Take, now
from tests.calling.office import Office, played, starts, statuses
from tests.calling.rehearsal import Rehearsal, Rehearse

WHY = Reason("repeated_failure", "Three calls in a row ended alike.")
ALIKE = Take(status=CallStatus.ERROR, reason="model-quota", fault=Fault(reason=WHY))
UNANSWERED = (
    "Vapi does not answer requests to dial, and {} calls in a row are in doubt, so nobody else is dialled. "
    "Those calls are still looked for; once Vapi is well, go on with: concierge-calls resume {}"
)


def lost(*, after: float = 0.0, shown: float = 0.0, dials: bool = False, talk: float = 10.0) -> Take:
    error = PlacementInDoubt("The reply was lost.", "reply_lost")
    return Take(error=error, after=after, shown=shown, dials=dials, talk=talk)


def swallowing(rehearse: Rehearse, runs: int, rows: int = 1, take: Take | None = None) -> list[Rehearsal]:
    """Runs of whose requests to dial nothing is heard any more."""
    return [rehearse(rows, {row: [take or lost()] for row in range(rows)}) for _ in range(runs)]


# Replies that are lost in a row


def test_three_lost_replies_stop_all_runs_of_one_row_each_and_each_says_how_it_goes_on(
    rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    runs = swallowing(rehearse, 12)

    async def scenario() -> list[Caller]:
        return await Office.of(12, interval=1.0).together(runs)

    callers = played(runs, scenario)

    assert starts(runs) == [0, 1, 10]
    assert Counter(statuses(runs)) == {"uncertain": 3, "pending": 9}
    assert [attempt.state for run in runs for attempt in run.attempts()] == ["uncertain"] * 3
    assert {(caller.interrupted, caller.stopped) for caller in callers} == {(True, None)}
    said = [record.getMessage() for record in caplog.records if record.name == "concierge_calls.stopping"]
    assert sorted(said) == sorted(UNANSWERED.format(3, run.run_id) for run in runs)


def test_requests_in_flight_when_the_first_reply_is_lost_count_among_the_three(rehearse: Rehearse) -> None:
    runs = swallowing(rehearse, 12, take=lost(after=2.5))

    async def scenario() -> list[Caller]:
        return await Office.of(12, interval=1.0).together(runs)

    callers = played(runs, scenario)
    assert (starts(runs), {caller.interrupted for caller in callers}) == ([0, 1, 2], {True})


def test_a_run_that_was_stopped_by_others_is_finished_by_a_resume(rehearse: Rehearse) -> None:
    runs = [*swallowing(rehearse, 3), rehearse(4)]

    async def scenario() -> None:
        office = Office.of(3, interval=1.0)
        calling = asyncio.ensure_future(office.together(runs[:3]))
        await asyncio.sleep(8)
        await office.call_all(runs[-1])
        await calling
        assert runs[-1].statuses() == ["pending"] * 4
        runs[-1].die()
        await Office.of(3).call_all(runs[-1])

    played(runs, scenario)
    assert (runs[-1].statuses(), runs[-1].backend.order) == (["completed"] * 4, [0, 1, 2, 3])


def test_a_later_run_tries_one_request_and_once_that_is_answered_all_go_on(rehearse: Rehearse) -> None:
    first, later = swallowing(rehearse, 3), [rehearse(3, {row: [Take(after=2.0)] for row in range(3)}) for _ in "ab"]

    async def scenario() -> list[Caller]:
        office = Office.of(8)
        await office.together(first)
        await asyncio.sleep(500 - now())
        return await office.together(later)

    callers = played([*first, *later], scenario)

    assert starts(later) == [500, 502, 502, 502, 502, 502]
    assert (statuses(later), [caller.interrupted for caller in callers]) == (["completed"] * 6, [False, False])


def test_later_runs_put_one_more_in_doubt_all_together_while_nothing_is_heard(
    rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    first, later = swallowing(rehearse, 3), swallowing(rehearse, 4, rows=5, take=lost(after=2.0))

    async def scenario() -> list[Caller]:
        office = Office.of(8)
        await office.together(first)
        await asyncio.sleep(500 - now())
        caplog.clear()
        return await office.together(later)

    callers = played([*first, *later], scenario)

    assert (starts(later), Counter(statuses(later))) == ([500], {"uncertain": 1, "pending": 19})
    assert {caller.interrupted for caller in callers} == {True}
    assert sorted(record.getMessage() for record in caplog.records) == sorted(
        UNANSWERED.format(4, run.run_id) for run in later
    )


def test_a_run_that_begins_while_the_last_of_them_are_looked_for_is_not_stopped_by_those(rehearse: Rehearse) -> None:
    first, later = swallowing(rehearse, 4, take=lost(after=5.0)), rehearse(2)

    async def scenario() -> Caller:
        office = Office.of(8)
        calling = [asyncio.ensure_future(office.together(first[:3]))]
        await asyncio.sleep(1)
        calling.append(asyncio.ensure_future(office.together(first[3:])))
        await asyncio.sleep(14.5)  # three are given up at 15, the fourth at 16
        caller = await office.call_all(later)
        await asyncio.gather(*calling)
        return caller

    caller = played([*first, later], scenario)
    assert (later.backend.starts, later.statuses(), caller.interrupted) == ([16, 16], ["completed"] * 2, False)


@pytest.mark.parametrize("shown", [40, 130], ids=["meanwhile", "at the end of its run"])
def test_a_call_that_is_found_after_all_lets_the_others_go_on_as_before(rehearse: Rehearse, shown: float) -> None:
    first = rehearse(2, {0: [Take(talk=200)], 1: [lost(shown=shown, dials=True, talk=300)]})
    others = swallowing(rehearse, 2)
    later = rehearse(3, {row: [Take(after=2.0)] for row in range(3)})

    async def scenario() -> list[Caller]:
        office = Office.of(8)
        calling = [asyncio.ensure_future(office.call_all(first))]
        await asyncio.sleep(1)
        calling += [asyncio.ensure_future(office.call_all(run)) for run in others]
        await asyncio.sleep(249)
        return [await office.call_all(later), *await asyncio.gather(*calling)]

    callers = played([first, *others, later], scenario)
    assert (later.backend.starts, first.statuses()) == ([250, 250, 250], ["completed"] * 2)
    assert [caller.interrupted for caller in callers] == [False, True, True, True]


def test_a_run_that_is_left_holds_nobody_up_by_its_doubts(rehearse: Rehearse) -> None:
    left, other = rehearse(2, {0: [lost()], 1: [lost()]}), rehearse(2)

    async def scenario() -> None:
        office = Office.of(4)
        caller = await office.caller(left)
        calling = asyncio.ensure_future(caller.call_all())
        await asyncio.sleep(1)
        others = asyncio.ensure_future(office.call_all(other))
        await asyncio.sleep(2)
        await caller.leave()
        await asyncio.gather(calling, others)

    played([left, other], scenario)
    assert (other.backend.starts, other.statuses()) == ([3, 3], ["completed"] * 2)
    assert [attempt.state for attempt in left.attempts()] == ["dialing"] * 2


def test_whoever_waits_for_word_of_lost_replies_keeps_no_line_meanwhile(rehearse: Rehearse) -> None:
    doubtful, other = swallowing(rehearse, 2, take=lost(shown=8.0, dials=True)), rehearse(5)

    async def scenario() -> list[int]:
        office, busy = Office.of(8), []
        calling = asyncio.ensure_future(office.together(doubtful))
        await asyncio.sleep(2)
        others = asyncio.ensure_future(office.call_all(other))
        for _ in range(2):
            await asyncio.sleep(5)
            busy.append(office.lines.busy)
        await asyncio.gather(calling, others)
        assert office.lines.busy == 0
        return busy

    # The first call is found at 10, when both are over and all the others are dialled at once.
    assert played([*doubtful, other], scenario) == [2, 5]
    assert (other.backend.starts, statuses([*doubtful, other])) == ([10] * 5, ["completed"] * 7)


def test_a_run_that_is_stopped_by_others_waits_for_no_look_at_a_dead_run(rehearse: Rehearse) -> None:
    doubtful, waiting = swallowing(rehearse, 3), rehearse(1)

    async def look(run_id: str) -> None:
        await asyncio.sleep(200)

    async def scenario() -> tuple[float, bool]:
        office, waiting.look = Office.of(4, interval=1.0), look
        await waiting.leave_dead_run([0])
        calling = asyncio.ensure_future(office.together(doubtful))
        caller = await office.call_all(waiting)
        ended = now()
        await calling
        return ended, caller.interrupted

    # The third of the lost calls is looked for from 10 on.
    assert played([*doubtful, waiting], scenario) == (20, True)
    assert (waiting.backend.sent, waiting.statuses()) == ([], ["pending"])


# Calls that end alike in a row


def test_three_calls_that_ended_alike_stop_all_runs_of_one_row_each(rehearse: Rehearse) -> None:
    runs = [rehearse(1, {0: [replace(ALIKE, talk=5.0)]}) for _ in range(9)]

    async def scenario() -> list[Caller]:
        return await Office.of(1).together(runs)

    callers = played(runs, scenario)
    assert (starts(runs), Counter(statuses(runs))) == ([0, 5, 10], {"error": 3, "pending": 6})
    assert {(caller.stopped, caller.interrupted) for caller in callers} == {(WHY, False)}


@pytest.mark.parametrize(("ends", "called"), [([Take(), ALIKE, ALIKE, Take()], 4), ([ALIKE, Take(), Take()], 1)])
def test_a_later_run_is_stopped_by_the_next_that_ends_so_unless_one_came_through_before(
    rehearse: Rehearse, ends: list[Take], called: int
) -> None:
    first = [rehearse(1, {0: [ALIKE]}) for _ in range(3)]
    later = rehearse(len(ends), {row: [take] for row, take in enumerate(ends)})

    async def scenario() -> Caller:
        office = Office.of(1)
        await office.together(first)
        return await office.call_all(later)

    caller = played([*first, later], scenario)
    assert (len(later.backend.sent), caller.stopped) == (called, None if called == len(ends) else WHY)


def test_calls_that_end_alike_say_nothing_of_a_run_that_calls_by_another_assistant(rehearse: Rehearse) -> None:
    runs = [rehearse(5, {row: [ALIKE] for row in range(5)}), rehearse(3, {0: [ALIKE], 1: [ALIKE]})]

    async def scenario() -> list[Caller]:
        office = Office.of(2)
        calling = [office.call_all(run, calls_as=who, most=1) for run, who in zip(runs, "ab", strict=True)]
        return list(await asyncio.gather(*calling))

    callers = played(runs, scenario)
    assert [caller.stopped for caller in callers] == [WHY, None]
    assert [run.statuses() for run in runs] == [["error"] * 3 + ["pending"] * 2, ["error", "error", "completed"]]


def test_a_request_that_is_refused_stops_its_own_run_alone(rehearse: Rehearse) -> None:
    runs = [rehearse(2, {0: [Take(error=AccountRefused("No such voice.", "bad_request"))]}), rehearse(2)]

    async def scenario() -> list[Caller]:
        return await Office.of(2, 1.0).together(runs)

    callers = played(runs, scenario)
    assert [caller.stopped for caller in callers] == [Reason("bad_request", "No such voice."), None]
    assert statuses(runs) == ["pending"] * 2 + ["completed"] * 2


# Nobody there


def test_a_run_has_a_quarter_of_an_hour_of_its_own_however_long_others_could_not_dial(
    rehearse: Rehearse,
) -> None:
    failing = Take(error=ComeBackLater("Nobody there."))
    runs = [rehearse(1, {0: [failing] * 100}), rehearse(1, {0: [failing] * 3})]

    async def scenario() -> list[Caller]:
        office = Office.of(2)
        first = await office.call_all(runs[0])
        await asyncio.sleep(3 * OFFLINE_LIMIT - now())
        return [first, await office.call_all(runs[1])]

    assert [caller.interrupted for caller in played(runs, scenario)] == [True, False]
    assert statuses(runs) == ["pending", "completed"]


# A run that breaks


@pytest.mark.parametrize("method", ["claim", "placed", "progressed", "ended", "settled"])
def test_a_run_whose_journal_breaks_leaves_its_lines_to_the_others(rehearse: Rehearse, method: str) -> None:
    broken, other = rehearse(6), rehearse(6)

    async def scenario() -> None:
        office = Office.of(2)
        broken.broken = lambda called: JournalFull() if called == method and now() >= 10 else None
        results = await asyncio.gather(office.call_all(broken), office.call_all(other), return_exceptions=True)
        assert [isinstance(each, ExceptionGroup) for each in results] == [True, False]
        assert (office.lines.busy, broken.backend.turns_out) == (0, 0)

    played([broken, other], scenario)
    assert other.statuses() == ["completed"] * 6


@pytest.mark.parametrize("hops", range(8))
def test_a_run_that_breaks_just_when_it_dials_leaves_its_line_and_its_turn(rehearse: Rehearse, hops: int) -> None:
    run = rehearse(2, {0: [Take(talk=100)]})
    ending: list[asyncio.Future[None]] = []

    async def end_the_first_call() -> None:
        for _ in range(hops):  # so many turns of the event loop after the second was claimed
            await asyncio.sleep(0)
        run.backend.hang_up("call-1")

    def watch(event: CallEvent) -> None:
        if event.kind == "call.dialing" and event.index == 1:
            ending.append(asyncio.ensure_future(end_the_first_call()))

    async def scenario() -> None:
        office = Office.of(2, interval=1.0)
        run.observer = watch
        run.broken = lambda method: JournalFull() if method == "ended" else None
        with pytest.raises(ExceptionGroup):
            await office.call_all(run)
        assert (office.lines.busy, run.backend.turns_out, len(ending)) == (0, 0, 1)

    played([run], scenario)
