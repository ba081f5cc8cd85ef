"""The body of a create: what stands in it, and that Vapi could not refuse it."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from concierge_calls.models import CallRequest, Provider, ServiceRequest
from concierge_calls.vapi.request import create_body

KEY = "0198c0de-0000-7000-8000-00000000abcd"
HERE = Path(__file__).parent
PUBLISHED = HERE.parents[2] / "shared" / "vapi" / "openapi.json"
OUR_SCHEMA = Draft202012Validator(json.loads((HERE / "create_call.schema.json").read_text("utf-8")))

HOSTILE = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="{}%-|\u202e\u2066\u200d\x00\x1b\r\n \t😀é\U000e0041a", max_size=300),
    st.sampled_from(["{{ x }}", "{% raw %}", "x" * 5000, "word " * 1000, "😀" * 100, "\ud800", "{\u200b{ x }\u200b}"]),
)
CELLS = st.one_of(HOSTILE, st.none(), st.booleans(), st.integers(), st.lists(HOSTILE, max_size=3))


def asked(
    name: str = "Swamp Rabbit Plumbing",
    extension: str | None = None,
    extra: dict[str, Any] | None = None,
    **wanted: str,
) -> CallRequest:
    provider = Provider(name=name, phone="+18645550101", extension=extension, extra=extra or {})
    return CallRequest(index=2, provider=provider, request=ServiceRequest(**wanted))


def body_of(request: CallRequest, assistant_id: str | None = None, **changed: Any) -> dict[str, Any]:
    given = {"phone_number_id": "pn-1", "assistant_id": assistant_id, "call_timeout": 300, "record": False}
    return create_body(request, KEY, **given | changed)


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    if not PUBLISHED.is_file():
        pytest.skip("Vapi's published schema is not beside this folder")
    # Its choices overlap (any string, and some named strings), so `oneOf` can only be meant as `anyOf`.
    document: dict[str, Any] = json.loads(PUBLISHED.read_text("utf-8").replace('"oneOf"', '"anyOf"'))
    return document


def unknown_properties(value: Any, rule: dict[str, Any], document: dict[str, Any], path: str = "") -> list[str]:
    """The properties sent that the schema does not name; Vapi's validator refuses every one of them."""
    if "$ref" in rule:
        name = rule["$ref"].removeprefix("#/components/schemas/")
        return unknown_properties(value, document["components"]["schemas"][name], document, path)
    for part in rule.get("allOf", []):
        return unknown_properties(value, part, document, path)
    if "anyOf" in rule:
        fitting = [part for part in rule["anyOf"] if is_valid(value, part, document)]
        return unknown_properties(value, fitting[0], document, path) if fitting else [f"{path}: no choice fits"]
    if isinstance(value, list):
        return [bad for item in value for bad in unknown_properties(item, rule.get("items", {}), document, path + "[]")]
    if not isinstance(value, dict):
        return []
    if not rule.get("properties"):
        inner = rule.get("additionalProperties", {})
        return [
            bad for key, item in value.items() for bad in unknown_properties(item, inner, document, f"{path}.{key}")
        ]
    unknown = [f"{path}.{key}" for key in value if key not in rule["properties"]]
    known = [key for key in value if key in rule["properties"]]
    return unknown + [
        bad
        for key in known
        for bad in unknown_properties(value[key], rule["properties"][key], document, f"{path}.{key}")
    ]


def is_valid(value: Any, rule: dict[str, Any], document: dict[str, Any]) -> bool:
    return bool(Draft7Validator({**rule, "components": document["components"]}).is_valid(value))


EVERY_SHAPE = [
    pytest.param(body_of(asked()), id="our assistant"),
    pytest.param(body_of(asked(), record=True, server_url="https://example.com/hook"), id="recorded, with a server"),
    pytest.param(body_of(asked(extension="1234", service_request_id="sr-1")), id="extension and request id"),
    pytest.param(body_of(asked(extra={"Rating": 4.5}), "as-1"), id="the user's assistant"),
]


@pytest.mark.parametrize("body", EVERY_SHAPE)
def test_every_shape_of_the_body_keeps_our_own_schema(body: dict[str, Any]) -> None:
    OUR_SCHEMA.validate(body)


@pytest.mark.parametrize("body", EVERY_SHAPE)
def test_every_shape_of_the_body_is_valid_by_vapis_published_schema(
    body: dict[str, Any], published: dict[str, Any]
) -> None:
    rule = {"$ref": "#/components/schemas/CreateCallDTO"}
    Draft7Validator({**rule, "components": published["components"]}).validate(body)


@pytest.mark.parametrize("body", EVERY_SHAPE)
def test_every_property_sent_is_named_in_vapis_published_schema(
    body: dict[str, Any], published: dict[str, Any]
) -> None:
    assert unknown_properties(body, {"$ref": "#/components/schemas/CreateCallDTO"}, published) == []


def test_a_property_that_vapi_does_not_know_would_be_noticed(published: dict[str, Any]) -> None:
    body = body_of(asked())
    body["metadata"] = {}
    body["assistant"]["model"]["silence"] = 3
    rule = {"$ref": "#/components/schemas/CreateCallDTO"}
    assert unknown_properties(body, rule, published) == [".metadata", ".assistant.model.silence"]


def test_the_key_stands_where_a_lost_call_is_looked_for() -> None:
    body = body_of(asked())
    assert body["customer"]["externalId"] == KEY
    assert body["assistantOverrides"]["metadata"]["key"] == KEY


def test_the_body_names_who_is_called_and_from_which_number() -> None:
    body = body_of(asked())
    assert body["customer"]["number"] == "+18645550101"
    assert body["customer"]["name"] == "Swamp Rabbit Plumbing"
    assert body["name"] == "#3 Swamp Rabbit Plumbing"
    assert body["phoneNumberId"] == "pn-1"


def test_a_name_of_45_letters_is_cut_at_a_word() -> None:
    name = "Blue Ridge Heating Cooling and Plumbing Pros!"
    assert len(name) == 45
    assert body_of(asked(name))["customer"]["name"] == "Blue Ridge Heating Cooling and Plumbing…"


def test_a_long_name_of_one_word_is_cut_within_the_word() -> None:
    assert body_of(asked("x" * 45))["customer"]["name"] == "x" * 39 + "…"


def test_a_name_with_nothing_to_read_is_left_out() -> None:
    assert "name" not in body_of(asked("\u200b\u202e"))["customer"]


def test_an_extension_is_sent_to_be_dialled_after_the_answer() -> None:
    assert body_of(asked(extension="4711"))["customer"]["extension"] == "4711"


def test_an_extension_too_long_for_vapi_is_left_out_rather_than_cut() -> None:
    assert "extension" not in body_of(asked(extension="98765432109"))["customer"]


def test_without_an_assistant_of_the_users_ours_goes_along() -> None:
    body = body_of(asked())
    assert body["assistant"]["name"] == "concierge-calls"
    assert "assistantId" not in body
    assert set(body["assistantOverrides"]) == {"variableValues", "metadata"}


def test_the_users_assistant_is_named_and_keeps_its_own_server() -> None:
    body = body_of(asked(), "as-1", server_url="https://example.com/hook")
    assert body["assistantId"] == "as-1"
    assert "assistant" not in body
    assert "server" not in body["assistantOverrides"]


def test_the_users_assistant_gets_the_same_facts_the_limit_and_the_recording_choice() -> None:
    overrides = body_of(asked(service_needed="plumbing"), "as-1", call_timeout=120)["assistantOverrides"]
    assert (
        overrides["variableValues"] == body_of(asked(service_needed="plumbing"))["assistantOverrides"]["variableValues"]
    )
    assert overrides["maxDurationSeconds"] == 120
    assert overrides["artifactPlan"] == {"recordingEnabled": False}


def test_what_the_users_assistant_keeps_of_a_call_goes_along_with_the_recording_choice() -> None:
    saved = {"structuredOutputIds": ["so-1"], "recordingEnabled": False, "new-at-vapi": 1, "transcriptPlan": None}
    plan = body_of(asked(), "as-1", record=True, saved=saved)["assistantOverrides"]["artifactPlan"]
    assert plan == {"structuredOutputIds": ["so-1"], "recordingEnabled": True}


def test_the_users_assistant_also_gets_the_other_columns_as_text() -> None:
    extra = {"Opening Hours": ["Mo", "Tu"], "open": True, "info": {"beds": 3}, "none": None, "2nd": "x"}
    values = body_of(asked(extra=extra), "as-1")["assistantOverrides"]["variableValues"]
    assert values["Opening_Hours"] == "Mo, Tu"
    assert (values["open"], values["info"], values["none"]) == ("yes", "beds: 3", "")
    assert "2nd" not in values


def test_of_very_many_columns_the_first_fifty_go_along() -> None:
    extra = {f"c{number}": number for number in range(500)}
    values = body_of(asked(extra=extra), "as-1")["assistantOverrides"]["variableValues"]
    assert "c49" in values
    assert "c50" not in values


def test_the_other_columns_stay_at_home_when_our_assistant_calls() -> None:
    assert "Rating" not in body_of(asked(extra={"Rating": 5}))["assistantOverrides"]["variableValues"]


def test_a_column_never_takes_the_place_of_a_fact_or_of_vapis_own_variables() -> None:
    extra = {"provider_name": "Somebody else", "customer": "x", "now": "never"}
    values = body_of(asked(extra=extra), "as-1")["assistantOverrides"]["variableValues"]
    assert values["provider_name"] == "Swamp Rabbit Plumbing"
    assert not {"customer", "now"} & set(values)


@pytest.mark.parametrize(("levels", "said"), [(3, "deep"), (4, ""), (5000, "")])
def test_a_deeply_nested_cell_ends_somewhere(levels: int, said: str) -> None:
    cell: Any = "deep"
    for _ in range(levels):
        cell = [cell]
    assert body_of(asked(extra={"cell": cell}), "as-1")["assistantOverrides"]["variableValues"]["cell"] == said


@pytest.mark.parametrize(("given_limit", "sent"), [(1, 10), (300, 300), (99_999, 43_200)])
def test_the_limit_of_a_call_stays_within_what_vapi_takes(given_limit: int, sent: int) -> None:
    assert body_of(asked(), call_timeout=given_limit)["assistant"]["maxDurationSeconds"] == sent
    assert body_of(asked(), "as-1", call_timeout=given_limit)["assistantOverrides"]["maxDurationSeconds"] == sent


@given(
    name=HOSTILE,
    criteria=HOSTILE,
    problem=HOSTILE,
    urgency=HOSTILE,
    extra=st.dictionaries(HOSTILE, CELLS, max_size=5),
)
def test_no_cell_of_a_file_can_break_a_limit_or_speak_liquid(
    name: str, criteria: str, problem: str, urgency: str, extra: dict[str, Any]
) -> None:
    request = asked(name, extra=extra, user_criteria=criteria, problem_description=problem, urgency=urgency)
    for assistant_id in (None, "as-1"):
        body = body_of(request, assistant_id)
        OUR_SCHEMA.validate(body)
        texts = [body["name"], body["customer"].get("name", ""), *body["assistantOverrides"]["variableValues"].values()]
        assert all(is_harmless(text) for text in texts)
        assert all(len(text.encode("utf-16-le")) <= 80 for text in texts[:2])


def is_harmless(text: str) -> bool:
    """Neither Liquid, nor a line end, nor a control, bidi or private character, nor half a letter."""
    categories = {unicodedata.category(letter) for letter in text}
    return not categories & {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} and not set(text) & set("{}")
