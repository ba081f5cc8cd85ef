"""What is sent to the service, in the plan's names; a field that is not known is refused."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def _storable(text: str) -> str:
    if _NO_TEXT.search(text):
        raise ValueError("Has a character in it that no text can hold")
    return text


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000), AfterValidator(_storable)
]
WANTED: dict[str, Any] = {
    "serviceNeeded": "plumbing",
    "userCriteria": "licensed, available tomorrow",
    "location": "Greenville SC",
    "urgency": "within_24_hours",
}


class Body(BaseModel):
    """An object in which every field is known."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, hide_input_in_errors=True)


class Wanted(Body):
    """What is wanted of the providers, and how they are called; what is left out is as the server is set."""

    service_needed: Text | None = Field(None, description="Needed, unless the server has an assistant of its own.")
    user_criteria: Text | None = Field(None, description="What a provider must meet.")
    location: Text | None = Field(None, description="Where the job is.")
    urgency: Text | None = Field(None, description="How soon; within_2_days when it is left out.")
    problem_description: Text | None = Field(None, description="What is wrong, in a sentence.")
    client_name: Text | None = Field(None, description="In whose name the assistant calls.")
    service_request_id: Text | None = Field(None, description="Comes back in every result.")
    allow_redial: bool = Field(False, description="Also call numbers that another run called lately.")
    call_timeout: int | None = Field(None, ge=10, le=43_200, description="Each call's own limit in seconds.")
    analysis_timeout: float | None = Field(None, ge=0, le=86_400, description="Seconds to wait for an analysis.")
    via: Literal["auto", "direct", "kestra"] | None = Field(None, description="Which way the calls go.")
    region: Text | None = Field(None, description="How a number without a country code is read, such as US.")
    record: bool | None = Field(None, description="Let Vapi record; the assistant's first sentence then says so.")


class ProviderBody(Body):
    """One business to call."""

    name: Text
    phone: Text = Field(description="As people write it; without a country code as `region` says.")
    id: Text | None = Field(None, description="Comes back in its result.")
    extension: Text | None = None


class BatchBody(Wanted):
    """Several providers, called at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "providers": [
                        {"name": "Provider 1", "phone": "+18645550101"},
                        {"name": "Provider 2", "phone": "+18645550102"},
                        {"name": "Provider 3", "phone": "+18645550103"},
                    ],
                    **WANTED,
                    "maxConcurrent": 3,
                }
            ]
        }
    )

    providers: list[ProviderBody] = Field(min_length=1)
    max_concurrent: int | None = Field(None, ge=1, description="Calls on the line at once; at most the server's.")


class CallBody(Wanted):
    """One provider."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"providerName": "Upstate Plumbing", "providerPhone": "+18645550101", **WANTED}]
        }
    )

    provider_name: Text
    provider_phone: Text
    provider_id: Text | None = None
    provider_extension: Text | None = None

    @property
    def provider(self) -> ProviderBody:
        """The provider, as one of several would be named."""
        return ProviderBody.model_construct(
            name=self.provider_name,
            phone=self.provider_phone,
            id=self.provider_id,
            extension=self.provider_extension,
        )


class FileBody(Wanted):
    """A providers file as `concierge-calls batch` takes it; rows that cannot be used are skipped."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "fileName": "providers.csv",
                    "contentBase64": "bmFtZSxwaG9uZQpVcHN0YXRlLCs4NjQgNTU1IDAxMDEK",
                    **WANTED,
                }
            ]
        }
    )

    file_name: Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_storable)]
    content_base64: str = Field(alias="contentBase64", description="What the file holds, in Base64.")
    map: dict[str, str] = Field(default={}, description="Our field -> the column that was not recognised.")
    max_concurrent: int | None = Field(None, ge=1)


class SessionBody(Body):
    """The token, shown once for the page's cookie."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": "…"}]})

    token: Annotated[str, StringConstraints(min_length=1)]


class VapiCall(BaseModel):
    """The part of a call that a server message is believed to have."""

    id: str | None = None


class VapiMessage(BaseModel):
    """The part of a server message that matters here (Vapi, server-url/events)."""

    type: str
    status: str | None = None
    call: VapiCall | None = None


class WebhookBody(BaseModel):
    """One server message of Vapi's; all else that is in it is left alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"message": {"type": "status-update", "status": "ended", "call": {"id": "call-1"}}}]
        }
    )

    message: VapiMessage
