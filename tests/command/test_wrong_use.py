"""Exit code 2: nobody was dialled, no run is kept, and one sentence says what is wrong and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROW = "Blue Ridge,(864) 555-0106,plumbing"
KEYS = {"VAPI_API_KEY": "sk-0123", "VAPI_PHONE_NUMBER_ID": "a-number"}
NOT_SET = "so nobody can be called. Set them in the environment or in .env, or try it without a phone: --simulate."
ODD_KEY = (
    "VAPI_API_KEY has a space, a line end or another character that no key has; copy the key once more."
    " Vapi's private key, from its dashboard."
)


@pytest.fixture
def refused(command: Any, kept: Any) -> Callable[..., str]:
    """Run a command that must end with 2, write nothing and keep no run, and return its sentence."""

    def run(*arguments: str, **more: Any) -> str:
        finished = command(*arguments, **more)
        assert (finished.code, finished.out, kept()) == (2, "", 0)
        return str(finished.said)

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["batch", "providers.csv", "--max-concurent", "3"], "No such option: --max-concurent"),
        (["bach", "providers.csv"], "No such command 'bach'"),
        (["batch"], "Missing argument 'PROVIDERS'"),
    ],
)
def test_what_is_not_understood_is_quoted_with_the_way_to_the_help(
    command: Any, arguments: list[str], words: str
) -> None:
    finished = command(*arguments)

    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith("Usage: concierge-calls")
    assert words in finished.err
    assert "--help' for help" in finished.err


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--max-concurrent=0", "--max-concurrent must be at least 1, not '0'. Calls on the line at once, 1 or more."),
        (
            "--via=train",
            "--via must be auto, direct or kestra, not 'train'. Which way the calls go: auto, direct or kestra.",
        ),
        ("--region=XX", "There is no region 'XX'; use the two letters of a country, such as US, CA or GB."),
        ("--map=phone", "--map phone is not understood; write --map phone=COLUMN, with a column of your file."),
        (
            "--map=phone=Mobile",
            "--map phone=Mobile: providers.csv has no column 'Mobile'; its columns are: name, phone, service.",
        ),
        ("--request=wish.toml", "wish.toml is not there; check the path."),
        ("--quiet", "--quiet and --verbose exclude each other; leave one out."),
        ("--via=kestra", "A simulated run is always direct: leave out --via kestra, or --simulate."),
    ],
)
def test_a_wrong_option_is_said_with_what_it_takes(refused: Any, providers: Any, option: str, sentence: str) -> None:
    assert refused("batch", providers(ROW), "--simulate", "-v", option) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "providers.csv is not there; check the path."),
        ("", "providers.csv is empty; it needs a header such as name,phone and a line for each provider."),
        ("name,phone\n", "providers.csv has no rows, so there is nobody to call."),
        (
            "name,phone\nBlue Ridge,none\n",
            "providers.csv has nobody to call: its only row cannot be used."
            " The first: providers.csv, line 2: 'none' is not a phone number; correct it.",
        ),
        (
            "name,phone\nBlue Ridge,none\nReedy,911\n",
            "providers.csv has nobody to call: none of its 2 rows can be used."
            " The first: providers.csv, line 2: 'none' is not a phone number; correct it.",
        ),
        (
            "name,fone\nBlue Ridge,911\n",
            "providers.csv has no column of phone numbers that is recognised; its columns are: name, fone."
            " Say which it is: --map phone=COLUMN",
        ),
    ],
)
def test_a_file_without_anybody_to_call_is_said_with_its_name(refused: Any, text: str | None, sentence: str) -> None:
    if text is not None:
        Path("providers.csv").write_text(text)

    assert refused("batch", "providers.csv", "--service", "plumbing", "--simulate") == sentence


def test_a_folder_is_no_providers_file(refused: Any) -> None:
    Path("lists").mkdir()

    assert refused("batch", "lists", "--simulate") == "lists is a folder; name the file in it."


def test_closed_or_empty_standard_input_is_no_providers_file(command: Any, refused: Any) -> None:
    closed = command.shell('"$COMMAND" batch - --simulate <&-')

    assert (closed.code, closed.said) == (
        2,
        "Standard input is closed, so there is no providers file in it; name the file.",
    )
    assert refused("batch", "-", "--simulate") == (
        "standard input is empty; it needs a header such as name,phone and a line for each provider."
    )
    assert refused("batch", "-", "--simulate", input="name,phone,service\n") == (
        "Standard input has no rows, so there is nobody to call."
    )


def test_a_service_named_nowhere_is_asked_for(refused: Any, providers: Any) -> None:
    file = providers("Blue Ridge,(864) 555-0106", header="name,phone")

    assert refused("batch", file, "--simulate") == (
        "What should the providers be asked for? Name it with --service, in a --request file, or in a column"
        ' "service" of the providers file (another column: --map service=COLUMN).'
    )


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (["VAPI_API_KEY"], f"VAPI_API_KEY is not set, {NOT_SET.replace('them', 'it')}"),
        (["VAPI_PHONE_NUMBER_ID"], f"VAPI_PHONE_NUMBER_ID is not set, {NOT_SET.replace('them', 'it')}"),
        (list(KEYS), f"VAPI_API_KEY and VAPI_PHONE_NUMBER_ID are not set, {NOT_SET}"),
    ],
)
def test_a_missing_key_or_number_is_named_by_its_variable(
    refused: Any, providers: Any, missing: list[str], sentence: str
) -> None:
    known = {name: value for name, value in KEYS.items() if name not in missing}

    assert refused("batch", providers(ROW), environ=known) == sentence


@pytest.mark.parametrize("key", ["sk-0123\n", "sk-\x1b[31m0123"])
def test_a_key_with_an_odd_character_is_refused_in_our_words_and_not_shown(
    refused: Any, providers: Any, key: str
) -> None:
    assert refused("batch", providers(ROW), environ=KEYS | {"VAPI_API_KEY": key}) == ODD_KEY


def test_a_number_id_with_a_line_end_is_refused_in_our_words(refused: Any, providers: Any) -> None:
    said = refused("batch", providers(ROW), environ=KEYS | {"VAPI_PHONE_NUMBER_ID": "a-number\n"})

    assert said.startswith("VAPI_PHONE_NUMBER_ID has a space, a line end or another character that no id has")


def test_the_key_is_not_sent_unencrypted_to_another_machine(refused: Any, providers: Any) -> None:
    said = refused("batch", providers(ROW), environ=KEYS | {"VAPI_BASE_URL": "http://vapi.example"})

    assert said.startswith("VAPI_BASE_URL must begin with https://, or with http:// for this machine itself.")


@pytest.mark.parametrize(("place", "why"), [("missing/doc.json", "No such file or directory"), (".", "Is a directory")])
def test_a_place_that_cannot_be_written_is_found_before_the_first_dial(
    refused: Any, providers: Any, vapi: Any, place: str, why: str
) -> None:
    said = refused("batch", providers(ROW), "-o", place)

    assert said == f"{os.path.abspath(place)} cannot be written ({why}); choose another place with --output."
    assert vapi.ledger["requests"]["create"] == 0


def test_a_journal_that_cannot_be_used_is_said_with_its_path(command: Any, providers: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finished = command("batch", providers(ROW), "--simulate", environ={"CONCIERGE_STATE_DIR": f"{tmp_path}/file/state"})

    assert (finished.code, finished.out) == (2, "")
    assert f"The journal {tmp_path}/file/state/simulated.db needs a folder" in finished.said
    assert "set CONCIERGE_STATE_DIR to another folder" in finished.said


@pytest.mark.parametrize("arguments", [["show", "20260101-aaaaaaaa"], ["resume", "20260101-aaaaaaaa"]])
def test_a_run_that_is_not_there_is_said(refused: Any, arguments: list[str]) -> None:
    assert refused(*arguments) == ("There is no run 20260101-aaaaaaaa in the journal; see: concierge-calls runs.")


def test_vapi_out_of_reach_ends_the_run_after_ten_seconds(out_of_reach: Any) -> None:
    finished = out_of_reach.finish()

    assert (finished.code, finished.out) == (2, "")
    assert finished.err.splitlines()[-2:] == [
        "Vapi has not answered yet; it is asked for 10 seconds.",
        "concierge-calls: Vapi is out of reach, so nobody was dialled;"
        " check the network, then run the same command again.",
    ]
