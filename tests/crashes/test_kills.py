"""A short round of the kill campaign: the command dies at random moments and at every named point."""

from __future__ import annotations

import pytest

from tests.crashes.campaign import Figures, Plan, killed_at_point, killed_at_random
from tests.crashes.conftest import Enter
from tests.crashes.planted import POINTS
from tests.crashes.verdict import compare

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
    figures = killed_at_point(Plan(seed=1, point=f"{point}:1", providers=2, lines=1, last="hurried"))

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
