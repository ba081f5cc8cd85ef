"""A call as Vapi's JSON shows it, now or as it was a while ago."""

import math
from datetime import UTC, datetime
from typing import Any, Final

from concierge_calls.simulator.calls import Call
from concierge_calls.simulator.conversations import Turn, liquid
from concierge_calls.simulator.saved import ORGANISATION

_COST_A_MINUTE: Final = 0.09
_SHARES: Final = {"transport": 0.15, "stt": 0.11, "llm": 0.13, "tts": 0.05, "vapi": 0.56}
# What a create may hold and Vapi shows again as it was sent.
_ECHOED: Final = (
    "name",
    "assistantId",
    "assistant",
    "assistantVersion",
    "assistantOverrides",
    "phoneNumberId",
    "phoneNumber",
    "customer",
)


def milliseconds(moment: float) -> int:
    """Return a moment as Vapi knows it: whole milliseconds since the epoch."""
    return math.floor(moment * 1000)


def stamp(moment: float) -> str:
    """Return a moment as Vapi writes it, `2026-01-01T10:00:00.123Z`."""
    whole, thousandths = divmod(milliseconds(moment), 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{thousandths:03d}Z"


def shown(call: Call, moment: float, url: str) -> dict[str, Any]:
    """Return the call as it was at `moment` (Vapi: OpenAPI, schema Call; the create's reply has the same shape)."""
    updated, status = call.at(moment) or (call.created, call.changes[0][1])
    body = _as_created(call, url) | {"status": status, "updatedAt": stamp(updated)}
    if call.answered is not None and call.answered <= moment:
        body["startedAt"] = stamp(call.answered)
    if status == "ended":
        body |= _as_ended(call, moment, url)
    return body


def _as_created(call: Call, url: str) -> dict[str, Any]:
    return {
        "id": call.id,
        "orgId": ORGANISATION,
        "type": "outboundPhoneCall",
        "createdAt": stamp(call.created),
        "cost": 0,
        **{name: call.body[name] for name in _ECHOED if call.body.get(name) is not None},
        "phoneCallProvider": "twilio",
        "phoneCallTransport": "pstn",
        "monitor": _monitor(call, url),
        "transport": {"provider": "twilio", "conversationType": "voice"},
        "subscriptionLimits": call.limits,
    }


def _monitor(call: Call, url: str) -> dict[str, str]:
    plan = call.assistant.get("monitorPlan") or {}
    live = f"{url}/live/{call.id}"
    urls = {
        "listen": ("listenUrl", f"{live.replace('http', 'ws', 1)}/listen"),
        "control": ("controlUrl", f"{live}/control"),
    }
    return dict(pair for what, pair in urls.items() if plan.get(f"{what}Enabled") is not False)


def _as_ended(call: Call, moment: float, url: str) -> dict[str, Any]:
    turns, _ = call.said()
    cost = _cost(call)
    body: dict[str, Any] = {
        "endedAt": stamp(call.ended or 0.0),
        "endedReason": call.reason,
        "cost": cost["total"],
        "costBreakdown": cost,
        "artifact": _artifact(call, turns, url),
    }
    if call.analysed is not None and call.analysed <= moment:
        analysis, outputs = call.findings()
        body |= {"analysis": analysis} if analysis else {}
        if outputs:
            last = stamp(call.analysed)
            body["artifact"] |= {"structuredOutputs": outputs, "structuredOutputsLastUpdatedAt": last}
    return body


def _artifact(call: Call, turns: list[Turn], url: str) -> dict[str, Any]:
    if call.answered is None:
        return {"messages": [], "variableValues": call.variables}
    messages = [*_system(call), *(_message(call, each) for each in turns)]
    speakers = {"bot": "AI", "user": "User"}
    artifact: dict[str, Any] = {
        "messages": messages,
        "transcript": "".join(f"{speakers[each.role]}: {each.text}\n" for each in turns),
        "variableValues": call.variables,
    }
    if (call.assistant.get("artifactPlan") or {}).get("recordingEnabled") is not False:
        artifact["recordingUrl"] = f"{url}/call/{call.id}/mono-recording"
    return artifact


def _system(call: Call) -> list[dict[str, Any]]:
    prompts = (call.assistant.get("model") or {}).get("messages") or ()
    start = milliseconds(call.answered or 0.0)
    return [
        {"role": "system", "message": liquid(each["content"], call.variables), "time": start, "secondsFromStart": 0}
        for each in prompts
        if each.get("role") == "system" and each.get("content")
    ]


def _message(call: Call, turn: Turn) -> dict[str, Any]:
    """Return one turn (Vapi: OpenAPI, schemas BotMessage and UserMessage); time and duration are milliseconds."""
    start, length = turn.start / call.speed, (turn.end - turn.start) / call.speed
    answered = call.answered or 0.0
    return {
        "role": turn.role,
        "message": turn.text,
        "time": milliseconds(answered + start),
        "endTime": milliseconds(answered + start + length),
        "secondsFromStart": round(start, 3),
        "duration": round(length * 1000, 3),
    }


def _cost(call: Call) -> dict[str, float]:
    minutes = 0.0
    if call.answered is not None and call.ended is not None:
        minutes = (call.ended - call.answered) * call.speed / 60
    total = round(minutes * _COST_A_MINUTE, 4)
    return {name: round(total * share, 4) for name, share in _SHARES.items()} | {"total": total}
