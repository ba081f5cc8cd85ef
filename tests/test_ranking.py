"""Who is best: by what they answered, by the criteria that are met, then in the file's order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concierge_calls.models import Analysis, CallResult, CallStatus, Provider, Reason, ServiceRequest
from concierge_calls.ranking import Standing, best_first, heard, rank, standing

REFUSED = Reason("credits", "Vapi wants to be paid first.")


def result(index: int = 0, status: CallStatus = CallStatus.COMPLETED, **more: Any) -> CallResult:
    """Return what came of a call; what is not a field of a result is what the assistant extracted."""
    fields = {name: more.pop(name) for name in ("error", "provider", "request") if name in more}
    summary = more.pop("summary", None)
    known: dict[str, Any] = {
        "provider": Provider(name="Blue Ridge", phone="+18645550106"),
        "request": ServiceRequest(service_needed="plumbing", user_criteria="licensed"),
        "analysis": Analysis(summary=summary, structured_data=more),
    }
    return CallResult(index=index, status=status, **known | fields)


def test_the_best_stand_first_and_who_is_ruled_out_last() -> None:
    ordered = [
        result(availability="available", all_criteria_met=True),
        result(availability="available"),
        result(availability="available", all_criteria_met=False),
        result(availability="callback_requested", all_criteria_met=True),
        result(availability="callback_requested"),
        result(availability="unclear", all_criteria_met=True),
        result(),
        result(availability="unavailable", all_criteria_met=True),
        result(availability="unavailable"),
        *(
            result(status=status)
            for status in (
                CallStatus.NO_ANSWER,
                CallStatus.BUSY,
                CallStatus.VOICEMAIL,
                CallStatus.TIMEOUT,
                CallStatus.ERROR,
                CallStatus.UNCERTAIN,
                CallStatus.CANCELLED,
                CallStatus.IN_PROGRESS,
            )
        ),
        *(result(status=status) for status in (CallStatus.SKIPPED, CallStatus.PENDING, CallStatus.NOT_CALLED)),
        result(availability="available", all_criteria_met=True, disqualified=True),
        result(availability="unavailable", disqualified=True),
    ]
    ranks = [rank(each)[:2] for each in ordered]

    assert ranks == sorted(ranks)
    assert [rank(each)[0] for each in ordered] == [0] * 3 + [1] * 2 + [2] * 2 + [3] * 2 + [4] * 8 + [5] * 3 + [6] * 2
    assert len(set(ranks[:9])) == 9


def test_equals_stand_in_the_files_order() -> None:
    results = [result(index, availability="available") for index in range(20)]
    random.Random(3).shuffle(results)  # noqa: S311 - any order will do

    assert [each.index for each in best_first(results, 20)] == list(range(20))


def test_the_best_few_of_a_long_run_are_found_without_holding_it() -> None:
    alive = most = 0

    class Held(CallResult):
        """A result that counts how many of its kind there are."""

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def results() -> Iterator[CallResult]:
        nonlocal alive, most
        for index in range(1_000):
            alive += 1
            most = max(most, alive)
            answer = {"availability": "available"} if index % 400 == 399 else {}
            yield Held(
                index=index,
                status=CallStatus.COMPLETED,
                provider=Provider(name="A", phone=None),
                request=ServiceRequest(),
                analysis=Analysis(structured_data=answer),
            )

    assert [each.index for each in best_first(results(), 3)] == [399, 799, 0]
    assert most < 10


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_no_more_than_asked_for_are_given(most: int) -> None:
    assert len(best_first([result(0), result(1)], most)) == min(most, 2)


def test_a_candidate_stands_with_what_a_client_wants_to_know() -> None:
    known = result(
        3,
        provider=Provider(name="Blue\n\x1b[31mRidge 864 555 0199", phone="+18645550106"),
        availability="available",
        earliest_availability="Tuesday\n9 AM",
        estimated_rate="$95 an hour",
        all_criteria_met=True,
        notes="Ring the owner at (864) 555-0107 before noon.",
        summary="They can come.",
    )

    assert standing(known) == Standing(
        index=3,
        name="Blue [31mRidge …0199",
        last_four="0106",
        answer="available",
        when="Tuesday 9 AM",
        rate="$95 an hour",
        note="Ring the owner at …0107 before noon.",
        is_candidate=True,
    )


def test_whoever_was_not_spoken_with_stands_with_the_reason() -> None:
    unusable = result(
        7, CallStatus.SKIPPED, provider=Provider(name=" ", phone=None), error=Reason("bad", "'864-555-0106-1' is odd.")
    )

    assert standing(unusable) == Standing(
        index=7,
        name="(no name)",
        last_four="",
        answer="skipped",
        when="",
        rate="",
        note="'…1061' is odd.",
        is_candidate=False,
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (CallStatus.NO_ANSWER, "no answer"),
        (CallStatus.BUSY, "busy"),
        (CallStatus.VOICEMAIL, "voicemail"),
        (CallStatus.TIMEOUT, "timed out"),
        (CallStatus.ERROR, "failed"),
        (CallStatus.UNCERTAIN, "uncertain"),
        (CallStatus.CANCELLED, "cancelled"),
        (CallStatus.SKIPPED, "skipped"),
        (CallStatus.NOT_CALLED, "not called"),
        (CallStatus.PENDING, "not yet called"),
        (CallStatus.IN_PROGRESS, "on the line"),
    ],
)
def test_nothing_is_taken_as_said_where_nobody_spoke(status: CallStatus, words: str) -> None:
    invented = result(status=status, availability="unclear", estimated_rate="$1", disqualified=True)

    assert (standing(invented).answer, standing(invented).rate) == (words, "")


@pytest.mark.parametrize("status", [CallStatus.TIMEOUT, CallStatus.ERROR, CallStatus.CANCELLED])
def test_an_answer_given_before_the_call_was_cut_short_counts(status: CallStatus) -> None:
    answered = result(status=status, availability="available", estimated_rate="$95", error=REFUSED)

    assert rank(answered) == (0, 1, 0)
    assert (standing(answered).answer, standing(answered).rate) == ("available", "$95")
    assert heard(answered) == "available, $95"


@pytest.mark.parametrize(
    ("data", "answer", "is_candidate"),
    [
        ({"availability": "available"}, "available", True),
        ({"availability": " Available "}, "available", True),
        ({"availability": "callback_requested"}, "call back", True),
        ({"availability": "unclear"}, "unclear", False),
        ({"availability": "unavailable"}, "unavailable", False),
        ({"availability": "available", "disqualified": True}, "disqualified", False),
        ({"availability": "available", "disqualified": False}, "available", True),
        ({"availability": "available", "disqualified": "false"}, "available", True),
        ({"availability": "perhaps"}, "unclear", False),
        ({"availability": ["available"]}, "unclear", False),
        ({"availability": {"available": True}}, "unclear", False),
        ({"availability": 1}, "unclear", False),
        ({}, "unclear", False),
    ],
)
def test_an_answer_is_one_of_few_words(data: dict[str, Any], answer: str, is_candidate: bool) -> None:
    known = standing(result(**data))

    assert (known.answer, known.is_candidate) == (answer, is_candidate)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ({"all_criteria_met": True, "criteria_details": "licensed since 1999"}, ""),
        ({"all_criteria_met": False, "criteria_details": "no licence"}, "criteria not met: no licence"),
        ({"criteria_details": "licence not asked for"}, "criteria open: licence not asked for"),
        ({"all_criteria_met": "true"}, "criteria open"),
        ({"all_criteria_met": True, "notes": "n" * 200}, f"{'n' * 159}…"),
        ({"all_criteria_met": True, "summary": "They can come."}, "They can come."),
        ({"all_criteria_met": True, "summary": "At $90.", "estimated_rate": "$90"}, ""),
        ({"request": ServiceRequest(), "notes": "Bring photos."}, "Bring photos."),
        ({"request": ServiceRequest()}, ""),
    ],
)
def test_a_candidates_note_says_how_the_criteria_stand(data: dict[str, Any], note: str) -> None:
    assert standing(result(availability="available", **data)).note == note


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ({"disqualified": True, "disqualification_reason": "no licence", "summary": "s"}, "no licence"),
        ({"availability": "unavailable", "summary": "They were called.", "notes": "Booked."}, "Booked."),
        ({"availability": "unavailable", "summary": "Booked until May."}, "Booked until May."),
        ({"availability": "unavailable", "notes": "Booked."}, "Booked."),
        ({"status": CallStatus.VOICEMAIL, "summary": "A machine answered."}, "A machine answered."),
        ({"status": CallStatus.ERROR, "error": REFUSED, "summary": "s"}, "Vapi wants to be paid first."),
        ({"status": CallStatus.VOICEMAIL, "disqualification_reason": "none is due"}, ""),
    ],
)
def test_everybody_elses_note_says_why_they_are_no_candidate(data: dict[str, Any], note: str) -> None:
    assert standing(result(**data)).note == note


def test_a_number_that_would_be_cut_in_half_is_masked_first() -> None:
    notes = "x" * 150 + " call 864 555 0106"

    assert standing(result(availability="available", all_criteria_met=True, notes=notes)).note == (
        "" + "x" * 150 + " call …01…"
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (95, "95"),
        (0.5, "0.5"),
        (True, "yes"),
        (["$95", None, "$120 at night"], "$95, $120 at night"),
        ({"day": "$95", "night": ["$120", "$140"]}, "day: $95, night: $120, $140"),
        (18645550106, "…0106"),
        ("half \ud83d", "half"),
        (None, ""),
        ("", ""),
    ],
)
def test_a_rate_of_any_kind_becomes_words(value: Any, words: str) -> None:
    assert standing(result(availability="available", estimated_rate=value)).rate == words


def test_what_is_nested_without_end_is_cut_off() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert standing(result(availability="available", notes=deep, estimated_rate=deep)).rate == ""


NAMES = (
    "availability", "earliest_availability", "estimated_rate", "all_criteria_met", "criteria_details", "disqualified",
    "disqualification_reason", "notes",
)  # fmt: skip
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
BRANCH = LEAF | st.lists(LEAF, max_size=3) | st.dictionaries(st.text(max_size=3), LEAF, max_size=3)
ANYTHING = BRANCH | st.lists(BRANCH, max_size=3) | st.dictionaries(st.text(max_size=3), BRANCH, max_size=3)


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING), st.sampled_from(CallStatus))
def test_whatever_an_assistant_extracts_it_has_a_place_and_stands_on_one_line(
    data: dict[str, Any], status: CallStatus
) -> None:
    known = result(status=status, **data)
    shown = standing(known)

    assert sorted([known, result(1), result(2, availability="available")], key=rank)
    for text in (shown.answer, shown.when, shown.rate, shown.note, heard(known)):
        assert text == " ".join(text.split())
    assert shown.is_candidate == (shown.answer in ("available", "call back"))


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            {"availability": "callback_requested", "earliest_availability": "Tuesday\n9 AM", "estimated_rate": "$95"},
            "callback requested, Tuesday 9 AM, $95",
        ),
        ({"availability": ["mornings"], "estimated_rate": 95}, "mornings, 95"),
        ({"summary": "They were kind; call 864 555 0106."}, "They were kind; call …0106."),
        ({"error": REFUSED, "summary": "s"}, "Vapi wants to be paid first."),
        ({"status": CallStatus.VOICEMAIL, "availability": "unclear", "summary": "A machine."}, "A machine."),
        ({}, ""),
    ],
)
def test_what_came_of_a_call_is_one_line(data: dict[str, Any], line: str) -> None:
    assert heard(result(**data)) == line
