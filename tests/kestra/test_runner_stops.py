"""A run by Kestra that is stopped, refused or forgotten midway: the installed command, and Vapi's own ledger."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.kestra.double.ours import DIALECTS
from tests.kestra.world import World, until

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)

SLOWER = 60.0  # times as fast as life: a call that talks to its limit takes five seconds
LONG, LONG_TOO, SOON, LATER = 108, 118, 100, 101  # lines: two that talk to their limit, and two that end by themselves
# The first two stay on the line until they are let go, so that nothing here has to be quicker than a call.
STUCK = {f"+18645550{line}": "in-progress" for line in (LONG, LONG_TOO)}
SECOND_STUCK = {"+18645550118": "in-progress"}
ASKED = "Kestra does not tell what became of 2 providers, so Vapi is asked for their calls"


def statuses(document: Any) -> list[str]:
    return [result["status"] for result in document["results"]]


def both_ring(world: World) -> None:
    until(lambda: world.rang.get("+18645550108") and world.rang.get("+18645550118"))


def begun_a_day_ago(world: World) -> None:
    """Have the execution's time be over since long."""
    with closing(sqlite3.connect(world.folder / "state" / "journal.db")) as journal, journal:
        journal.execute("UPDATE handovers SET allowed = 60.0, posted_at = '2026-11-01T00:00:00.000000+00:00'")


@every_dialect
def test_with_hang_up_the_calls_on_the_line_are_ended_and_nobody_new_is_called(dialect: str) -> None:
    with World(dialect, lines=[LONG, LONG_TOO, SOON, LATER], limit=2, speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch("--hang-up")
        both_ring(world)
        sitting.tell(signal.SIGINT)
        assert sitting.finish() == 5, sitting.said

        assert statuses(sitting.document) == ["cancelled", "cancelled", "pending", "pending"]
        assert set(world.calls) == {"+18645550108", "+18645550118"}
        assert "2 calls on the line are being hung up" in sitting.said


@every_dialect
def test_whoever_leaves_at_once_still_knows_who_was_never_called(dialect: str) -> None:
    with World(dialect, lines=[LONG, LONG_TOO, SOON, LATER], limit=2, speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch()
        both_ring(world)
        sitting.tell(signal.SIGINT)
        until(lambda: "Stopping" in sitting.said)
        sitting.tell(signal.SIGTERM)
        assert sitting.finish() == 5, sitting.said

        assert statuses(sitting.document) == ["in_progress", "in_progress", "pending", "pending"]
        assert len(world.calls) == 2


@pytest.mark.parametrize("dialect", ["0", "1"])  # of a Loop that was cut off it is not told who never began
def test_an_execution_that_hangs_beyond_its_time_is_ended_by_a_resume_which_has_the_rest_called(dialect: str) -> None:
    with World(
        dialect, "--restart-strategy", "NEVER", lines=[LONG, SOON, LATER], limit=1, speed=SLOWER, stuck=STUCK
    ) as world:
        sitting = world.batch()
        until(lambda: world.rang.get("+18645550108"))
        sitting.kill()
        world.kestra.kill()
        world.kestra.start()
        world.let_go()
        begun_a_day_ago(world)
        resumed = world.begin("resume", "-o", "-")
        assert resumed.finish() == 3, resumed.said

        assert statuses(resumed.document) == ["timeout", "completed", "completed"]
        # The server counts those since it was started again.
        assert (world.driver.ledger()["starts"], set(world.calls.values())) == (1, {1})
        assert "takes longer than all its calls may, so it is ended." in resumed.said


@pytest.mark.parametrize("dialect", ["1", "2"])  # the oldest asks for none
def test_credentials_that_are_not_accepted_midway_leave_the_calls_to_a_resume(dialect: str) -> None:
    with World(dialect, lines=[LONG, SOON, LATER], limit=2, speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch()
        until(lambda: world.rang.get("+18645550108"))
        world.kestra.kill()
        world.kestra.start("--no-user")
        assert sitting.finish() == 4, sitting.said
        world.let_go()
        assert "does not accept KESTRA_USERNAME and KESTRA_PASSWORD (HTTP 401)" in sitting.said
        assert sitting.document["run"]["finished"] is False

        world.kestra.kill()
        world.kestra.start()
        resumed = world.begin("resume", "-o", "-")
        assert resumed.finish() == 3, resumed.said
        assert statuses(resumed.document) == ["timeout", "completed", "completed"]
        assert (world.driver.ledger()["starts"], set(world.calls.values())) == (0, {1})


@every_dialect
def test_the_calls_of_an_execution_that_was_removed_from_the_server_are_followed_from_here(dialect: str) -> None:
    with World(dialect, lines=[LONG, LONG_TOO], limit=2, speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch()
        both_ring(world)
        world.kestra.kill()
        for execution in (world.folder / "kestra" / "executions").iterdir():
            execution.unlink()
        world.kestra.start()
        world.let_go()
        assert sitting.finish() == 3, sitting.said

        assert statuses(sitting.document) == ["timeout", "timeout"]
        assert set(world.calls.values()) == {1}
        assert ASKED in sitting.said


def test_of_two_resumes_one_goes_on_and_the_other_says_so() -> None:
    with World("1", lines=[LONG, SOON], limit=2, speed=SLOWER, stuck=STUCK) as world:
        sitting = world.batch()
        until(lambda: world.rang.get("+18645550108"))
        sitting.kill()
        both = [world.begin("resume", "-o", "-") for _ in range(2)]
        until(lambda: any(each.process.poll() is not None for each in both))
        world.let_go()
        assert sorted(each.finish() for each in both) == [2, 3]
        [refused] = [each for each in both if each.process.returncode == 2]

        assert "is being worked on by another process" in refused.said
        assert (world.driver.ledger()["starts"], set(world.calls.values())) == (1, {1})


def test_one_task_that_is_stopped_has_its_calls_followed_from_here_and_says_what_is_not_known() -> None:
    with World("1", lines=[LONG, LONG_TOO], limit=1, speed=SLOWER, stuck=SECOND_STUCK) as world:
        sitting = world.batch(KESTRA_FLOW="one-task")
        until(lambda: world.rang.get("+18645550118"))
        sitting.tell(signal.SIGINT)
        until(lambda: ASKED in sitting.said)
        world.let_go()
        assert sitting.finish() == 5, sitting.said

        assert statuses(sitting.document) == ["timeout", "timeout"]
        assert set(world.calls.values()) == {1}
        assert ASKED in sitting.said
        assert "A flow of one task tells of its calls only once all are over" in sitting.said
