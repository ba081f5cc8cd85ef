"""What Vapi does not take, and in which words it says so."""

from typing import Any

import httpx
import pytest

LONG = "x" * 41
E164 = (
    "customer.number must be a valid phone number in the E.164 format. "
    "Hot tip, you may be missing the country code (Eg. US: +1)."
)
PLAN = "assistantOverrides.analysisPlan.structuredDataPlan"


def customer(**more: Any) -> dict[str, Any]:
    return {"customer": {"number": "+13125550100", **more}}


def overrides(**more: Any) -> dict[str, Any]:
    return {"assistantOverrides": more}


def schema(value: Any) -> dict[str, Any]:
    return overrides(analysisPlan={"structuredDataPlan": {"enabled": True, "schema": value}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {}}, "property metadata should not exist"),
        ({"name": LONG}, "name must be shorter than or equal to 40 characters"),
        ({"name": 7}, "name must be a string"),
        (customer(foo=1), "customer.property foo should not exist"),
        (customer(name=LONG), "customer.name must be shorter than or equal to 40 characters"),
        (customer(externalId=LONG), "customer.externalId must be shorter than or equal to 40 characters"),
        (customer(extension="98765432109"), "customer.extension must be shorter than or equal to 10 characters"),
        ({"customer": {"number": "(312) 555-0100"}}, E164),
        ({"customer": {}}, E164),
        ({"customer": "x"}, "nested property customer must be either object or array"),
        (overrides(foo=1), "assistantOverrides.property foo should not exist"),
        (overrides(maxDurationSeconds=9), "assistantOverrides.maxDurationSeconds must not be less than 10"),
        (overrides(maxDurationSeconds=43201), "assistantOverrides.maxDurationSeconds must not be greater than 43200"),
        (
            overrides(maxDurationSeconds="60"),
            "assistantOverrides.maxDurationSeconds must be a number conforming to the specified constraints",
        ),
        (
            overrides(endCallPhrases=["x"]),
            "assistantOverrides.each value in endCallPhrases must be longer than or equal to 2 characters",
        ),
        (overrides(silenceTimeoutSeconds=30), "assistantOverrides.property silenceTimeoutSeconds should not exist"),
        (
            overrides(voicemailMessage="x" * 1001),
            "assistantOverrides.voicemailMessage must be shorter than or equal to 1000 characters",
        ),
        (
            overrides(analysisPlan={"summaryPlan": {"timeoutSeconds": 61}}),
            "assistantOverrides.analysisPlan.summaryPlan.timeoutSeconds must not be greater than 60",
        ),
        (schema({"type": ["string", "null"]}), f"{PLAN}.schema.type must be a string"),
        (schema({"type": "object", "anyOf": []}), f"{PLAN}.schema.property anyOf should not exist"),
        (
            schema({"type": "object", "properties": {"rate": {"type": "string", "default": "x"}}}),
            f"{PLAN}.schema.properties.rate.property default should not exist",
        ),
        (
            overrides(model={"provider": "openai"}),
            "assistantOverrides.model.model should not be null or undefined",
        ),
        (overrides(model={"provider": "google"}), "assistantOverrides.model.model should not be empty"),
        (
            overrides(model={"provider": "openai", "model": "gpt-4.1", "tools": [{"type": "endCall", "x": 1}]}),
            "assistantOverrides.model.tools.0.property x should not exist",
        ),
        (overrides(voicemailDetection={"provider": "vapi", "type": "tone"}), None),
        (
            {"assistant": {"name": LONG}, "assistantId": None},
            "assistant.name must be shorter than or equal to 40 characters",
        ),
        ({"customers": [{"number": "+13125550100"}]}, None),
    ],
)
def test_a_create_that_breaks_a_rule_is_a_400_in_nestjs_shape(
    vapi: Any, change: dict[str, Any], message: str | None
) -> None:
    reply = vapi.client.post("/call", json=vapi.body() | change)
    body = reply.json()
    assert (reply.status_code, body["error"], body["statusCode"]) == (400, "Bad Request", 400)
    assert message in body["message"] if message else body["message"]
    assert vapi.simulator.ledger()["numbers"] == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("phoneNumberId", "Couldn't Get Phone Number. Need Either `phoneNumberId` Or `phoneNumber`."),
        ("assistantId", "Couldn't Get Assistant. Need Either `assistantId` Or `assistant`."),
        ("customer", "Couldn't Get Customer. Need Either `customer` Or `customerId`."),
    ],
)
def test_what_is_missing_is_named_in_one_sentence(vapi: Any, name: str, message: str) -> None:
    reply = vapi.client.post("/call", json=vapi.body() | {name: None})
    assert (reply.status_code, reply.json()["message"]) == (400, message)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_a_400(vapi: Any, content: bytes) -> None:
    assert vapi.client.post("/call", content=content).status_code == 400


def test_everything_that_vapi_publishes_for_a_call_like_ours_is_taken(vapi: Any) -> None:
    assistant = {
        "name": "x" * 40,
        "firstMessage": "Hello.",
        "firstMessageMode": "assistant-speaks-first",
        "model": {
            "provider": "openai",
            "model": "gpt-4.1",
            "temperature": 0.3,
            "messages": [{"role": "system", "content": "You call."}],
            "tools": [{"type": "endCall"}, {"type": "dtmf"}],
        },
        "voice": {"provider": "vapi", "voiceId": "Elliot"},
        "transcriber": {"provider": "deepgram", "model": "nova-3", "language": "en"},
        "voicemailDetection": {"provider": "vapi", "backoffPlan": {"startAtSeconds": 2, "maxRetries": 6}},
        "maxDurationSeconds": 43200,
        "endCallPhrases": ["goodbye"],
        "artifactPlan": {"recordingEnabled": False},
        "monitorPlan": {"controlEnabled": True},
        "server": {"url": "https://example.com/hook", "timeoutSeconds": 20},
    }
    numbered = {"number": "+13125550100", "extension": "1234567890", "externalId": "x" * 40, "name": "x" * 40}
    more = {"metadata": {"key": 1}, "variableValues": {"a": "b"}, "voicemailDetection": "off"}
    assert vapi.create(assistantId=None, assistant=assistant, customer=numbered, assistantOverrides=more).is_success


def test_a_looser_check_of_the_number_can_be_asked_for(vapi: Any) -> None:
    assert vapi.create(**customer(number="13125550100", numberE164CheckEnabled=False)).status_code == 201


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic a-key"}, {"Authorization": "a-key"}])
def test_without_a_bearer_key_everything_is_a_401(vapi: Any, headers: dict[str, str]) -> None:
    with httpx.Client(base_url=vapi.simulator.url, headers=headers, trust_env=False) as client:
        for reply in (client.post("/call", json=vapi.body()), client.get("/call"), client.get("/phone-number/x")):
            assert (reply.status_code, reply.json()) == (401, {"message": "Unauthorized", "statusCode": 401})


def test_a_rejected_key_is_a_401_with_vapis_hint(start: Any) -> None:
    vapi = start(reject_keys={"a-key"})
    reply = vapi.create()
    assert (reply.status_code, reply.json()["message"][:11]) == (401, "Invalid Key")


@pytest.mark.parametrize(("method", "path"), [("GET", "/x"), ("PUT", "/call"), ("POST", "/call/phone")])
def test_a_wrong_path_is_a_404_in_nestjs_shape(vapi: Any, method: str, path: str) -> None:
    reply = vapi.client.request(method, path)
    expected = {"message": f"Cannot {method} {path}", "error": "Not Found", "statusCode": 404}
    assert (reply.status_code, reply.json()) == (404, expected)


@pytest.mark.parametrize(
    ("refuse", "status", "words"),
    [
        ("key", 401, "Invalid Key."),
        ("number", 400, "`phoneNumber` `a-number` does not exist."),
        ("assistant", 400, "`an-assistant` does not exist."),
        ("credits", 400, "Add Credits"),
        ("daily-limit", 400, "Numbers Bought On Vapi Have A Daily Outbound Call Limit."),
        ("body", 400, "property x should not exist"),
    ],
)
def test_the_account_can_be_refused(start: Any, refuse: str, status: int, words: str) -> None:
    vapi = start(refuse=refuse)
    reply = vapi.create()
    assert reply.status_code == status
    assert words in str(reply.json()["message"])
    assert vapi.simulator.ledger()["numbers"] == {}


def test_a_refused_number_or_assistant_is_not_found(start: Any) -> None:
    vapi = start(refuse="number")
    assert vapi.client.get("/phone-number/a-number").status_code == 404
    vapi.options.refuse = "assistant"
    assert vapi.client.get("/assistant/an-assistant").status_code == 404


def test_a_lack_of_credit_can_show_after_the_create(start: Any) -> None:
    vapi = start(refuse="credits-ended")
    ended = vapi.ended(vapi.placed()["id"])
    assert ended["endedReason"] == "call.start.error-subscription-insufficient-credits"
    assert vapi.simulator.ledger()["numbers"]["+13125550100"]["rang"] == 0


def test_any_number_and_assistant_exist(start: Any) -> None:
    vapi = start(provider="vapi")
    number = vapi.client.get("/phone-number/n-1").json()
    assert (number["id"], number["provider"], number["status"]) == ("n-1", "vapi", "active")
    assistant = vapi.client.get("/assistant/a-1").json()
    assert assistant["id"] == "a-1"
    assert assistant["analysisPlan"]["structuredDataPlan"]["schema"]["properties"]["availability"]["type"] == "string"
    assert "structuredDataPlan" not in vapi.client.get("/assistant/no-analysis").json()["analysisPlan"]
    assert vapi.client.get("/assistant/outputs").json()["artifactPlan"]["structuredOutputIds"]
