"""The document as JSON lines and as CSV: for jq, for shell tools and for spreadsheets, whatever stands in a cell."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concierge_calls import report
from concierge_calls.models import Analysis, CallResult, CallStatus, Format, Provider, Reason, RunResult, RunStats
from tests.report.samples import REFUSED, RUN, START, result

HEADER = (
    "index,status,name,phone,availability,earliest_availability,estimated_rate,recommended,summary,duration,cost,"
    "endedReason,callId,error"
)
EMPTY = "0,busy,Blue Ridge,+18645550106,,,,,,0.0,,,,"


def written(format_: Format, *results: CallResult) -> str:
    file = io.StringIO()
    report.write(RunResult(run=RUN, stats=RunStats(total=len(results)), results=results), file, format_)
    file.getvalue().encode()  # it can be written in UTF-8
    return file.getvalue()


def lines(*results: CallResult) -> list[str]:
    return written(Format.CSV, *results).splitlines()


def rows(*results: CallResult) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written(Format.CSV, *results), newline=""), strict=True))


def with_extra(**extra: Any) -> CallResult:
    return result(provider=Provider(name="Blue Ridge", phone="+18645550106", extra=extra))


def cell(value: Any) -> str:
    """What becomes of a value in a column of the user's own."""
    return rows(with_extra(theirs=value))[1][-1]


def test_json_lines_are_the_results_of_the_document_one_a_line() -> None:
    results = (result(0, transcript="two\nlines \u2028 and \ud83d half"), result(1, error=REFUSED))
    document = json.loads(written(Format.JSON, *results))
    text = written(Format.JSONL, *results)

    assert [json.loads(line) for line in text.split("\n")[:-1]] == document["results"]
    assert text.endswith("}\n")


def test_json_is_written_where_nothing_else_is_said() -> None:
    file = io.StringIO()
    report.write(RunResult(run=RUN, stats=RunStats(), results=()), file)

    assert file.getvalue() == written(Format.JSON)


def test_a_run_without_results_is_no_line_and_only_a_header() -> None:
    assert written(Format.JSONL) == ""
    assert written(Format.CSV) == f"{HEADER}\n"


def test_a_result_is_a_row_with_what_most_people_ask_for() -> None:
    said = result(
        3,
        status=CallStatus.COMPLETED,
        call_id="a-call",
        ended_reason="customer-ended-call",
        started_at=START,
        ended_at=START + timedelta(seconds=148, milliseconds=200),
        analysis=Analysis(
            summary='They said "yes", twice.',
            structured_data={
                "availability": "available",
                "earliest_availability": "Tuesday, 9 AM",
                "estimated_rate": "$95",
                "recommended": True,
            },
        ),
        cost=0.23,
    )

    assert lines(said, result(4, error=Reason("credits", "Pay first."))) == [
        HEADER,
        '3,completed,Blue Ridge,+18645550106,available,"Tuesday, 9 AM",$95,true,"They said ""yes"", twice.",148.2,0.23,'
        "customer-ended-call,a-call,",
        "4,busy,Blue Ridge,+18645550106,,,,,,0.0,,,,Pay first.",
    ]


def test_every_extra_column_follows_in_order_of_first_appearance() -> None:
    assert lines(with_extra(city="Greenville", stars=4.5), with_extra(), with_extra(open=True, city="Greer")) == [
        f"{HEADER},city,stars,open",
        f"{EMPTY},Greenville,4.5,",
        f"{EMPTY},,,",
        f"{EMPTY},Greer,,true",
    ]


def test_an_extra_column_whose_name_is_taken_says_that_it_is_extra() -> None:
    taken = with_extra(**{"status": "open", "extra.status": "odd", "Status": "as it is", "error": "none"})

    assert lines(taken) == [
        f"{HEADER},extra.status,extra.extra.status,Status,extra.error",
        f"{EMPTY},open,odd,as it is,none",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1 (864) 555-0106", "'+1 (864) 555-0106"),
        ("-5", "'-5"),
        (-5, "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("+18645550106", "+18645550106"),
        ("+18645550106\n", "'+18645550106\n"),
        ("+18645550106=1", "'+18645550106=1"),
        ("+0864555", "'+0864555"),
        ("'=1", "'=1"),
        ("a=1", "a=1"),
        (" =1", " =1"),
        ("", ""),
    ],
)
def test_a_cell_that_a_spreadsheet_would_calculate_is_made_text(value: Any, shown: str) -> None:
    assert cell(value) == shown


def test_a_header_that_a_spreadsheet_would_calculate_is_made_text() -> None:
    assert lines(with_extra(**{"=cmd|x": 1, "@home": 2}))[0] == f"{HEADER},'=cmd|x,'@home"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (4.5, "4.5"),
        (math.nan, ""),
        ([1, None, "a"], '[1, null, "a"]'),
        ({"deep": {"rate": math.inf, "half": "\ud83d"}}, '{"deep": {"rate": null, "half": "\\ud83d"}}'),
        ("half \ud83d and nul \x00", "half \ufffd and nul \ufffd"),
        ("\x00=1", "\ufffd=1"),
        ("Café \U0001f527", "Café \U0001f527"),
    ],
)
def test_a_value_of_any_kind_becomes_one_cell(value: Any, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize("value", ["a,b", 'a"b', "a\nb", "a\rb", "a\r\nb", '"', ",", "\u2028", " a "])
def test_a_cell_comes_back_as_it_was(value: str) -> None:
    assert cell(value) == value


def test_lines_end_as_shell_tools_want_them() -> None:
    assert written(Format.CSV, with_extra(note="a\r\nb")) == f'{HEADER},note\n{EMPTY},"a\r\nb"\n'


def test_what_somebody_elses_assistant_extracts_is_written_whatever_it_is() -> None:
    odd = {"availability": ["mornings", 7], "estimated_rate": {"hour": 95}, "earliest_availability": -1}
    [_, row] = rows(result(status=CallStatus.COMPLETED, analysis=Analysis(structured_data=odd)))

    assert row[4:8] == ['["mornings", 7]', "'-1", '{"hour": 95}', ""]


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
JSON_VALUES = LEAF | st.lists(LEAF, max_size=3) | st.dictionaries(st.text(max_size=3), LEAF, max_size=3)


@given(st.lists(st.dictionaries(st.text(st.characters(exclude_categories=()), max_size=4), JSON_VALUES), max_size=3))
def test_whatever_a_file_holds_every_row_has_a_cell_for_every_column(extras: Sequence[dict[str, Any]]) -> None:
    results = [
        result(index, provider=Provider(name="A", phone=None, extra=extra)) for index, extra in enumerate(extras)
    ]
    table = rows(*results)

    assert len(table) == len(extras) + 1
    assert {len(row) for row in table} == {len(table[0])}
    assert len(set(table[0])) == len(table[0])
    assert not [cell for row in table for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
