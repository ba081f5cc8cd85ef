"""The calls of a run that are not settled yet, as people read them: what each is doing, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from concierge_calls.models import CallEvent, EventKind
from concierge_calls.plain import shown

STAGES = {  # what such a call is doing, after the latest event of it
    EventKind.CALL_DIALING: "dialing",
    EventKind.CALL_PLACED: "dialing",
    EventKind.CALL_RINGING: "ringing",
    EventKind.CALL_IN_PROGRESS: "talking",
    EventKind.CALL_ENDED: "analysis",
}
NAME_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """One such call, as text that is safe to show."""

    index: int
    name: str
    last_four: str
    state: str
    seconds: float  # since it was dialled


def unsettled(events: Iterable[CallEvent], now: datetime) -> Iterator[Unsettled]:
    """Return each call once, from what has happened to it since it was dialled, oldest first."""
    latest: dict[int | None, CallEvent] = {}
    begun: dict[int | None, datetime] = {}
    for event in events:
        begun.setdefault(event.index, event.at)
        latest[event.index] = event
    for index, event in latest.items():
        if event.request is not None and index is not None:
            provider = event.request.provider
            yield Unsettled(
                index=index,
                name=shown(provider.name, NAME_LENGTH),
                last_four=provider.last_four,
                state=STAGES[event.kind],
                seconds=max(0.0, (now - begun[index]).total_seconds()),
            )
