"""Vapi's list of calls, page by page, and times as it writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from concierge_calls.vapi.client import PATIENCE, VapiClient
from concierge_calls.vapi.gate import Priority
from concierge_calls.vapi.patience import TooManyRequests
from concierge_calls.vapi.schemas import Call

PAGE: Final = 1000  # Vapi, OpenAPI CallController_findAll: the most that `limit` may be


def stamp(moment: datetime) -> str:
    """Write a time as Vapi does: UTC, whole milliseconds, rounded down."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def pages(
    client: VapiClient,
    priority: Priority,
    filters: Mapping[str, str],
    patience: float = PATIENCE,
    known: Mapping[str, Call] = MappingProxyType({}),
) -> AsyncIterator[list[Call]]:
    """Read Vapi's list page by page, each call once; it has no cursor, so a page begins where the last one ended.

    `filters` are Vapi's own (OpenAPI CallController_findAll); of the `known`, by id, those that are shown as they are
    are yielded themselves. Raises ReadFailed when a page was not had in `patience`
    seconds; the feed waits for Vapi's next minute beyond that.
    """
    seen: set[str] = set()
    earlier: dict[str, str] = {}
    while True:
        page = await _page(client, priority, {**filters, **earlier}, patience, known)
        new = [call for call in page if call.id not in seen]
        seen.update(call.id for call in new)
        yield new
        created = [call.created_at for call in page if call.created_at]
        if len(page) < PAGE or not new or not created:
            return
        # Vapi may keep finer times than it shows; a millisecond more loses none of those that share the last one.
        earlier = {"createdAtLe": stamp(min(created) + timedelta(milliseconds=1))}


async def _page(
    client: VapiClient, priority: Priority, filters: Mapping[str, str], patience: float, known: Mapping[str, Call]
) -> list[Call]:
    while True:
        try:
            return await client.list_calls(priority, limit=PAGE, patience=patience, known=known, **filters)
        except TooManyRequests:  # the gate lets nobody pass before the time that Vapi named
            if priority is not Priority.FEED:
                raise
