"""What a child told is believed only where it is its own, and each status has one consequence for its row."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from concierge_calls.journal import LineSpan, OnTheLine
from concierge_calls.kestra import outputs
from concierge_calls.kestra.results import Result, Step, in_file, own, surest
from concierge_calls.models import (
    Analysis,
    AnalysisStatus,
    CallMethod,
    CallOutcome,
    CallResult,
    CallStatus,
    Message,
    Provider,
    Reason,
    ServiceRequest,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUN = "20261124-abcdefgh"
CALLED = CallResult(
    status=CallStatus.COMPLETED,
    ended_reason="customer-ended-call",
    started_at=NOON,
    ended_at=NOON.replace(minute=2),
    transcript="AI: Hello.\nUser: {{ x }}",
    messages=(Message(role="user", message="{{ x }}", seconds_from_start=0.5),),
    analysis=Analysis(status=AnalysisStatus.COMPLETE, summary="Yes.", structured_data={"availability": "available"}),
    cost=0.25,
    index=0,
    provider=Provider(name="Ace", phone="+18645550100"),
    request=ServiceRequest(),
    call_id="a-call",
    call_method=CallMethod.DIRECT_VAPI,
)
SPAN = LineSpan(index=0, begun=NOON, ended=NOON.replace(minute=3), status=None)


def printed(result: CallResult = CALLED, **more: Any) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(json.dumps(outputs.whole_entry(result, run_id=RUN, number=7, span=SPAN)))
    return entry | more


def read(*entries: object) -> list[Result]:
    return list(own(list(entries), RUN))


def test_what_a_child_prints_is_read_as_it_was() -> None:
    [result] = read(printed())

    assert (result.index, result.call_id, result.is_whole, result.step) == (7, "a-call", True, Step.SETTLED)
    assert result.outcome() == CallOutcome(**{name: getattr(CALLED, name) for name in CallOutcome.__dataclass_fields__})
    assert result.line == OnTheLine(NOON, NOON.replace(minute=3))


def test_a_line_without_the_file_is_not_whole() -> None:
    line = {name: value for name, value in printed().items() if name not in ("transcript", "messages")}
    [result] = read(line)
    assert (result.is_whole, result.outcome().transcript, result.outcome().messages) == (False, "", ())


@pytest.mark.parametrize(
    "entry",
    [
        {"index": 7, "run_id": RUN, "name": "Ace", "status": "uncertain"},  # what a flow puts in place of a result
        printed(run_id="20261124-another"),
        printed(status="wonderful"),
        printed(index=-1),
        printed(index=None),
        printed(started_at="yesterday"),
        "completed",
        None,
    ],
)
def test_what_is_not_a_childs_own_result_of_this_run_is_passed_over(entry: object) -> None:
    assert [result.index for result in read(entry, printed(index=8))] == [8]


@pytest.mark.parametrize("value", [None, {}, "a text", 7])
def test_results_that_are_no_list_are_none(value: object) -> None:
    assert list(own(value, RUN)) == []


@pytest.mark.parametrize(
    ("status", "call_id", "step"),
    [
        ("completed", "a-call", Step.SETTLED),
        ("error", "a-call", Step.SETTLED),
        ("error", None, Step.REFUSED),
        ("timeout", None, Step.UNCERTAIN),
        ("uncertain", "a-call", Step.UNCERTAIN),
        ("uncertain", None, Step.UNCERTAIN),
        ("in_progress", "a-call", Step.PLACED),
        ("in_progress", None, Step.IN_DOUBT),
        ("not_called", None, Step.PUT_BACK),
        ("pending", None, Step.PUT_BACK),
        ("skipped", None, Step.SKIPPED),
    ],
)
def test_each_status_has_one_consequence(status: str, call_id: str | None, step: Step) -> None:
    [result] = read(printed(status=status, call_id=call_id))
    assert result.step is step


def test_what_a_child_does_not_explain_is_explained() -> None:
    [unexplained] = read(printed(status="timeout", call_id=None, error=None))
    [explained] = read(printed(replace(CALLED, error=Reason("marked", "It was marked.")), status="uncertain"))

    assert (unexplained.outcome().status, unexplained.outcome().error) == (
        CallStatus.UNCERTAIN,
        Reason("not_told", "The task told no more of this call; see the worker's own journal."),
    )
    assert explained.outcome().error == Reason("marked", "It was marked.")


def test_the_file_is_read_in_the_same_way_and_what_is_no_file_of_ours_is_empty() -> None:
    content = json.dumps({"results": [printed()]}).encode()
    assert [result.index for result in in_file(content, RUN)] == [7]
    assert [list(in_file(each, RUN)) for each in (b"", b"[]", b'{"results": 7}', b"\xff")] == [[], [], [], []]


def test_of_two_results_for_one_row_the_one_is_believed_by_which_a_phone_may_have_rung() -> None:
    less_and_less = [
        printed(),
        printed(status="in_progress"),
        printed(status="uncertain"),
        printed(status="in_progress", call_id=None),
        printed(status="error", call_id=None),
        printed(status="skipped", call_id=None),
        printed(status="pending", call_id=None),
    ]
    told = read(*less_and_less)

    assert [surest(None, each) for each in told] == told
    for surer, other in itertools.combinations(told, 2):
        assert (surest(surer, other), surest(other, surer)) == (surer, surer)


def test_of_two_results_that_say_the_same_the_first_is_kept() -> None:
    first, second = read(printed(), printed(call_id="another-call"))

    assert surest(first, second) is first
