"""What was said in a run, and by whom, is erased from the file itself; which numbers were called when stays."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from concierge_calls.errors import JournalError, NoSuchRun, RunLocked
from concierge_calls.journal import Attempt, Journal, NewRun, RunRecord
from concierge_calls.models import (
    Analysis,
    AnalysisStatus,
    CallMethod,
    CallOutcome,
    CallRequest,
    CallResult,
    CallStatus,
    Message,
    Provider,
    Reason,
    ServiceRequest,
)
from tests.journal.conftest import START, Hands

Begin = Callable[..., Awaitable[RunRecord]]
New = Callable[..., NewRun]
Final = Callable[..., CallResult]

CALLED = "+12005550100"
WORDS = (
    "Whispering Pines", "(200) 555-0100", "crm-4711", "77881", "five stars", "drain repair", "licensed and bonded",
    "Elm Street", "by sunrise", "the sink leaks", "Mrs. Larkspur", "ticket-42", "No such number is known",
    "Hello, Larkspur here", "Tomorrow at nine", "They can come", "ninety an hour", "it went well",
    "https://recordings/1", "the line broke", "raw record of Vapi", "duplicate of line 2", "Twin Pines",
    "secret-list.csv", "/home/me/answers.json", "phone-id-9",
)  # fmt: skip


def found(path: Path, words: Iterable[str]) -> list[str]:
    """Return those of the words that the file's bytes hold, in rows or anywhere else."""
    data = path.read_bytes()
    return [word for word in words if word.encode() in data]


def spoken() -> tuple[CallRequest, CallRequest]:
    """Return a call request that says all that one can say, and one that is skipped."""
    asked = CallRequest(
        index=0,
        provider=Provider(
            name="Whispering Pines", phone=CALLED, phone_given="(200) 555-0100", extension="77881", id="crm-4711",
            line=2, extra={"rating": "five stars"},
        ),
        request=ServiceRequest(
            service_needed="drain repair", user_criteria="licensed and bonded", location="Elm Street",
            urgency="by sunrise", problem_description="the sink leaks", client_name="Mrs. Larkspur",
            service_request_id="ticket-42",
        ),
        warning="No such number is known",
    )  # fmt: skip
    twin = replace(asked, index=1, provider=replace(asked.provider, name="Twin Pines", line=3))
    return asked, replace(twin, skip=Reason("duplicate", "duplicate of line 2"))


def answer(asked: CallRequest) -> CallResult:
    outcome = CallOutcome(
        status=CallStatus.COMPLETED,
        ended_reason="customer-ended-call",
        started_at=START,
        ended_at=START + timedelta(seconds=90),
        transcript="Hello, Larkspur here",
        messages=(Message(role="user", message="Tomorrow at nine"),),
        analysis=Analysis(
            status=AnalysisStatus.COMPLETE,
            summary="They can come",
            structured_data={"estimated_rate": "ninety an hour"},
            success_evaluation="it went well",
        ),
        cost=0.25,
        recording_url="https://recordings/1",
        error=Reason("call_fault", "the line broke"),
    )
    return CallResult.of(asked, outcome, call_id="call-1", call_method=CallMethod.DIRECT_VAPI)


async def placed(record: RunRecord) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    await record.placed(attempt, f"call-{attempt.index + 1}", START)
    return attempt


async def settle(record: RunRecord, attempt: Attempt, final: CallResult) -> None:
    await record.ended(attempt, final, b'{"transcript":"raw record of Vapi"}')
    await record.settled(attempt, final)


async def finished(journal: Journal, new_run: New) -> str:
    """Make a run that was called to its end and in which everything was said, and return its id."""
    new = replace(
        new_run(),
        source="secret-list.csv",
        output="/home/me/answers.json",
        options={"phone_number_id": "phone-id-9"},
    )
    record = await journal.draft(new)
    await record.add(spoken())
    await record.start()
    first = (await record.claim(redial_after=None)).attempt
    assert first is not None
    await record.void(first, Reason("start_failed", "the line broke"))
    attempt = await placed(record)
    await settle(record, attempt, replace(answer(attempt.asked), call_id="call-1"))
    await record.finish(finished=True)
    record.close()
    return record.id


def test_not_a_word_is_left_in_the_file_and_the_number_is(journal: Journal, path: Path, new_run: New) -> None:
    async def run() -> None:
        run_id = await finished(journal, new_run)
        assert found(path, WORDS) == list(WORDS)
        assert journal.forgetting.check(run_id) is True
        await journal.forgetting.forget(run_id)
        assert await journal.forgetting.scrub([run_id]) is True
        assert found(path, WORDS) == []
        assert found(path, [CALLED]) == [CALLED]
        assert journal.forgetting.check(run_id) is False

    asyncio.run(run())


def test_what_was_said_of_a_call_in_doubt_before_it_was_dialled_again_is_forgotten(
    journal: Journal, path: Path, begin: Begin
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await placed(record)
        why = Reason("lost", "a sentence by Vapi")
        lost = CallOutcome(status=CallStatus.UNCERTAIN, error=why)
        await record.uncertain(attempt, CallResult.of(attempt.asked, lost))
        claim = await record.redial(attempt)
        assert not isinstance(claim, Reason)
        assert claim.attempt is not None
        await record.placed(claim.attempt, "call-2", START)
        await settle(record, claim.attempt, answer(claim.attempt.asked))
        await record.finish(finished=True)
        record.close()
        assert found(path, [why.message]) == [why.message]
        await journal.forgetting.forget(record.id)
        assert await journal.forgetting.scrub([record.id]) is True
        assert found(path, [why.message]) == []

    asyncio.run(run())


def test_what_is_forgotten_is_overwritten_at_once_where_sqlite_would_only_let_go_of_it(
    journal: Journal, path: Path, new_run: New
) -> None:
    async def run() -> None:
        await journal._writer.write(lambda db: db.execute("PRAGMA secure_delete = 0").fetchall())
        record = await journal.draft(new_run())
        await record.add([replace(asked, skip=Reason("duplicate", "duplicate of line 2")) for asked in spoken()])
        await record.start()
        await record.finish(finished=True)
        record.close()
        assert found(path, WORDS)
        await journal.forgetting.forget(record.id)
        assert found(path, WORDS) == []

    asyncio.run(run())


def test_scrubbing_removes_what_the_file_had_let_go_of_before(journal: Journal, path: Path) -> None:
    async def run() -> None:
        await journal.add_do_not_call("+12005550199", "an earlier version")
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA secure_delete = 0")
            db.execute("DELETE FROM do_not_call")
        assert found(path, ["an earlier version"])
        assert await journal.forgetting.scrub([]) is True
        assert found(path, ["an earlier version"]) == []

    asyncio.run(run())


def test_the_document_still_has_every_row_with_its_status_and_its_figures(journal: Journal, new_run: New) -> None:
    async def run() -> None:
        run_id = await finished(journal, new_run)
        before = journal.result(run_id)
        await journal.forgetting.forget(run_id)
        after = journal.result(run_id)

        assert after.run == replace(before.run, source="(forgotten)", output=None)
        assert after.stats == before.stats
        assert journal.options(run_id) == {}
        nobody = ServiceRequest(urgency="")
        assert list(after.results) == [
            CallResult(
                index=0,
                provider=Provider(name="(forgotten)", phone=CALLED, line=2),
                request=nobody,
                status=CallStatus.COMPLETED,
                ended_reason="customer-ended-call",
                started_at=START,
                ended_at=START + timedelta(seconds=90),
                cost=0.25,
                call_id="call-1",
                call_method=CallMethod.DIRECT_VAPI,
                error=Reason("call_fault", "(forgotten)"),
            ),
            CallResult(
                index=1,
                provider=Provider(name="(forgotten)", phone=None, line=3),
                request=nobody,
                status=CallStatus.SKIPPED,
                error=Reason("duplicate", "(forgotten)"),
            ),
        ]

    asyncio.run(run())


def test_the_guards_still_know_whom_the_run_called_and_who_asked_not_to_be(journal: Journal, new_run: New) -> None:
    async def run() -> None:
        run_id = await finished(journal, new_run)
        await journal.add_do_not_call("+12005550199", "said so in a letter")
        kept = list(journal.list_do_not_call())
        await journal.forgetting.forget(run_id)
        await journal.forgetting.scrub([run_id])
        assert journal.called_since(CALLED, START - timedelta(hours=12)) == (run_id, START)
        assert list(journal.list_do_not_call()) == kept

    asyncio.run(run())


def test_other_runs_keep_every_word_and_a_long_run_is_erased_to_its_end(
    journal: Journal, new_run: New, begin: Begin
) -> None:
    async def run() -> None:
        other = await finished(journal, new_run)
        before = list(journal.result(other).results)
        long = await begin(journal, 250)
        await long.finish(finished=False)
        long.close()
        await journal.forgetting.forget(long.id)
        await journal.forgetting.scrub([long.id])
        assert {result.provider.name for result in journal.result(long.id).results} == {"(forgotten)"}
        assert list(journal.result(other).results) == before

    asyncio.run(run())


@pytest.mark.parametrize("state", ["dialing", "placed", "ended"])
def test_an_unfinished_run_with_a_call_on_the_line_or_in_doubt_is_not_forgotten(
    journal: Journal, begin: Begin, outcome: Callable[..., CallOutcome], result: Final, state: str
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        if state == "dialing":
            await record.claim(redial_after=None)
        else:
            attempt = await placed(record)
            if state == "ended":
                await record.ended(attempt, outcome())
        record.close()
        before = list(journal.result(record.id).results)
        with pytest.raises(JournalError) as refused:
            await journal.forgetting.forget(record.id)
        assert refused.value.message == (
            f"Run {record.id} has a call on the line, without its result or in doubt, so it is not forgotten; "
            f"finish it first, which also calls the 1 provider left in it: concierge-calls resume {record.id}"
        )
        assert list(journal.result(record.id).results) == before

    asyncio.run(run())


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_with_an_uncertain_call_is_forgotten_and_never_looked_for_again(
    journal: Journal, begin: Begin, result: Final, finished: bool
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await placed(record)
        await record.uncertain(attempt, result(attempt.asked, CallStatus.UNCERTAIN))
        await record.finish(finished=finished)
        record.close()
        await journal.forgetting.forget(record.id)
        assert [one.status for one in journal.result(record.id).results] == [CallStatus.UNCERTAIN]
        assert journal.called_since(CALLED, START) == (record.id, START)
        with pytest.raises(NoSuchRun) as refused:
            await journal.open_run(record.id)
        assert refused.value.message == (
            f"Run {record.id} was forgotten, so nothing of it can be resumed; see: concierge-calls runs"
        )

    asyncio.run(run())


@pytest.mark.parametrize("stopped", [None, Reason("credits", "the sink leaks")])
def test_whom_an_unfinished_run_has_not_called_yet_it_never_calls(
    journal: Journal, begin: Begin, result: Final, hands: Hands, stopped: Reason | None
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        attempt = await placed(record)
        await settle(record, attempt, result(attempt.asked))
        hands.move(60)
        await record.finish(finished=False, stopped=stopped)
        record.close()
        await journal.forgetting.forget(record.id)

        after = journal.result(record.id)
        assert (after.run.finished, after.run.ended_at) == (True, hands.time)
        left = list(after.results)[1]
        assert (left.status, left.provider.phone) == (CallStatus.NOT_CALLED, None)
        assert left.error == Reason("forgotten", "The run was forgotten before this provider was called.")
        assert journal.latest_unfinished() is None
        with pytest.raises(NoSuchRun):
            await journal.open_run(record.id)

    asyncio.run(run())


def test_a_run_whose_process_died_ends_with_the_last_thing_that_happened(
    journal: Journal, begin: Begin, result: Final, hands: Hands
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        attempt = await placed(record)
        hands.move(60)
        last = hands.time
        await settle(record, attempt, result(attempt.asked))
        record.close()
        hands.move(3600)

        assert list(journal.forgetting.ended_before(last)) == []
        later = last + timedelta(microseconds=1)
        assert [known.id for known in journal.forgetting.ended_before(later)] == [record.id]
        worked = journal.result(record.id).stats.duration_ms
        await journal.forgetting.forget(record.id)
        after = journal.result(record.id)
        assert (after.run.ended_at, after.stats.duration_ms) == (last, worked)

    asyncio.run(run())


def test_a_run_that_is_worked_on_is_not_forgotten(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        with pytest.raises(RunLocked, match=f"concierge-calls resume {record.id}$"):
            journal.forgetting.check(record.id)
        with pytest.raises(RunLocked):
            await journal.forgetting.forget(record.id)
        record.close()

    asyncio.run(run())


def test_a_draft_is_no_run_yet(journal: Journal, new_run: New, hands: Hands) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add(spoken())
        hands.move(60)
        assert list(journal.forgetting.ended_before(hands.time)) == []
        with pytest.raises(NoSuchRun):
            await journal.forgetting.forget(record.id)
        assert [one.provider.name for one in journal.result(record.id).results] == ["Whispering Pines", "Twin Pines"]
        record.close()

    asyncio.run(run())


def test_a_simulated_run_that_was_left_with_calls_is_forgotten_since_nobody_can_finish_it(
    journal: Journal, begin: Begin
) -> None:
    async def run() -> None:
        record = await begin(journal, 2, simulated=True)
        await placed(record)
        record.close()
        await journal.forgetting.forget(record.id)
        after = journal.result(record.id)
        assert after.run.finished is False
        assert [(one.status, one.provider.name) for one in after.results] == [
            (CallStatus.IN_PROGRESS, "(forgotten)"),
            (CallStatus.PENDING, "(forgotten)"),
        ]

    asyncio.run(run())


def test_the_file_is_not_closed_to_a_run_that_goes_on_and_the_forgotten_one_comes_up_again(
    journal: Journal, new_run: New, begin: Begin, hands: Hands
) -> None:
    async def run() -> None:
        run_id = await finished(journal, new_run)
        going_on = await begin(journal, 1)
        hands.move(60)
        await journal.forgetting.forget(run_id)
        assert await journal.forgetting.scrub([run_id]) is False
        await placed(going_on)
        assert [known.id for known in journal.forgetting.ended_before(hands.time)] == [run_id]
        going_on.close()
        await journal.forgetting.forget(run_id)
        assert await journal.forgetting.scrub([run_id]) is True
        assert list(journal.forgetting.ended_before(hands.time)) == []

    asyncio.run(run())


def test_runs_are_chosen_by_when_they_ended_newest_first(journal: Journal, new_run: New, hands: Hands) -> None:
    async def run() -> None:
        first = await finished(journal, new_run)
        hands.move(3600)
        second = await finished(journal, new_run)
        hands.move(3600)
        await finished(journal, new_run)
        chosen = journal.forgetting.ended_before(hands.time)
        assert [known.id for known in chosen] == [second, first]

    asyncio.run(run())
