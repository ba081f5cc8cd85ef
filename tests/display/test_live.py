"""The live table: from its first frame to its end, on a small terminal."""

from __future__ import annotations

import logging
import re
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from concierge_calls.display.live import LiveTable
from concierge_calls.models import CallResult, CallStatus
from tests.display.calls import AT, Calls, after, heard, run
from tests.display.emulator import Emulator

UTF8 = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
BEGUN = ["", "░░░░░░░░░░░░░░░░░░░  0 of 2 done, 0:00, $0.00", "0 on the line, 2 not yet called"]
PATIENCE = 30.0  # seconds until a test counts as hung


class Clock:
    """A clock that stands still until it is set."""

    seconds = 0.0

    def __call__(self) -> datetime:
        return after(self.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def table_on(terminal: Emulator, clock: Clock | None = None, **environ: str) -> LiveTable:
    return LiveTable(heard, terminal, UTF8 | environ, size=terminal.size, now=clock or Clock())


def test_the_first_frame_stands_before_anything_happens() -> None:
    terminal = Emulator(80, 24)
    table = table_on(terminal)
    table.say("2 providers will be called.")
    table.begin(run(total=2, pending=2))

    assert terminal.lines == ["2 providers will be called.", *BEGUN]
    table.close()


def test_calls_that_are_on_the_line_already_stand_in_the_first_frame() -> None:
    terminal = Emulator(80, 24)
    table = table_on(terminal)
    table.begin(run(total=2, successful=1, in_progress=1), [Calls().step(1, "talking", at=-65)])

    assert terminal.lines == [
        "",
        "Provider                 Phone  State         Time  What they said",
        "Provider 1               …0101  talking       1:05",
        "… not shown: 1 ended",
        "█████████░░░░░░░░░░  1 of 2 done, 0:00, $0.00",
        "1 on the line, 0 not yet called",
    ]
    table.close()


def test_a_run_from_its_first_dial_to_the_closing_words(clock: Clock) -> None:
    terminal, calls = Emulator(80, 24), Calls()
    table = table_on(terminal, clock)
    table.say("2 providers will be called.")
    table.show(run(total=2, pending=2))
    table(calls.step(0, "dialing", at=1))
    clock.seconds = 4
    table.draw()

    assert terminal.lines[2:4] == [
        "Provider                 Phone  State         Time  What they said",
        "Provider 0               …0100  dialing       0:03",
    ]
    table(calls.settled(0, CallStatus.BUSY, at=5, ended_reason="customer-busy"))
    table.announce("Stopping: nobody new is dialled. Once more to leave at once.")

    assert terminal.lines == [
        "2 providers will be called.",
        "Stopping: nobody new is dialled. Once more to leave at once.",
        "",
        "Provider                 Phone  State         Time  What they said",
        "Provider 0               …0100  busy                customer busy",
        "█████████░░░░░░░░░░  1 of 2 done, 0:04, $0.00",
        "0 on the line, 1 not yet called",
        "Stopping: nobody new is dialled. Once more to leave at once.",
    ]
    table.close()
    table.close()
    table.say("2 providers: 1 busy, 1 not yet called.")

    assert terminal.lines == [
        "2 providers will be called.",
        "Stopping: nobody new is dialled. Once more to leave at once.",
        "2 providers: 1 busy, 1 not yet called.",
    ]


def test_a_frame_in_which_nothing_changed_writes_nothing(clock: Clock) -> None:
    terminal = Emulator(80, 24)
    table = table_on(terminal, clock)
    table.show(run(total=2, pending=2))
    terminal.written.clear()
    table.draw()
    clock.seconds = 0.9
    table.draw()

    assert terminal.written == []


def test_after_a_resize_from_120_to_80_columns_there_is_one_table_and_no_remains(clock: Clock) -> None:
    terminal, calls = Emulator(120, 40), Calls(n0="東京配管サービス株式会社")
    table = table_on(terminal, clock)
    table.say("3 providers will be called.")
    table.show(run(total=3, pending=3))
    for index in range(2):
        table(calls.step(index, "dialing"))
        table(calls.settled(index, at=50, lasted=45, ended_reason="customer-ended-call", error=None))
    table.draw()
    wide = terminal.lines
    terminal.resize(80, 40)
    table.draw()
    narrow = terminal.lines
    terminal.resize(120, 40)
    table.draw()

    assert terminal.lines == wide
    assert narrow == [
        "3 providers will be called.",
        "",
        "Provider                 Phone  State         Time  What they said",
        "Provider 1               …0101  completed     0:45  customer ended call",
        "東京配管サービス株式会…  …0100  completed     0:45  customer ended call",
        "████████████░░░░░░░  2 of 3 done, 0:00, $0.00",
        "0 on the line, 1 not yet called",
    ]


def test_a_file_of_any_length_is_a_screenful(clock: Clock) -> None:
    terminal, calls = Emulator(80, 12), Calls()
    table = table_on(terminal, clock)
    table.show(run(total=500, pending=500))
    for index in range(400):
        table(calls.step(index, "dialing", provider=calls.provider(index % 90)))
        table(calls.settled(index, provider=calls.provider(index % 90)))
        if index % 40 == 0:
            table.draw()
    table.draw()

    assert len(terminal.lines) == 11
    assert terminal.lines[0].startswith("Provider ")
    assert terminal.history == []


@pytest.mark.parametrize(("rows", "begins_with"), [(7, "Provider"), (8, "")])
def test_a_blank_line_sets_the_table_off_where_it_takes_no_row_from_it(rows: int, begins_with: str) -> None:
    terminal, calls = Emulator(80, rows), Calls()
    table = table_on(terminal)
    table.show(run(total=9, pending=9))
    for index in range(3):
        table(calls.step(index, "dialing"))
    table.draw()

    assert terminal.lines[0].split(" ")[0] == begins_with
    assert [line.split("  ")[0] for line in terminal.lines[-6:-2]] == [
        "Provider",
        "Provider 0",
        "Provider 1",
        "Provider 2",
    ]
    assert terminal.history == []


def test_names_reach_the_terminal_as_text_whatever_is_in_them(clock: Clock) -> None:
    terminal, calls = Emulator(80, 12), Calls(n0="\x1b]0;title\x07[red]Red[/red]\u202e\x1b[2J")
    table = table_on(terminal, clock)
    table.show(run(total=1, pending=1))
    table(calls.step(0, "dialing"))
    table.draw()

    assert terminal.lines[2] == "]0;title[red]Red[/red]…  …0100  dialing       0:00"


def test_what_is_announced_is_text_whatever_is_in_it() -> None:
    terminal = Emulator(80, 12)
    table = table_on(terminal)
    table.show(run(total=1, pending=1))
    table.announce("Stopping:\x1b[2J\n\u202enobody new.")

    assert (terminal.lines[:2], terminal.lines[-1]) == (["Stopping:[2J", "nobody new."], "Stopping:[2J nobody new.")


@pytest.mark.parametrize(("environ", "sgr"), [({}, "\x1b[36m"), ({"NO_COLOR": "1"}, None)])
def test_colour_is_left_out_where_nobody_wants_it(
    environ: dict[str, str], sgr: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (UTF8 | environ).items():
        monkeypatch.setenv(name, value)
    terminal = Emulator(80, 12)
    table = table_on(terminal)
    table.show(run(total=1, pending=1))
    table(Calls().step(0, "dialing"))
    table.draw()
    written = "".join(terminal.written)

    assert ("\x1b[36m" in written, "\x1b[32m" in written) == ((True, False) if sgr else (False, False))
    assert terminal.lines[2] == "Provider 0               …0100  dialing       0:00"


def test_in_a_plain_locale_everything_is_ascii() -> None:
    terminal = Emulator(80, 12)
    table = table_on(terminal, LC_ALL="C")
    table.show(run(total=1, pending=1))
    table(Calls(n0="Zoë 東").step(0, "dialing"))
    table.draw()

    assert terminal.lines == [
        "",
        "Provider                 Phone    State         Time  What they said",
        "Zoe ?                    ...0100  dialing       0:00",
        "-------------------  0 of 1 done, 0:00, $0.00",
        "1 on the line, 0 not yet called",
    ]


def test_while_somebody_has_stopped_us_nothing_is_drawn_and_afterwards_it_is_drawn_anew_below(clock: Clock) -> None:
    terminal = Emulator(80, 12)
    table = table_on(terminal, clock)
    table.show(run(total=2, pending=2))
    table._suspended()
    terminal.write("$ \n")
    clock.seconds = 60
    table.draw()
    assert terminal.lines == [*BEGUN, "$"]
    table._resumed()
    table.draw()

    assert terminal.lines == [*BEGUN, "$", "", BEGUN[1].replace("0:00", "1:00"), BEGUN[2]]


class Stopped(Emulator):
    """A terminal that somebody stops with Ctrl-S after its first frame."""

    def __init__(self) -> None:
        super().__init__(80, 12)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.asked = threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.goes_on.wait(PATIENCE)
        return super().write(text)


def test_a_terminal_that_is_stopped_holds_up_no_event_and_shows_the_latest_when_it_goes_on() -> None:
    terminal, calls = Stopped(), Calls()
    table = table_on(terminal)
    table.begin(run(total=90, pending=90))
    terminal.goes_on.clear()
    terminal.asked.clear()
    table.say("a sentence")
    assert terminal.asked.wait(PATIENCE)
    for index in range(90):
        table(calls.step(index, "dialing"))
        table(calls.settled(index))
    assert terminal.lines == ["", "░░░░░░░░░░░░░░░░░░░  0 of 90 done, 0:00, $0.00", "0 on the line, 90 not yet called"]
    terminal.goes_on.set()
    table.say("another sentence")
    table.close()

    assert [line for line, _ in terminal.history] + terminal.lines == ["a sentence", "another sentence"]
    assert any("90 of 90 done" in text for text in terminal.written)


def test_a_terminal_that_closes_harms_nobody() -> None:
    class Closed(Emulator):
        def write(self, text: str) -> int:
            raise OSError

    calls, table = Calls(), table_on(Closed(80, 24))
    table.begin(run(total=2, pending=2))
    table(calls.step(0, "dialing"))
    table.say("one")
    table.announce("two")
    table.close()
    table.say("three")


def test_an_observer_that_cannot_show_an_event_logs_it_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(result: CallResult) -> str:
        raise KeyError("availability")

    table = LiveTable(broken, Emulator(80, 24), UTF8, now=lambda: AT)
    table.show(run(total=1, pending=1))
    with caplog.at_level(logging.ERROR):
        table(Calls().settled(0))

    assert [record.message for record in caplog.records] == ["An event could not be shown; the calls go on."]


def test_the_clock_of_the_table_is_this_machines_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal: Any = Emulator(80, 24)
    table = LiveTable(heard, terminal, UTF8, size=terminal.size)
    table.show(run(total=1, pending=1))
    table(Calls().step(0, "dialing", at=(datetime.now(UTC) - AT).total_seconds() - 3_600))
    table.draw()

    assert re.fullmatch(r"Provider 0 +…0100  dialing +1:0\d:\d\d", terminal.lines[2])
