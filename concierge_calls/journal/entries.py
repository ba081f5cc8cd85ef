"""What the journal takes and gives back, beside the nouns of the whole program."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from concierge_calls.models import (
    CallOutcome,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    EventKind,
    Format,
    Reason,
)


class Owner(StrEnum):
    """Who began a run, and takes it up again."""

    CLI = "cli"
    API = "api"


def utc_now() -> datetime:
    """The time of this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, and how long something took; they differ when somebody sets the clock."""

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic


SYSTEM_CLOCK = Clock()


@dataclass(frozen=True, slots=True)
class RequestKey:
    """By which key another program asked for a run, and a hash of what it asked."""

    key: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What is known of a run before its first row; `options` are the settings that a resume needs, never secrets."""

    owner: Owner | str
    via: str
    simulated: bool
    max_concurrent: int
    source: str
    version: str
    output: str | None = None
    format: Format = Format.JSON
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    request: RequestKey | None = None
    numbers: Sequence[int] = ()  # of a part of a run: each row's number in the whole of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to dial a row, as it stood when it was read."""

    id: int
    run_id: str
    ordinal: int  # 1, 2, … among the attempts of its row
    key: str
    state: CallState
    asked: CallRequest = field(repr=False)
    dialed_at: datetime  # when the intent was committed, in the backend's clock
    call_id: str | None = None
    created_at: datetime | None = None  # in the backend's clock
    rang: bool = False  # the backend has shown that a phone rings, or that somebody took the call
    withdrawing: bool = False  # it was to be taken back while it waited for a line, and may have been
    failed_starts: int = 0  # how many earlier attempts of its row never began, by the backend's own fault
    known: CallOutcome | None = field(default=None, repr=False)  # what was kept when the call ended

    @property
    def index(self) -> int:
        """The index of its row."""
        return self.asked.index


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """Something that happened and is committed."""

    seq: int
    at: datetime
    index: int | None
    kind: EventKind
    result: CallResult | None = field(default=None, repr=False, compare=False)  # of a row that went back into doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The row whose turn it is, and those that a guard held back on the way to it."""

    attempt: Attempt | None
    skipped: Sequence[tuple[HistoryRow, CallRequest, Reason]] = field(default=(), repr=False)
    event: HistoryRow | None = None  # with an attempt: that it is dialling
    unsure: Collection[str] = ()  # dead runs to be looked at, for which rows wait


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOver:
    """A run that nobody works on and a resume would finish."""

    id: str
    source: str
    finished: bool  # only its document was never written
    left: int  # providers whom nobody has called yet


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSpan:
    """For how long one row's call has or had its line; times are this machine's."""

    index: int
    begun: datetime
    ended: datetime | None  # None while it is on the line
    status: CallStatus | None  # None until its result is final


@dataclass(frozen=True, slots=True)
class DoNotCall:
    """A number whose owner does not want to be called."""

    number: str = field(repr=False)
    since: datetime
    note: str
