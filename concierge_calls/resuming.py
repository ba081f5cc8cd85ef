"""Takes up a run that was cut short: which one, and what it may still do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from concierge_calls.draft import Order
from concierge_calls.errors import NoSuchRun, RunLocked, UsageError
from concierge_calls.exchange import Exchange
from concierge_calls.journal import Attempt, Journal, LeftOver, RunRecord
from concierge_calls.journals import journals, no_such_run, settings_of
from concierge_calls.looking import refuse_if_held
from concierge_calls.models import CallState, RunResult
from concierge_calls.routing import Route
from concierge_calls.run import STOPPED, Run

OLD = timedelta(hours=24)  # what somebody wanted so long ago they may not want any more


@asynccontextmanager
async def continued(
    run_id: str | None, *, again: Sequence[str] = (), hang_up: bool = False
) -> AsyncIterator[Run | None]:
    """Take up a real run that was cut short; None when there is nothing to do.

    Without an id it is the latest one that nobody works on and in which something can be done although it was not
    named; where there is none, the latest of the others, whose document is written once more. What the run was told
    when it began still holds, and until it starts nothing of it changes. One that was not named and is old dials
    nobody, except the phone numbers in `again`, as people write them, whose calls are in doubt. Raises NoSuchRun,
    RunLocked, and UsageError or PhoneError for a number that is not in doubt or not to be called.
    """
    from concierge_calls.settings.loading import load

    with journals(simulated=[False]) as opened:
        journal = opened[0] if opened else None
        if run_id is not None and journal is None:
            raise no_such_run(run_id)
        numbers = _e164(again, load().region) if again else []
        record = None if journal is None else await _opened(journal, run_id, numbers)
        if journal is None or record is None:
            if run_id is None:
                _refuse_unless_empty(again)
            yield None
            return
        try:
            known = journal.result(record.id)  # as it is now that nobody else works on it
            if not (numbers or _has_work(journal, known)):
                yield None
                return
            settings, allow_redial = settings_of(journal, record.id)
            order = Order(rows=(), source=known.run.source, allow_redial=allow_redial, hang_up=hang_up)
            run = Run(journal, record, settings, order, begun=True, routes=(Route(known.run.via),))
            run.again = await _in_doubt(journal, record, numbers)
            run.dials = run.dials and (run_id is not None or not is_old(known))
            yield run
        finally:
            record.close()


def left_over(*, but: str | None) -> list[LeftOver]:
    """Return the real runs, other than `but`, that nobody works on and a resume would finish, newest first."""
    with journals(simulated=[False]) as opened:
        return [run for journal in opened for run in journal.left_over() if run.id != but]


@asynccontextmanager
async def continued_in(journal: Journal, run_id: str, exchange: Exchange) -> AsyncIterator[Run]:
    """Take up this run of a journal that is open, with what it shares there; raises NoSuchRun and RunLocked."""
    settings, allow_redial = settings_of(journal, run_id)
    known = journal.result(run_id).run
    order = Order(rows=(), source=known.source, allow_redial=allow_redial, simulate=exchange.simulate)
    record = await journal.open_run(run_id)
    try:
        yield Run(journal, record, settings, order, begun=True, routes=(Route(known.via),), exchange=exchange)
    finally:
        record.close()


async def stop_for_good(journal: Journal, run_id: str, *, hang_up: bool) -> None:
    """Keep that nobody is dialled any more in a run that nobody works on, and whether its calls are to be hung up.

    Raises NoSuchRun and RunLocked.
    """
    record = await journal.open_run(run_id)
    try:
        await record.stop_for_good(STOPPED, hang_up=hang_up)
    finally:
        record.close()


def is_old(known: RunResult) -> bool:
    """Tell whether the run was begun so long ago that it dials nobody unless it is named."""
    return datetime.now(UTC) - known.run.started_at > OLD


async def _opened(journal: Journal, run_id: str | None, numbers: Sequence[str]) -> RunRecord | None:
    """Open the run, or the latest that nobody works on; None when there is none, or nothing to do in it."""
    if run_id is not None:
        return await journal.open_run(run_id) if numbers or _has_work(journal, _known(journal, run_id)) else None
    return await _latest(journal, in_doubt=bool(numbers))


async def _latest(journal: Journal, *, in_doubt: bool) -> RunRecord | None:
    """Open the latest run that nobody works on; one in which nothing can be done unless it is named comes last.

    With `in_doubt` a call in doubt is something to do. Raises RunLocked when all of them are worked on.
    """
    idle: list[str] = []
    locked: dict[str, RunLocked] = {}
    while (found := journal.latest_unfinished(or_in_doubt=in_doubt, but=[*idle, *locked])) is not None:
        if _is_idle(journal.result(found), in_doubt=in_doubt):
            idle.append(found)
        elif (record := await _unless_locked(journal, found, locked)) is not None:
            return record
    for found in idle:
        if (record := await _unless_locked(journal, found, locked)) is not None:
            return record
    if locked:
        raise next(iter(locked.values()))  # the latest one's
    return None


async def _unless_locked(journal: Journal, run_id: str, locked: dict[str, RunLocked]) -> RunRecord | None:
    try:
        return await journal.open_run(run_id)
    except RunLocked as error:
        locked[run_id] = error
    return None


def _is_idle(known: RunResult, *, in_doubt: bool) -> bool:
    # An old run dials nobody unless it is named, so it would be taken up each time and never be finished.
    in_progress = known.stats.in_progress + (known.stats.uncertain if in_doubt else 0)
    return not (known.run.finished or in_progress) and is_old(known)


def _known(journal: Journal, run_id: str) -> RunResult:
    try:
        return journal.result(run_id)
    except NoSuchRun:
        raise no_such_run(run_id) from None


def _has_work(journal: Journal, known: RunResult) -> bool:
    return not known.run.finished or bool(known.stats.uncertain) or journal.owes_document(known.run.id)


def _e164(phones: Iterable[str], region: str) -> list[str]:
    from concierge_calls.phone import parse

    return list(dict.fromkeys(parse(phone, region).e164 for phone in phones))


def _refuse_unless_empty(again: Sequence[str]) -> None:
    if again:
        raise UsageError("There is no run with a call in doubt, so nobody was dialled; see: concierge-calls runs")


async def _in_doubt(journal: Journal, record: RunRecord, numbers: Iterable[str]) -> list[Attempt]:
    """Return the attempts to these numbers; raises UsageError when one of them is not to be dialled again."""
    unfinished = await record.unfinished()
    uncertain = {each.asked.provider.phone: each for each in unfinished if each.state is CallState.UNCERTAIN}
    for number in numbers:
        if number not in uncertain:
            raise UsageError(
                f"Run {record.id} has no call to {number} that is uncertain, so nobody was dialled;"
                f" see how it went: concierge-calls show {record.id}"
            )
        if journal.dead_holder(number, but=record.id) is None:  # else Vapi is asked before that is decided
            refuse_if_held(journal, number, record.id)
    return [uncertain[number] for number in numbers]
