"""What the account is taken to have: any assistant and any phone number that is asked for."""

from typing import Any, Final

from concierge_calls.simulator.analysis import DATA_KEYS
from concierge_calls.simulator.options import SimulatorOptions

ORGANISATION: Final = "0f8f7a3e-5d1c-4a53-9a55-5e1a7c0de555"
NUMBER: Final = "+13125550100"
"""The number that calls come from; one of those reserved for fiction."""
_SAVED_AT: Final = "2026-01-05T09:00:00.000Z"
_FLAGS: Final = ("single_person_found", "all_criteria_met", "recommended", "disqualified", "do_not_call")
_CHOICES: Final = {
    "availability": ["available", "unavailable", "callback_requested", "unclear"],
    "call_outcome": ["positive", "negative", "neutral", "no_answer", "voicemail"],
}


def phone_number(identifier: str, options: SimulatorOptions) -> dict[str, Any]:
    """Return `GET /phone-number/{id}` (Vapi: OpenAPI, schema TwilioPhoneNumber and its like)."""
    return {
        "id": identifier,
        "orgId": ORGANISATION,
        "provider": options.provider,
        "number": NUMBER,
        "name": "Simulated line",
        "status": "active",
        "createdAt": _SAVED_AT,
        "updatedAt": _SAVED_AT,
    }


def assistant(identifier: str) -> dict[str, Any]:
    """Return `GET /assistant/{id}` (Vapi: OpenAPI, schema Assistant).

    An id with `no-analysis` in it extracts nothing; one with `outputs` in it has a structured output beside the plan.
    """
    saved: dict[str, Any] = {
        "id": identifier,
        "orgId": ORGANISATION,
        "createdAt": _SAVED_AT,
        "updatedAt": _SAVED_AT,
        "name": "Simulated assistant",
        "model": {"provider": "openai", "model": "gpt-4.1", "messages": [{"role": "system", "content": _PROMPT}]},
        "voice": {"provider": "vapi", "voiceId": "Elliot"},
        "transcriber": {"provider": "deepgram", "model": "nova-3", "language": "en"},
        "analysisPlan": _NOTHING if "no-analysis" in identifier else _PLAN,
    }
    if "outputs" in identifier:
        saved["artifactPlan"] = {"structuredOutputIds": ["5a1d0e0e-7c2b-4e0c-8a58-00000000feed"]}
    return saved


def _schema() -> dict[str, Any]:
    properties: dict[str, Any] = {key: {"type": "boolean" if key in _FLAGS else "string"} for key in DATA_KEYS}
    for key, words in _CHOICES.items():
        properties[key]["enum"] = words
    return {"type": "object", "properties": properties}


_PROMPT: Final = "You phone service providers and find out whether and when they can help."
_PLAN: Final = {
    "summaryPlan": {"enabled": True},
    "successEvaluationPlan": {"enabled": True, "rubric": "PassFail"},
    "structuredDataPlan": {"enabled": True, "schema": _schema(), "timeoutSeconds": 30},
}
_NOTHING: Final = {"summaryPlan": {"enabled": False}, "successEvaluationPlan": {"enabled": False}}
