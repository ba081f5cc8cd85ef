"""Other people's text on one line, safe to show; numbers and lengths of time as people read them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concierge_calls.plain import UNSAFE, clock, count, masked, one_line, shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  Ace \t Plumbing\r\nand Sons ", "Ace Plumbing and Sons"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("Blue\u202egnik", "Bluegnik"),
        ("Half\u200bwidth", "Halfwidth"),
        ("Lone \ud83d half", "Lone half"),
        ("Café 🔧", "Café 🔧"),
        ("", ""),
    ],
)
def test_text_becomes_one_line_that_plays_no_tricks(text: str, shown: str) -> None:
    assert one_line(text) == shown


@pytest.mark.parametrize(
    ("longest", "shown"), [(15, "Blue Ridge Pipe"), (14, "Blue Ridge Pi…"), (12, "Blue Ridge…"), (1, "…"), (0, "…")]
)
def test_a_long_text_is_cut_with_an_ellipsis(longest: int, shown: str) -> None:
    assert one_line("Blue Ridge Pipe", longest) == shown


@given(st.text(), st.integers(1, 40))
def test_whatever_comes_in_one_printable_line_of_that_length_comes_out(text: str, longest: int) -> None:
    shown = one_line(text, longest)

    assert len(shown) <= longest
    assert not {unicodedata.category(char) for char in shown} & UNSAFE
    assert shown == shown.strip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'900-555-0100' is a premium-rate number", "'…0100' is a premium-rate number"),
        ("call (864) 555-0106 or +1 312 555 0199.", "call …0106 or …0199."),
        ("+18645550106", "…0106"),
        ("86 45 55 01 06", "…0106"),
        ("on 2026-11-24 at 23:15", "on 2026-11-24 at 23:15"),
        ("Run 20261124-22etn6gu", "Run 20261124-22etn6gu"),
        ("01a20fd8-3233-7141-9e07-a4d4b317cc6c", "01a20fd8-3233-7141-9e07-a4d4b317cc6c"),
        ("between $1,500 and $2000, or 1500-2000", "between $1,500 and $2000, or 1500-2000"),
        ("$10000-15000", "$10000-15000"),
        ("911", "911"),
    ],
)
def test_phone_numbers_are_cut_to_their_last_four_digits_and_nothing_else_is(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_what_others_wrote_is_masked_before_it_is_cut() -> None:
    assert shown("Call\r\n864-555-0117\x1b[2J now", 12) == "Call …0117[…"
    assert shown("Blue Ridge 864 555 0117", 16) == "Blue Ridge …0117"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05")]
)
def test_a_length_of_time_is_written_as_on_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_number_agrees_with_its_noun() -> None:
    assert [count(number, "call") for number in (0, 1, 2, 20_000)] == ["0 calls", "1 call", "2 calls", "20,000 calls"]
    assert count(2, "person", "people") == "2 people"
