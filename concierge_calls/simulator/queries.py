"""The list of calls: exactly the filters that Vapi publishes for `GET /call`, and an answer without a full scan."""

import heapq
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from concierge_calls.simulator.account import Account
from concierge_calls.simulator.calls import Call
from concierge_calls.simulator.shapes import milliseconds

_BOUNDS: Final = ("Gt", "Lt", "Ge", "Le")
_TIMES: Final = tuple(f"{what}{bound}" for what in ("createdAt", "updatedAt") for bound in _BOUNDS)
_NAMES: Final = ("id", "assistantId", "phoneNumberId", "limit", *_TIMES)
_MOST: Final = 1000


@dataclass(slots=True)
class Query:
    """One `GET /call`, read; the times are whole milliseconds and inclusive on both sides."""

    ids: dict[str, str] = field(default_factory=dict)
    limit: int = 100
    created: list[int] = field(default_factory=lambda: [0, 1 << 62])
    updated: list[int] = field(default_factory=lambda: [0, 1 << 62])


def read(parameters: Iterable[tuple[str, str]]) -> tuple[Query, list[str]]:
    """Return the query of a list request, and what Vapi would say against it."""
    query, faults = Query(), []
    for name, value in parameters:
        if name not in _NAMES:
            faults.append(f"property {name} should not exist")
        elif name in _TIMES:
            faults += _read_time(query, name, value)
        elif name == "limit":
            faults += _read_limit(query, value)
        elif name == "id" and not is_uuid(value):
            faults.append("id must be a UUID")
        else:
            query.ids[name] = value
    return query, faults


def is_uuid(text: str) -> bool:
    """Return whether the text is a UUID as Vapi's paths want it."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def find(account: Account, query: Query, moment: float) -> list[Call]:
    """Return the calls that the query asks for, as they were at `moment`, the newest first."""
    if query.limit == 0:
        return []
    fits = (call for call in _candidates(account, query, moment) if _fits(call, query, moment))
    if query.updated[0]:
        return heapq.nlargest(query.limit, fits, key=lambda call: call.created)
    return list(islice(fits, query.limit))


def _candidates(account: Account, query: Query, moment: float) -> Iterator[Call]:
    if query.updated[0]:
        # A millisecond early, since a moment in seconds is not exact to the last bit; `_fits` is.
        yield from account.changed_since((query.updated[0] - 1) / 1000, moment)
        return
    for call in account.newest(min(moment, (query.created[1] + 1) / 1000)):
        if milliseconds(call.created) < query.created[0]:
            return
        yield call


def _fits(call: Call, query: Query, moment: float) -> bool:
    seen = call.at(moment)
    if seen is None or call.erased:
        return False
    own: Mapping[str, str | None] = {"id": call.id, **{name: call.body.get(name) for name in _NAMES[1:3]}}
    return (
        all(own[name] == value for name, value in query.ids.items())
        and query.created[0] <= milliseconds(call.created) <= query.created[1]
        and query.updated[0] <= milliseconds(seen[0]) <= query.updated[1]
    )


def _read_time(query: Query, name: str, value: str) -> list[str]:
    try:
        read_as = datetime.fromisoformat(value)
    except ValueError:
        return [f"{name} must be a valid ISO 8601 date string"]
    aware = read_as if read_as.tzinfo else read_as.replace(tzinfo=UTC)
    moment = round(aware.timestamp() * 1_000_000) // 1000
    span = query.created if name.startswith("created") else query.updated
    bound = name[-2:]
    if bound in ("Gt", "Ge"):
        span[0] = max(span[0], moment + (bound == "Gt"))
    else:
        span[1] = min(span[1], moment - (bound == "Lt"))
    return []


def _read_limit(query: Query, value: str) -> list[str]:
    try:
        query.limit = int(value)
    except ValueError:
        return ["limit must be a number conforming to the specified constraints"]
    if query.limit > _MOST:
        return [f"limit must not be greater than {_MOST}"]
    return ["limit must not be less than 0"] if query.limit < 0 else []
