"""Two runs that share numbers never have one of them on the line together, and a dead run keeps nobody's for ever."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.command.conftest import wait_until

FIRST, SECOND, NEVER = "+18645550100", "+18645550116", "+18645550174"
ROWS = ("Blue Ridge,(864) 555-0100,plumbing", "Reedy River,(864) 555-0116,plumbing")


def told(document: Any) -> list[tuple[str, str | None]]:
    """Return each row's status and the code of its reason."""
    return [(row["status"], row["error"] and row["error"]["code"]) for row in document["results"]]


@pytest.fixture
def talking(command: Any, providers: Any, vapi: Any) -> Any:
    """A run whose first call is on the line and stays there, while the second provider waits."""
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", providers(*ROWS), "-v", "--max-concurrent", "1", "-o", "first.json")
    running.until("call.in_progress")
    return running


def killed(running: Any) -> None:
    """End the run's process as the kernel would."""
    running.interrupt(signal.SIGKILL)
    assert running.finish().code == -signal.SIGKILL


def wait_for_all_of(vapi: Any, number: str, moment: str) -> None:
    """Return as soon as there is a call to this number, and it has come this far at Vapi."""

    def has_come() -> bool:
        calls = vapi.ledger["numbers"].get(number, {"calls": []})["calls"]
        return bool(calls) and all(call[moment] is not None for call in calls)

    wait_until(has_come)


@pytest.mark.parametrize("more", [(), ("--allow-redial",)])
@pytest.mark.parametrize("alive", [True, False], ids=["alive", "dead"])
def test_a_number_on_the_line_in_another_run_is_skipped_and_one_that_only_waits_there_is_called(
    talking: Any, command: Any, vapi: Any, alive: bool, more: tuple[str, ...]
) -> None:
    if not alive:
        killed(talking)
    [run] = [line.split()[0] for line in command("runs").out.splitlines()]
    second = command("batch", "providers.csv", *more)

    assert (second.code, told(second.document)) == (3, [("skipped", "on_the_line"), ("busy", None)])
    assert second.document["results"][0]["error"]["message"] == (
        f"Run {run} has this number on the line; to follow it to its end, which also calls the 1 provider left in it:"
        f" concierge-calls resume {run}"
    )
    assert vapi.rang == {FIRST: 1, SECOND: 1}

    vapi.hang_up(FIRST)
    last = talking.finish() if alive else command("resume", run)

    assert last.code == 0
    assert told(command("show", run).document) == [("completed", None), ("skipped", "called_lately")]
    assert vapi.rang == {FIRST: 1, SECOND: 1}


def test_a_dead_runs_call_that_is_over_at_vapi_no_longer_keeps_its_number_and_counts_as_a_call(
    talking: Any, command: Any, vapi: Any
) -> None:
    killed(talking)
    vapi.hang_up(FIRST)
    vapi.options.stuck = {}
    [run] = [line.split()[0] for line in command("runs").out.splitlines()]
    guarded = command("batch", "providers.csv")

    assert (guarded.code, told(guarded.document)) == (0, [("skipped", "called_lately"), ("busy", None)])

    allowed = command("batch", "providers.csv", "--allow-redial")

    assert (allowed.code, [status for status, _ in told(allowed.document)]) == (0, ["completed", "busy"])
    assert vapi.rang == {FIRST: 2, SECOND: 2}

    resumed = command("resume", run, "-o", "-")

    assert (resumed.code, told(resumed.document)) == (0, [("completed", None), ("skipped", "called_lately")])
    assert resumed.document["results"][0]["callId"] == vapi.ledger["numbers"][FIRST]["calls"][0]["id"]
    assert vapi.rang == {FIRST: 2, SECOND: 2}


def test_a_call_that_a_dead_process_was_asking_for_is_looked_for_before_its_number_is_skipped(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    vapi.options.create_delay = 60.0
    asking = command.start("batch", providers(ROWS[0]), "-v")
    asking.until("call.dialing")
    vapi.wait_for(FIRST)
    killed(asking)
    vapi.options.create_delay = 0.0
    goes_on = command("batch", "providers.csv", "--allow-redial")

    assert told(goes_on.document) == [("skipped", "on_the_line")]

    vapi.hang_up(FIRST)
    vapi.options.stuck = {}
    over = command("batch", "providers.csv", "--allow-redial")

    assert told(over.document) == [("completed", None)]
    assert vapi.rang == {FIRST: 2}


def test_a_dry_run_says_who_is_on_the_line_elsewhere_and_asks_vapi_nothing(
    talking: Any, command: Any, vapi: Any
) -> None:
    killed(talking)
    asked = vapi.asked
    dry = command("batch", "providers.csv", "--dry-run", "-o", "-")

    assert told(dry.document) == [("skipped", "on_the_line"), ("pending", None)]
    assert vapi.asked == asked


def test_the_guards_hold_in_a_run_that_has_begun_already(talking: Any, command: Any, vapi: Any) -> None:
    killed(talking)
    vapi.options.stuck = {}
    other = command("batch", "providers.csv", "--allow-redial", "--max-concurrent", "1", "-o", "other.json")
    assert other.code == 3
    vapi.hang_up(FIRST)
    resumed = command("resume", "-o", "-")

    assert (resumed.code, told(resumed.document)) == (0, [("completed", None), ("skipped", "called_lately")])
    assert vapi.rang == {FIRST: 1, SECOND: 1}


def test_a_dry_run_shows_who_is_on_the_line_elsewhere_whatever_is_allowed(
    talking: Any, command: Any, vapi: Any
) -> None:
    planned = command("batch", "providers.csv", "--dry-run", "--allow-redial")

    assert (planned.code, told(planned.document)) == (3, [("skipped", "on_the_line"), ("pending", None)])


def test_a_file_of_which_every_number_is_on_the_line_elsewhere_is_3_and_no_unusable_file(
    talking: Any, command: Any, providers: Any, vapi: Any
) -> None:
    held = command("batch", providers(ROWS[0], name="held.csv"))

    assert (held.code, told(held.document)) == (3, [("skipped", "on_the_line")])
    assert vapi.rang == {FIRST: 1}


def test_who_asked_a_dead_run_never_to_be_called_again_is_not_called_by_the_next_one_whatever_is_allowed(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.list_lag = 1000.0  # so that the run cannot see the end of its call and be over before it is killed
    running = command.start("batch", providers("Haywood,(864) 555-0174,plumbing", name="dead.csv"), "-v")
    running.until("call.placed")
    killed(running)
    vapi.options.list_lag = 0.0
    wait_for_all_of(vapi, NEVER, "analysedAt")
    next_one = command("batch", "dead.csv", "--allow-redial")

    assert (next_one.code, told(next_one.document)) == (0, [("skipped", "do_not_call")])
    assert vapi.rang == {NEVER: 1}


def test_a_dead_runs_call_that_was_never_dialled_keeps_its_number_from_nobody(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.endings = {FIRST: "call.start.error-subscription-concurrency-limit-reached"}
    vapi.options.create_delay = 60.0
    asking = command.start("batch", providers(ROWS[0], name="dead.csv"), "-v")
    asking.until("call.dialing")
    wait_for_all_of(vapi, FIRST, "endedAt")
    killed(asking)
    vapi.options.endings, vapi.options.create_delay = {}, 0.0
    next_one = command("batch", "dead.csv")

    assert (next_one.code, told(next_one.document)) == (0, [("completed", None)])
    assert vapi.rang == {FIRST: 1}

    resumed = command("resume", "-o", "-")

    assert (resumed.code, told(resumed.document)) == (0, [("skipped", "called_lately")])
    assert vapi.rang == {FIRST: 1}
