"""Turns call requests and call results into JSON for the journal, and what it holds back into nouns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from concierge_calls.journal.entries import Attempt, HistoryRow
from concierge_calls.models import (
    Analysis,
    AnalysisStatus,
    CallMethod,
    CallOutcome,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    EventKind,
    Message,
    Provider,
    Reason,
    ServiceRequest,
)


def to_text(moment: datetime) -> str:
    """A moment as text that sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def to_moment(text: str | None) -> datetime | None:
    """The moment that was written so; None for none."""
    return None if text is None else moment(text)


def moment(text: str) -> datetime:
    """The moment that was written so."""
    return datetime.fromisoformat(text)


def dump(value: object) -> str:
    """Any of the program's nouns as JSON, in plain ASCII so that half a surrogate in a file's cell survives."""
    return json.dumps(value, default=_plain, separators=(",", ":"))


def dump_request(asked: CallRequest) -> str:
    """A call request but its index and the reason to skip it, which are columns."""
    return dump({"provider": asked.provider, "request": asked.request, "warning": asked.warning})


def dump_outcome(outcome: CallOutcome) -> str:
    """What is known of a call; of a result also by which way and under which id it was placed."""
    known = {name: getattr(outcome, name) for name in _names(CallOutcome)}
    if isinstance(outcome, CallResult):
        known |= {"call_id": outcome.call_id, "call_method": outcome.call_method}
    return dump(known)


def load_reason(text: str | None) -> Reason | None:
    """A reason, or None for none."""
    return None if text is None else Reason(**json.loads(text))


def load_request(index: int, text: str, reason: str | None) -> CallRequest:
    """The call request of the row with this index."""
    data = json.loads(text)
    return CallRequest(
        index=index,
        provider=Provider(**data["provider"]),
        request=ServiceRequest(**data["request"]),
        skip=load_reason(reason),
        warning=data["warning"],
    )


def load_result(asked: CallRequest, text: str) -> CallResult:
    """The result of this call request, as it was written."""
    data = json.loads(text)
    method = data.pop("call_method", None)
    call_id = data.pop("call_id", None)
    outcome = _outcome(data)
    return CallResult.of(asked, outcome, call_id=call_id, call_method=None if method is None else CallMethod(method))


def load_attempt(row: sqlite3.Row, failed_starts: int) -> Attempt:
    """An attempt with its row's request, and what is known of its call if that has ended."""
    ended = row["state"] == CallState.ENDED and row["result"] is not None
    return Attempt(
        id=row["id"],
        run_id=row["run_id"],
        ordinal=row["ordinal"],
        key=row["key"],
        state=CallState(row["state"]),
        asked=load_request(row["idx"], row["request"], None),
        dialed_at=moment(row["dialed_at"]),
        call_id=row["call_id"],
        created_at=to_moment(row["created_at"]),
        rang=row["last_status"] is not None,
        withdrawing=bool(row["withdrawing"]),
        failed_starts=failed_starts,
        known=_outcome(json.loads(row["result"])) if ended else None,
    )


def event(row: sqlite3.Row) -> HistoryRow:
    """A row of the history."""
    return HistoryRow(seq=row["seq"], at=moment(row["at"]), index=row["idx"], kind=EventKind(row["kind"]))


def _outcome(data: dict[str, Any]) -> CallOutcome:
    analysis = data["analysis"]
    return CallOutcome(
        **data
        | {
            "status": CallStatus(data["status"]),
            "started_at": to_moment(data["started_at"]),
            "ended_at": to_moment(data["ended_at"]),
            "messages": tuple(Message(**message) for message in data["messages"]),
            "analysis": Analysis(**analysis | {"status": AnalysisStatus(analysis["status"])}),
            "error": None if data["error"] is None else Reason(**data["error"]),
        }
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, Mapping):
        return dict(value)
    noun: Any = type(value)
    if names := _names(noun):
        return {name: getattr(value, name) for name in names}
    # What else a program puts into a provider's extra columns is kept as it would be shown.
    return str(value)


@cache
def _names(noun: Any) -> tuple[str, ...]:
    return tuple(item.name for item in fields(noun)) if is_dataclass(noun) else ()
