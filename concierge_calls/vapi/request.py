"""The body of the one request that makes a phone ring, kept to Vapi's limits before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from concierge_calls.models import CallRequest, Provider
from concierge_calls.vapi import facts
from concierge_calls.vapi.assistant import assistant, duration_limit, variable_values

# Vapi, OpenAPI CreateCallDTO and CreateCustomerDTO.
NAME_LENGTH: Final = 40
EXTENSION_LENGTH: Final = 10

# Vapi, OpenAPI ArtifactPlan: the parts that a saved assistant may have and a create takes.
ARTIFACT_PLAN: Final = (
    "fullMessageHistoryEnabled",
    "loggingEnabled",
    "pcapEnabled",
    "recordingFormat",
    "recordingPath",
    "scorecardIds",
    "scorecards",
    "structuredOutputIds",
    "structuredOutputs",
    "transcriptPlan",
)


def create_body(
    asked: CallRequest,
    key: str,
    *,
    phone_number_id: str,
    assistant_id: str | None,
    call_timeout: int,
    record: bool,
    saved: Mapping[str, Any] = MappingProxyType({}),
    server_url: str | None = None,
    server_secret: str | None = None,
) -> dict[str, Any]:
    """What `POST /call` takes for this provider (Vapi, OpenAPI CreateCallDTO).

    The attempt's `key`, at most 40 characters, stands in `customer.externalId` and `assistantOverrides.metadata`:
    by it a call whose receipt was lost is found again. `call_timeout` is in seconds. With `assistant_id` the user's
    own assistant is used; its server is never overridden, so `server_url` and `server_secret` count for ours alone,
    and of its `saved` artifactPlan only the recording is.
    """
    overrides = {"variableValues": variable_values(asked), "metadata": _metadata(asked, key)}
    body: dict[str, Any] = {
        "name": facts.plain(f"#{asked.index + 1} {asked.provider.name}", NAME_LENGTH),
        "phoneNumberId": phone_number_id,
        "customer": _customer(asked.provider, key),
        "assistantOverrides": overrides,
    }
    if assistant_id is None:
        ours = assistant(call_timeout=call_timeout, record=record, server_url=server_url, server_secret=server_secret)
        return body | {"assistant": ours}
    theirs = {
        "variableValues": facts.columns(asked.provider.extra) | overrides["variableValues"],
        "maxDurationSeconds": duration_limit(call_timeout),
        "artifactPlan": _artifact_plan(saved, record),
    }
    return body | {"assistantId": assistant_id, "assistantOverrides": overrides | theirs}


def _artifact_plan(saved: Mapping[str, Any], record: bool) -> dict[str, Any]:
    # Vapi does not say whether an override replaces the whole plan, so what is saved goes along, lest it be lost.
    kept = {name: saved[name] for name in ARTIFACT_PLAN if saved.get(name) is not None}
    return kept | {"recordingEnabled": record}


def _customer(provider: Provider, key: str) -> dict[str, Any]:
    customer = {"number": provider.phone, "externalId": key}
    if name := facts.plain(provider.name, NAME_LENGTH):
        customer["name"] = name
    # Part of an extension would reach somebody else, so a longer one is left out and the main line answers.
    if provider.extension and len(provider.extension) <= EXTENSION_LENGTH:
        customer["extension"] = provider.extension
    return customer


def _metadata(asked: CallRequest, key: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"key": key, "source": "concierge-calls", "row": asked.index}
    if asked.request.service_request_id:
        metadata["serviceRequestId"] = facts.plain(asked.request.service_request_id, 200)
    return metadata
