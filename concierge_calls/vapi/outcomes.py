"""What an ended call came to: what its endedReason concludes, refined by who spoke."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from concierge_calls.models import Analysis, AnalysisStatus, CallOutcome, CallStatus, Message, Reason
from concierge_calls.vapi.reasons import UNKNOWN, conclusion, group

if TYPE_CHECKING:
    from concierge_calls.vapi.schemas import Assistant, Call

_SPEAKER: Final = re.compile(r"^(AI|Assistant|Bot|User):[ \t]*\S", re.MULTILINE)
_ROLES: Final = {"assistant": "assistant", "bot": "assistant", "user": "user"}

# Vapi does not say which reason our own hang-up gets, so these do not speak against it.
_MAY_BE_OUR_HANG_UP: Final = frozenset({"A2 ended-by-provider", "M3 line-or-worker-lost", "N cancelled", UNKNOWN})
_CUT: Final = {"timeout": CallStatus.TIMEOUT, "cancelled": CallStatus.CANCELLED}

# Before the assistant's first sentence is over nothing stands in the messages; after it, an empty record is a late one.
_FIRST_SENTENCE: Final = 10.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an assistant brings back from a conversation, so that nothing else is waited for."""

    summary: bool
    structured_data: bool
    success_evaluation: bool
    structured_outputs: frozenset[str] = frozenset()  # ids, or the names of those without one
    recording: bool = False

    @property
    def anything(self) -> bool:
        """Whether there will be an analysis at all."""
        return bool(self.summary or self.structured_data or self.success_evaluation or self.structured_outputs)

    @classmethod
    def of(cls, assistant: Assistant) -> Expected:
        """Read it from an assistant, with Vapi's defaults (OpenAPI: AnalysisPlan, ArtifactPlan) where it is silent."""
        analysis, artifact = assistant.analysis_plan, assistant.artifact_plan
        inline = {str(output["name"]) for output in artifact.structured_outputs if output.get("name")}
        return cls(
            summary=analysis.summary_plan.enabled is not False,
            structured_data=analysis.structured_data_plan.enabled is True,
            success_evaluation=analysis.success_evaluation_plan.enabled is not False,
            structured_outputs=frozenset(inline.union(artifact.structured_output_ids)),
            recording=artifact.recording_enabled is not False,
        )


OURS: Final = Expected(summary=True, structured_data=True, success_evaluation=True)


def analysis_due(call: Call, expects: Expected) -> bool:
    """Whether an analysis is still to come: the assistant extracts something, and somebody spoke to it.

    Vapi analyses nothing under two messages (OpenAPI: AnalysisPlan.minMessagesThreshold).
    """
    known = conclusion(call.ended_reason)
    if not (known.analysis and expects.anything):
        return False
    speakers = _speakers(call)
    if not speakers:
        return known.concludes in {"conversation", "timeout"} and _lasted(call) >= _FIRST_SENTENCE
    return len(speakers) > 1 and "user" in speakers


def analysis_complete(call: Call, expects: Expected) -> bool:
    """Whether every expected piece is there; a structured output that Vapi skipped or failed at counts as there."""
    found, delivered = call.analysis, _delivered(call)
    data = found.structured_data is not None or bool(delivered and not expects.structured_outputs)
    return (
        bool(found.summary or not expects.summary)
        and bool(data or not expects.structured_data)
        and bool(found.success_evaluation or not expects.success_evaluation)
        and expects.structured_outputs <= delivered
    )


def outcome(
    call: Call,
    expects: Expected,
    *,
    waited: bool = False,
    base_url: str,
    cut: Reason | None = None,
) -> CallOutcome:
    """What is known of a call that has ended.

    `waited` says that the time for its analysis is over; `cut` is why we hung it up, code `timeout` or `cancelled`.
    """
    analysis = _analysis(call, expects, waited)
    status, error = _ending(call, analysis.structured_data, cut)
    return CallOutcome(
        status=status,
        ended_reason=call.ended_reason,
        started_at=call.started_at,
        ended_at=call.ended_at,
        transcript=call.artifact.transcript or "",
        messages=tuple(_messages(call)),
        analysis=analysis,
        cost=call.cost,
        recording_url=_recording_url(call, expects, base_url),
        error=error,
    )


def _ending(call: Call, data: Mapping[str, Any], cut: Reason | None) -> tuple[CallStatus, Reason | None]:
    if cut and cut.code in _CUT and _may_be_ours(call.ended_reason):
        return _CUT[cut.code], cut
    known = conclusion(call.ended_reason)
    if known.concludes == "conversation":
        return _conversation(call, data), None
    return CallStatus(known.concludes), known.reason(call.ended_reason)


def _conversation(call: Call, data: Mapping[str, Any]) -> CallStatus:
    """Who spoke decides; then what the assistant took the other side for."""
    if "user" not in _speakers(call):
        return CallStatus.NO_ANSWER
    said = data.get("call_outcome")
    return CallStatus(said) if said in ("voicemail", "no_answer") else CallStatus.COMPLETED


def _may_be_ours(ended_reason: str | None) -> bool:
    return group(ended_reason) in _MAY_BE_OUR_HANG_UP or str(ended_reason).startswith("assistant-ended-call")


def _speakers(call: Call) -> list[str]:
    """Who spoke, turn by turn, from the messages, or from the transcript's lines where there are none."""
    if turns := [turn.role for turn in _messages(call)]:
        return turns
    return [_ROLES.get(name.lower(), "assistant") for name in _SPEAKER.findall(call.artifact.transcript or "")]


def _messages(call: Call) -> Iterator[Message]:
    """The turns of the two who talked; the assistant's instructions and its tools are no turns."""
    for item in call.artifact.messages:
        role, text = _ROLES.get(item.role or ""), (item.message or "").strip()
        if role and text:
            yield Message(role=role, message=text, seconds_from_start=item.seconds_from_start)


def _lasted(call: Call) -> float:
    if call.started_at is None or call.ended_at is None:
        return 0.0
    return (call.ended_at - call.started_at).total_seconds()


def _analysis(call: Call, expects: Expected, waited: bool) -> Analysis:
    found, data = call.analysis, _structured_data(call)
    return Analysis(
        status=_analysis_status(call, expects, waited, bool(found.summary or data or found.success_evaluation)),
        summary=found.summary or None,
        structured_data=data,
        success_evaluation=found.success_evaluation or None,
    )


def _analysis_status(call: Call, expects: Expected, waited: bool, has_come: bool) -> AnalysisStatus:
    """Complete is what has come and misses nothing that was due; until the wait is over nothing is missing."""
    due, done = analysis_due(call, expects), analysis_complete(call, expects)
    if has_come and (done or not due):
        return AnalysisStatus.COMPLETE
    return AnalysisStatus.MISSING if due and (done or waited) else AnalysisStatus.NONE


def _structured_data(call: Call) -> dict[str, Any]:
    """What was extracted: one object as it is, several results by their names (Vapi: structured-outputs)."""
    data = call.analysis.structured_data or {}
    results: dict[str, Any] = {}
    for key, output in call.artifact.structured_outputs.items():
        if isinstance(output, Mapping) and output.get("result") is not None:
            name = str(output.get("name") or key)
            results[key if name in results else name] = output["result"]
    if len(results) == 1 and not data and isinstance(only := next(iter(results.values())), Mapping):
        return dict(only)
    return data | results


def _delivered(call: Call) -> frozenset[str]:
    """The structured outputs that Vapi is done with, by id and by name."""
    done = call.artifact.structured_outputs | call.artifact.skipped_structured_outputs
    names = {str(output["name"]) for output in done.values() if isinstance(output, Mapping) and output.get("name")}
    return frozenset(names.union(done))


def _recording_url(call: Call, expects: Expected, base_url: str) -> str | None:
    """Vapi's lasting address of the recording (Vapi, assistants/retrieve-call-artifacts); others expire."""
    if not expects.recording or not (call.artifact.recording or call.artifact.recording_url):
        return None
    return f"{base_url.rstrip('/')}/call/{call.id}/mono-recording"
