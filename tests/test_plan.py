"""Every row becomes a call request, in order: one that is dialled, or one that says why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from concierge_calls import plan
from concierge_calls.errors import RequestFileError, UsageError
from concierge_calls.models import CallRequest, Reason, ServiceRequest
from concierge_calls.providers import Row, read

EXAMPLES = Path(__file__).parent.parent / "examples"


def row(line: int = 2, fault: Reason | None = None, unit: str = "line", **values: str) -> Row:
    given = {"name": "Blue Ridge", "phone": f"864-555-01{line:02}", **values}
    return Row(line, given, {"rating": "4.8"}, fault, unit)


def planned(*rows: Row, typed: Mapping[str, str] | None = None, **options: Any) -> list[CallRequest]:
    service = {"service": "plumbing"} if typed is None else typed
    return list(plan.make(rows, source="providers.csv", typed=service, **options))


def skipped(*rows: Row, **options: Any) -> list[str | None]:
    return [request.skip.code if request.skip else None for request in planned(*rows, **options)]


def test_a_row_becomes_a_call_request_with_all_that_it_says() -> None:
    (request,) = planned(row(7, phone=" (864) 555-0101 x12", id="a1"))
    provider = request.provider

    assert (request.index, request.skip, request.warning) == (0, None, None)
    assert (provider.name, provider.id, provider.line) == ("Blue Ridge", "a1", 7)
    assert (provider.phone, provider.phone_given, provider.extension) == ("+18645550101", " (864) 555-0101 x12", "12")
    assert provider.extra == {"rating": "4.8"}


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [("90", 90.0), ("90.5", 90.5), ("43200", 43_200.0), ("", None)]
    + [(cell, None) for cell in ("0", "-5", "43201", "1e9", "nan", "inf")],
)
def test_a_row_can_say_how_many_seconds_its_call_is_expected_to_take(cell: str, seconds: float | None) -> None:
    (request,) = planned(row(expected_duration=cell))

    assert (request.expected, request.skip) == (seconds, None)
    assert (request.warning is None) is (seconds is not None or not cell)


def test_a_length_that_cannot_be_read_is_a_warning_and_the_row_is_called() -> None:
    number, length = planned(
        row(2, expected_duration="a while"), row(3, phone="211-555-0103", expected_duration="2:30")
    )

    assert (number.skip, number.warning) == (
        None,
        "'a while' is no length of a call in seconds, so nobody knows how long it will take.",
    )
    assert (length.skip, length.warning) == (
        None,
        "No such number is known to be assigned, but it is possible, so it is called."
        " '2:30' is no length of a call in seconds, so nobody knows how long it will take.",
    )


def test_every_row_has_its_index_the_unusable_ones_too() -> None:
    requests = planned(row(2), row(3, phone="nobody"), row(4, phone="864-555-0102"), row(5))

    assert [request.index for request in requests] == [0, 1, 2, 3]
    assert [request.skip.code if request.skip else None for request in requests] == [
        None,
        "not_a_number",
        "duplicate",
        None,
    ]


@pytest.mark.parametrize(
    ("mapped", "typed", "request_file", "column", "expected"),
    [
        (True, "typed", "file", "column", "column"),
        (True, "typed", "file", "", "typed"),
        (True, None, "file", "", "file"),
        (True, None, None, "", None),
        (False, "typed", "file", "column", "typed"),
        (False, None, "file", "column", "file"),
        (False, None, None, "column", "column"),
        (False, None, None, "", None),
        (False, "", "file", "column", None),
    ],
)
def test_a_mapped_column_wins_over_a_typed_option_over_the_request_file_over_a_column(
    mapped: bool, typed: str | None, request_file: str | None, column: str, expected: str | None
) -> None:
    (request,) = planned(
        row(location=column),
        typed={"service": "plumbing"} | ({} if typed is None else {"location": typed}),
        request_file={} if request_file is None else {"location": request_file},
        mapped={"location"} if mapped else (),
    )

    assert request.request.location == expected


def test_each_field_of_a_request_can_come_from_its_own_column() -> None:
    columns = {
        "service": "roofing",
        "criteria": "insured",
        "location": "Greer",
        "urgency": "today",
        "problem": "leaks",
        "client_name": "Dana",
    }
    (request,) = planned(Row(2, {"name": "Blue Ridge", "phone": "8645550101", **columns}, {}), typed={})

    assert request.request == ServiceRequest(
        service_needed="roofing",
        user_criteria="insured",
        location="Greer",
        urgency="today",
        problem_description="leaks",
        client_name="Dana",
    )


def test_urgency_has_a_default_and_nothing_else_has() -> None:
    (request,) = planned(row())

    assert request.request == ServiceRequest(service_needed="plumbing", urgency="within_2_days")


def test_the_columns_that_give_the_request_are_named_but_for_those_that_an_option_replaces() -> None:
    fields = {"name": "Name", "phone": "Tel", "location": "City", "problem": "Issue", "urgency": "When"}

    assert plan.columns_used(fields) == {"location": "City", "problem": "Issue", "urgency": "When"}
    assert plan.columns_used(fields, {"location": "Greer"}, {"urgency": "today"}) == {"problem": "Issue"}
    assert plan.columns_used(fields, {"location": "Greer"}, {}, {"location"})["location"] == "City"


def test_a_service_named_nowhere_is_an_error_before_the_first_call_request() -> None:
    with pytest.raises(UsageError, match="--service"):
        plan.make([row()], source="providers.csv")


@pytest.mark.parametrize("given", ["typed", "request_file"])
def test_a_service_may_be_typed_or_in_the_request_file(given: str) -> None:
    (request,) = plan.make([row()], source="providers.csv", **{given: {"service": "plumbing"}})  # type: ignore[arg-type]

    assert request.request.service_needed == "plumbing"


def test_an_assistant_of_the_users_own_needs_no_service() -> None:
    (request,) = planned(row(), typed={}, needs_service=False)

    assert request.skip is None
    assert request.request.service_needed is None


def test_a_row_without_a_service_of_its_own_is_skipped_where_each_names_its_own() -> None:
    assert skipped(row(2, service="plumbing"), row(3, service=""), typed={}) == [None, "no_service"]


def test_an_unknown_region_is_an_error_before_the_first_call_request() -> None:
    with pytest.raises(UsageError, match="ZZ"):
        plan.make([row()], source="providers.csv", typed={"service": "plumbing"}, region="ZZ")


def test_the_second_row_with_a_number_is_a_duplicate_of_the_first_whatever_its_extension() -> None:
    requests = planned(row(4, phone="(864) 555-0101"), row(9, phone="+1 864 555 0101 x7"))

    assert requests[0].skip is None
    assert requests[1].skip == Reason("duplicate", "duplicate of line 4")


def test_a_duplicate_in_json_is_one_of_an_item() -> None:
    requests = planned(row(1, unit="item", phone="8645550101"), row(2, unit="item", phone="8645550101"))

    assert requests[1].skip == Reason("duplicate", "duplicate of item 1")


def test_two_rows_that_claim_one_line_are_duplicates_all_the_same() -> None:
    assert skipped(row(3), row(3)) == [None, "duplicate"]


def test_a_row_is_no_duplicate_of_one_that_cannot_be_used() -> None:
    assert skipped(row(2, name="", phone="8645550101"), row(3, phone="8645550101")) == ["no_name", None]


def test_an_unusable_row_names_its_file_line_and_value_and_has_no_number() -> None:
    (request,) = planned(row(12, phone="555-0101"))

    assert request.provider.phone is None
    assert request.provider.phone_given == "555-0101"
    assert request.skip is not None
    assert request.skip.code == "too_short"
    assert request.skip.message.startswith("providers.csv, line 12: '555-0101' ")


def test_standard_input_is_named_in_words() -> None:
    (request,) = plan.make([row(2, phone="")], source="-", typed={"service": "plumbing"})

    assert request.skip is not None
    assert request.skip.message.startswith("standard input, line 2: ")


def test_the_fault_of_a_row_that_cannot_be_read_is_its_reason() -> None:
    (request,) = planned(row(2, fault=Reason("too_few_cells", "The row has 1 cell.")))

    assert request.skip == Reason("too_few_cells", "providers.csv, line 2: The row has 1 cell.")


def test_an_extension_in_its_own_column_wins_over_one_in_the_number() -> None:
    requests = planned(row(2, phone="8645550101 x1", extension="22"), row(3, phone="8645550102 x1", extension=""))

    assert [request.provider.extension for request in requests] == ["22", "1"]


def test_an_extension_that_is_none_makes_the_row_unusable() -> None:
    assert skipped(row(extension="98765432109")) == ["bad_extension"]


def test_a_doubtful_number_is_called_with_a_warning() -> None:
    (request,) = planned(row(phone="555 555 0101"))

    assert request.skip is None
    assert request.warning


def test_the_guards_are_asked_by_number_and_only_for_rows_that_could_be_called() -> None:
    asked: list[str] = []

    def lately(number: str) -> Reason | None:
        asked.append(number)
        return Reason("called_lately", "…") if number.endswith("01") else None

    def never(number: str) -> Reason | None:
        return Reason("do_not_call", "…") if number.endswith("02") else None

    found = skipped(
        row(2, phone="8645550101"),
        row(3, phone="8645550102"),
        row(4, phone="8645550103"),
        row(5, phone="8645550103"),
        row(6, phone="?"),
        called_lately=lately,
        do_not_call=never,
    )

    assert found == ["called_lately", "do_not_call", None, "duplicate", "not_a_number"]
    assert asked == ["+18645550101", "+18645550103"]


def test_rows_are_planned_one_by_one_as_they_are_asked_for() -> None:
    taken: list[int] = []

    def coming() -> Iterator[Row]:
        for line in range(2, 50):
            taken.append(line)
            yield row(line)

    requests = plan.make(coming(), source="providers.csv", typed={"service": "plumbing"})
    next(requests)
    next(requests)

    assert taken == [2, 3]


def test_no_rows_make_no_requests() -> None:
    assert planned() == []


def test_a_service_request_is_the_same_as_its_typed_options() -> None:
    request = ServiceRequest(service_needed="plumbing", location="Greer", service_request_id="r1")
    (made,) = planned(row(), typed=plan.typed_fields(request))

    assert made.request == request


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.toml", 'service = "plumbing"\nclient_name = "Dana"\ncriteria = ["licensed", "insured"]\n'),
        ("r.toml", '\ufeffserviceNeeded = "plumbing"\nclientName = "Dana"\nuserCriteria = "licensed; insured"\n'),
        ("r.json", '{"service": "plumbing", "client-name": " Dana ", "user_criteria": "licensed; insured"}'),
        ("request", '{"serviceNeeded": "plumbing", "clientName": "Dana", "criteria": "licensed; insured"}'),
    ],
)
def test_a_request_file_is_toml_or_json_in_the_options_names_or_the_plans(
    tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content)

    assert plan.read_request(path) == {"service": "plumbing", "client_name": "Dana", "criteria": "licensed; insured"}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("r.toml", 'sevice = "plumbing"', "'sevice'; did you mean service?"),
        ("r.toml", 'colour = "red"', "the fields are service, criteria"),
        ("r.toml", 'service = "a"\nserviceNeeded = "b"', "gives service twice"),
        ("r.toml", "service = true", "service must be a text"),
        ("r.toml", "service =", "is not TOML"),
        ("r.json", "{", "is not JSON"),
        ("r.json", "[]", "must hold one object"),
        ("r.json", "[" * 100_000, "is not JSON"),
        ("r.json", '{"service": "a\\u0000b"}', "no text can hold"),
        ("r.json", '{"service": "\\ud800"}', "no text can hold"),
    ],
)
def test_a_request_file_that_cannot_be_used_says_why(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(content)

    with pytest.raises(RequestFileError) as refused:
        plan.read_request(path)

    assert str(path) in refused.value.message
    assert told in refused.value.message


def test_a_request_file_that_is_not_there_or_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'service = "caf\xe9"')
    for path, told in (("nobody.toml", "is not there"), ("", "is a folder"), ("latin.toml", "UTF-8")):
        with pytest.raises(RequestFileError, match=told):
            plan.read_request(tmp_path / path)


def test_the_example_names_ten_providers_who_can_all_be_called() -> None:
    file = read(EXAMPLES / "providers.csv")
    requests = list(plan.make(file, source=file.name))

    assert [(request.skip, request.warning) for request in requests] == [(None, None)] * 10
    assert all(request.request.service_needed and request.request.location for request in requests)
    assert any(request.provider.extension for request in requests)


def test_the_example_shows_four_endings_at_least_and_none_that_is_a_failure() -> None:
    endings = {
        "0": "done",
        "1": "done",
        "2": "done",
        "3": "callback",
        "4": "no",
        "5": "none",
        "6": "busy",
        "7": "machine",
    }
    file = read(EXAMPLES / "providers.csv")
    numbers = [request.provider.phone or "" for request in plan.make(file, source=file.name)]

    assert all(number.startswith("+186455501") for number in numbers)
    assert len({endings[number[-1]] for number in numbers}) >= 4


def test_the_example_of_a_request_file_is_one() -> None:
    assert plan.read_request(EXAMPLES / "request.toml")["service"] == "plumbing"
