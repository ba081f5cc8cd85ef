"""The exit codes of runs that were made: 0 done, 3 needs a look, 4 refused."""

from __future__ import annotations

from typing import Any

import pytest

BUSY = "Blue Ridge,(864) 555-0106,plumbing"
TALKS = "Reedy River,(864) 555-0110,plumbing"
SILENT = "Falls Park,(864) 555-0125,plumbing"


def statuses(document: Any) -> list[str]:
    return [result["status"] for result in document["results"]]


def test_everybody_called_is_0_whoever_answered(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY, TALKS, SILENT))

    assert finished.code == 0
    assert statuses(finished.document) == ["busy", "completed", "no_answer"]
    assert vapi.rang == {"+18645550106": 1, "+18645550110": 1, "+18645550125": 1}


def test_all_skipped_on_purpose_is_0_and_asks_vapi_nothing(command: Any, providers: Any, vapi: Any) -> None:
    command("batch", providers(BUSY))
    asked = vapi.asked
    again = command("batch", providers(BUSY, "Twin,864-555-0106,plumbing"))

    assert again.code == 0
    assert [result["error"]["code"] for result in again.document["results"]] == ["called_lately", "duplicate"]
    assert again.document["run"]["finished"] is True
    assert again.lines[0] == "Nobody will be called: 2 providers, each with its reason in the document."
    assert vapi.asked == asked


def test_allow_redial_calls_a_number_that_was_called_lately(command: Any, providers: Any, vapi: Any) -> None:
    command("batch", providers(BUSY))
    again = command("batch", providers(BUSY), "--allow-redial")

    assert statuses(again.document) == ["busy"]
    assert vapi.rang == {"+18645550106": 2}


@pytest.mark.parametrize(
    ("row", "status", "code"),
    [
        ("Odd,none,plumbing", "skipped", "not_a_number"),
        ("Talker,(864) 555-0108,plumbing", "timeout", "time_limit"),
        ("Faulty,(864) 555-0109,plumbing", "error", "call_fault"),
    ],
)
def test_a_row_that_needs_a_look_is_3_and_the_others_are_called(
    command: Any, providers: Any, vapi: Any, row: str, status: str, code: str
) -> None:
    finished = command("batch", providers(BUSY, row), "--call-timeout", "60")

    assert finished.code == 3
    assert statuses(finished.document) == ["busy", status]
    assert finished.document["results"][1]["error"]["code"] == code
    assert vapi.rang["+18645550106"] == 1


@pytest.mark.parametrize(("what", "setting"), [("key", "VAPI_API_KEY"), ("number", "VAPI_PHONE_NUMBER_ID")])
def test_a_refusal_before_the_first_dial_is_4_and_keeps_no_run(
    command: Any, providers: Any, vapi: Any, kept: Any, what: str, setting: str
) -> None:
    vapi.options.refuse = what
    finished = command("batch", providers(BUSY))

    assert (finished.code, finished.out, kept()) == (4, "", 0)
    assert setting in finished.lines[-1]
    assert vapi.rang == {}


def test_a_refusal_in_the_middle_is_4_and_resume_calls_the_rest_once_it_is_mended(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.stuck = {"+18645550110": "in-progress"}
    running = command.start("batch", providers(TALKS, BUSY, SILENT), "-v", "--max-concurrent", "1")
    running.until("call.in_progress")
    vapi.options.refuse = "credits"
    vapi.hang_up("+18645550110")
    stopped = running.finish()

    assert stopped.code == 4
    assert statuses(stopped.document)[1:] == ["not_called", "not_called"]
    assert [result["error"]["code"] for result in stopped.document["results"][1:]] == ["credits", "credits"]
    assert stopped.document["run"]["finished"] is False
    assert stopped.lines[-2:] == [
        "Stopped: " + stopped.document["results"][1]["error"]["message"],
        "To finish this run once that is mended: concierge-calls resume RUN",
    ]

    vapi.options.refuse = None
    resumed = command("resume")

    assert resumed.code == 0
    assert statuses(resumed.document)[1:] == ["busy", "no_answer"]
    assert resumed.document["run"]["id"] == stopped.document["run"]["id"]
    assert resumed.document["run"]["finished"] is True
    assert vapi.rang == {"+18645550106": 1, "+18645550110": 1, "+18645550125": 1}


def test_resume_with_nothing_to_do_is_0(command: Any, providers: Any, vapi: Any) -> None:
    run = command("batch", providers(BUSY)).document["run"]["id"]

    for arguments in ([], [run]):
        finished = command("resume", *arguments)
        assert (finished.code, finished.out, finished.err) == (0, "", "There is nothing to finish.\n")
    assert vapi.rang == {"+18645550106": 1}


def test_a_simulated_run_is_not_resumed(command: Any, providers: Any) -> None:
    run = command("batch", providers(BUSY), "--simulate", environ={"CONCIERGE_VIA": "kestra"}).document["run"]
    finished = command("resume", run["id"])

    assert (run["via"], finished.code, finished.out) == ("direct", 2, "")
    assert finished.said == f"Run {run['id']} was a simulated one, and its simulator is gone; start it again."
