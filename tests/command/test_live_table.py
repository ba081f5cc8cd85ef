"""The live table on a real terminal: the installed command draws, a small terminal shows what can be read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command.conftest import COMMAND, LONGEST
from tests.command.test_terminal import OWN_TERMINAL
from tests.display.emulator import Emulator

FIRST = "+18645550100"
ROWS = ("Blue Ridge,(864) 555-0100,plumbing", "Reedy River,(864) 555-0115,plumbing", "Haywood,864-555-0126,plumbing")


class Seat:
    """Somebody at a terminal of so many columns and rows, and a command that runs there."""

    def __init__(self, *arguments: str, columns: int, rows: int, **environ: str) -> None:
        self.ours, theirs = pty.openpty()
        self.screen = Emulator(columns, rows, may_wrap=True)
        self.raw = b""
        self._resize(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environ},
        )
        self._theirs = theirs  # kept open: what the command wrote last can be read after its end
        self._text = ""

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """Pull at a corner of the window."""
        self.screen.resize(columns, rows)
        self._resize(columns, rows)

    def until(self, holds: Callable[[list[str]], object]) -> list[str]:
        """Look at the screen until this holds of its lines, and return them."""
        while not holds(self.screen.lines):
            self._read()
        return self.screen.lines

    def _read(self) -> None:
        piece = os.read(self.ours, 65536)
        self.raw += piece
        self._text += piece.decode()
        whole, half = re.fullmatch(r"([\s\S]*?)(\x1b\[?[\d;]*)?", self._text).groups()  # type: ignore[union-attr]
        self.screen.write(whole.replace("\r\n", "\n"))
        self._text = half or ""

    def finish(self) -> int:
        """Wait for the command's end, reading what it still writes, and return its exit code."""
        code = self.process.wait(LONGEST)
        os.close(self._theirs)
        try:
            while True:
                self._read()
        except OSError:  # Linux's way of saying that nobody writes any more
            os.close(self.ours)
        return code


@pytest.fixture
def sit(providers: Any, vapi: Any) -> Iterator[Callable[..., Seat]]:
    """Begin the command at a terminal, the first call staying on the line until it is hung up."""
    seats: list[Seat] = []
    vapi.options.stuck = {FIRST: "in-progress"}

    def begin(columns: int = 80, rows: int = 24, *more: str, **environ: str) -> Seat:
        arguments = ("batch", providers(*ROWS), "--yes", "--max-concurrent", "1", *more)
        seats.append(Seat(*arguments, columns=columns, rows=rows, **environ))
        return seats[-1]

    yield begin
    for seat in seats:
        if seat.process.poll() is None:
            seat.process.kill()
            seat.process.wait()


def row_of(name: str, lines: list[str]) -> str:
    return next((line for line in lines if line.startswith(name)), "")


def talking(lines: list[str]) -> bool:
    return "talking" in row_of("Blue Ridge", lines)


def test_who_is_called_is_seen_live_and_the_summary_takes_the_tables_place(sit: Callable[..., Seat], vapi: Any) -> None:
    seat = sit()
    lines = seat.until(talking)
    titles = next(line for line in lines if line.startswith("Provider"))

    assert re.split("  +", titles) == ["Provider", "Phone", "State", "Time", "What they said"]
    assert re.fullmatch(r"Blue Ridge +…0100  talking +0:0\d", row_of("Blue Ridge", lines))
    assert re.fullmatch(r"░+  0 of 3 done, 0:0\d, \$0\.00", lines[-2])
    assert lines[-1] == "1 on the line, 2 not yet called"
    vapi.hang_up(FIRST)

    assert seat.finish() == 0
    assert not any("on the line" in line for line in seat.screen.lines)
    assert any(line.startswith("3 providers: 1 completed, 1 no answer, 1 busy.") for line in seat.screen.lines)
    assert "".join(seat.screen.lines[-3:]).endswith("providers.results.json")


def test_the_table_is_there_before_the_first_dial(sit: Callable[..., Seat], vapi: Any) -> None:
    vapi.options.create_delay = 60.0
    seat = sit()
    lines = seat.until(lambda lines: any("3 not yet called" in line or "2 not yet called" in line for line in lines))

    assert vapi.rang == {}
    assert re.fullmatch(r"░+  0 of 3 done, 0:0\d, \$0\.00", lines[-2])


def test_ctrl_c_says_at_once_what_happens_next_and_it_stays_in_sight(sit: Callable[..., Seat], vapi: Any) -> None:
    seat = sit()
    seat.until(talking)
    os.write(seat.ours, b"\x03")
    lines = seat.until(lambda lines: any(line.startswith("Stopping: nobody new is dialled") for line in lines[-3:]))

    assert talking(lines)
    vapi.hang_up(FIRST)
    assert seat.finish() == 5
    assert vapi.rang == {FIRST: 1}
    assert any(line.startswith("To finish this run: concierge-calls resume ") for line in seat.screen.lines)


def test_a_narrower_window_shows_the_table_anew_and_no_remains(sit: Callable[..., Seat], vapi: Any) -> None:
    seat = sit(columns=120, rows=40)
    wide = seat.until(talking)
    assert re.split("  +", next(line for line in wide if line.startswith("Provider")))[-2] == "Ended"
    seat.resize(80, 24)
    titles = re.compile("Provider +Phone +State +Time +What they said")
    lines = seat.until(lambda lines: any(titles.fullmatch(line) for line in lines))

    assert [line for line in lines if line.startswith("Provider")] == [line for line in lines if titles.fullmatch(line)]
    assert len([line for line in lines if line.startswith("Blue Ridge")]) == 1
    vapi.hang_up(FIRST)
    assert seat.finish() == 0


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"CI": "true"}])
def test_where_nothing_can_be_drawn_a_line_says_each_end(
    sit: Callable[..., Seat], vapi: Any, environ: dict[str, str]
) -> None:
    seat = sit(**environ)
    vapi.wait_for(FIRST)
    vapi.hang_up(FIRST)

    assert seat.finish() == 0
    assert not re.search(rb"\x1b\[\d*[A-HJK]", seat.raw)
    assert re.search(rb"\d\d:\d\d:\d\d  Haywood +\xe2\x80\xa60126  busy", seat.raw)


def test_without_colour_and_unicode_the_table_is_plain(sit: Callable[..., Seat], vapi: Any) -> None:
    seat = sit(NO_COLOR="1", LC_ALL="C")
    lines = seat.until(talking)

    assert re.fullmatch(r"Blue Ridge +\.\.\.0100  talking +0:0\d", row_of("Blue Ridge", lines))
    assert re.fullmatch(r"-+  0 of 3 done, 0:0\d, \$0\.00", lines[-2])
    assert not re.search(rb"\x1b\[(?:3|4|9|10)\d(?:;|m)", seat.raw)
    vapi.hang_up(FIRST)
    assert seat.finish() == 0


def test_v_has_every_event_as_a_line_instead_of_a_table(sit: Callable[..., Seat], vapi: Any) -> None:
    seat = sit(80, 24, "-v")
    seat.until(lambda lines: any("call.in_progress  Blue Ridge" in line for line in lines))
    vapi.hang_up(FIRST)

    assert seat.finish() == 0
    assert not re.search(rb"\x1b\[\d*[A-HJK]", seat.raw)


def test_the_echo_is_given_back_even_after_three_ctrl_c(sit: Callable[..., Seat]) -> None:
    seat = sit()
    before = termios.tcgetattr(seat.ours)[3] & termios.ECHO
    seat.until(talking)
    during = termios.tcgetattr(seat.ours)[3] & termios.ECHO
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        seat.process.send_signal(number)
    assert seat.process.wait(LONGEST) == 5

    assert (bool(before), bool(during)) == (True, False)
    assert termios.tcgetattr(seat.ours)[3] & termios.ECHO


def test_a_run_shown_at_a_terminal_tells_who_could_come(sit: Callable[..., Seat], vapi: Any, command: Any) -> None:
    seat = sit()
    seat.until(talking)
    run = re.search(r"\d{8}-[a-z2-9]{8}", command("runs").out)
    assert run is not None
    other = Seat("show", run[0], "-o", "shown.json", columns=80, rows=24)

    assert other.process.wait(LONGEST) == 0
    lines = other.until(lambda lines: any("no need to resume" in line for line in lines))
    assert re.fullmatch(r"Blue Ridge +…0100  talking +0:0\d", row_of("Blue Ridge", lines))
    assert Path("shown.json").exists()
    vapi.hang_up(FIRST)
    assert seat.finish() == 0
