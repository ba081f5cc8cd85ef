"""A journal that another process holds, perhaps stopped inside a commit: whoever has calls on the line waits."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crashes.conftest import Enter
from tests.crashes.verdict import compare
from tests.crashes.world import Sitting, World, until

HOLD = """
import sqlite3, sys
journal = sqlite3.connect(sys.argv[1], timeout=60.0, isolation_level=None)
journal.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
HELD = "Another process holds the journal "


def journal(here: World) -> Path:
    return here.folder / "state" / "journal.db"


def waiting(here: World) -> str:
    return (
        f"{HELD}{journal(here)}, so nobody new is dialled, and what comes of the calls on the line waits to be written "
        "down; if that process is stopped, continue it or end it.\n"
    )


@contextmanager
def held(here: World) -> Iterator[None]:
    """Have a process hold the journal."""
    command = [sys.executable, "-c", HOLD, str(journal(here))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate()


def talking(here: World) -> Sitting:
    """Begin a run whose lines are all taken by calls that go on."""
    here.simulator.options.stuck = dict.fromkeys(here.numbers[: here.lines], "in-progress")
    sitting = here.batch(planted="hasty")
    # By the ledger: whoever looks into the journal holds it meanwhile, and this one may say so at once.
    until(lambda: talked_to(here) == set(here.numbers[: here.lines]))
    return sitting


def talked_to(here: World) -> set[str]:
    """Return the numbers that somebody has answered at."""
    numbers = here.simulator.ledger()["numbers"]
    return {number for number, entry in numbers.items() if any(call["answeredAt"] for call in entry["calls"])}


def times_called(here: World) -> dict[str, int]:
    return {number: len(entry["calls"]) for number, entry in here.simulator.ledger()["numbers"].items()}


def test_a_run_with_calls_on_the_line_waits_for_whoever_holds_the_journal_and_dials_nobody_meanwhile(
    world: Enter,
) -> None:
    here = world(4, 2, speed=100.0)
    sitting = talking(here)
    with held(here):
        here.hang_up_everybody()
        until(lambda: HELD in sitting.said)
        assert times_called(here) == dict.fromkeys(here.numbers[:2], 1)

    assert sitting.finish() == 0, sitting.said
    assert sitting.said.count(waiting(here)) == sitting.said.count(HELD) == 1
    document = here.document(str(here.left().run))
    assert compare(here.numbers, here.simulator.ledger(), document).broken == {}
    assert times_called(here) == dict.fromkeys(here.numbers, 1)


def test_three_times_ctrl_c_gets_out_of_a_run_that_waits_and_a_resume_loses_nothing(world: Enter) -> None:
    here = world(3, 2, speed=100.0)
    sitting = talking(here)
    with held(here):
        here.hang_up_everybody()
        until(lambda: HELD in sitting.said)
        for answer in ("Stopping: nobody new is dialled", "Leaving; the calls on the line go on"):
            sitting.tell(signal.SIGINT)
            until(lambda answer=answer: answer in sitting.said)  # type: ignore[misc]
        sitting.tell(signal.SIGINT)
        assert sitting.finish() == 5, sitting.said
    again = here.take_up()

    assert again.finish() == 0, again.said
    document = here.document(str(here.left().run))
    assert compare(here.numbers, here.simulator.ledger(), document).broken == {}
    assert times_called(here) == dict.fromkeys(here.numbers, 1)


@pytest.mark.parametrize("command", ["batch providers.csv", "show RUN"])
def test_whoever_begins_or_looks_while_the_journal_is_held_says_so_and_is_2(world: Enter, command: str) -> None:
    here = world(1, 1, speed=100.0)
    assert here.batch().finish() == 0
    run = str(here.left().run)
    with held(here):
        refused = here.begin(*command.replace("RUN", run).split(), planted="hasty")

        assert refused.finish() == 2
    assert (refused.wrote, refused.said) == (
        "",
        f"concierge-calls: The journal {journal(here)} was kept busy by another process for a minute; "
        "if that one is stopped, continue it or end it, then try again.\n",
    )
    assert times_called(here) == dict.fromkeys(here.numbers, 1)


@pytest.mark.parametrize("point", ["before_intent", "id_uncommitted"])
def test_of_two_runs_one_is_stopped_inside_its_commit_and_both_finish_once_it_goes_on(world: Enter, point: str) -> None:
    here = world(6, 2, speed=100.0)
    waits = talking(here)
    # On one line, so that no other request of its own is on its way while it stands still.
    stopped = here.begin("batch", "providers.csv", "--max-concurrent", "1", planted=f"{point}:1:stop")
    until(lambda: stopped.stands_still)
    called = times_called(here)
    here.hang_up_everybody()
    until(lambda: HELD in waits.said)
    assert times_called(here) == called
    stopped.tell(signal.SIGCONT)

    # Whom the other run has on the line at that moment is not called here, which is worth a look.
    assert {waits.finish(), stopped.finish()} <= {0, 3}, (waits.said, stopped.said)
    # On a slow disk a commit of the other run is a hold of its own.
    assert waits.said.count(waiting(here)) == waits.said.count(HELD) >= 1
    assert times_called(here) == dict.fromkeys(here.numbers, 1)
    results = stopped.document["results"] + here.document(_other_run(here, stopped))["results"]
    calls = {call["id"] for entry in here.simulator.ledger()["numbers"].values() for call in entry["calls"]}
    assert {result["callId"] for result in results} - {None} == calls
    assert {result["error"]["code"] for result in results if result["status"] == "skipped"} <= {
        "on_the_line",
        "called_lately",
    }
    assert len(results) == 2 * len(here.numbers)


def _other_run(here: World, one: Sitting) -> str:
    listed = here.begin("runs", "--json")
    assert listed.finish() == 0, listed.said
    [other] = {run["run"]["id"] for run in listed.document} - {one.document["run"]["id"]}
    return str(other)
