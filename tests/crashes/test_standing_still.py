"""A process that stands still for minutes, as on a laptop that sleeps: Vapi is asked before anything is concluded."""

from __future__ import annotations

import signal

from tests.crashes.conftest import Enter
from tests.crashes.planted import NAP
from tests.crashes.world import Sitting, World, until


def stand_still(here: World, sitting: Sitting) -> None:
    """Stop the process, let ten minutes pass at Vapi and in its own clock, and let it go on."""
    sitting.tell(signal.SIGSTOP)
    until(lambda: sitting.stands_still)
    here.let_pass(NAP)
    sitting.tell(signal.SIGUSR1)
    sitting.tell(signal.SIGCONT)


def reasons(here: World) -> list[str]:
    """Return how each call ended, by the ledger."""
    return [call["endedReason"] for entry in here.simulator.ledger()["numbers"].values() for call in entry["calls"]]


def test_calls_that_ended_while_the_process_stood_still_are_no_timeouts(world: Enter) -> None:
    here = world(6, 3, speed=1.0, analysis_delay=0.0)
    sitting = here.batch(planted="sleeper")
    until(lambda: here.now().states["placed"] == 3)
    here.simulator.options.speed = 100.0  # for those who come later; a call keeps the pace it was created with
    stand_still(here, sitting)

    assert sitting.finish() == 0, sitting.said
    document = here.document(str(here.left().run))
    assert [result["status"] for result in document["results"]] == ["completed"] * 5 + ["no_answer"]
    assert [result["analysis"]["status"] for result in document["results"]] == ["complete"] * 5 + ["none"]
    assert "manually-canceled" not in reasons(here)
    assert here.simulator.ledger()["requests"]["control"] == here.simulator.ledger()["requests"]["delete"] == 0


def test_a_call_that_still_goes_on_after_ten_minutes_of_standing_still_is_not_hung_up(world: Enter) -> None:
    here = world(1, 1, speed=1.0, stuck={"+18645550100": "in-progress"})
    sitting = here.batch("--call-timeout", "3600", "-v", planted="sleeper")
    until(lambda: here.now().states["placed"])
    stand_still(here, sitting)
    until(lambda: "call.in_progress" in sitting.said)
    seen = here.simulator.ledger()["requests"]["list"]
    until(lambda: here.simulator.ledger()["requests"]["list"] > seen + 3)
    assert here.simulator.ledger()["requests"]["control"] == here.simulator.ledger()["requests"]["delete"] == 0
    here.hang_up_everybody()

    assert sitting.finish() == 0, sitting.said
    assert reasons(here) == ["customer-ended-call"]
