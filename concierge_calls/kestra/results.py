"""What a child tells of one provider, read as somebody else's text, and what follows from it for the row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from enum import Enum, auto
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from concierge_calls.journal import OnTheLine
from concierge_calls.kestra.schemas import as_list
from concierge_calls.models import Analysis, AnalysisStatus, CallOutcome, CallStatus, Message, Reason

UNKNOWN: Final = Reason("not_told", "The task told no more of this call; see the worker's own journal.")


class Step(Enum):
    """What follows for a row from what its child tells."""

    SETTLED = auto()
    REFUSED = auto()
    UNCERTAIN = auto()
    SKIPPED = auto()  # certainly never dialled, and not to be
    PLACED = auto()  # the call goes on, and nobody follows it there
    IN_DOUBT = auto()  # it may have been dialled, and nobody looks for it there
    PUT_BACK = auto()  # certainly never dialled


# What may still change as long as the execution goes on: a child that was cut short may be started again.
OPEN: Final = frozenset({Step.PLACED, Step.IN_DOUBT, Step.PUT_BACK})


# Of two results for one row the one further up is believed: a phone that may have rung goes before one that did not.
_SUREST: Final = (
    Step.SETTLED,
    Step.PLACED,
    Step.UNCERTAIN,
    Step.IN_DOUBT,
    Step.REFUSED,
    Step.SKIPPED,
    Step.PUT_BACK,
)


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Analysis(_Told):
    status: AnalysisStatus = AnalysisStatus.NONE
    summary: str | None = None
    structured_data: dict[str, Any] = Field(default_factory=dict)
    success_evaluation: str | None = None


class _Reason(_Told):
    code: str
    message: str


class _Message(_Told):
    role: str
    message: str
    seconds_from_start: float | None = None


class Result(_Told):
    """One provider's result as a child prints it; `transcript` and `messages` stand in its file alone."""

    index: int = Field(ge=0)
    run_id: str
    status: CallStatus
    call_id: str | None  # said by every child, and never by what a flow puts in place of a child's result
    ended_reason: str | None = None
    dialed_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    off_the_line_at: AwareDatetime | None = None
    cost: float | None = None
    recording_url: str | None = None
    analysis: _Analysis | None = None  # absent where the line would have been too long
    error: _Reason | None = None
    transcript: str | None = None
    messages: Annotated[list[_Message], BeforeValidator(as_list)] = Field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether what was said is in it."""
        return self.transcript is not None

    @property
    def reason(self) -> Reason | None:
        """Why it is so, in the child's words."""
        return None if self.error is None else Reason(self.error.code, self.error.message)

    @property
    def line(self) -> OnTheLine:
        """From when until when the call had its line."""
        return OnTheLine(self.dialed_at, self.off_the_line_at or _later(self.dialed_at, self.ended_at))

    @property
    def step(self) -> Step:
        """What follows for its row."""
        if self.status in _STEPS:
            return _STEPS[self.status]
        if self.status is CallStatus.IN_PROGRESS:
            return Step.PLACED if self.call_id else Step.IN_DOUBT
        if self.call_id:
            return Step.SETTLED
        return Step.REFUSED if self.status is CallStatus.ERROR else Step.UNCERTAIN

    def outcome(self) -> CallOutcome:
        """What is known of the call."""
        told = self.analysis or _Analysis()
        status = CallStatus.UNCERTAIN if self.step is Step.UNCERTAIN else self.status
        return CallOutcome(
            status=status,
            ended_reason=self.ended_reason,
            started_at=self.started_at,
            ended_at=self.ended_at,
            transcript=self.transcript or "",
            messages=tuple(Message(**dict(each)) for each in self.messages),
            analysis=Analysis(**dict(told)),
            cost=self.cost,
            recording_url=self.recording_url,
            error=self.reason or (UNKNOWN if status is CallStatus.UNCERTAIN else None),
        )


_STEPS: Final = {
    CallStatus.UNCERTAIN: Step.UNCERTAIN,
    CallStatus.NOT_CALLED: Step.PUT_BACK,
    CallStatus.PENDING: Step.PUT_BACK,
    CallStatus.SKIPPED: Step.SKIPPED,
}


def surest(known: Result | None, other: Result) -> Result:
    """Return which of two results for the same row is to be believed; the known one, where both say the same."""
    if known is None:
        return other
    return min(known, other, key=lambda result: _SUREST.index(result.step))


def own(entries: object, run_id: str) -> Iterator[Result]:
    """Return the children's own results for this run; what is none, or no result at all, is passed over."""
    for entry in as_list(entries):
        if isinstance(entry, dict):
            try:
                result = Result.model_validate(entry)
            except ValidationError:
                continue
            if result.run_id == run_id:
                yield result


def in_file(content: bytes, run_id: str) -> Iterator[Result]:
    """Return the same from the file that a child has left."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return
    yield from own(value.get("results") if isinstance(value, dict) else None, run_id)


def _later(begun: datetime | None, ended: datetime | None) -> datetime | None:
    return None if begun is None or ended is None else max(begun, ended)
