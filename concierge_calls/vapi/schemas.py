"""The part of Vapi's JSON that we depend on, in Vapi's own names (OpenAPI: Call, PhoneNumber, Assistant)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    NaiveDatetime,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

# Keys to a live call (Vapi: Call.monitor, Assistant.server, Assistant.credentials); never stored, at whatever depth.
_SECRET: Final = frozenset({"monitor", "server", "credentials"})
# What was said and extracted is the user's own data, whatever its keys are called.
_KEPT_WHOLE: Final = frozenset({"analysis", "structuredOutputs"})
_PRESIGNED: Final = re.compile(r"^https?://\S*[?&][\w-]*(signature|sig)=", re.IGNORECASE)
_DEEPEST: Final = 100


def _as_text(value: object) -> object:
    """Let a verdict of a rubric that is no string (true, 7) be one; PassFail's are "true" and "false" by the docs."""
    return str(value).lower() if isinstance(value, bool) else value


def _objects(value: object) -> object:
    """Leave out of a list what is no object, instead of losing the list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else value


def _utc(value: datetime) -> datetime:
    """Read a time without a zone as UTC; a time that UTC cannot hold is no time."""
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("not a time") from error


Text = Annotated[str, BeforeValidator(_as_text)]
Time = Annotated[AwareDatetime | NaiveDatetime, AfterValidator(_utc)]


class _Lenient(BaseModel):
    """A part of a reply: what is missing, null or of a wrong type is as if it had not been sent."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        frozen=True,  # and so a default can be one and the same for all
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler, /) -> CoreSchema:
        """Have each field that has a default fall back to it, within pydantic's own core and so at no cost."""
        schema = handler(source)
        parts: Any = handler.resolve_ref_schema(schema)
        while parts["type"] != "model-fields":
            parts = parts["schema"]
        for field in parts["fields"].values():
            if field["schema"]["type"] == "default":
                field["schema"]["on_error"] = "default"
        return schema

    def __hash__(self) -> int:
        """Have a hash: pydantic copies, each time, a default that has none (pydantic-core, `WithDefaultValidator`)."""
        return hash(type(self))


class Customer(_Lenient):
    """Who is called."""

    number: str | None = None
    external_id: str | None = None
    extension: str | None = None
    name: str | None = None


class AssistantOverrides(_Lenient):
    """What a call changes about its assistant; Vapi echoes it, as seen by third parties in March 2026."""

    metadata: dict[str, Any] = Field(default_factory=dict)
    variable_values: dict[str, Any] = Field(default_factory=dict)


class Plan(_Lenient):
    """One part of an analysis plan; without `enabled` Vapi's default holds, which differs from part to part."""

    enabled: bool | None = None


class AnalysisPlan(_Lenient):
    """What Vapi extracts after a call (deprecated there, and still what most assistants have)."""

    summary_plan: Plan = Plan()
    structured_data_plan: Plan = Plan()
    success_evaluation_plan: Plan = Plan()
    min_messages_threshold: int | None = None


class ArtifactPlan(_Lenient):
    """What Vapi keeps of a call, and which structured outputs it computes; all of it, for an override of one part."""

    model_config = ConfigDict(extra="allow")

    recording_enabled: bool | None = None
    structured_output_ids: list[str] = Field(default_factory=list)
    structured_outputs: Annotated[list[dict[str, Any]], BeforeValidator(_objects)] = Field(default_factory=list)


class Assistant(_Lenient):
    """An assistant, as far as it tells what it brings back."""

    id: str | None = None
    name: str | None = None
    latest_version: str | None = None
    analysis_plan: AnalysisPlan = AnalysisPlan()
    artifact_plan: ArtifactPlan = ArtifactPlan()


class PhoneNumber(_Lenient):
    """The number that calls are made from; `provider` is `vapi` for a free one (10 calls a day, US only)."""

    id: str | None = None
    provider: str | None = None
    number: str | None = None
    name: str | None = None
    status: str | None = None


class Analysis(_Lenient):
    """What Vapi made of a conversation; it arrives after the end, piece by piece."""

    summary: str | None = None
    structured_data: dict[str, Any] | None = None
    success_evaluation: Text | None = None


class CallMessage(_Lenient):
    """One turn, of whatever role: `assistant` or `bot`, `user`, `system`, tools."""

    role: str | None = None
    message: str | None = None
    seconds_from_start: float | None = None


class Artifact(_Lenient):
    """What is left of a call."""

    transcript: str | None = None
    messages: Annotated[list[CallMessage], BeforeValidator(_objects)] = Field(default_factory=list)
    recording: dict[str, Any] = Field(default_factory=dict)
    recording_url: str | None = None
    structured_outputs: dict[str, Any] = Field(default_factory=dict)
    skipped_structured_outputs: dict[str, Any] = Field(default_factory=dict)


class Monitor(_Lenient):
    """Keys to the live call; kept in memory only."""

    control_url: str | None = Field(default=None, repr=False)


class SubscriptionLimits(_Lenient):
    """Whether the call waits for a line; the figures are advisory, as third parties report them wrong."""

    concurrency_blocked: bool = False
    concurrency_limit: int | None = None
    remaining_concurrent_calls: int | None = None


class Call(_Lenient):
    """One call; only its id is certain to be there."""

    id: str = Field(min_length=1)
    status: str = ""
    ended_reason: str | None = None
    ended_message: str | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    started_at: Time | None = None
    ended_at: Time | None = None
    cost: float | None = None
    phone_number_id: str | None = None
    customer: Customer = Field(default=Customer(), repr=False)
    assistant_id: str | None = None
    assistant_overrides: AssistantOverrides = Field(default=AssistantOverrides(), repr=False)
    assistant: Assistant | None = Field(default=None, repr=False)
    analysis: Analysis = Field(default=Analysis(), repr=False)
    artifact: Artifact = Field(default=Artifact(), repr=False)
    monitor: Monitor = Field(default=Monitor(), repr=False)
    subscription_limits: SubscriptionLimits = SubscriptionLimits()

    # Not one of pydantic's private attributes, which take as long to make as the rest of the call.
    __slots__ = ("_body",)
    if TYPE_CHECKING:
        _body: ClassVar[Any]

    @model_validator(mode="wrap")
    @classmethod
    def _keep_body(cls, body: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        call = handler(body)
        object.__setattr__(call, "_body", body)
        return call

    def key(self) -> str | None:
        """Return the key that the attempt was placed with; None for a call of somebody else."""
        written = self.assistant_overrides.metadata.get("key")
        return self.customer.external_id or (written if isinstance(written, str) else None)

    def is_shown_by(self, body: object) -> bool:
        """Whether this reply, read from JSON, shows nothing else than the one that this call was read from."""
        return bool(self._body == body)

    def stored(self) -> bytes:
        """Return Vapi's whole record as JSON, without keys to the live call and without addresses that expire."""
        return json.dumps(_storable(self._body), separators=(",", ":")).encode("ascii")


def listed(page: object, known: Mapping[str, Call]) -> list[Call]:
    """The calls of a page of Vapi's list; an item that cannot be read is left out. Raises ValueError for no list.

    One of the `known`, by id, stands there itself where it is shown as it is.
    """
    if not isinstance(page, list):
        raise ValueError("not a list")  # noqa: TRY004 -- it is the reply that is wrong, not our argument
    return [call for item in page if (call := _listed(item, known))]


def _listed(item: object, known: Mapping[str, Call]) -> Call | None:
    call = known.get(str(item.get("id"))) if isinstance(item, dict) else None
    if call is not None and call.is_shown_by(item):  # most are, from one tick of the feed to the next
        return call
    try:
        return Call.model_validate(item)
    except ValidationError:
        return None


def _storable(value: Any, depth: int = 0, whole: bool = False) -> Any:
    kind = type(value)  # of what was read from JSON, so there are no kinds of these kinds
    if depth > _DEEPEST or (kind is float and not math.isfinite(value)):
        return None
    if kind is dict:
        return {
            name: _storable(item, depth + 1, whole or name in _KEPT_WHOLE)
            for name, item in value.items()
            if whole or not (_is_withheld(name) or (type(item) is str and _PRESIGNED.match(item)))
        }
    if kind is list:
        return [_storable(item, depth + 1, whole) for item in value]
    return value


@lru_cache(1024)  # the same few names stand in every call
def _is_withheld(name: str) -> bool:
    return name in _SECRET or name.lower().startswith("presigned")
