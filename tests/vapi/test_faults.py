"""Whose fault it is that a call was not placed: every answer is sorted, and only proof counts as not dialled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concierge_calls.errors import AccountRefused, ComeBackLater, NumberRefused, PlacementError, PlacementInDoubt
from concierge_calls.vapi.faults import fault_of, read_json, refused_to_show, retry_after, vapi_words

# Where each reply comes from. Vapi documents no error schema; its own words are as others have seen them.
#   bad_number                       recorded: ClarkOhlenbusch/PatientPromptGenerator, docs/VAPI_API_REFERENCE.md
#   unknown_property                 recorded: support.vapi.ai/t/18819419
#   no_phone_number, phone_number_gone, daily_limit, unauthorized, public_key   recorded by third parties
#   no_line                          recorded: docs pull request 110, support.vapi.ai/t/27531984
#   not_enabled                      recorded: docs draft bf7f177
#   rate_limit                       recorded: support.vapi.ai/t/27528690
#   all others                       written from NestJS's error shape and the limits in Vapi's OpenAPI document
REFUSALS: dict[str, Any] = json.loads((Path(__file__).parent / "replies" / "refusals.json").read_text("utf-8"))
HTML = b"<!DOCTYPE html><html><body><h1>Attention required</h1></body></html>"

SORTED = {
    "bad_number": (400, NumberRefused, "number_refused"),
    "long_name": (400, NumberRefused, "number_refused"),
    "unknown_property": (400, AccountRefused, "our_request"),
    "unknown_customer_property": (400, AccountRefused, "our_request"),
    "number_and_assistant": (400, AccountRefused, "our_request"),
    "no_phone_number": (400, AccountRefused, "phone_number"),
    "phone_number_gone": (400, AccountRefused, "phone_number"),
    "assistant_gone": (400, AccountRefused, "assistant"),
    "assistant_id_malformed": (400, AccountRefused, "assistant"),
    "daily_limit": (400, AccountRefused, "daily_limit"),
    "no_credit": (400, AccountRefused, "credits"),
    "no_line": (400, ComeBackLater, "no_line"),
    "unauthorized": (401, AccountRefused, "key"),
    "public_key": (401, AccountRefused, "key"),
    "payment_required": (402, AccountRefused, "credits"),
    "not_enabled": (403, AccountRefused, "forbidden"),
    "not_found": (404, AccountRefused, "not_found"),
    "too_large": (413, AccountRefused, "our_request"),
    "unprocessable": (422, AccountRefused, "our_request"),
    "rate_limit": (429, ComeBackLater, "rate_limit"),
}


def refusal(name: str, status: int = 400) -> PlacementError:
    return fault_of(status, {}, json.dumps(REFUSALS[name]).encode())


def test_every_recorded_refusal_is_sorted_here() -> None:
    assert SORTED.keys() == REFUSALS.keys()


@pytest.mark.parametrize("name", SORTED)
def test_a_refusal_is_told_by_whose_fault_it_is(name: str) -> None:
    status, kind, code = SORTED[name]
    fault = refusal(name, status)
    assert (type(fault), fault.code) == (kind, code)


@pytest.mark.parametrize("name", SORTED)
def test_a_refusal_is_a_sentence_that_ends(name: str) -> None:
    assert refusal(name, SORTED[name][0]).message.endswith(".")


def test_no_line_may_also_be_told_by_a_429() -> None:
    fault = fault_of(429, {"retry-after": "7"}, b'{"error": "Over Concurrency Limit"}')
    assert isinstance(fault, ComeBackLater)
    assert (fault.code, fault.retry_after) == ("no_line", 7.0)


@pytest.mark.parametrize("status", [401, 403, 429])
@pytest.mark.parametrize("body", [HTML, b"", b"[]", b"\xff\xfe", b'{"id": "looks like a call"}'])
def test_401_403_and_429_are_certain_in_any_body(status: int, body: bytes) -> None:
    assert not isinstance(fault_of(status, {}, body), PlacementInDoubt)


def test_a_403_stops_the_run_even_if_it_speaks_of_the_customer() -> None:
    fault = fault_of(403, {}, b'{"message": "customer.number is not allowed"}')
    assert (type(fault), fault.code) == (AccountRefused, "forbidden")


@pytest.mark.parametrize("status", [400, 402, 404, 405, 410, 413, 422, 451])
def test_a_client_error_is_certain_only_with_vapis_json_in_it(status: int) -> None:
    assert not isinstance(fault_of(status, {}, b'{"statusCode": 400}'), PlacementInDoubt)
    assert isinstance(fault_of(status, {}, HTML), PlacementInDoubt)
    assert isinstance(fault_of(status, {}, b'{"detail": "of some proxy"}'), PlacementInDoubt)
    assert isinstance(fault_of(status, {}, b'["message"]'), PlacementInDoubt)


@pytest.mark.parametrize("status", [100, 204, 301, 302, 307, 308, 408, 409, 425, 500, 502, 503, 504, 520, 527, 599])
def test_every_other_answer_is_doubt_even_in_vapis_json(status: int) -> None:
    assert isinstance(fault_of(status, {}, b'{"message": "Unauthorized", "statusCode": 401}'), PlacementInDoubt)


def test_the_message_quotes_vapi_without_numbers_keys_and_control_characters() -> None:
    words = "phone +1 864 555 0101 and (864) 555-0102 and 7c3f0f6e-0000-4000-8000-000000000002 \x1b[31m key-abc\n red"
    fault = fault_of(400, {}, json.dumps({"message": words}).encode(), hide="key-abc")
    quoted = "phone …0101 and (…0102 and 7c3f0f6e-0000-4000-8000-000000000002 [31m *** red"
    assert f"(it says: {quoted})" in fault.message


def test_a_long_message_is_shortened() -> None:
    fault = fault_of(400, {}, json.dumps({"message": ["assistant.x is wrong"] * 500}).encode())
    assert len(fault.message) < 500


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "one", "error": "Bad Request"}', ["one"]),
        (b'{"message": ["one", "two", 3, null]}', ["one", "two"]),
        (b'{"message": {"message": ["one"]}}', ["one"]),
        (b'{"message": "", "error": "Over Concurrency Limit"}', ["Over Concurrency Limit"]),
        (b'{"statusCode": 400}', []),
        (b"\xef\xbb\xbf" + b'{"error": "with a byte order mark"}', ["with a byte order mark"]),
        (b"[" * 100_000, None),
        (b'{"message":[' * 200 + b'"deep"' + b"]}" * 200, ["deep"]),
        (b"null", None),
        (HTML, None),
        (b"", None),
    ],
)
def test_what_vapi_says_is_found_however_it_is_packed(body: bytes, words: list[str] | None) -> None:
    assert vapi_words(body) == words


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "1e99"}, 3600.0),
        ({"retry-after": "inf"}, 3600.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sat, 14 Mar 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Sat, 14 Mar 2026 10:00:30 GMT", "date": "Sat, 14 Mar 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sat, 14 Mar 2026 10:00:30", "date": "Sat, 14 Mar 2026 10:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_half_a_character_and_a_number_that_is_none_do_not_lose_a_reply() -> None:
    body = b'{"id": "a", "cut": "so nice \\ud83d", "broken": "\xff", "cost": NaN}'
    assert read_json(body) == {"id": "a", "cut": "so nice \ufffd", "broken": "\ufffd", "cost": None}


def test_whole_characters_written_as_escapes_stay_whole() -> None:
    assert read_json(b'{"smile": "\\ud83d\\ude00"}') == {"smile": "\U0001f600"}


def test_a_refused_question_names_what_was_asked_for_and_what_to_check() -> None:
    fault = refused_to_show("the phone number of VAPI_PHONE_NUMBER_ID", 404, b'{"message": "Not Found"}')
    assert fault.status == 404
    assert fault.message == (
        "Vapi did not show the phone number of VAPI_PHONE_NUMBER_ID, HTTP 404 (it says: Not Found). "
        "Check the settings and what the key may see."
    )


@given(
    status=st.integers(100, 599),
    headers=st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text(max_size=40)),
    body=st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["message", "error", "statusCode", "id"]), inner, max_size=3)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_whatever_the_answer_it_is_sorted_and_never_raises(status: int, headers: dict[str, str], body: bytes) -> None:
    fault = fault_of(status, headers, body, hide="key-abc")
    assert isinstance(fault, NumberRefused | AccountRefused | ComeBackLater | PlacementInDoubt)
    if not 400 <= status < 500:
        assert isinstance(fault, PlacementInDoubt)
