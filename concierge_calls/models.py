"""The nouns that everything else speaks of: a provider, what is wanted of it, and what came of the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

DEFAULT_URGENCY = "within_2_days"


class CallState(StrEnum):
    """Where a row stands in the journal; it drives the calling, and only the journal moves it."""

    PENDING = "pending"  # accepted, nothing was sent
    DIALING = "dialing"  # committed before the request leaves
    PLACED = "placed"  # Vapi gave a call id
    ENDED = "ended"  # the call is over and its line free; the analysis is awaited
    SETTLED = "settled"  # the final result is stored
    REFUSED = "refused"  # certainly nobody's phone rang, and it is this number's own fault
    UNCERTAIN = "uncertain"  # the phone may have rung
    SKIPPED = "skipped"  # not to be called, with the reason


class CallStatus(StrEnum):
    """What a person wants to know of a call; it stands in the document and drives nothing."""

    COMPLETED = "completed"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"
    TIMEOUT = "timeout"
    ERROR = "error"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    NOT_CALLED = "not_called"
    PENDING = "pending"  # only while the run is unfinished
    IN_PROGRESS = "in_progress"  # only while the run is unfinished

    @property
    def words(self) -> str:
        """What it is called where a person reads it."""
        return _IN_WORDS.get(self, self.value.replace("_", " "))

    @property
    def counted_as(self) -> str:
        """The field of RunStats that counts it."""
        return _COUNTED_AS.get(self, self.value)


_IN_WORDS = {
    CallStatus.TIMEOUT: "timed out",
    CallStatus.ERROR: "failed",
    CallStatus.PENDING: "not yet called",
    CallStatus.IN_PROGRESS: "on the line",
}
_COUNTED_AS = {CallStatus.COMPLETED: "successful", CallStatus.ERROR: "failed", CallStatus.TIMEOUT: "timed_out"}


class CallMethod(StrEnum):
    """By which way a call was placed."""

    DIRECT_VAPI = "direct_vapi"
    KESTRA = "kestra"
    SIMULATED = "simulated"


class AnalysisStatus(StrEnum):
    """Whether what was said has been analysed."""

    COMPLETE = "complete"
    MISSING = "missing"  # waited for, and it did not come
    NONE = "none"  # none is due


class EventKind(StrEnum):
    """What a call event tells of."""

    RUN_STARTED = "run.started"
    CALL_SKIPPED = "call.skipped"
    CALL_DIALING = "call.dialing"
    CALL_PLACED = "call.placed"
    CALL_RINGING = "call.ringing"
    CALL_IN_PROGRESS = "call.in_progress"
    CALL_ENDED = "call.ended"
    CALL_SETTLED = "call.settled"
    CALL_PENDING = "call.pending"  # put back: certainly nobody's phone rang
    RUN_ENDED = "run.ended"


class Format(StrEnum):
    """How the document is written."""

    JSON = "json"  # one object with the run, its figures and every result
    JSONL = "jsonl"  # a result a line
    CSV = "csv"  # a row for each result
    HTML = "html"  # a page to look at; no run is told to write one


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was not done, or went wrong: a code for programs and a sentence for people."""

    code: str
    message: str


# Reasons not to call somebody that are a choice and nobody need look at: a run with only these is a success.
SKIPPED_ON_PURPOSE = frozenset({"duplicate", "called_lately", "do_not_call"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRequest:
    """What the client wants of a provider."""

    service_needed: str | None = None
    user_criteria: str | None = None
    location: str | None = None
    urgency: str = DEFAULT_URGENCY
    problem_description: str | None = None
    client_name: str | None = None
    service_request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A business to be called, as its row of the file says."""

    name: str
    phone: str | None = field(repr=False)  # E.164; None only where the row has no usable number
    phone_given: str = field(default="", repr=False)  # as it stood in the file
    extension: str | None = None
    id: str | None = None
    line: int | None = None  # of the file, the header being line 1
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def last_four(self) -> str:
        """The last four digits, all of a phone number that is shown to anybody."""
        return (self.phone or "")[-4:]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """One provider's part of a run; with `skip`, why it is not dialled."""

    index: int
    provider: Provider
    request: ServiceRequest
    skip: Reason | None = None
    warning: str | None = None  # worth a look, but called all the same
    expected: float | None = None  # seconds, where the file says how long the call will take; the journal orders by it


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: str
    message: str
    seconds_from_start: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What the assistant brought back; nothing in it is ever invented by us."""

    status: AnalysisStatus = AnalysisStatus.NONE
    summary: str | None = None
    structured_data: Mapping[str, Any] = field(default_factory=dict)
    success_evaluation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutcome:
    """What is known of one call that was placed, whoever placed it."""

    status: CallStatus
    ended_reason: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    transcript: str = ""
    messages: Sequence[Message] = ()
    analysis: Analysis = field(default_factory=Analysis)
    cost: float | None = None
    recording_url: str | None = None
    error: Reason | None = None

    @property
    def duration(self) -> float:
        """Seconds on the line; 0.0 for a call that nobody took."""
        if self.started_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, (self.ended_at - self.started_at).total_seconds())


_OF_AN_OUTCOME = tuple(item.name for item in fields(CallOutcome))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult(CallOutcome):
    """One provider's entry in the document: who was called, for what, and what came of it."""

    index: int
    provider: Provider
    request: ServiceRequest
    call_id: str | None = None
    call_method: CallMethod | None = None
    warning: str | None = None  # of the request; not in the document

    @classmethod
    def of(
        cls,
        asked: CallRequest,
        outcome: CallOutcome,
        *,
        call_id: str | None = None,
        call_method: CallMethod | None = None,
    ) -> CallResult:
        """Join a call request with what came of it."""
        known = {name: getattr(outcome, name) for name in _OF_AN_OUTCOME}
        return cls(
            **known,
            index=asked.index,
            provider=asked.provider,
            request=asked.request,
            call_id=call_id,
            call_method=call_method,
            warning=asked.warning,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What there is to know of a run but its calls."""

    id: str
    started_at: datetime
    ended_at: datetime | None
    via: str
    simulated: bool
    dry_run: bool
    max_concurrent: int
    source: str
    version: str
    finished: bool
    output: str | None = None  # where the document goes, as the run was told
    format: Format = Format.JSON  # and how it is written there
    stopped: Reason | None = None  # why dialling stopped early


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStats:
    """A run in figures; the twelve counts from `successful` to `in_progress` add up to `total`."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    timed_out: int = 0
    no_answer: int = 0
    busy: int = 0
    voicemail: int = 0
    uncertain: int = 0
    cancelled: int = 0
    skipped: int = 0
    not_called: int = 0
    pending: int = 0
    in_progress: int = 0
    unusable: int = 0  # those of `skipped` that need a look; not in the document
    duration_ms: int = 0
    average_call_duration: float = 0.0  # seconds
    peak_concurrent: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run: what it was, its figures, and its results in the file's order, read when they are asked for."""

    run: RunInfo
    stats: RunStats
    results: Sequence[CallResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """Something that happened and is committed; the only thing, beside return values, that travels upwards."""

    seq: int  # the history row's id
    at: datetime
    run_id: str
    kind: EventKind
    index: int | None = None
    request: CallRequest | None = None
    call_id: str | None = None
    ended_reason: str | None = None
    result: CallResult | None = None  # with call.settled, and with call.skipped
