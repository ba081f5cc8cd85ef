"""What is handed to a flow: an item for each child, and the inputs in which a server of each dialect takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind
from concierge_calls.kestra.inputs import Options, inputs, items
from concierge_calls.models import CallRequest, Provider, Reason, ServiceRequest
from tests.kestra.double.ours import TOLD, asked


def handed(total: int, *, limit: int = 5) -> list[dict[str, Any]]:
    return items("r", [asked(f"Provider {index}", index) for index in range(total)], limit=limit, options=TOLD)


def test_an_item_tells_a_child_whom_to_call_for_what_and_how_and_nothing_else() -> None:
    provider = Provider(
        name="Blue Ridge",
        phone="+18645550100",
        phone_given="(864) 555-0100",
        extension="12",
        id="a1",
        line=2,
        extra={"rating": 4.8},
    )
    request = ServiceRequest(
        service_needed="plumbing",
        user_criteria="licensed",
        location="Greenville SC",
        urgency="today",
        problem_description="a leak",
        client_name="Ms. Ash",
        service_request_id="s1",
    )
    options = Options(
        call_timeout=300,
        analysis_timeout=120,
        start_interval=1.5,
        record=True,
        allow_redial=True,
        assistant_id="a",
        phone_number_id="n",
    )

    assert items("r", [CallRequest(index=7, provider=provider, request=request)], limit=4, options=options) == [
        {
            "id": "r-7",
            "run_id": "r",
            "first": 7,
            "place": 0,
            "providers": [
                {
                    "index": 7,
                    "name": "Blue Ridge",
                    "phone": "+18645550100",
                    "extension": "12",
                    "id": "a1",
                    "service_needed": "plumbing",
                    "user_criteria": "licensed",
                    "location": "Greenville SC",
                    "urgency": "today",
                    "problem_description": "a leak",
                    "client_name": "Ms. Ash",
                }
            ],
            "options": {
                "call_timeout": 300,
                "analysis_timeout": 120,
                "start_interval": 1.5,
                "record": True,
                "allow_redial": True,
                "assistant_id": "a",
                "phone_number_id": "n",
                "max_concurrent": 4,
            },
        }
    ]


def test_what_a_provider_does_not_have_is_left_out() -> None:
    (item,) = handed(1)
    assert item["providers"] == [
        {
            "index": 0,
            "name": "Provider 0",
            "phone": "+18645550100",
            "service_needed": "plumbing",
            "urgency": "within_2_days",
        }
    ]
    assert sorted(item["options"]) == [
        "allow_redial",
        "analysis_timeout",
        "call_timeout",
        "max_concurrent",
        "record",
        "start_interval",
    ]


def test_a_row_that_is_not_to_be_called_is_handed_to_nobody() -> None:
    skipped = CallRequest(
        index=1,
        provider=Provider(name="Again", phone="+18645550101"),
        request=ServiceRequest(),
        skip=Reason("duplicate", "duplicate of line 2"),
    )
    made = items("r", [asked("One", 0), skipped, asked("Three", 2)], limit=5, options=TOLD)
    assert [(item["first"], item["place"]) for item in made] == [(0, 0), (2, 1)]
    assert items("r", [skipped], limit=5, options=TOLD) == []


@pytest.mark.parametrize(
    ("total", "limit", "count", "rows"),
    [
        (1, 5, 1, 1),
        (100, 5, 100, 1),
        (101, 5, 51, 2),
        (250, 5, 84, 3),
        (5000, 5, 100, 50),
        (101, 60, 101, 1),  # with 51 slices nine of the sixty lines would have nobody
        (250, 500, 250, 1),
    ],
)
def test_beyond_a_hundred_providers_a_child_is_a_slice_as_long_as_no_line_stays_idle(
    total: int, limit: int, count: int, rows: int
) -> None:
    made = handed(total, limit=limit)

    assert (len(made), max(len(item["providers"]) for item in made)) == (count, rows)
    assert [each["index"] for item in made for each in item["providers"]] == list(range(total))
    assert [item["place"] for item in made] == list(range(count))
    assert [item["id"] for item in made] == [f"r-{item['providers'][0]['index']}" for item in made]


@pytest.mark.parametrize("kind", FlowKind)
@pytest.mark.parametrize("dialect", [Dialect.V0, Dialect.V1])
def test_before_2_the_items_are_a_json_input(kind: FlowKind, dialect: Dialect) -> None:
    made = handed(3)
    told = inputs(kind, dialect, "r", made, limit=5)

    assert json.loads(told.texts["providers"]) == made
    assert (told.texts["run_id"], told.texts["max_concurrent"], told.files) == ("r", "5", {})


def test_from_2_on_they_are_a_file_with_a_line_for_each_of_a_loops_items() -> None:
    made = items("r", [asked("Blue\u2028Ridge\u0085\n", 0), asked("Reedy", 1)], limit=5, options=TOLD)
    told = inputs(FlowKind.FAN_OUT, Dialect.V2, "r", made, limit=5)

    assert dict(told.texts) == {"run_id": "r", "max_concurrent": "5"}
    assert [json.loads(line) for line in told.files["providers"].decode("ascii").splitlines()] == made


def test_from_2_on_the_one_task_gets_a_file_with_the_list() -> None:
    made = handed(3)
    told = inputs(FlowKind.ONE_TASK, Dialect.V2, "r", made, limit=5)
    assert json.loads(told.files["providers"]) == made


def test_nothing_of_5000_providers_but_a_file_is_larger_than_kestra_takes() -> None:
    made = handed(5000)
    largest = max(len(json.dumps(item)) for item in made)

    assert len(inputs(FlowKind.FAN_OUT, Dialect.V1, "r", made, limit=5).texts["providers"]) < 8_000_000
    assert sum(map(len, inputs(FlowKind.FAN_OUT, Dialect.V2, "r", made, limit=5).texts.values())) < 100
    assert largest < 1 << 20
