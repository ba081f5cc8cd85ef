"""Tables of plain text: fitted to a terminal, whole elsewhere, and never markup."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from concierge_calls import ranking
from concierge_calls.display import Column, Display, PlainLines, Verbosity, chosen
from concierge_calls.display.table import STYLES
from concierge_calls.models import CallStatus
from concierge_calls.unsettled import STAGES
from tests.display.calls import heard
from tests.display.emulator import Emulator

COLUMNS = (
    Column("Provider", flexible=True),
    Column("State", styled=True),
    Column("Cost", right=True),
    Column("Heard", flexible=True),
)
ROWS = (
    ("Blue Ridge", "completed", "$0.23", "available, tomorrow between 9 and 11 AM, $110 for the visit"),
    ("[bold]東京[/bold]\x1b[2J", "no answer", "$10.00", ""),
    ("Bob", "whatever", "", "-"),
)


def plain() -> tuple[Display, io.StringIO]:
    stream = io.StringIO()
    return PlainLines(Verbosity.NORMAL, heard, stream), stream


def test_elsewhere_every_cell_is_whole_and_nothing_is_coloured() -> None:
    display, stream = plain()
    display.table(COLUMNS, ROWS)

    assert stream.getvalue().splitlines() == [
        "Provider            State        Cost  Heard",
        "Blue Ridge          completed   $0.23  available, tomorrow between 9 and 11 AM, $110 for the visit",
        "[bold]東京[/bold][2J  no answer  $10.00",
        "Bob                 whatever           -",
    ]


def test_a_table_without_titles_has_no_line_for_them_and_one_without_rows_has_only_that() -> None:
    display, stream = plain()
    display.table([Column("")], [["one"], ["two"]])
    display.table([Column("Name"), Column("Phone")], [])

    assert stream.getvalue() == "one\ntwo\nName  Phone\n"


@pytest.fixture
def sixty(monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """A terminal of sixty columns."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return Emulator(60, 20)


def test_on_a_terminal_the_widest_flexible_column_gives_way_and_no_row_is_wrapped(sixty: Emulator) -> None:
    chosen(Verbosity.VERBOSE, heard, sixty).table(COLUMNS, ROWS)

    assert sixty.lines == [
        "Provider              State        Cost  Heard",
        "Blue Ridge            completed   $0.23  available, tomorro…",
        "[bold]東京[/bold][2J  no answer  $10.00",
        "Bob                   whatever           -",
    ]
    assert all(cell_len(line) <= 60 for line in sixty.lines)


def test_a_column_that_wraps_goes_on_in_the_next_line_instead_of_being_cut(sixty: Emulator) -> None:
    columns = (Column("Provider"), Column("When", flexible=True, wraps=True), Column("Rate", flexible=True, wraps=True))
    rows = (
        ("Blue Ridge", "tomorrow between nine and eleven in the morning", "$110 for the visit, parts apart"),
        ("Falls Park", "today", ""),
        ("Bob", "on the " + "second or third " * 9 + "Thursday", "\u6771\u4eac" * 20),
    )
    chosen(Verbosity.VERBOSE, heard, sixty).table(columns, rows)

    assert sixty.lines == [
        "Provider    When                     Rate",
        "Blue Ridge  tomorrow between nine    $110 for the visit,",
        "            and eleven in the        parts apart",
        "            morning",
        "Falls Park  today",
        "Bob         on the second or third   " + "\u6771\u4eac" * 5 + "\u6771…",
        "            second or third second",
        "            or third second or thi…",
    ]


def test_on_a_terminal_known_words_are_coloured_where_the_column_is_styled(sixty: Emulator) -> None:
    chosen(Verbosity.VERBOSE, heard, sixty).table([Column("", styled=True), Column("")], [("completed", "completed")])

    assert "".join(sixty.written) == "\x1b[32mcompleted\x1b[0m  completed\n"


def test_without_colour_and_in_ascii_the_table_is_the_same(sixty: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("LC_ALL", "C")
    chosen(Verbosity.VERBOSE, heard, sixty).table([Column("", styled=True)], [("Café " * 20,), ("completed",)])

    assert "".join(sixty.written) == "Cafe Cafe Cafe Cafe Cafe Cafe Cafe Cafe Cafe Cafe Cafe Ca...\ncompleted\n"


def test_when_flexible_columns_are_as_narrow_as_can_be_the_others_give_way_too(sixty: Emulator) -> None:
    columns = [Column("A", flexible=True), *(Column(name) for name in "BCDEF")]
    chosen(Verbosity.VERBOSE, heard, sixty).table(columns, [["abcdefghijklmnopqrst"] * 6])

    assert sixty.lines[1] == "abcde…  abcdefgh…  abcdefgh…  abcdefgh…  abcdefgh…  abcdefg…"


def test_every_word_for_how_a_call_stands_has_its_colour_and_nothing_else_has_one() -> None:
    open_ones = {CallStatus.PENDING, CallStatus.IN_PROGRESS}
    words = {status.words for status in CallStatus if status not in open_ones}
    words |= {*STAGES.values(), *ranking.ANSWERS.values(), ranking.DISQUALIFIED, "call", "skip"}

    assert set(STYLES) == words
