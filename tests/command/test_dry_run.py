"""--dry-run: who would be called, who not and why, with no key, no network and no trace."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

GOOD = "Blue Ridge,(864) 555-0106,plumbing"
TWIN = "Twin,864-555-0106,plumbing"
ODD = "Odd,900-555-0100,plumbing"
NO_NETWORK = {"VAPI_BASE_URL": "https://nowhere.invalid", "HTTPS_PROXY": "http://127.0.0.1:9"}


def unaligned(lines: list[str]) -> list[str]:
    """Return the lines with one gap between columns, since how wide the local time is depends on the hour and day."""
    return [re.sub(" {2,}", "  ", line) for line in lines]


def test_the_plan_is_shown_with_whole_numbers_and_nothing_is_kept(command: Any, providers: Any, kept: Any) -> None:
    finished = command("batch", providers(GOOD, TWIN), "--dry-run", environ=NO_NETWORK)

    assert (finished.code, kept()) == (0, 0)
    assert unaligned(finished.lines) == [
        "  Provider  Phone  There  Why not, or what is worth a look",
        "call  Blue Ridge  +18645550106  M:SS",
        "skip  Twin  +18645550106  duplicate of line 2",
        "From columns of the file: service from 'service'.",
        "In New York it is M:SS: 1 number.",
        "It takes 9 minutes at the longest, if every call lasts as long as it may.",
        "2 providers: 1 would be called, 1 not.",
    ]


def test_the_document_has_pending_and_skipped_rows_and_says_that_it_is_a_dry_run(command: Any, providers: Any) -> None:
    finished = command("batch", providers(GOOD, TWIN), "--dry-run", "-q", "-o", "plan.json")
    document = json.loads(Path("plan.json").read_text())
    run, stats = document["run"], document["stats"]

    assert (finished.code, finished.out, finished.err) == (0, "", "")
    assert (run["dryRun"], run["finished"], run["simulated"], run["endedAt"]) == (True, False, False, None)
    assert [result["status"] for result in document["results"]] == ["pending", "skipped"]
    assert [result["error"] for result in document["results"]] == [
        None,
        {"code": "duplicate", "message": "duplicate of line 2"},
    ]
    assert (stats["total"], stats["pending"], stats["skipped"], stats["durationMs"]) == (2, 1, 1, 0)


def test_an_unusable_row_is_3_and_said_even_with_q(command: Any, providers: Any) -> None:
    finished = command("batch", providers(GOOD, ODD), "--dry-run", "-q")

    assert finished.code == 3
    assert unaligned(finished.lines) == [
        "  Provider  Phone  There  Why not, or what is worth a look",
        "skip  Odd  900-555-0100  providers.csv, line 3:"
        " '900-555-0100' is a premium-rate number, which costs extra; it is never called.",
    ]
    assert finished.document["run"]["dryRun"] is True


def test_a_file_without_a_usable_row_is_2(command: Any, providers: Any) -> None:
    finished = command("batch", providers(ODD), "--dry-run")

    assert (finished.code, finished.out) == (2, "")


def test_numbers_called_lately_are_named_with_the_run_that_called_them(command: Any, providers: Any, vapi: Any) -> None:
    run = command("batch", providers(GOOD)).document["run"]["id"]
    again = command("batch", "providers.csv", "--dry-run")

    assert again.code == 0
    assert f"Run {run} called this number on" in again.err
    assert again.document["results"][0]["error"]["code"] == "called_lately"


def test_what_is_odd_about_a_number_is_said_beside_it(command: Any, providers: Any) -> None:
    file = providers("Far,(211) 555-0106,plumbing", GOOD)

    assert unaligned(command("batch", file, "--dry-run").lines) == [
        "  Provider  Phone  There  Why not, or what is worth a look",
        "call  Far  +12115550106  No such number is known to be assigned, but it is possible, so it is called.",
        "call  Blue Ridge  +18645550106  M:SS",
        "From columns of the file: service from 'service'.",
        "In New York it is M:SS: 1 number.",
        "The local time of 1 number is not known: it cannot be told where such a number is.",
        "It takes 9 minutes at the longest, if every call lasts as long as it may.",
        "2 providers: 2 would be called, 0 not.",
    ]


def test_how_long_calls_are_expected_to_take_is_a_column_of_the_file(command: Any, kept: Any) -> None:
    Path("long.csv").write_text(
        "name,phone,Expected Duration\nShort,864-555-0106,30\nOdd,864-555-0107,half an hour\nLong,864-555-0108,90\n"
    )
    finished = command("batch", "long.csv", "--service", "plumbing", "--dry-run", environ=NO_NETWORK)

    assert (finished.code, kept()) == (0, 0)
    assert [result["provider"]["extra"] for result in finished.document["results"]] == [{}, {}, {}]
    assert unaligned(finished.lines) == [
        "  Provider  Phone  There  Why not, or what is worth a look",
        "call  Short  +18645550106  M:SS",
        "call  Odd  +18645550107  M:SS  'half an hour' is no length of a call in seconds, so nobody knows how long"
        " it will take.",
        "call  Long  +18645550108  M:SS",
        "From columns of the file: expected_duration from 'Expected Duration'.",
        "Whoever is expected to talk longest is called first, by what the file says; the document keeps the file's"
        " order.",
        "In New York it is M:SS: 3 numbers.",
        "It takes 9 minutes at the longest, if every call lasts as long as it may.",
        "3 providers: 3 would be called, 0 not.",
    ]


LONG = (
    "Whoever is expected to talk longest is called first, by what the file says; the document keeps the file's order."
)


@pytest.mark.parametrize(
    ("cells", "options", "said"),
    [
        (("30", "90"), ("--via", "direct"), [LONG]),
        (
            ("30", "90"),
            ("--via", "kestra"),
            ["Kestra calls in the file's order, though it is known whose calls take long."],
        ),
        (("30", "90"), ("--via", "auto"), [f"Unless Kestra takes the run, w{LONG.removeprefix('W')}"]),
        (("30", "90"), ("--simulate",), [LONG]),
        (("half an hour", "43201"), (), []),
        (("half an hour", "43201"), ("--via", "kestra"), []),
        (("60", ""), (), []),  # who is unknown is taken for one like the others
        (("60", "60"), (), []),
    ],
)
def test_who_is_called_first_is_said_where_it_is_not_the_first_of_the_file(
    command: Any, providers: Any, cells: tuple[str, str], options: tuple[str, ...], said: list[str]
) -> None:
    rows = (f"{place},864-555-01{place:02},plumbing,{cell}" for place, cell in enumerate(cells))
    file = providers(*rows, header="name,phone,service,expected_duration")
    finished = command("batch", file, "--dry-run", *options, environ=NO_NETWORK | {"KESTRA_ENABLED": "true"})

    column = "From columns of the file: service from 'service', expected_duration from 'expected_duration'."
    begin = finished.lines.index(column) + 1
    assert (finished.code, finished.lines[begin : begin + len(said)]) == (0, said)
    assert [line for line in finished.lines if "call" in line and "order" in line] == said


def test_what_earlier_calls_for_a_service_took_says_who_is_called_first(
    command: Any, providers: Any, vapi: Any
) -> None:
    rows = [
        f"{service} {place},{200 + place}-555-{number},{service}"
        for place in range(10)
        for service, number in (("busy", "0106"), ("talking", "0100"))
    ]
    once = command("batch", providers(*rows), "--max-concurrent", "20")
    again = command("batch", "providers.csv", "--dry-run", "--allow-redial")
    before = "Whoever is expected to talk longest"

    assert (once.code, again.code) == (0, 0)
    assert [line for line in once.lines if line.startswith(before)] == []
    assert [line for line in again.lines if line.startswith(before)] == [
        "Whoever is expected to talk longest is called first, by what earlier calls for each service took; the document"
        " keeps the file's order."
    ]


def test_a_single_call_can_be_tried_dry_too(command: Any, kept: Any) -> None:
    finished = command("call", "864-555-0106", "--name", "Blue Ridge", "--service", "plumbing", "--dry-run")

    assert (finished.code, kept()) == (0, 0)
    assert finished.document["results"][0]["status"] == "pending"
