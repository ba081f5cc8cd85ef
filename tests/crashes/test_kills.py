"""A short round of the kill campaign: the command dies at random moments and at every named point."""

from __future__ import annotations

import pytest

from tests.crashes.campaign import WITHDRAWAL, Figures, Plan, killed_at_point, killed_at_random
from tests.crashes.conftest import Enter
from tests.crashes.planted import POINTS
from tests.crashes.verdict import compare
from tests.crashes.world import NUMBERS, until

KILLS = 20  # and more by hand; see campaign.py


def test_whoever_is_killed_at_random_moments_and_resumed_rings_nobody_twice_and_loses_nothing() -> None:
    figures = Figures()
    for seed in range(1, 5):
        plan = Plan(seed=seed, kills=KILLS - figures.kills, providers=30, lines=5, last="hurried")
        figures.add(killed_at_random(plan))
        if figures.kills >= KILLS:
            break

    assert (figures.broken, figures.odd) == ({}, []), figures
    assert figures.never_rang <= figures.in_flight
    assert figures.kills >= KILLS / 2, figures


@pytest.mark.parametrize("point", POINTS)
def test_whoever_dies_at_a_named_point_rings_nobody_twice_and_loses_nothing(point: str) -> None:
    lines = 2 if point in WITHDRAWAL else 1  # one call waits while another one talks
    figures = killed_at_point(Plan(seed=1, point=f"{point}:1", providers=2, lines=lines, last="hurried"))

    assert (figures.broken, figures.odd, figures.unreached) == ({}, [], 0)
    assert point != "after_intent" or figures.never_rang == 1  # the request that had its intent never left


def test_a_call_that_the_list_hides_for_too_long_is_uncertain_and_found_by_a_later_resume(world: Enter) -> None:
    here = world(1, 1, speed=100.0, list_lag=3600.0)
    here.batch(planted="before_id:1").finish()
    blind = here.take_up(planted="hurried")

    assert (blind.finish(), here.left().states) == (3, {"uncertain": 1}), blind.said

    here.simulator.options.list_lag = 0.0
    seeing = here.take_up()

    assert seeing.finish() == 0, seeing.said
    document = here.document(str(here.left().run))
    assert compare(here.numbers, here.simulator.ledger(), document).broken == {}
    assert document["stats"]["uncertain"] == 0


@pytest.mark.parametrize("point", WITHDRAWAL)
def test_a_call_that_was_being_taken_back_when_its_process_died_is_dialled_again_and_comes_to_its_end(
    world: Enter, point: str
) -> None:
    stuck = dict.fromkeys(NUMBERS[:2], "in-progress")
    here = world(2, 2, speed=100.0, lines_shape="blocked", stuck=stuck)
    here.simulator.options.lines = 1
    died = here.batch(planted=f"impatient,{point}:1")

    assert (died.finish(), here.left().states) == (-9, {"placed": 2}), died.said
    calls = {number: entry["calls"] for number, entry in here.simulator.ledger()["numbers"].items()}
    # Whichever create came first has the only line.
    [waits] = [index for index in (0, 1) if calls[NUMBERS[index]][0]["status"] in ("scheduled", "ended")]
    [waited] = calls[NUMBERS[waits]]
    assert waited["endedReason"] == ("scheduled-call-deleted" if point == "delete_sent" else None)

    here.simulator.options.stuck = {}
    last = here.take_up(planted="impatient")
    until(lambda: here.now().states["pending"])
    here.hang_up(NUMBERS[1 - waits])

    assert last.finish() == 0, last.said
    document = here.document(str(here.left().run))
    ledger = here.simulator.ledger()
    assert compare(here.numbers, ledger, document).broken == {}
    assert [result["status"] for result in document["results"]] == ["completed", "completed"]
    *deleted, talked = ledger["numbers"][NUMBERS[waits]]["calls"]
    assert {(call["endedReason"], call["rangAt"]) for call in deleted} == {("scheduled-call-deleted", None)}
    assert (talked["id"], len(deleted) >= 1) == (document["results"][waits]["callId"], True)


@pytest.mark.parametrize("promise", ["reversed", "forgetful"])
def test_a_command_that_forgets_its_intent_is_found_out(promise: str) -> None:
    plan = Plan(seed=1, point="before_id:2", planted=promise, providers=4, lines=2, last="hurried")
    figures = killed_at_point(plan)

    assert figures.unreached == 0
    assert figures.broken["rung_twice"] >= 1, figures


def test_the_order_of_writing_makes_no_difference_to_a_command_that_does_not_die_in_between() -> None:
    plan = Plan(seed=1, point="after_rename:1", planted="reversed", providers=4, lines=2)
    figures = killed_at_point(plan)

    assert (figures.broken, figures.odd, figures.unreached) == ({}, [], 0)


@pytest.mark.parametrize("point", ["before_document", "after_rename"])
def test_a_command_that_never_writes_the_document_that_it_owes_is_found_out(point: str) -> None:
    plan = Plan(seed=1, point=f"{point}:1", providers=1, lines=1, last="silent")
    figures = killed_at_point(plan)

    # Who dies after the rename owes nothing but the word that it is done.
    assert dict(figures.broken) == ({} if point == "after_rename" else {"old_document": 1})
