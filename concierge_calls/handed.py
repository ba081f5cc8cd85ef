"""Calls those of a run whom a flow has handed over, in a journal that every start of the same task comes back to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from concierge_calls import plan
from concierge_calls.backend import Backend
from concierge_calls.draft import Order
from concierge_calls.errors import JournalError, RunLocked, UsageError
from concierge_calls.journal import Journal, RunRecord, asked_not_to_be_called
from concierge_calls.journals import journals
from concierge_calls.kestra.answer import is_of
from concierge_calls.models import CallRequest, Reason
from concierge_calls.run import Run
from concierge_calls.settings.folder import journal_path

if TYPE_CHECKING:
    from concierge_calls.kestra.item import Part
    from concierge_calls.kestra.searched import Searched
    from concierge_calls.settings.loading import Settings
    from concierge_calls.stopping import Worker

SOURCE = "the flow's providers"
ASK_AGAIN = 0.5  # seconds between two tries to have a run that another process works on
ORDER = Order(rows=(), source=SOURCE, allow_redial=True)  # whoever handed them over has asked who was called lately

log = logging.getLogger(__name__)


async def call(
    part: Part,
    settings: Settings,
    path: Path,
    *,
    around: Callable[[Searched], Backend],
    on_caller: Callable[[Worker], object],
) -> None:
    """Begin the part's run in the journal at this path, or finish it as soon as no other process works on it.

    Always directly by Vapi, whatever route is set. `around` is put between the run and Vapi; `on_caller` is handed who
    can be told to stop. Who is on this machine's do-not-call list is skipped, and who asks for that joins it.
    Raises ConciergeError when nobody could be dialled, and RunInterrupted as `Run.start` does.
    """
    with Journal(path) as journal:
        record, begun = await _when_free(journal, part, settings)
        run = Run(journal, record, settings, ORDER, begun=begun)
        run.ways.around = around
        try:
            if not begun:
                await record.add(_planned(part, settings))
            _must_be_of(part, run)
            if not _is_over(run):
                async with run.connected():
                    await run.start(lambda _: None, on_caller=on_caller)
        finally:
            if not run.begun:
                await record.discard()
            record.close()
        await _keep_who_asked(journal)


async def _when_free(journal: Journal, part: Part, settings: Settings) -> tuple[RunRecord, bool]:
    new = replace(ORDER.new_run(settings, "direct"), numbers=part.numbers)
    while True:
        with suppress(RunLocked):
            return await journal.draft_or_open(part.run_id, new)
        await asyncio.sleep(ASK_AGAIN)


def _planned(part: Part, settings: Settings) -> list[CallRequest]:
    with journals(simulated=[False]) as opened:

        def guard(number: str) -> Reason | None:
            since = next((when for each in opened if (when := each.do_not_call(number))), None)
            return None if since is None else asked_not_to_be_called(since)

        rows = plan.make(
            part.rows,
            source=SOURCE,
            region=settings.region,
            needs_service=settings.assistant_id is None,
            do_not_call=guard,
        )
        return list(rows)


def _must_be_of(part: Part, run: Run) -> None:
    if not is_of(part, run.result()):
        raise UsageError(
            f"The run {part.run_id} was begun for other providers, so nobody of these is called; start the flow with"
            " another run_id, or without one."
        )


def _is_over(run: Run) -> bool:
    known = run.result()
    return known.run.finished and not known.stats.uncertain


async def _keep_who_asked(journal: Journal) -> None:
    asked = list(journal.list_do_not_call())
    if not asked:
        return
    try:
        with Journal(journal_path(simulated=False)) as ours:
            for each in asked:
                await ours.add_do_not_call(each.number, each.note)
    except JournalError as error:  # the calls are over, and what came of them says it too
        log.warning("Who asked not to be called could not be kept on this machine. %s", error.message)
