"""The live table on a real terminal: the installed command draws, a small terminal shows what can be read."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.simulator import Simulator, SimulatorOptions
from tests.command.conftest import COMMAND, LONGEST
from tests.command.test_terminal import OWN_TERMINAL
from tests.display.emulator import Emulator

FIRST = "+18645550100"
# A shell: has the command in the foreground, takes the terminal back when it is stopped, and continues it on any line.
SHELL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = os.fork()
if not child:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: (os.kill(child, signal.SIGKILL), os._exit(1)))
while True:
    _, status = os.waitpid(child, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    print("\\n[1]+  Stopped\\n$ ", end="", flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, child)
    os.killpg(child, signal.SIGCONT)
"""
BAR = re.compile(r"░+  0 of 3 done, \d+:\d\d, \$0\.00")
PIECE = 16  # bytes that are read between two looks: a terminal may show a frame before all of it has come
ROWS = ("Blue Ridge,(864) 555-0100,plumbing", "Reedy River,(864) 555-0115,plumbing", "Haywood,864-555-0126,plumbing")


class Seat:
    """Somebody at a terminal of so many columns and rows, and a command that runs there."""

    def __init__(self, *arguments: str, columns: int, rows: int, before: str = OWN_TERMINAL, **environ: str) -> None:
        self.ours, theirs = pty.openpty()
        _keep_all(theirs)
        self.screen = Emulator(columns, rows, may_wrap=True)
        self.raw = b""
        self._resize(columns, rows)
        self._last_word = signal.SIGTERM if before == SHELL else signal.SIGKILL
        self.process = subprocess.Popen(
            [sys.executable, "-c", before, COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environ},
        )
        self._theirs = theirs  # kept open: what the command wrote last can be read after its end
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """Pull at a corner of the window."""
        self.screen.resize(columns, rows)
        self._resize(columns, rows)

    def until(self, holds: Callable[[list[str]], object]) -> list[str]:
        """Look at the screen until this holds of its lines, and return them."""
        end = time.monotonic() + LONGEST
        while not holds(self.screen.lines):
            ready, _, _ = select.select([self.ours], [], [], max(0.0, end - time.monotonic()))
            if not (ready and self._read()):
                pytest.fail("It never came to that, but to:\n" + "\n".join(self.screen.lines))
        return self.screen.lines

    def _read(self) -> bytes:
        piece = os.read(self.ours, PIECE)
        self.raw += piece
        self._text += self._decoder.decode(piece)
        whole, half = re.fullmatch(r"([\s\S]*?)(\x1b\[?[\d;]*)?", self._text).groups()  # type: ignore[union-attr]
        self.screen.write(whole.replace("\r\n", "\n"))
        self._text = half or ""
        return piece

    def finish(self) -> int:
        """Wait for the command's end, reading what it still writes, and return its exit code."""
        end = time.monotonic() + LONGEST
        while self.process.poll() is None and time.monotonic() < end:  # a full terminal would keep it from its end
            if select.select([self.ours], [], [], 0.05)[0]:
                self._read()
        code = self.process.wait(0)
        os.close(self._theirs)
        with suppress(OSError):  # Linux's way of saying that nobody writes any more; others say it with nothing
            while self._read():
                pass
        os.close(self.ours)
        return code

    def end(self) -> None:
        """End what has not ended by itself, whatever its state."""
        if self.process.poll() is None:
            self.process.send_signal(self._last_word)
            self.process.wait()

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown."""
        return bool(termios.tcgetattr(self.ours)[3] & termios.ECHO)


def _keep_all(terminal: int) -> None:
    # With Ctrl-C, Ctrl-Z and Ctrl-\ a terminal drops what nobody has read by then, such as the second half of a frame.
    now = termios.tcgetattr(terminal)
    termios.tcsetattr(terminal, termios.TCSANOW, [*now[:3], now[3] | termios.NOFLSH, *now[4:]])


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
        seat.end()


def row_of(name: str, lines: list[str]) -> str:
    return next((line for line in lines if line.startswith(name)), "")


def below_the_counts(lines: list[str]) -> list[str]:
    counts = max((number for number, line in enumerate(lines) if "not yet called" in line), default=len(lines))
    return lines[counts + 1 :]


def talking(lines: list[str]) -> bool:
    row = row_of("Blue Ridge", lines)
    return "talking" in row and any("not yet called" in line for line in lines[lines.index(row) :])


def has_come(lines: list[str]) -> bool:
    # While a row is added or taken away, it is for an instant where the bar was or will be.
    return talking(lines) and BAR.fullmatch(lines[-2]) is not None


def test_who_is_called_is_seen_live_and_the_summary_takes_the_tables_place(sit: Callable[..., Seat], vapi: Any) -> None:
    seat = sit()
    lines = seat.until(talking)
    titles = next(line for line in lines if line.startswith("Provider"))

    assert re.split("  +", titles) == ["Provider", "Phone", "State", "Time", "What they said"]
    assert re.fullmatch(r"Blue Ridge +…0100  talking +\d+:\d\d", row_of("Blue Ridge", lines))
    assert BAR.fullmatch(lines[-2])
    assert lines[-1] == "1 on the line, 2 not yet called"
    vapi.hang_up(FIRST)

    assert seat.finish() == 0
    assert not any("on the line" in line for line in seat.screen.lines)
    assert any(line.startswith("3 providers: 1 completed, 1 no answer, 1 busy.") for line in seat.screen.lines)
    assert "".join(seat.screen.lines[-3:]).endswith("providers.results.json")


def test_the_table_is_there_before_the_first_dial(sit: Callable[..., Seat]) -> None:
    # One request a minute, which the check takes: the first dial is due when the simulator's young minute is over.
    with Simulator(SimulatorOptions(clock_skew=1 - time.time() % 60)) as simulator:
        seat = sit(VAPI_BASE_URL=simulator.url, VAPI_MAX_REQUESTS_PER_MINUTE="1")
        lines = seat.until(lambda lines: any("not yet called" in line for line in lines))
        asked = simulator.ledger()["requests"]

    assert (asked["phone-number"], asked["create"]) == (1, 0)
    assert BAR.fullmatch(lines[-2])
    assert lines[-1] == "0 on the line, 3 not yet called"


def test_ctrl_c_says_at_once_what_happens_next_and_it_stays_in_sight(sit: Callable[..., Seat], vapi: Any) -> None:
    seat = sit()
    seat.until(talking)
    os.write(seat.ours, b"\x03")
    seat.until(lambda lines: talking(lines) and row_of("Stopping: nobody new is dialled", below_the_counts(lines)))
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
    lines = seat.until(lambda lines: any(titles.fullmatch(line) for line in lines) and talking(lines))

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

    assert re.fullmatch(r"Blue Ridge +\.\.\.0100  talking +\d+:\d\d", row_of("Blue Ridge", lines))
    assert re.fullmatch(r"-+  0 of 3 done, \d+:\d\d, \$0\.00", lines[-2])
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
    before = seat.echoes
    seat.until(talking)
    during = seat.echoes
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        seat.process.send_signal(number)
    assert seat.process.wait(LONGEST) == 5

    assert (before, during, seat.echoes) == (True, False, True)


def test_the_echo_is_given_back_by_ctrl_backslash_which_ends_the_command(sit: Callable[..., Seat]) -> None:
    seat = sit()
    seat.until(talking)
    assert not seat.echoes
    os.write(seat.ours, b"\x1c")

    assert seat.process.wait(LONGEST) == -signal.SIGQUIT
    assert seat.echoes


def test_after_ctrl_z_and_fg_the_table_stands_below_what_the_shell_wrote(sit: Callable[..., Seat], vapi: Any) -> None:
    seat = sit(before=SHELL)
    before = len(seat.until(talking))
    os.write(seat.ours, b"\x1a")
    seat.until(lambda lines: lines[-2:] == ["[1]+  Stopped", "$"])
    assert seat.echoes
    os.write(seat.ours, b"fg\n")
    lines = seat.until(lambda lines: "$ fg" in lines and talking(lines[lines.index("$ fg") :]))

    shell = lines.index("[1]+  Stopped")
    assert talking(lines[:shell])
    assert lines[shell + 1 :][:3] == ["$ fg", "", next(line for line in lines if line.startswith("Provider"))]
    assert len(lines) > before
    seat.until(lambda _: not seat.echoes)
    vapi.hang_up(FIRST)
    assert seat.finish() == 0
    assert any(line.startswith("3 providers: 1 completed, 1 no answer, 1 busy.") for line in seat.screen.lines)


def test_calls_that_were_put_back_for_lack_of_lines_are_on_no_line(sit: Callable[..., Seat], vapi: Any) -> None:
    vapi.options.lines = 1
    seat = sit(80, 24, "--max-concurrent", "3")
    refused = seat.until(lambda lines: has_come(lines) and vapi.ledger["requests"]["create"] > 1)[-2]
    lines = seat.until(
        lambda lines: has_come(lines) and lines[-2] != refused and lines[-1] == "1 on the line, 2 not yet called"
    )

    table = lines[lines.index(next(line for line in lines if line.startswith("Provider"))) :]
    assert [row_of(name, table) for name in ("Reedy River", "Haywood")] == ["", ""]
    vapi.hang_up(FIRST)
    assert seat.finish() == 0


def test_a_run_shown_at_a_terminal_tells_who_could_come(sit: Callable[..., Seat], vapi: Any, command: Any) -> None:
    seat = sit()
    seat.until(talking)
    run = re.search(r"\d{8}-[a-z2-9]{8}", command("runs").out)
    assert run is not None
    other = Seat("show", run[0], "-o", "shown.json", columns=80, rows=24)

    assert other.process.wait(LONGEST) == 0
    lines = other.until(lambda lines: any("no need to resume" in line for line in lines))
    assert re.fullmatch(r"Blue Ridge +…0100  talking +\d+:\d\d", row_of("Blue Ridge", lines))
    assert Path("shown.json").exists()
    vapi.hang_up(FIRST)
    assert seat.finish() == 0
