"""The feed's looks: from when on each asks, so that a change that shows itself late is still seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from concierge_calls.vapi.following import Pace
from concierge_calls.vapi.looks import Look, Looks
from concierge_calls.vapi.schemas import Call

BEGIN = datetime(2026, 3, 14, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def shown(*changes: float) -> dict[str, Call]:
    calls = [Call(id=f"call {change}", updated_at=at(change)) for change in changes]
    return {call.id: call for call in calls}


def look(looks: Looks, seconds: float, *changes: float) -> Look:
    """Take a look that shows calls changed at these seconds."""
    taken = looks.begin(at(seconds))
    looks.succeeded(taken, shown(*changes))
    return taken


def test_at_an_interval_of_a_second_each_look_reaches_back_whole_behind_the_newest_change() -> None:
    looks = Looks(Pace())
    assert [look(looks, 0.0), look(looks, 1.0, 0.7), look(looks, 2.0, 0.7, 1.4)] == [
        Look(began=at(0), mark=at(0), since=at(-2), newcomers=None, is_whole=True),
        Look(began=at(1), mark=at(0), since=at(-2), newcomers=None, is_whole=True),
        Look(began=at(2), mark=at(0.7), since=at(-1.3), newcomers=None, is_whole=True),
    ]


def test_looks_in_quick_succession_are_glances_and_a_whole_one_goes_back_to_the_last_whole_one() -> None:
    looks = Looks(Pace())
    taken = [look(looks, tick / 10, tick / 10) for tick in range(21)]
    assert [each.is_whole for each in taken] == [tick % 10 == 0 for tick in range(21)]
    assert [each.since for each in taken if each.is_whole] == [at(-2.0), at(-2.0), at(-1.0)]
    assert [each.since for each in taken[1:10]] == [at(tick / 10 - 0.25) for tick in range(9)]


def test_a_change_that_shows_itself_two_seconds_late_is_in_a_whole_look_whatever_was_seen_meanwhile() -> None:
    looks, late = Looks(Pace()), 3.0
    taken = [look(looks, tick / 10, tick / 10) for tick in range(100)]
    first = next(each for each in taken if each.began >= at(late + 2) and each.is_whole)
    assert first.since <= at(late)


def test_a_newcomer_is_looked_for_from_its_creation_on_once() -> None:
    looks = Looks(Pace())
    look(looks, 0.0, 0.0)
    looks.newcomer(at(-4))
    looks.newcomer(at(-3))
    assert look(looks, 0.1, 0.1).since == at(-4.25)
    assert look(looks, 0.2, 0.2).since == at(-0.15)


def test_the_newcomers_of_a_look_that_failed_are_the_next_ones() -> None:
    looks = Looks(Pace())
    look(looks, 0.0, 0.0)
    looks.newcomer(at(-4))
    looks.failed(looks.begin(at(0.1)))
    assert looks.begin(at(0.2)).newcomers == at(-4)


def test_a_stamp_from_the_future_hides_nothing() -> None:
    looks = Looks(Pace())
    look(looks, 0.0, 3600.0)
    assert look(looks, 1.0).since == at(-2)


def test_what_was_shown_is_kept_until_a_whole_look_shows_it_no_more() -> None:
    looks = Looks(Pace())
    look(looks, 0.0, 0.0)
    look(looks, 0.1, 0.1)
    assert set(looks.shown) == {"call 0.0", "call 0.1"}
    look(looks, 1.0, 1.0)
    assert set(looks.shown) == {"call 1.0"}


def test_what_is_forgotten_begins_anew() -> None:
    looks = Looks(Pace())
    look(looks, 0.0, 0.0)
    looks.forget()
    assert (looks.shown, looks.whole_at, repr(looks)) == ({}, None, "<Looks up to nothing>")
    assert look(looks, 60.0).since == at(58)
