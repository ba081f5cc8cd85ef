"""Several processes on one journal: a run has one of them, and a number has one call on the line."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.crashes.conftest import Enter
from tests.crashes.world import Sitting, World, until

STARTS = 10


def begun_together(world: World, *more: str) -> list[Any]:
    """Start the file so many times at once, and return what the processes wrote, each into its own file."""
    names = [f"out-{number}.json" for number in range(STARTS)]
    sittings = [world.begin("batch", "providers.csv", "-o", name, *more) for name in names]
    # A number that another run has on the line is one to look at.
    assert {sitting.finish() for sitting in sittings} <= {0, 3}, [sitting.said for sitting in sittings]
    return [json.loads((world.folder / name).read_text()) for name in names]


def overlaps(world: World) -> list[str]:
    """Return the numbers that had two calls on the line at one moment."""
    numbers = world.simulator.ledger()["numbers"]
    spans = {
        number: sorted((call["createdAt"], call["endedAt"]) for call in entry["calls"])
        for number, entry in numbers.items()
    }
    return [number for number, calls in spans.items() if any(one[1] > other[0] for one, other in pairwise(calls))]


def dead_with_a_call_on_the_line(world: World) -> str:
    """Begin a run, kill it while its first call is on the line, and return its id."""
    world.simulator.options.stuck = {world.numbers[0]: "in-progress"}
    first = world.batch()
    until(lambda: world.now().states["placed"])
    first.kill()
    return str(world.left().run)


def test_of_two_processes_that_resume_one_run_one_wins_and_the_other_says_who_has_it(world: Enter) -> None:
    here = world(2, 1, speed=100.0)
    run = dead_with_a_call_on_the_line(here)
    both = [here.begin("resume", run), here.begin("resume", run)]
    until(lambda: any(each.process.poll() is not None for each in both))
    [winner, loser] = sorted(both, key=lambda each: each.process.poll() is not None)

    assert (loser.finish(), loser.said) == (
        2,
        f"concierge-calls: Run {run} is being worked on by another process; wait until that one ends, "
        f"or stop it, then: concierge-calls resume {run}\n",
    )

    here.hang_up_everybody()

    assert winner.finish() == 0, winner.said
    assert {number: len(entry["calls"]) for number, entry in here.simulator.ledger()["numbers"].items()} == (
        dict.fromkeys(here.numbers, 1)
    )


def test_ten_starts_of_one_file_at_once_call_everybody_once(world: Enter) -> None:
    here = world(8, 2, speed=60.0)
    documents = begun_together(here)
    calls = [call["id"] for entry in here.simulator.ledger()["numbers"].values() for call in entry["calls"]]
    results = [result for document in documents for result in document["results"]]

    assert [len(document["results"]) for document in documents] == [8] * STARTS
    assert all(document["run"]["finished"] for document in documents)
    assert sorted(filter(None, (result["callId"] for result in results))) == sorted(calls)
    assert {number: len(entry["calls"]) for number, entry in here.simulator.ledger()["numbers"].items()} == (
        dict.fromkeys(here.numbers, 1)
    )
    assert {result["error"]["code"] for result in results if result["status"] == "skipped"} <= {
        "on_the_line",
        "called_lately",
    }


def test_ten_starts_at_once_never_have_a_number_on_the_line_twice_even_if_redialling_is_allowed(world: Enter) -> None:
    here = world(4, 2, speed=60.0)
    documents = begun_together(here, "--allow-redial")
    calls = {call["id"] for entry in here.simulator.ledger()["numbers"].values() for call in entry["calls"]}
    results = [result for document in documents for result in document["results"]]

    assert overlaps(here) == []
    assert {result["callId"] for result in results} - {None} == calls
    assert {result["error"]["code"] for result in results if result["status"] == "skipped"} <= {"on_the_line"}


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "dead"])
def test_a_number_that_another_run_has_on_the_line_is_skipped_with_the_command_that_follows_it(
    world: Enter, alive: bool
) -> None:
    here = world(1, 1, speed=100.0, stuck={"+18645550100": "in-progress"})
    first = here.batch()
    until(lambda: here.now().states["placed"])
    run = here.now().run
    if not alive:
        first.kill()
    second = here.begin("batch", "providers.csv", "--allow-redial")

    assert second.finish() == 3, second.said
    assert [(result["status"], result["error"]) for result in second.document["results"]] == [
        (
            "skipped",
            {
                "code": "on_the_line",
                "message": f"Run {run} has this number on the line; "
                f"to follow it to its end: concierge-calls resume {run}",
            },
        )
    ]

    here.hang_up_everybody()
    last: Sitting = first if alive else here.begin("resume", str(run))

    assert last.finish() == 0, last.said
    assert here.simulator.ledger()["numbers"]["+18645550100"]["rang"] == 1
