"""What the service answers, as it is described; the answers themselves are made where the document is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from concierge_calls.models import AnalysisStatus, CallMethod, CallStatus, EventKind


class Answer(BaseModel):
    """An object with the document's names."""

    model_config = ConfigDict(alias_generator=to_camel, serialize_by_alias=True, populate_by_name=True)


class RunAnswer(Answer):
    """What there is to know of a run but its calls."""

    id: str
    started_at: str
    ended_at: str | None
    via: str
    simulated: bool
    dry_run: bool
    max_concurrent: int
    source: str
    version: str
    finished: bool


class StatsAnswer(Answer):
    """A run in figures; the twelve counts from `successful` to `inProgress` add up to `total`."""

    total: int
    successful: int
    failed: int
    timed_out: int
    no_answer: int
    busy: int
    voicemail: int
    uncertain: int
    cancelled: int
    skipped: int
    not_called: int
    pending: int
    in_progress: int
    duration_ms: int
    average_call_duration: float
    peak_concurrent: int
    cost: float


class MessageAnswer(Answer):
    """One turn of a conversation."""

    role: str
    message: str
    seconds_from_start: float | None


class AnalysisAnswer(Answer):
    """What the assistant brought back."""

    status: AnalysisStatus
    summary: str | None
    structured_data: dict[str, Any]
    success_evaluation: str | None


class ProviderAnswer(Answer):
    """Who was called."""

    id: str | None
    name: str
    phone: str | None
    phone_given: str
    extension: str | None
    line: int | None
    extra: dict[str, Any]


class RequestAnswer(Answer):
    """What was wanted of them."""

    service_needed: str | None
    user_criteria: str | None
    location: str | None
    urgency: str
    problem_description: str | None
    client_name: str | None
    service_request_id: str | None


class ReasonAnswer(Answer):
    """Why something was not done, or went wrong."""

    code: str
    message: str


class ResultAnswer(Answer):
    """One provider's entry in the document."""

    index: int
    status: CallStatus
    call_id: str | None
    call_method: CallMethod | None
    duration: float
    ended_reason: str | None
    started_at: str | None
    ended_at: str | None
    transcript: str
    messages: list[MessageAnswer]
    analysis: AnalysisAnswer
    provider: ProviderAnswer
    request: RequestAnswer
    cost: float | None
    recording_url: str | None
    error: ReasonAnswer | None


class DocumentAnswer(Answer):
    """A run with all its results, in the order in which the providers were named."""

    run: RunAnswer
    stats: StatsAnswer
    results: list[ResultAnswer]


class PlannedAnswer(ResultAnswer):
    """One row of a file: as it would stand in the document before it is called."""

    warning: str | None = Field(description="What is worth a look, though the row would be called.")


class PreviewAnswer(Answer):
    """Who of a file would be called, who not and why."""

    run: RunAnswer
    stats: StatsAnswer
    results: list[PlannedAnswer]
    columns: list[str] = Field(description="The file's own columns.")
    columns_used: dict[str, str] = Field(description="Field of the request -> the column that gives it.")
    notes: list[str] = Field(description="Sentences about what is worth a look before anybody is called.")


class ListedAnswer(Answer):
    """One of the runs."""

    run: RunAnswer
    stats: StatsAnswer
    state: Literal["finished", "running", "unfinished"]


class AcceptedAnswer(Answer):
    """A run that goes on by itself."""

    run_id: str
    status_url: str


class EventAnswer(Answer):
    """One event of a run; `result` is there once it is final."""

    seq: int
    at: str
    run_id: str
    kind: EventKind
    index: int | None
    provider: dict[str, str | None] | None
    call_id: str | None
    ended_reason: str | None
    result: ResultAnswer | None


class ReachAnswer(Answer):
    """Whether something can be reached."""

    reachable: bool
    message: str | None = None


class HealthAnswer(Answer):
    """Whether the service is up, and to whoever shows the token also what it works with."""

    status: Literal["ok"]
    version: str | None = None
    simulated: bool | None = None
    runs: int | None = Field(default=None, description="Runs that are worked on, without those that wait for a try.")
    lines_busy: int | None = None
    max_concurrent: int | None = None
    vapi: ReachAnswer | None = None
    kestra: ReachAnswer | None = Field(default=None, description="Null where no run can go by Kestra.")
    route: str | None = Field(default=None, description="Which route a run would take.")
