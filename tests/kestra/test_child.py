"""A child calls those whom a flow hands over, one after the other, and brings back what they answered."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

import pytest

from tests.crashes.world import COMMAND, let_go, until
from tests.kestra.children import (
    ASKED,
    AVAILABLE,
    LATER,
    NOBODY,
    RUN,
    TODAY,
    Done,
    Workers,
    as_base64,
    item,
    item_of,
    provider,
)

HOSTILE = (
    "\"quotes\" \\ back `id` $(id) 'x' {{ 7 * 6 }} {% raw %} {# no #} é 漢字 \N{PARTY POPPER} \u2028 \u202e"
    ' ::{"outputs":{}}::'
)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Workers whose calls take no time."""
    with Workers() as made:
        yield made


def test_one_provider_is_called_and_comes_back_in_one_line(workers: Workers) -> None:
    done = workers.run(item(NOBODY, first=7))
    [call] = workers.calls(NOBODY)

    assert done.result == {
        "index": 7,
        "run_id": RUN,
        "name": "Provider 7",
        "status": "no_answer",
        "call_id": call["id"],
        "ended_reason": "customer-did-not-answer",
        "dialed_at": done.result["dialed_at"],
        "started_at": None,
        "ended_at": done.result["ended_at"],
        "off_the_line_at": done.result["off_the_line_at"],
        "duration": 0.0,
        "cost": done.result["cost"],
        "recording_url": None,
        "analysis": {"status": "none", "summary": None, "structured_data": {}, "success_evaluation": None},
        "error": None,
    }
    moments = [done.result[name] for name in ("dialed_at", "ended_at", "off_the_line_at")]
    assert all(map(MOMENT.fullmatch, moments))
    assert moments[0] < moments[2]
    assert workers.keys == {NOBODY: [f"{RUN}-7-1"]}
    assert workers.markers() == [f"{RUN}-7-1"]


def test_what_was_said_is_in_the_file_beside_everything_of_the_line(workers: Workers) -> None:
    done = workers.call(item(AVAILABLE))
    [whole] = done.file

    assert done.result["status"] == "completed"
    assert done.result["analysis"]["structured_data"]["availability"] == "available"
    assert {name: value for name, value in whole.items() if name in done.result} == done.result
    assert set(whole) - set(done.result) == {"transcript", "messages"}
    assert whole["messages"][0].keys() == {"role", "message", "seconds_from_start"}
    assert whole["messages"][0]["message"] in whole["transcript"]


def test_the_providers_of_a_slice_are_called_one_after_the_other(workers: Workers) -> None:
    phones = (AVAILABLE, NOBODY, LATER)
    done = workers.call(item(*phones, first=40), environ={"CONCIERGE_CHILD_LINES": "3"})
    calls = [workers.calls(phone)[0] for phone in phones]

    assert [(result["index"], result["status"]) for result in done.results] == [
        (40, "completed"),
        (41, "no_answer"),
        (42, "completed"),
    ]
    assert workers.keys == {phone: [f"{RUN}-{40 + number}-1"] for number, phone in enumerate(phones)}
    assert all(one["endedAt"] <= other["createdAt"] for one, other in pairwise(calls))
    assert workers.simulator.ledger()["peak"] == 1


def test_the_rows_of_a_slice_need_not_follow_each_other(workers: Workers) -> None:
    done = workers.call(item_of([provider(3, AVAILABLE), provider(90, NOBODY)]))

    assert [result["index"] for result in done.results] == [3, 90]
    assert workers.keys == {AVAILABLE: [f"{RUN}-3-1"], NOBODY: [f"{RUN}-90-1"]}


def test_an_item_in_a_file_is_called_as_one_in_the_environment(workers: Workers) -> None:
    done = workers.run(item(AVAILABLE, first=2), "--item", "item.json")

    assert (done.result["index"], done.result["status"]) == (2, "completed")


def test_a_whole_list_is_called_by_one_task_on_as_many_lines_as_the_flow_has(workers: Workers) -> None:
    phones = [f"+18645550{line}" for line in range(120, 126)]
    handed = [item(phone, first=number, place=number) for number, phone in enumerate(phones)]
    workers.options.stuck = dict.fromkeys(phones, "in-progress")
    child = workers.start(handed, "--file", "providers.json", environ={"CONCIERGE_CHILD_LINES": "3"})
    # Once the child knows that three talk, one more than it may dial would have been dialled, too.
    until(lambda: sum(workers.state_of(phone) == "in_progress" for phone in phones) >= 3)
    let_go(workers.simulator)
    done = child.finish()

    assert [result["index"] for result in done.results] == list(range(6))
    assert workers.keys == {phone: [f"{RUN}-{number}-1"] for number, phone in enumerate(phones)}
    assert workers.simulator.ledger()["peak"] == 3


def test_a_plain_list_has_the_flows_inputs_where_a_provider_has_none_of_its_own(workers: Workers) -> None:
    handed = [{"name": "One", "phone": "(864) 555-0100"}, {"name": "Two", "phone": LATER, "service_needed": "roofing"}]
    inputs = {"service_needed": "plumbing", "urgency": "", "run_id": "", "execution_id": "6oVcZaqRxmB3yXW4fL2kPe"}
    done = workers.call(handed, "--file", "providers.json", environ={"CONCIERGE_CHILD_DEFAULTS_B64": as_base64(inputs)})

    assert [(result["index"], result["name"], result["run_id"], result["status"]) for result in done.results] == [
        (0, "One", "6oVcZaqRxmB3yXW4fL2kPe", "completed"),
        (1, "Two", "6oVcZaqRxmB3yXW4fL2kPe", "completed"),
    ]
    assert [" about plumbing." in each["analysis"]["summary"] for each in done.results] == [True, False]
    assert " about roofing." in done.results[1]["analysis"]["summary"]
    assert workers.keys == {AVAILABLE: ["6oVcZaqRxmB3yXW4fL2kPe-0-1"], LATER: ["6oVcZaqRxmB3yXW4fL2kPe-1-1"]}


@pytest.mark.parametrize("place", ["4", ""], ids=["its place", "no place"])
def test_a_plain_item_has_the_number_of_its_place_or_else_the_same_one_at_each_start(
    workers: Workers, place: str
) -> None:
    inputs = {"service_needed": "plumbing", "run_id": "mine", "execution_id": "other", "place": place}
    given = {"CONCIERGE_CHILD_DEFAULTS_B64": as_base64(inputs)}
    first = workers.call({"name": "One", "phone": "(864) 555-0100"}, environ=given)
    second = workers.call({"name": "One", "phone": "(864) 555-0100"}, environ=given)

    assert first.results == second.results
    assert first.result["index"] == (4 if place else 98_653_008)
    assert workers.keys == {AVAILABLE: ["mine-98653008-1"]}


def test_a_number_that_stands_in_a_plain_list_twice_is_called_once(workers: Workers) -> None:
    def called(name: str, phone: str, place: int) -> Done:
        inputs = {"service_needed": "plumbing", "run_id": "mine", "place": place}
        given = {"CONCIERGE_CHILD_DEFAULTS_B64": as_base64(inputs)}
        return workers.call({"name": name, "phone": phone}, environ=given)

    first, other, again = called("One", NOBODY, 0), called("Two", "(864) 555-0105", 7), called("One", NOBODY, 0)
    nobody = [called("Three", "none", 8).result, called("Four", "none", 9).result]

    assert (first.result["status"], again.results) == ("no_answer", first.results)
    assert (other.result["index"], other.result["status"], other.result["error"]) == (
        7,
        "skipped",
        {
            "code": "duplicate",
            "message": "This number stands in the list under another name, too, and is called once in a run; nobody's"
            " phone rang for this one.",
        },
    )
    assert [(each["index"], each["status"], each["error"]["code"]) for each in nobody] == [
        (8, "skipped", "not_a_number"),
        (9, "skipped", "not_a_number"),
    ]
    assert workers.keys == {NOBODY: ["mine-735032226-1"]}


def test_hostile_names_come_back_as_they_were_in_one_line_of_ascii(workers: Workers) -> None:
    done = workers.call(item_of([provider(0, AVAILABLE, name=HOSTILE)]))

    assert (done.result["name"], done.result["status"]) == (HOSTILE, "completed")


def test_notes_of_5000_letters_are_cut_in_the_line_with_a_mark_and_whole_in_the_file(workers: Workers) -> None:
    workers.call(item(AVAILABLE))
    [journal] = workers.journals()
    with closing(sqlite3.connect(journal)) as db, db:
        notes = "\N{SNOWMAN}" * 5000
        db.execute("UPDATE rows SET result = json_set(result, '$.analysis.structured_data.notes', ?)", (notes,))
    again = workers.call(item(AVAILABLE))

    assert again.result["analysis"]["structured_data"]["notes"] == (
        "\N{SNOWMAN}" * 4000 + "... [cut, see results.json]"
    )
    assert again.file[0]["analysis"]["structured_data"]["notes"] == notes


def test_a_child_is_always_direct_whatever_the_workers_route_is(workers: Workers) -> None:
    route = {"CONCIERGE_VIA": "kestra", "KESTRA_ENABLED": "true", "KESTRA_FLOW": "one-task"}
    servers_own = {"KESTRA_URL": "http://kestra:8080/ui/", "KESTRA_PASSWORD": "two\nlines", "KESTRA_CPUS": "many"}
    done = workers.run(item(AVAILABLE), environ=route | servers_own)

    assert done.statuses == ["completed"]


def test_the_tools_own_assistant_is_used_where_the_run_has_none_whatever_the_workers_is(workers: Workers) -> None:
    done = workers.call(item(AVAILABLE), environ={"VAPI_ASSISTANT_ID": "22222222-2222-4222-8222-222222222222"})

    assert (done.statuses, workers.asked("assistant")) == (["completed"], 0)


def test_who_is_on_the_workers_do_not_call_list_is_skipped(workers: Workers) -> None:
    workers.command("do-not-call", "--add", AVAILABLE)
    done = workers.call(item(AVAILABLE, NOBODY))

    assert [(result["status"], (result["error"] or {}).get("code")) for result in done.results] == [
        ("skipped", "do_not_call"),
        ("no_answer", None),
    ]
    assert list(workers.keys) == [NOBODY]


def test_who_asks_a_child_not_to_be_called_again_joins_the_workers_list(workers: Workers) -> None:
    workers.call(item(ASKED))

    assert f"asked so on the phone, in run {RUN}" in workers.command("do-not-call")
    assert workers.call(item_of([provider(0, ASKED)], run="20261124-hijkmnpq")).statuses == ["skipped"]


def test_a_run_id_that_was_used_for_others_calls_nobody_and_says_so(workers: Workers) -> None:
    workers.call(item(AVAILABLE))
    other = workers.call(item(NOBODY))

    assert (other.result["status"], other.result["call_id"], other.result["error"]) == (
        "not_called",
        None,
        {
            "code": "not_understood",
            "message": f"The run {RUN} was begun for other providers, so nobody of these is called; start the flow with"
            " another run_id, or without one.",
        },
    )
    assert list(workers.keys) == [AVAILABLE]


def test_a_call_that_got_no_line_is_placed_again_by_another_key(workers: Workers) -> None:
    workers.options.lines, workers.options.stuck = 1, {TODAY: "in-progress"}
    other = workers.start(item_of([provider(0, TODAY)], run="20261124-hijkmnpq"))
    workers.talk(TODAY)
    waiting = workers.start(item(AVAILABLE))
    until(lambda: workers.simulator.ledger()["statuses"].get("400") or workers.simulator.ledger()["statuses"].get(400))
    workers.hang_up()

    assert waiting.finish().statuses == ["completed"]
    assert other.finish().statuses == ["completed"]
    [key] = workers.keys[AVAILABLE]
    assert re.fullmatch(f"{RUN}-0-[2-9]", key)
    assert workers.markers() == sorted([key, "20261124-hijkmnpq-0-1"])


def test_a_call_that_vapi_took_and_ended_for_lack_of_a_line_is_placed_again(workers: Workers) -> None:
    workers.options.lines, workers.options.lines_shape, workers.options.stuck = 1, "ended", {TODAY: "in-progress"}
    other = workers.start(item_of([provider(0, TODAY)], run="20261124-hijkmnpq"))
    workers.talk(TODAY)
    waiting = workers.start(item(AVAILABLE))
    workers.wait_for(AVAILABLE)
    workers.hang_up(TODAY)

    assert waiting.finish().statuses == ["completed"]
    assert other.finish().statuses == ["completed"]
    assert sum(call["rangAt"] is not None for call in workers.calls(AVAILABLE)) == 1


def test_a_child_whose_server_is_gone_calls_on_and_the_next_start_has_its_results(workers: Workers) -> None:
    reading, writing = os.pipe()
    orphan = workers.start(item(AVAILABLE, NOBODY), stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)

    assert orphan.finish().code == 0
    assert workers.call(item(AVAILABLE, NOBODY)).statuses == ["completed", "no_answer"]
    assert workers.keys == {AVAILABLE: [f"{RUN}-0-1"], NOBODY: [f"{RUN}-1-1"]}


def test_a_child_that_was_started_without_stdin_and_stdout_calls_all_the_same(workers: Workers) -> None:
    given = workers.environ | {"CONCIERGE_CHILD_ITEM_B64": as_base64(item(NOBODY))}
    script = f"exec {COMMAND} kestra child <&- >&-"
    done = subprocess.run(["/bin/sh", "-c", script], env=given, cwd=workers.folder, stderr=subprocess.PIPE, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert workers.call(item(NOBODY)).statuses == ["no_answer"]
    assert workers.keys == {NOBODY: [f"{RUN}-0-1"]}


def test_a_closed_terminal_of_the_server_stops_no_child(workers: Workers) -> None:
    workers.options.stuck = {AVAILABLE: "in-progress"}
    started = workers.start(item(AVAILABLE))
    workers.talk(AVAILABLE)
    started.tell(signal.SIGHUP)
    workers.hang_up()

    assert started.finish().result["ended_reason"] == "customer-ended-call"


def test_neither_the_key_nor_a_number_is_in_the_tasks_log(workers: Workers) -> None:
    workers.options.fail_reads = 0.3
    done = workers.run(item(AVAILABLE))

    assert done.code == 0
    assert "sk-0123" not in done.out + done.err
    assert "555010" not in done.out + done.err
