"""The one line stays small and readable for Kestra, whatever was said; the file has it all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.kestra.outputs import CUT, LIMIT, Entry, line, nobody_called, write
from concierge_calls.models import CallStatus, Reason

SNOWMAN = "\N{SNOWMAN}"


def entry(number: int = 0, **data: Any) -> Entry:
    """Return an entry with this structured data."""
    made = nobody_called(CallStatus.COMPLETED, None, run_id="20261124-abcdefgh", number=number, name="One")
    return made | {"call_id": "a-call", "analysis": made["analysis"] | {"structured_data": data}}


def read(text: str) -> list[Entry]:
    """Read the line as Kestra does."""
    assert text.isascii()
    assert (text[:2], text[-3:], text.count("\n")) == ("::", "::\n", 1)
    assert len(text) < 500_000
    results: list[Entry] = json.loads(text[2:-3])["outputs"]["results"]
    return results


def test_what_is_small_stays_as_it_is() -> None:
    entries = [entry(number, notes="\u2028 ::{}:: \n" + SNOWMAN, rates=[1.5, None, True]) for number in range(100)]

    assert read(line(entries)) == entries


def test_the_line_of_somebody_who_was_not_called_is_written_out() -> None:
    reason = Reason("settings", "VAPI_API_KEY is not set.")
    entries = [nobody_called(CallStatus.NOT_CALLED, reason, run_id="mine", number=3, name="One \u2028")]

    assert line(entries) == (
        '::{"outputs":{"results":[{"index":3,"run_id":"mine","name":"One \\u2028","status":"not_called","call_id":null,'
        '"ended_reason":null,"dialed_at":null,"started_at":null,"ended_at":null,"off_the_line_at":null,'
        '"duration":0.0,"cost":null,"recording_url":null,'
        '"analysis":{"status":"none","summary":null,"structured_data":{},"success_evaluation":null},'
        '"error":{"code":"settings","message":"VAPI_API_KEY is not set."}}]}}::\n'
    )


@pytest.mark.parametrize(("rows", "kept"), [(1, 4000), (20, 1000), (100, 250), (400, 60)])
def test_long_notes_are_cut_the_more_the_more_there_are(rows: int, kept: int) -> None:
    results = read(line([entry(number, notes=SNOWMAN * 5000) for number in range(rows)]))

    assert [each["index"] for each in results] == list(range(rows))
    assert {each["analysis"]["structured_data"]["notes"] for each in results} == {SNOWMAN * kept + CUT}


def test_more_than_any_analysis_fits_in_leaves_whose_call_it_was() -> None:
    results = read(line([entry(number, notes=SNOWMAN * 5000) for number in range(3000)]))

    assert results == [
        {"index": number, "run_id": "20261124-abcdefgh", "status": "completed", "call_id": "a-call"}
        for number in range(3000)
    ]


def test_more_than_fits_in_at_all_leaves_as_many_as_do() -> None:
    results = read(line([entry(number) for number in range(20_000)]))

    assert [each["index"] for each in results] == list(range(len(results)))
    assert len(results) > 4000


@pytest.mark.parametrize(
    "data",
    [
        {"deep": {"deep": {"deep": {"deep": {"deep": {"deep": {"deep": {"deep": "x" * LIMIT}}}}}}}},
        {"long": ["x" * 100] * 10_000},
        {f"{number}{SNOWMAN * 1000}": "x" for number in range(1000)},
        {"x" * LIMIT: "x"},
        {"number": 10**300},
    ],
    ids=["deep", "a long list", "many names", "a long name", "a long number"],
)
def test_whatever_an_assistant_brings_back_the_line_is_small(data: dict[str, Any]) -> None:
    [result] = read(line([entry(**data)]))

    assert (result["call_id"], result["status"]) == ("a-call", "completed")


def test_what_json_has_no_word_for_is_null(tmp_path: Path) -> None:
    made = entry(rate=float("nan"), more=[float("inf")])
    write(tmp_path / "results.json", [made])

    assert read(line([made])) == [entry(rate=None, more=[None])]
    assert json.loads((tmp_path / "results.json").read_text()) == {"results": [entry(rate=None, more=[None])]}


def test_the_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Any:
        yield entry(0)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write(tmp_path / "results.json", broken())

    assert list(tmp_path.glob("results*")) == []
