"""What Vapi's analysis makes of a conversation: summary, structured data, success evaluation, structured outputs."""

from collections.abc import Mapping
from typing import Any, Final

from concierge_calls.simulator.endings import Ending, Manner

DATA_KEYS: Final = (
    "availability",
    "earliest_availability",
    "estimated_rate",
    "single_person_found",
    "technician_name",
    "all_criteria_met",
    "criteria_details",
    "call_outcome",
    "recommended",
    "disqualified",
    "disqualification_reason",
    "do_not_call",
    "notes",
)
_UNKNOWN: Final[dict[str, Any]] = dict.fromkeys(DATA_KEYS) | {
    "availability": "unclear",
    "call_outcome": "neutral",
    "recommended": False,
    "disqualified": False,
    "do_not_call": False,
}


def analysis(assistant: Mapping[str, Any], data: Mapping[str, Any], summary: str) -> dict[str, Any]:
    """Return `Call.analysis` with the parts that the assistant's plan asks for (Vapi: OpenAPI, schema AnalysisPlan)."""
    plan = assistant.get("analysisPlan") or {}
    parts: dict[str, Any] = {}
    if _enabled(plan.get("summaryPlan"), default=True):
        parts["summary"] = summary
    structured = plan.get("structuredDataPlan") or {}
    if _enabled(structured, default=False) and structured.get("schema"):
        parts["structuredData"] = shaped(data, structured["schema"])
    if _enabled(plan.get("successEvaluationPlan"), default=True):
        parts["successEvaluation"] = "true" if data["call_outcome"] == "positive" else "false"
    return parts


def structured_outputs(assistant: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return `artifact.structuredOutputs`: id -> {name, result}, for saved outputs and for those sent along."""
    plan = assistant.get("artifactPlan") or {}
    found = {each: {"name": "provider call", "result": dict(data)} for each in plan.get("structuredOutputIds") or ()}
    for number, each in enumerate(plan.get("structuredOutputs") or ()):
        identifier = f"00000000-0000-4000-8000-{number:012d}"
        found[identifier] = {"name": each["name"], "result": shaped(data, each["schema"])}
    return found


def data_of(ending: Ending, reason: str, known: Mapping[str, str]) -> dict[str, Any]:
    """Return the structured data that a good extraction finds; what was not said is null or `unclear`."""
    if ending.manner is Manner.VOICEMAIL:
        return _UNKNOWN | {"call_outcome": "voicemail", "notes": "A machine answered, and heard the message."}
    if reason != ending.reason or ending.manner is Manner.FAULT or reason == "exceeded-max-duration":
        return _UNKNOWN | {"notes": "The call broke off before the questions were answered."}
    return _UNKNOWN | _FOUND[ending.answer](known)


def summary_of(data: Mapping[str, Any], known: Mapping[str, str]) -> str:
    """Return two or three sentences about the call, as Vapi's summary has them."""
    who, wanted = known["provider"], f"{known['service']}{known['where']}"
    outcome = {
        "available": f"They are available {known['day']} and charge {known['rate']}.",
        "callback_requested": f"They could not answer yet and want to call back {known['day']}.",
        "unavailable": f"They are not available. {data['disqualification_reason'] or data['notes']}",
    }.get(data["availability"], data["notes"])
    return f"An AI assistant called {who} about {wanted}. {outcome}"


def shaped(data: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts under the schema's own properties, in the types that it asks for; what is not known is null."""
    return {name: _as(rule, data.get(name)) for name, rule in (schema.get("properties") or {}).items()}


def _as(rule: Mapping[str, Any], value: Any) -> Any:
    words = rule.get("enum") or ()
    if value is None:
        return next((word for word in ("unclear", "unknown") if word in words), None)
    if isinstance(value, bool) and rule.get("type") == "string":
        spoken = "yes" if value else "no"
        return spoken if spoken in words else str(value).lower()
    return value if not words or value in words else None


def _enabled(plan: Mapping[str, Any] | None, *, default: bool) -> bool:
    enabled = (plan or {}).get("enabled")
    return default if enabled is None else bool(enabled)


def _available(known: Mapping[str, str]) -> dict[str, Any]:
    return {
        "availability": "available",
        "earliest_availability": known["day"],
        "estimated_rate": known["rate"],
        "single_person_found": True,
        "technician_name": known["worker"],
        "all_criteria_met": True,
        "criteria_details": f"{known['worker']} meets: {known['criteria']}",
        "call_outcome": "positive",
        "recommended": True,
    }


def _callback(known: Mapping[str, str]) -> dict[str, Any]:
    return {"availability": "callback_requested", "notes": f"Wants to call back {known['day']}."}


def _unavailable(_known: Mapping[str, str]) -> dict[str, Any]:
    return {
        "availability": "unavailable",
        "call_outcome": "negative",
        "notes": "Takes no new work at the moment.",
    }


def _disqualified(known: Mapping[str, str]) -> dict[str, Any]:
    return {
        "availability": "unavailable",
        "single_person_found": False,
        "all_criteria_met": False,
        "criteria_details": f"Does not meet all of: {known['criteria']}",
        "call_outcome": "negative",
        "disqualified": True,
        "disqualification_reason": "Does not meet all of the criteria.",
    }


def _do_not_call(_known: Mapping[str, str]) -> dict[str, Any]:
    return {
        "availability": "unavailable",
        "call_outcome": "negative",
        "disqualified": True,
        "disqualification_reason": "Asked not to be called again.",
        "do_not_call": True,
    }


_FOUND: Final = {
    "available": _available,
    "callback": _callback,
    "unavailable": _unavailable,
    "disqualified": _disqualified,
    "do-not-call": _do_not_call,
}
