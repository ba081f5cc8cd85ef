"""What is said, and what the assistant's own settings change about it."""

from typing import Any

import pytest


def test_the_conversation_speaks_of_the_request(vapi: Any) -> None:
    transcript = vapi.ended(vapi.placed()["id"])["artifact"]["transcript"]
    for fact in ("Ace Plumbing", "plumbing", "licensed and insured", "Greenville SC", "within 24 hours", "Dana"):
        assert fact in transcript
    assert "{" not in transcript


def test_a_request_without_facts_still_makes_a_conversation(vapi: Any) -> None:
    transcript = vapi.ended(vapi.placed(assistantOverrides={})["id"])["artifact"]["transcript"]
    assert transcript.count("User: ") >= 4
    assert "{" not in transcript


def test_a_fact_that_is_not_given_is_not_spoken(vapi: Any) -> None:
    overrides = {"variableValues": {"problem_description": "not given", "location": None, "service_needed": "tiling"}}
    transcript = vapi.ended(vapi.placed(assistantOverrides=overrides)["id"])["artifact"]["transcript"]
    assert "tiling" in transcript
    assert "not given" not in transcript
    assert "None" not in transcript


def test_braces_in_a_fact_are_said_as_they_are(vapi: Any) -> None:
    overrides = {"variableValues": {"provider_name": "{client} {{x}}"}}
    assert "{client} {{x}}" in vapi.ended(vapi.placed(assistantOverrides=overrides)["id"])["artifact"]["transcript"]


def test_the_messages_are_the_transcript_with_times(vapi: Any) -> None:
    artifact = vapi.ended(vapi.placed()["id"])["artifact"]
    messages = [each for each in artifact["messages"] if each["role"] != "system"]
    speakers = {"bot": "AI", "user": "User"}
    assert artifact["transcript"] == "".join(f"{speakers[each['role']]}: {each['message']}\n" for each in messages)
    starts = [each["secondsFromStart"] for each in messages]
    assert starts == sorted(starts)
    assert all(each["endTime"] >= each["time"] and each["duration"] > 0 for each in messages)


def test_the_prompt_is_the_first_message_with_its_variables_filled_in(vapi: Any) -> None:
    model = {
        "provider": "openai",
        "model": "gpt-4.1",
        "messages": [{"role": "system", "content": "Call {{ provider_name }}{{ x | default: '!' }}"}],
    }
    ended = vapi.ended(vapi.placed(assistantId=None, assistant={"model": model})["id"])
    first = ended["artifact"]["messages"][0]
    assert (first["role"], first["message"], first["secondsFromStart"]) == ("system", "Call Ace Plumbing!", 0)


def test_the_assistant_says_its_own_first_sentence(vapi: Any) -> None:
    overrides = {"firstMessage": "This call to {{provider_name}} is recorded.", **vapi.body()["assistantOverrides"]}
    ended = vapi.ended(vapi.placed(assistantOverrides=overrides)["id"])
    assert ended["artifact"]["transcript"].startswith("AI: This call to Ace Plumbing is recorded.\nUser: ")


def test_an_assistant_that_waits_lets_the_other_side_speak_first(vapi: Any) -> None:
    ended = vapi.ended(vapi.placed(assistantOverrides={"firstMessageMode": "assistant-waits-for-user"})["id"])
    assert ended["artifact"]["transcript"].startswith("User: Hello?\nAI: ")


def test_a_machine_speaks_first_and_hears_the_assistants_message(vapi: Any) -> None:
    overrides = {"voicemailMessage": "Please call {{client_name}} back.", **vapi.body()["assistantOverrides"]}
    settled = vapi.settled(vapi.placed("+13125550107", assistantOverrides=overrides)["id"])
    lines = settled["artifact"]["transcript"].splitlines()
    assert lines[0].startswith("User: ")
    assert lines[1] == "AI: Please call Dana back."
    assert settled["analysis"]["structuredData"]["call_outcome"] == "voicemail"


def test_an_empty_voicemail_message_hangs_up_on_the_machine(vapi: Any) -> None:
    ended = vapi.ended(vapi.placed("+13125550107", assistantOverrides={"voicemailMessage": ""})["id"])
    assert [each["role"] for each in ended["artifact"]["messages"] if each["role"] != "system"] == ["user"]


def test_the_plan_decides_what_is_extracted(vapi: Any) -> None:
    properties = {"availability": {"type": "string"}, "recommended": {"type": "string"}, "fee": {"type": "number"}}
    plan = {
        "summaryPlan": {"enabled": False},
        "structuredDataPlan": {"enabled": True, "schema": {"type": "object", "properties": properties}},
    }
    settled = vapi.settled(vapi.placed(assistantOverrides={"analysisPlan": plan})["id"])
    assert settled["analysis"] == {
        "structuredData": {"availability": "available", "recommended": "true", "fee": None},
        "successEvaluation": "true",
    }


def test_an_inline_assistant_without_a_plan_has_a_summary_and_an_evaluation(vapi: Any) -> None:
    assistant = {"model": {"provider": "openai", "model": "gpt-4.1"}}
    settled = vapi.settled(vapi.placed(assistantId=None, assistant=assistant)["id"])
    assert settled["analysis"].keys() == {"summary", "successEvaluation"}


@pytest.mark.parametrize("extra", [{"assistantId": "has-no-analysis"}, {}])
def test_nothing_is_extracted_where_the_plan_asks_for_nothing(start: Any, extra: dict[str, Any]) -> None:
    vapi = start(analysis_delay=0)
    nothing = {"analysisPlan": {"minMessagesThreshold": 99}}
    ended = vapi.ended(vapi.placed(**(extra or {"assistantOverrides": nothing}))["id"])
    assert "analysis" not in ended


def test_structured_outputs_come_with_the_artifact(vapi: Any) -> None:
    settled = vapi.settled(vapi.placed(assistantId="one-with-outputs")["id"])
    (output,) = settled["artifact"]["structuredOutputs"].values()
    assert output["result"]["availability"] == "available"
    assert settled["artifact"]["structuredOutputsLastUpdatedAt"] == settled["updatedAt"]


def test_recording_can_be_switched_off(vapi: Any) -> None:
    on = vapi.ended(vapi.placed()["id"])
    off = vapi.ended(vapi.placed(assistantOverrides={"artifactPlan": {"recordingEnabled": False}})["id"])
    assert on["artifact"]["recordingUrl"].endswith(f"/call/{on['id']}/mono-recording")
    assert "recordingUrl" not in off["artifact"]


def test_a_recording_is_fetched_from_a_storage_that_is_shown_no_key(vapi: Any) -> None:
    address = vapi.ended(vapi.placed()["id"])["artifact"]["recordingUrl"]
    reply = vapi.client.get(address)
    assert reply.status_code == 302
    sound = vapi.client.build_request("GET", reply.headers["location"])
    del sound.headers["authorization"]
    assert vapi.client.send(sound).content.startswith(b"RIFF")
    assert vapi.simulator.ledger()["keysShownToStorage"] == 0
    vapi.client.get(reply.headers["location"])
    assert vapi.simulator.ledger()["keysShownToStorage"] == 1
