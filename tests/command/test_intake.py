"""What the command takes: standard input, JSON, columns, typed options and a request file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WANTED = {
    "serviceNeeded": "plumbing",
    "userCriteria": None,
    "location": None,
    "urgency": "within_2_days",
    "problemDescription": None,
    "clientName": None,
    "serviceRequestId": None,
}


def wanted(finished: Any) -> Any:
    assert finished.code == 0
    return finished.document["results"][0]["request"]


def test_standard_input_is_read_like_a_file(command: Any) -> None:
    finished = command(
        "batch", "-", "--dry-run", input="Name;Phone\nBlue Ridge;8645550106\n", environ={"VAPI_ASSISTANT_ID": "a"}
    )

    assert finished.code == 0
    assert finished.document["run"]["source"] == "-"
    assert finished.document["results"][0]["provider"] == {
        "id": None,
        "name": "Blue Ridge",
        "phone": "+18645550106",
        "phoneGiven": "8645550106",
        "extension": None,
        "line": 2,
        "extra": {},
    }


def test_json_is_read_and_every_other_field_comes_back(command: Any) -> None:
    place = {"id": "p1", "displayName": {"text": "Blue Ridge"}, "nationalPhoneNumber": "(864) 555-0106", "rating": 4.8}
    Path("places.json").write_text(json.dumps({"places": [place]}))
    finished = command("batch", "places.json", "--dry-run", "--service", "plumbing")
    provider = finished.document["results"][0]["provider"]

    assert (provider["id"], provider["name"], provider["phone"]) == ("p1", "Blue Ridge", "+18645550106")
    assert provider["extra"]["rating"] == 4.8


def test_a_typed_option_wins_over_a_column_and_an_empty_cell_is_no_value(command: Any, providers: Any) -> None:
    file = providers("Blue Ridge,8645550106,Easley SC,licensed", header="name,phone,Location,criteria")
    typed = command("batch", file, "--dry-run", "--service", "plumbing", "--location", "Greenville SC")

    assert wanted(typed) == WANTED | {"location": "Greenville SC", "userCriteria": "licensed"}
    assert "From columns of the file: criteria from 'criteria'." in typed.lines


def test_map_asks_for_a_column_all_the_same(command: Any, providers: Any) -> None:
    file = providers("Blue Ridge,8645550106,Easley SC", header="name,Mobile of owner,Town")
    options = ("--map", "phone=Mobile of owner", "--map", "location=Town", "--location", "Greenville SC")
    finished = command("batch", file, "--dry-run", "--service", "plumbing", *options)

    assert wanted(finished) == WANTED | {"location": "Easley SC"}
    assert "From columns of the file: location from 'Town'." in finished.lines


def test_whoever_is_expected_to_talk_longest_is_called_first(command: Any, providers: Any, vapi: Any) -> None:
    rows = ("Short,864-555-0106,plumbing,30", "Unknown,864-555-0116,plumbing,", "Long,864-555-0126,plumbing,300")
    file = providers(*rows, header="name,phone,service,expected_duration")
    finished = command("batch", file, "--max-concurrent", "1")

    begun = {number: known["calls"][0]["createdAt"] for number, known in vapi.ledger["numbers"].items()}
    assert sorted(begun, key=begun.__getitem__) == ["+18645550126", "+18645550116", "+18645550106"]
    assert [result["provider"]["name"] for result in finished.document["results"]] == ["Short", "Unknown", "Long"]
    assert (
        "Whoever is expected to talk longest is called first, by what the file says; the document keeps the file's"
        " order." in finished.lines
    )


def test_a_request_file_names_the_rest_and_typed_options_win(command: Any, providers: Any) -> None:
    Path("request.toml").write_text(
        'service = "moving"\nuserCriteria = ["licensed", "insured"]\nurgency = "next week"\nclient_name = "Dana"\n'
    )
    file = providers("Blue Ridge,8645550106", header="name,phone")
    finished = command(
        "batch", file, "--dry-run", "--request", "request.toml", "--service", "plumbing", "--problem", "It drips"
    )

    assert wanted(finished) == WANTED | {
        "userCriteria": "licensed; insured",
        "urgency": "next week",
        "clientName": "Dana",
        "problemDescription": "It drips",
    }


def test_the_region_says_how_a_number_without_a_country_code_is_read(command: Any, providers: Any) -> None:
    file = providers("Blue Ridge,8645550106,plumbing")
    finished = command("batch", file, "--dry-run", environ={"CONCIERGE_REGION": "ca"})

    assert finished.document["results"][0]["provider"]["phone"] == "+18645550106"


def test_one_provider_is_called_without_a_file(command: Any, vapi: Any) -> None:
    finished = command("call", "(864) 555-0106 x12", "--name", "Blue Ridge", "--service", "plumbing")
    document = finished.document

    assert finished.code == 0
    assert (document["run"]["source"], len(document["results"])) == ("call", 1)
    assert document["results"][0]["status"] == "busy"
    assert document["results"][0]["request"] == WANTED
    assert document["results"][0]["provider"] | {"line": None} == {
        "id": None,
        "name": "Blue Ridge",
        "phone": "+18645550106",
        "phoneGiven": "(864) 555-0106 x12",
        "extension": "12",
        "line": None,
        "extra": {},
    }
    assert vapi.rang == {"+18645550106": 1}


def test_a_number_that_cannot_be_called_is_2_with_a_sentence(command: Any) -> None:
    odd = {
        "911": "'911' is an emergency number; it is never called.",
        "none": "'none' is not a phone number; correct it.",
        "900-555-0100": "'…0100' is a premium-rate number, which costs extra; it is never called.",
    }
    for number, sentence in odd.items():
        finished = command("call", number, "--name", "Blue Ridge", "--service", "plumbing", "--simulate")
        assert (finished.code, finished.out, finished.said) == (2, "", sentence)


def test_a_single_call_needs_a_name(command: Any) -> None:
    finished = command("call", "864-555-0106", "--name", " ", "--service", "plumbing", "--simulate")

    assert (finished.code, finished.out) == (2, "")
    assert finished.said == "--name is empty, and the assistant asks for the business by it; give its name."
