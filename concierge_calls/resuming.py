"""Takes up a run that was cut short: which one, and what it may still do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from concierge_calls.draft import Order
from concierge_calls.errors import NoSuchRun, UsageError
from concierge_calls.journal import Attempt, Journal, RunRecord
from concierge_calls.journals import journals, no_such_run
from concierge_calls.models import CallState, RunResult
from concierge_calls.run import Run

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings

OLD = timedelta(hours=24)  # what somebody wanted so long ago they may not want any more


@asynccontextmanager
async def continued(
    run_id: str | None, *, again: Sequence[str] = (), hang_up: bool = False
) -> AsyncIterator[Run | None]:
    """Take up a real run that was cut short, the latest one without an id; None when there is nothing to do.

    What the run was told when it began still holds. One that was not named and is old dials nobody, except the phone
    numbers in `again`, as people write them, whose calls are in doubt. Raises NoSuchRun, RunLocked, and UsageError or
    PhoneError for a number that is not in doubt or not to be called.
    """
    from concierge_calls.settings.loading import load

    with journals(simulated=[False]) as opened:
        journal = opened[0] if opened else None
        found = run_id or (journal.latest_unfinished(or_in_doubt=bool(again)) if journal is not None else None)
        if found is None:
            _refuse_unless_empty(again)
            yield None
            return
        if journal is None:
            raise no_such_run(found)
        known = _known(journal, found)
        numbers = _read(again, load().region) if again else []
        if not (numbers or _has_work(journal, known)):
            yield None
            return
        settings, order = _as_told(journal, known, hang_up=hang_up)
        record = await journal.open_run(found)
        try:
            run = Run(journal, record, settings, order, begun=True)
            run.again = await _in_doubt(journal, record, numbers)
            run.dials = run_id is not None or not is_old(known)
            yield run
        finally:
            record.close()


def is_old(known: RunResult) -> bool:
    """Tell whether the run was begun so long ago that it dials nobody unless it is named."""
    return datetime.now(UTC) - known.run.started_at > OLD


def _known(journal: Journal, run_id: str) -> RunResult:
    try:
        return journal.result(run_id)
    except NoSuchRun:
        raise no_such_run(run_id) from None


def _has_work(journal: Journal, known: RunResult) -> bool:
    return not known.run.finished or bool(known.stats.uncertain) or journal.owes_document(known.run.id)


def _as_told(journal: Journal, known: RunResult, *, hang_up: bool) -> tuple[Settings, Order]:
    from concierge_calls.settings.loading import load

    told = dict(journal.options(known.run.id))
    allow_redial = bool(told.pop("allow_redial", False))
    settings = load(told | {"max_concurrent": known.run.max_concurrent})
    return settings, Order(rows=(), source=known.run.source, allow_redial=allow_redial, hang_up=hang_up)


def _read(phones: Iterable[str], region: str) -> list[str]:
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
        if (reason := journal.why_not(number, record.id)) is not None:
            raise UsageError(f"{number} is not dialled again, and nobody was dialled. {reason.message}")
    return [uncertain[number] for number in numbers]
