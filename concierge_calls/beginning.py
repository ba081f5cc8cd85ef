"""Begins a run: plans it and holds it as a draft, which is gone again unless the run starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from concierge_calls import routing
from concierge_calls.draft import Order
from concierge_calls.exchange import Exchange
from concierge_calls.journal import Journal
from concierge_calls.routing import Route
from concierge_calls.run import Run

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings


@asynccontextmanager
async def drafted(order: Order, settings: Settings) -> AsyncIterator[Run]:
    """Plan a run and hold it as a draft, which is gone again unless the run starts.

    Raises UsageError, SettingsError, ProvidersFileError and JournalError, each before anybody is dialled.
    """
    routes = _routes(order, settings)
    with Journal(settings.journal_path(simulated=order.simulate)) as journal:
        async with drafted_in(journal, order, settings, routes=routes) as run:
            yield run


@asynccontextmanager
async def drafted_in(
    journal: Journal,
    order: Order,
    settings: Settings,
    *,
    exchange: Exchange | None = None,
    routes: Sequence[Route] = (),
) -> AsyncIterator[Run]:
    """Do the same in a journal that is open, and which other runs may share."""
    routes = routes or _routes(order, settings)
    record = await journal.draft(order.new_run(settings, routes[0]))
    run = Run(journal, record, settings, order, routes=routes, exchange=exchange)
    try:
        await run.plan()
        yield run
    finally:
        if not run.begun:
            await record.discard()
        record.close()


def _routes(order: Order, settings: Settings) -> Sequence[Route]:
    routes = routing.decide(
        settings.via, typed=order.via_typed, simulate=order.simulate, enabled=settings.kestra_enabled
    )
    if Route.KESTRA not in routes and not (order.simulate or order.dry_run):
        settings.needed()
    return routes
