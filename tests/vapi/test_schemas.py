"""Vapi's JSON: read whatever is missing or wrong, and stored without keys to a live call."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concierge_calls.vapi.schemas import Call, listed

# call_created.json and call_ended.json: test_client.py says where they come from.
REPLIES = Path(__file__).parent / "replies"
CREATED = (REPLIES / "call_created.json").read_bytes()
ENDED = (REPLIES / "call_ended.json").read_bytes()
NUMBER = "+18645550101"


def test_what_is_stored_has_no_key_to_the_live_call_and_no_address_that_expires() -> None:
    stored = json.loads(Call.model_validate(json.loads(ENDED)).stored())
    whole = json.loads(ENDED)
    for name in ("server", "credentials"):
        del whole["assistant"][name]
    del whole["monitor"]
    del whole["assistant"]["model"]["tools"][0]["server"]
    for name in ("presignedMonoUrl", "presignedUrlsExpiresAt", "stereoRecordingUrl"):
        del whole["artifact"][name]
    assert stored == whole


def test_what_was_extracted_is_stored_whole_whatever_it_is_called() -> None:
    stored = json.loads(Call.model_validate(json.loads(ENDED)).stored())
    assert stored["analysis"]["structuredData"]["server"] == "Dana"
    assert stored["artifact"]["structuredOutputs"]["so-1"]["result"] == {"monitor": "yes"}


def test_a_call_is_known_by_its_external_id_or_else_by_its_metadata() -> None:
    metadata = {"assistantOverrides": {"metadata": {"key": "from-metadata"}}}
    assert Call.model_validate({"id": "a", "customer": {"externalId": "outside"}} | metadata).key() == "outside"
    assert Call.model_validate({"id": "a", "customer": {"number": NUMBER}} | metadata).key() == "from-metadata"
    assert Call.model_validate({"id": "a", "assistantOverrides": {"metadata": {"key": 7}}}).key() is None
    assert Call.model_validate({"id": "a"}).key() is None


def test_a_wrong_type_loses_its_own_field_and_nothing_else() -> None:
    call = Call.model_validate(
        {
            "id": "a",
            "status": "a-new-status",
            "endedReason": "a-new-reason",
            "cost": "a lot",
            "createdAt": "yesterday",
            "startedAt": "2026-03-14T10:00:00",
            "endedAt": "0001-01-01T00:00:00+14:00",
            "customer": "somebody",
            "subscriptionLimits": {"concurrencyBlocked": "perhaps", "concurrencyLimit": 10},
            "analysis": {"summary": ["a"], "structuredData": [], "successEvaluation": 7},
            "artifact": {
                "messages": [{"role": "user", "message": None, "secondsFromStart": "soon"}, "x"],
                "transcript": 5,
            },
        }
    )
    assert (call.status, call.ended_reason, call.cost, call.created_at) == ("a-new-status", "a-new-reason", None, None)
    assert (call.started_at, call.ended_at) == (datetime(2026, 3, 14, 10, tzinfo=UTC), None)
    assert call.customer.number is None
    assert (call.subscription_limits.concurrency_blocked, call.subscription_limits.concurrency_limit) == (False, 10)
    assert (call.analysis.summary, call.analysis.structured_data, call.analysis.success_evaluation) == (None, None, "7")
    assert [(turn.role, turn.message) for turn in call.artifact.messages] == [("user", None)]


def test_what_is_nested_without_end_can_be_stored() -> None:
    metadata: dict[str, Any] = {}
    for _ in range(5000):
        metadata = {"deeper": metadata}
    call = Call.model_validate({"id": "a", "cost": 1.5, "metadata": metadata})
    assert json.loads(call.stored())["cost"] == 1.5


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({field.alias or "" for field in Call.model_fields.values()} - {"id"})
PARTS = ["messages", "metadata", "structuredData", "controlUrl", "externalId", "summary", "analysisPlan"]


@given(st.dictionaries(st.sampled_from(NAMES), JUNK | st.dictionaries(st.sampled_from(PARTS), JUNK, max_size=3)))
def test_whatever_vapi_sends_with_an_id_is_a_call_and_can_be_stored(body: dict[str, Any]) -> None:
    call = Call.model_validate(body | {"id": "a"})
    assert json.loads(call.stored(), parse_constant=pytest.fail)["id"] == "a"
    assert isinstance(call.key(), str | None)


def test_a_call_that_the_list_shows_as_before_is_the_one_that_was_read_before() -> None:
    page = [{"id": "same", "status": "ringing"}, {"id": "moved", "status": "ringing"}]
    before = {call.id: call for call in listed(page, {})}
    after = listed([{"id": "same", "status": "ringing"}, {"id": "moved", "status": "ended"}, {"id": "new"}], before)
    assert after[0] is before["same"]
    assert [(call.id, call.status) for call in after] == [("same", "ringing"), ("moved", "ended"), ("new", "")]


def test_an_item_of_the_list_that_is_no_call_is_left_out_whatever_is_known() -> None:
    known = {call.id: call for call in listed([{"id": "a"}], {})}
    assert listed([None, "a", 7, {}, {"id": None}, {"id": []}, {"id": ""}, {"id": "a"}], known) == [known["a"]]


def test_nothing_that_a_call_lacks_is_shared_with_what_another_one_has() -> None:
    call = Call.model_validate({"id": "a", "analysis": None, "artifact": 7, "customer": {"number": NUMBER}})
    other = Call.model_validate({"id": "b"})
    assert (call.analysis, call.artifact, other.customer.number) == (other.analysis, other.artifact, None)
    assert call.subscription_limits.model_fields_set == set()
