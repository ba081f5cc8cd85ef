"""Who asked not to be called is on a list, is skipped whatever is typed, and is taken off only on purpose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.command.test_forget import QUESTION, at_terminal

NUMBER = "+18645550106"
OTHER = "+18645550110"
BUSY = "Larkspur Plumbing,(864) 555-0106,plumbing"
TALKS = "Whispering Pines,(864) 555-0110,plumbing"
ANGRY = "Elm Street Drains,(864) 555-0174,plumbing"  # says on the phone never to be called again
EMPTY = "Nobody has asked not to be called. To add a number: concierge-calls do-not-call --add PHONE\n"
DATE = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+Z)?")


def entries(command: Any) -> list[tuple[str, str]]:
    """Return the list as number and note, each entry having its time."""
    finished = command("do-not-call", "--json")
    assert (finished.code, finished.err) == (0, "")
    assert all(DATE.fullmatch(entry["since"]) and len(entry) == 3 for entry in finished.document)
    return [(entry["phone"], entry["note"]) for entry in finished.document]


def codes(document: Any) -> list[str | None]:
    return [result["error"] and result["error"]["code"] for result in document["results"]]


def test_an_empty_list_is_0_and_says_how_to_begin_one(command: Any) -> None:
    finished = command("do-not-call")

    assert (finished.code, finished.out, finished.err) == (0, "", EMPTY)
    assert (entries(command), command("do-not-call", "--json").out) == ([], "[\n]\n")


def test_the_list_says_who_since_when_and_why_in_whole_numbers(command: Any) -> None:
    added = command("do-not-call", "--add", "+1 864 555 0110", "--add", "(864) 555-0106")
    finished = command("do-not-call")

    assert (added.code, added.out) == (0, "")
    assert added.err == "2 numbers added to those that are not to be called.\n"
    assert (finished.code, finished.err) == (0, "")
    assert DATE.sub("DATE", finished.out).splitlines() == [
        "+18645550106      DATE  added by hand",
        "+18645550110      DATE  added by hand",
    ]


def test_adding_twice_is_no_error_and_keeps_who_said_so_first(command: Any) -> None:
    Path("asked.txt").write_text("864-555-0106\n")
    command("do-not-call", "--import", "asked.txt")
    again = command("do-not-call", "--add", "8645550106", "--add", "864.555.0106")

    assert (again.code, again.err) == (
        0,
        "0 numbers added to those that are not to be called; 1 number was there before.\n",
    )
    assert entries(command) == [(NUMBER, "imported from asked.txt")]


def test_a_number_is_read_as_its_region_writes_it(command: Any) -> None:
    assert command("do-not-call", "--add", "00 1 864 555 0106").code == 2
    assert command("do-not-call", "--add", "00 1 864 555 0106", "--region", "gb").code == 0
    assert entries(command) == [(NUMBER, "added by hand")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--add", "nobody"), "'nobody' is not a phone number; correct it."),
        (
            ("--add", "8645550106", "--add", "555-0110"),
            "'555-0110' lacks its area code; write the whole number.",
        ),
        (("--add", "8645550106 / 8645550110"), "This is more than one number; give each of them by itself."),
        (
            ("--add", "8645550106", "--region", "XX"),
            "There is no region 'XX'; use the two letters of a country, such as US, CA or GB.",
        ),
        (("--remove", "8645550106", "-y"), "…0106 is not on the list; see: concierge-calls do-not-call"),
        (
            ("--json", "--add", "8645550106"),
            "--add, --import, --remove and --json exclude each other; give one of them at a time.",
        ),
        (("--import", "none.csv"), "none.csv is not there; check the path."),
    ],
)
def test_wrong_use_is_2_and_changes_nothing(command: Any, arguments: tuple[str, ...], said: str) -> None:
    finished = command("do-not-call", *arguments)

    assert (finished.code, finished.out, finished.said) == (2, "", said)
    assert entries(command) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("asked.csv", "Business Name;Phone Number\nLarkspur;(864) 555-0106\nPines;864-555-0110\n"),
        ("asked.csv", "phone\n(864) 555-0106\n864-555-0110\n"),
        ("asked.tsv", "since\tTelephone\n2026\t8645550106\n2025\t8645550110\n"),
        ("asked.json", '[{"phone": "864-555-0106"}, {"phone": "+18645550110"}]'),
        ("asked.json", '{"places": [{"title": "A", "phone": "8645550106"}, {"title": "B", "phone": "8645550110"}]}'),
        ("asked.jsonl", '{"phone": "8645550106"}\n{"phone": "8645550110"}\n'),
        ("asked", "8645550106\n\n  (864) 555-0110 ext. 12  \n"),
        ("asked.txt", "\ufeff+1 864 555 0106\r\n+1 864 555 0110\r\n8645550110\r\n"),
    ],
)
def test_a_file_is_a_table_or_json_with_a_column_of_phones_or_a_number_a_line(
    command: Any, name: str, text: str
) -> None:
    Path(name).write_text(text)
    finished = command("do-not-call", "--import", name)

    assert (finished.code, finished.err) == (0, "2 numbers added to those that are not to be called.\n")
    assert entries(command) == [(NUMBER, f"imported from {name}"), (OTHER, f"imported from {name}")]


def test_what_the_list_writes_can_be_imported_again_from_standard_input(command: Any) -> None:
    command("do-not-call", "--add", NUMBER)
    listed = command("do-not-call", "--json").out
    command("do-not-call", "--remove", NUMBER, "--yes")
    finished = command("do-not-call", "--import", "-", input=listed)

    assert finished.code == 0
    assert entries(command) == [(NUMBER, "imported from standard input")]


@pytest.mark.parametrize(
    ("name", "text", "faults"),
    [
        (
            "asked.txt",
            "864-555-0106\n\nnobody\n864-555-0110 / 864-555-0120\n",
            [
                "asked.txt, line 3: 'nobody' is not a phone number; correct it.",
                "asked.txt, line 4: This is more than one number; give each of them by itself.",
            ],
        ),
        (
            "asked.csv",
            "name,phone\nPines,\nLarkspur,864-555-0106,and more\n",
            ["asked.csv, line 2: There is no phone number; fill it in, or take the row out."],
        ),
        (
            "asked.jsonl",
            '{"phone": "864-555-0106"}\n{"phone"\n',
            ["asked.jsonl, line 2: This is not JSON (column 10: Expecting ':' delimiter); mend the line."],
        ),
    ],
)
def test_a_line_that_cannot_be_used_is_told_and_3_and_the_others_are_kept(
    command: Any, name: str, text: str, faults: list[str]
) -> None:
    Path(name).write_text(text)
    finished = command("do-not-call", "--import", name)

    entry = "1 entry" if len(faults) == 1 else f"{len(faults)} entries"
    assert (finished.code, finished.out) == (3, "")
    assert finished.err.splitlines() == [
        "1 number added to those that are not to be called.",
        *faults,
        f"{entry} could not be used; mend them and import the file again.",
    ]
    assert entries(command) == [(NUMBER, f"imported from {name}")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "asked.csv is empty; it needs a number a line, or a table with a column phone."),
        ("phone\n", "asked.csv has no number that can be used, so none was added."),
        (
            "nobody\n",
            "asked.csv has no number that can be used, so none was added."
            " The first: asked.csv, line 1: 'nobody' is not a phone number; correct it.",
        ),
        (
            "who,where\na,b\n",
            "asked.csv has no column of phone numbers that is recognised; name one of these phone: who, where.",
        ),
    ],
)
def test_a_file_without_a_number_is_2(command: Any, text: str, said: str) -> None:
    Path("asked.csv").write_text(text)
    finished = command("do-not-call", "--import", "asked.csv")

    assert (finished.code, finished.out, finished.said) == (2, "", said)
    assert entries(command) == []


def test_removing_needs_yes_where_nobody_can_be_asked(command: Any) -> None:
    command("do-not-call", "--add", NUMBER, "--add", OTHER)
    refused = command("do-not-call", "--remove", NUMBER)

    assert (refused.code, refused.out) == (2, "")
    assert refused.said == "Nobody can be asked here whether …0106 may be called again; if so, say --yes."
    assert len(entries(command)) == 2

    finished = command("do-not-call", "--remove", "864 555 0106", "--yes")
    assert (finished.code, finished.err) == (0, "1 number may be called again: …0106.\n")
    assert entries(command) == [(OTHER, "added by hand")]


@pytest.mark.parametrize(
    ("typed", "code", "said", "left"),
    [(b"y\n", 0, "1 number may be called again: …0106.", 0), (b"n\n", 2, "Nothing was changed.", 1)],
)
def test_at_a_terminal_removing_asks(command: Any, typed: bytes, code: int, said: str, left: int) -> None:
    command("do-not-call", "--add", NUMBER)
    ended, screen = at_terminal("do-not-call", "--remove", NUMBER, typed=typed)

    question = f"Have …0106 called again, although it was asked not to be? {QUESTION}{typed.decode().strip()}"
    assert (ended, screen) == (code, [question, said])
    assert len(entries(command)) == left


def test_who_is_on_the_list_is_skipped_by_batch_and_call_also_with_allow_redial(
    command: Any, providers: Any, vapi: Any
) -> None:
    command("do-not-call", "--add", NUMBER)
    file = providers(BUSY, TALKS)

    for redial in ((), ("--allow-redial",)):
        finished = command("batch", file, *redial)
        assert finished.code == 0
        assert codes(finished.document)[0] == "do_not_call"
        single = command("call", NUMBER, "--name", "Larkspur", "--service", "plumbing", *redial)
        assert (single.code, codes(single.document)) == (0, ["do_not_call"])
    assert vapi.rang == {OTHER: 2}

    command("do-not-call", "--remove", NUMBER, "--yes")
    assert codes(command("batch", file).document) == [None, "called_lately"]
    assert vapi.rang == {NUMBER: 1, OTHER: 2}


def test_who_comes_on_the_list_while_a_run_goes_on_is_skipped_when_the_turn_comes(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.stuck = {OTHER: "in-progress"}
    running = command.start("batch", providers(TALKS, BUSY), "-v", "--max-concurrent", "1", "--allow-redial")
    running.until("call.in_progress")
    command("do-not-call", "--add", NUMBER)
    vapi.hang_up(OTHER)
    finished = running.finish()

    assert (finished.code, codes(finished.document)) == (0, [None, "do_not_call"])
    assert vapi.rang == {OTHER: 1}


def test_who_says_so_on_the_phone_comes_on_the_list_with_the_run(command: Any, providers: Any, vapi: Any) -> None:
    run = command("batch", providers(ANGRY)).document["run"]["id"]

    assert entries(command) == [("+18645550174", f"asked so on the phone, in run {run}")]
    again = command("batch", "providers.csv", "--allow-redial")
    assert codes(again.document) == ["do_not_call"]
    assert vapi.rang == {"+18645550174": 1}


def test_a_simulated_run_neither_obeys_nor_feeds_the_list(command: Any, providers: Any) -> None:
    command("do-not-call", "--add", NUMBER)
    finished = command("batch", providers(BUSY, ANGRY), "--simulate")
    again = command("batch", "providers.csv", "--simulate")

    for document in (finished.document, again.document):
        assert [result["status"] for result in document["results"]] == ["busy", "completed"]
    assert finished.document["results"][1]["analysis"]["structuredData"]["do_not_call"] is True
    assert entries(command) == [(NUMBER, "added by hand")]


def test_the_list_goes_through_a_pipe_that_is_closed(command: Any) -> None:
    Path("asked.txt").write_text("".join(f"+1 {200 + n // 100} 555 01{n % 100:02}\n" for n in range(5000)))
    assert command("do-not-call", "--import", "asked.txt").err.startswith("5,000 numbers added")
    finished = command.shell('"$COMMAND" do-not-call | head -1; echo "${PIPESTATUS[0]}"')

    assert (DATE.sub("DATE", finished.out).splitlines(), finished.err) == (
        ["+12005550100      DATE  imported from asked.txt", "0"],
        "",
    )
