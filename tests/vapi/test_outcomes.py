"""What an ended call came to: the table of reasons, who spoke, what was brought back, and our own hang-ups."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.backend import Verdict
from concierge_calls.models import AnalysisStatus, CallOutcome, CallStatus, Reason
from concierge_calls.vapi import outcomes, reasons
from concierge_calls.vapi.assistant import assistant as our_assistant
from concierge_calls.vapi.outcomes import OURS, Expected
from concierge_calls.vapi.schemas import Assistant, Call

SHARED = Path(__file__).parents[3] / "shared" / "vapi" / "ended-reasons.json"
PACKAGED = Path(str(outcomes.__file__)).with_name("ended_reasons.json")
REASONS = {
    reason: name
    for name, entry in json.loads(PACKAGED.read_text("utf-8"))["groups"].items()
    for reason in entry["reasons"]
}
NOTHING = Expected(summary=False, structured_data=False, success_evaluation=False)
ANALYSIS = {"summary": "They can come.", "structuredData": {"availability": "available"}, "successEvaluation": "true"}
BOT: dict[str, Any] = {"role": "bot", "message": "Have I reached you?", "secondsFromStart": 0.4}
USER: dict[str, Any] = {"role": "user", "message": "Yes.", "secondsFromStart": 2.0}
SYSTEM: dict[str, Any] = {"role": "system", "message": "You are an AI assistant."}
TALK = [SYSTEM, BOT, USER]

# What each group comes to when both sides spoke, and what when only the assistant did.
STATUSES = {
    "A completed": (CallStatus.COMPLETED, CallStatus.NO_ANSWER),
    "A2 ended-by-provider": (CallStatus.COMPLETED, CallStatus.NO_ANSWER),
    "A3 transfer-edge": (CallStatus.COMPLETED, CallStatus.NO_ANSWER),
    "B silence": (CallStatus.COMPLETED, CallStatus.NO_ANSWER),
    "C max-duration": (CallStatus.TIMEOUT, CallStatus.TIMEOUT),
    "D no-answer": (CallStatus.NO_ANSWER, CallStatus.NO_ANSWER),
    "E busy-or-rejected": (CallStatus.BUSY, CallStatus.BUSY),
    "F voicemail": (CallStatus.VOICEMAIL, CallStatus.VOICEMAIL),
    "N cancelled": (CallStatus.CANCELLED, CallStatus.CANCELLED),
}
VERDICTS = {
    "H concurrency": Verdict.NO_LINE,
    "I account-stop": Verdict.ACCOUNT,
    "K start-transient": Verdict.START_FAILED,
}


def ended(reason: str | None, messages: list[dict[str, Any]] | None = None, **more: Any) -> Call:
    artifact = {"messages": TALK if messages is None else messages} | more.pop("artifact", {})
    body = {"id": "c-1", "status": "ended", "endedReason": reason, "artifact": artifact}
    return Call.model_validate(body | more)


def outcome(call: Call, expects: Expected = OURS, **more: Any) -> CallOutcome:
    return outcomes.outcome(call, expects, base_url="https://api.vapi.ai", **more)


def test_the_table_holds_every_published_reason_in_its_group() -> None:
    if not SHARED.is_file():
        pytest.skip("the list of published reasons is not beside this folder")
    assert json.loads(SHARED.read_text("utf-8"))["reasons"] == REASONS


def test_the_table_has_604_reasons() -> None:
    assert len(REASONS) == 604


@pytest.mark.parametrize(("reason", "name"), REASONS.items())
def test_every_published_reason_has_its_group_status_and_verdict(reason: str, name: str) -> None:
    assert reasons.group(reason) == name
    spoken, silent = STATUSES.get(name, (CallStatus.ERROR, CallStatus.ERROR))
    assert outcome(ended(reason)).status is spoken
    assert outcome(ended(reason, [BOT])).status is silent
    assert reasons.verdict(reason) is expected_verdict(reason, name)


def expected_verdict(reason: str, name: str) -> Verdict:
    if reason == "scheduled-call-deleted":
        return Verdict.WITHDRAWN
    if name == "J config-stop" and reason.startswith("call.start."):
        return Verdict.ACCOUNT
    return VERDICTS.get(name, Verdict.FINAL)


@pytest.mark.parametrize("reason", [reason for reason, name in REASONS.items() if name not in STATUSES])
def test_every_error_says_what_to_do_and_names_vapis_reason(reason: str) -> None:
    error = outcome(ended(reason)).error
    assert error is not None
    assert error.code
    assert error.message.endswith(f"Vapi's reason: {reason}.")


@pytest.mark.parametrize("reason", ["customer-ended-call", "customer-busy", "voicemail", "customer-did-not-answer"])
def test_an_ordinary_ending_is_no_error(reason: str) -> None:
    assert outcome(ended(reason)).error is None


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("pipeline-error-newvoice-voice-failed", "M1 midcall-fault-transient"),
        ("pipeline-error-newmodel-401-unauthorized", "M2 midcall-config-or-quota"),
        ("call.in-progress.error-providerfault-newmodel-500-server-error", "M1 midcall-fault-transient"),
        ("call.in-progress.error-vapifault-newmodel-429-exceeded-quota", "M2 midcall-config-or-quota"),
        ("call.in-progress.error-providerfault-outbound-sip-486-busy-here", "L connect-failed"),
        ("sip-outbound-new", "L connect-failed"),
        ("call.start.error-subscription-new", "I account-stop"),
        ("call.start.error-get-org", "K start-transient"),
        ("assistant-request-returned-new", "J config-stop"),
        ("assistant-ended-call-with-new", "A completed"),
        ("call.forwarding.new", "A3 transfer-edge"),
        ("customer-ended-call-new-transfer", "A3 transfer-edge"),
        ("call.ringing.new", "O not-outbound-pstn"),
    ],
)
def test_a_reason_newer_than_the_table_is_read_by_how_it_begins(reason: str, name: str) -> None:
    assert reason not in REASONS
    assert reasons.group(reason) == name


@pytest.mark.parametrize("reason", ["call.start.error-subscription-new", "call.start.new", "call.start.error-get-org"])
def test_a_reason_newer_than_the_table_never_lets_anybody_be_dialled_again(reason: str) -> None:
    assert outcome(ended(reason)).status is CallStatus.ERROR
    assert reasons.verdict(reason) is Verdict.FINAL


@pytest.mark.parametrize("reason", ["something-new", "not-customer-ended-call", "voicemail-box-full", "Voicemail"])
def test_an_unknown_reason_is_an_error_that_shows_it(reason: str) -> None:
    result = outcome(ended(reason))
    assert reasons.group(reason) == "unknown"
    assert reasons.verdict(reason) is Verdict.FINAL
    assert (result.status, result.ended_reason) == (CallStatus.ERROR, reason)
    assert result.error is not None
    assert result.error.code == "unknown_reason"
    assert reason in result.error.message


@pytest.mark.parametrize("reason", [None, ""])
def test_an_ending_without_a_reason_is_an_error_that_says_so(reason: str | None) -> None:
    error = outcome(ended(reason)).error
    assert error is not None
    assert error.code == "unknown_reason"
    assert error.message.endswith("Vapi's reason: none given.")


def test_a_picked_up_call_in_which_only_the_assistant_spoke_is_no_answer() -> None:
    assert outcome(ended("customer-ended-call", [SYSTEM, BOT])).status is CallStatus.NO_ANSWER


def test_a_turn_without_words_is_no_turn() -> None:
    assert outcome(ended("customer-ended-call", [BOT, USER | {"message": "  "}])).status is CallStatus.NO_ANSWER


def test_where_messages_are_missing_the_transcript_tells_who_spoke() -> None:
    spoken = ended("customer-ended-call", [], artifact={"transcript": "AI: Hello.\nUser: Hi.\n"})
    silent = ended("customer-ended-call", [], artifact={"transcript": "AI: Hello, User: are you there?\nUser: \n"})
    assert outcome(spoken).status is CallStatus.COMPLETED
    assert outcome(silent).status is CallStatus.NO_ANSWER


@pytest.mark.parametrize("said", ["voicemail", "no_answer"])
def test_what_the_assistant_took_the_other_side_for_turns_a_completed_call_into_it(said: str) -> None:
    call = ended("assistant-ended-call", analysis={"structuredData": {"call_outcome": said}})
    assert outcome(call).status is CallStatus(said)


@pytest.mark.parametrize("said", ["positive", "error", "timeout", None, 7, ["voicemail"], {"a": 1}])
def test_no_other_call_outcome_changes_how_a_call_ended(said: Any) -> None:
    call = ended("assistant-ended-call", analysis={"structuredData": {"call_outcome": said}})
    assert outcome(call).status is CallStatus.COMPLETED


def test_a_call_outcome_changes_nothing_but_a_completed_call() -> None:
    call = ended("customer-busy", analysis={"structuredData": {"call_outcome": "voicemail"}})
    assert outcome(call).status is CallStatus.BUSY


def test_only_what_the_two_said_are_messages() -> None:
    tools = [{"role": "tool_calls", "message": "endCall"}, {"role": "tool_call_result", "message": "ok"}]
    messages = outcome(ended("customer-ended-call", [*TALK, *tools])).messages
    assert [(turn.role, turn.message, turn.seconds_from_start) for turn in messages] == [
        ("assistant", "Have I reached you?", 0.4),
        ("user", "Yes.", 2.0),
    ]


def test_what_vapi_kept_of_the_call_is_brought_home() -> None:
    call = ended(
        "customer-ended-call",
        artifact={"transcript": "AI: Hello."},
        cost=0.23,
        startedAt="2026-09-01T10:00:00Z",
        endedAt="2026-09-01T10:02:30.500Z",
    )
    result = outcome(call)
    assert (result.transcript, result.cost, result.duration) == ("AI: Hello.", 0.23, 150.5)
    assert result.started_at == datetime(2026, 9, 1, 10, tzinfo=UTC)


def test_a_call_that_left_nothing_has_an_empty_transcript_and_no_duration() -> None:
    result = outcome(Call.model_validate({"id": "c-1", "status": "ended", "endedReason": "customer-did-not-answer"}))
    assert (result.transcript, result.messages, result.duration, result.cost) == ("", (), 0.0, None)
    assert result.analysis.status is AnalysisStatus.NONE


RECORDED = {"recording": {"mono": {"combinedUrl": "https://storage.example.com/x?Signature=1"}}}


def test_a_recording_has_vapis_lasting_address() -> None:
    expects = Expected(summary=True, structured_data=True, success_evaluation=True, recording=True)
    result = outcomes.outcome(ended("customer-ended-call", artifact=RECORDED), expects, base_url="https://api.vapi.ai/")
    assert result.recording_url == "https://api.vapi.ai/call/c-1/mono-recording"


def test_without_a_recording_there_is_no_address() -> None:
    expects = Expected(summary=True, structured_data=True, success_evaluation=True, recording=True)
    assert outcome(ended("customer-ended-call"), expects).recording_url is None


def test_where_recording_was_off_there_is_no_address() -> None:
    assert outcome(ended("customer-ended-call", artifact=RECORDED), OURS).recording_url is None


def test_an_analysis_is_due_where_both_spoke() -> None:
    assert outcomes.analysis_due(ended("customer-ended-call"), OURS)


@pytest.mark.parametrize(
    "reason", ["call.in-progress.error-vapifault-worker-died", "manually-canceled", "something-new"]
)
def test_an_analysis_is_due_however_the_conversation_ended(reason: str) -> None:
    assert outcomes.analysis_due(ended(reason), OURS)
    assert not outcomes.analysis_due(ended(reason, []), OURS)


@pytest.mark.parametrize("messages", [[BOT], [SYSTEM, BOT, BOT], [USER], []])
def test_no_analysis_is_due_where_nobody_spoke_to_the_assistant(messages: list[dict[str, Any]]) -> None:
    assert not outcomes.analysis_due(ended("customer-ended-call", messages), OURS)


@pytest.mark.parametrize("name", "DEFGHIJKL")
def test_no_analysis_is_due_in_a_group_in_which_nobody_was_spoken_to(name: str) -> None:
    reason = next(reason for reason, of in REASONS.items() if of.split()[0] == name)
    assert not outcomes.analysis_due(ended(reason), OURS)


def test_no_analysis_is_due_from_an_assistant_that_extracts_nothing() -> None:
    assert not outcomes.analysis_due(ended("customer-ended-call"), NOTHING)


def test_a_conversation_of_which_nothing_is_there_yet_is_waited_for() -> None:
    times = {"startedAt": "2026-09-01T10:00:00Z", "endedAt": "2026-09-01T10:02:00Z"}
    assert outcomes.analysis_due(ended("customer-ended-call", [], **times), OURS)
    assert not outcomes.analysis_due(ended("customer-did-not-answer", [], **times), OURS)
    assert not outcomes.analysis_due(
        ended("customer-ended-call", [], **times | {"endedAt": "2026-09-01T10:00:05Z"}), OURS
    )


def test_an_analysis_is_complete_when_every_expected_piece_is_there() -> None:
    assert outcomes.analysis_complete(ended("customer-ended-call", analysis=ANALYSIS), OURS)


@pytest.mark.parametrize("piece", ANALYSIS)
def test_an_analysis_is_not_complete_while_an_expected_piece_is_missing(piece: str) -> None:
    rest = {name: value for name, value in ANALYSIS.items() if name != piece}
    assert not outcomes.analysis_complete(ended("customer-ended-call", analysis=rest), OURS)


@pytest.mark.parametrize("wrong", ["text", 7, [1], True, None])
def test_structured_data_of_a_wrong_type_is_no_structured_data(wrong: Any) -> None:
    call = ended("customer-ended-call", analysis=ANALYSIS | {"structuredData": wrong})
    result = outcome(call, waited=True)
    assert result.analysis.status is AnalysisStatus.MISSING
    assert (result.analysis.structured_data, result.analysis.summary) == ({}, "They can come.")


def test_structured_outputs_stand_in_for_structured_data() -> None:
    artifact = {"structuredOutputs": {"so-1": {"name": "answers", "result": {"availability": "available"}}}}
    call = ended("customer-ended-call", artifact=artifact, analysis=ANALYSIS | {"structuredData": None})
    assert outcomes.analysis_complete(call, OURS)
    assert outcome(call).analysis.structured_data == {"availability": "available"}


def test_several_structured_outputs_are_merged_by_their_names() -> None:
    outputs = {
        "so-1": {"name": "answers", "result": {"availability": "available"}},
        "so-2": {"name": "rating", "result": 4},
        "so-3": {"name": "rating", "result": 5},
        "so-4": {"name": "failed", "result": None},
        "so-5": "nonsense",
    }
    call = ended("customer-ended-call", artifact={"structuredOutputs": outputs})
    assert outcome(call).analysis.structured_data == {
        "answers": {"availability": "available"},
        "rating": 4,
        "so-3": 5,
    }


def test_a_single_structured_output_that_is_no_object_keeps_its_name() -> None:
    call = ended("customer-ended-call", artifact={"structuredOutputs": {"so-1": {"name": "rating", "result": 4}}})
    assert outcome(call).analysis.structured_data == {"rating": 4}


def test_a_structured_output_is_waited_for_until_it_came_failed_or_was_skipped() -> None:
    expects = Expected(
        summary=False, structured_data=False, success_evaluation=False, structured_outputs=frozenset({"so-1", "so-2"})
    )
    one = {"structuredOutputs": {"so-1": {"name": "a", "result": None}}}
    both = one | {"skippedStructuredOutputs": {"so-2": {"name": "b", "unmetCondition": {}}}}
    assert outcomes.analysis_due(ended("customer-ended-call"), expects)
    assert not outcomes.analysis_complete(ended("customer-ended-call", artifact=one), expects)
    assert outcomes.analysis_complete(ended("customer-ended-call", artifact=both), expects)


def test_a_complete_analysis_is_brought_home() -> None:
    analysis = outcome(ended("customer-ended-call", analysis=ANALYSIS)).analysis
    assert analysis.status is AnalysisStatus.COMPLETE
    assert analysis.summary == "They can come."
    assert analysis.structured_data == {"availability": "available"}
    assert analysis.success_evaluation == "true"


def test_an_analysis_that_was_waited_for_in_vain_is_missing_and_none_is_invented() -> None:
    analysis = outcome(ended("customer-ended-call"), waited=True).analysis
    assert analysis.status is AnalysisStatus.MISSING
    assert (analysis.summary, analysis.structured_data, analysis.success_evaluation) == (None, {}, None)


def test_a_partial_analysis_that_was_waited_for_is_missing_and_keeps_what_came() -> None:
    analysis = outcome(ended("customer-ended-call", analysis={"summary": "They can come."}), waited=True).analysis
    assert (analysis.status, analysis.summary) == (AnalysisStatus.MISSING, "They can come.")


def test_an_analysis_is_not_missing_before_it_was_waited_for() -> None:
    assert outcome(ended("customer-ended-call")).analysis.status is AnalysisStatus.NONE


def test_an_extraction_at_which_vapi_failed_is_missing() -> None:
    expects = Expected(
        summary=False, structured_data=False, success_evaluation=False, structured_outputs=frozenset({"so-1"})
    )
    call = ended("customer-ended-call", artifact={"structuredOutputs": {"so-1": {"name": "a", "result": None}}})
    assert outcome(call, expects).analysis.status is AnalysisStatus.MISSING


def test_where_none_is_due_none_is_missing() -> None:
    assert outcome(ended("customer-did-not-answer", []), waited=True).analysis.status is AnalysisStatus.NONE


def test_what_came_although_none_was_due_is_complete() -> None:
    assert outcome(ended("voicemail", analysis={"summary": "A machine."})).analysis.status is AnalysisStatus.COMPLETE


DEADLINE = Reason("timeout", "The call was hung up after its limit of 300 seconds.")
BY_USER = Reason("cancelled", "The call was hung up for the user.")


@pytest.mark.parametrize(("cut", "status"), [(DEADLINE, CallStatus.TIMEOUT), (BY_USER, CallStatus.CANCELLED)])
@pytest.mark.parametrize(
    "reason",
    [
        "manually-canceled",
        "assistant-ended-call",
        "scheduled-call-deleted",
        "call.in-progress.sip-completed-call",
        None,
    ],
)
def test_what_we_hung_up_has_our_reason(reason: str | None, cut: Reason, status: CallStatus) -> None:
    result = outcome(ended(reason), cut=cut)
    assert (result.status, result.error, result.ended_reason) == (status, cut, reason)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("customer-ended-call", CallStatus.COMPLETED),
        ("customer-did-not-answer", CallStatus.NO_ANSWER),
        ("voicemail", CallStatus.VOICEMAIL),
        ("customer-busy", CallStatus.BUSY),
        ("twilio-failed-to-connect-call", CallStatus.ERROR),
    ],
)
def test_what_ended_by_itself_before_our_hang_up_keeps_its_ending(reason: str, status: CallStatus) -> None:
    assert outcome(ended(reason), cut=BY_USER).status is status


def test_what_the_assistant_heard_does_not_hide_our_hang_up() -> None:
    call = ended("manually-canceled", analysis={"structuredData": {"call_outcome": "voicemail"}})
    assert outcome(call, cut=DEADLINE).status is CallStatus.TIMEOUT


def assistant(**plans: Any) -> Expected:
    return Expected.of(Assistant.model_validate({"id": "as-1"} | plans))


def test_a_silent_assistant_has_vapis_defaults() -> None:
    assert assistant() == Expected(summary=True, structured_data=False, success_evaluation=True, recording=True)


def test_an_assistant_with_everything_off_extracts_nothing() -> None:
    off = {"enabled": False}
    expects = assistant(
        analysisPlan={"summaryPlan": off, "successEvaluationPlan": off}, artifactPlan={"recordingEnabled": False}
    )
    assert expects == NOTHING
    assert not expects.anything


def test_an_assistant_tells_which_structured_outputs_to_wait_for() -> None:
    expects = assistant(
        analysisPlan={"structuredDataPlan": {"enabled": True, "schema": {"type": "object"}}},
        artifactPlan={"structuredOutputIds": ["so-1"], "structuredOutputs": [{"name": "rating"}, {}]},
    )
    assert expects.structured_data
    assert expects.structured_outputs == {"so-1", "rating"}


def test_what_is_expected_of_our_own_assistant_is_what_it_is_told_to_extract() -> None:
    body = our_assistant(call_timeout=300, record=False)
    assert Expected.of(Assistant.model_validate(body)) == OURS
