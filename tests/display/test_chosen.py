"""Which display is chosen, what it costs to load, and the terminal's echo while a table is drawn."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import IO

import pytest

from concierge_calls.display import PlainLines, Verbosity, chosen, restore, terminal
from concierge_calls.display.live import LiveTable
from tests.display.calls import heard, run

USUAL = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}
PLAIN = """
import io, sys
from concierge_calls.display import Verbosity, chosen, Column
display = chosen(Verbosity.VERBOSE, lambda _: "", io.StringIO(), {})
display.say("one"); display.table([Column("a")], [["b"]]); display.close()
assert not any(name.split(".")[0] == "rich" for name in sys.modules)
"""


def sized(handle: int, columns: int, rows: int) -> None:
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@pytest.fixture
def screen() -> Iterator[IO[str]]:
    """A real terminal of 80 columns and 24 rows."""
    ours, theirs = pty.openpty()
    sized(theirs, 80, 24)
    with open(theirs, "w", encoding="utf-8") as stream:
        yield stream
    os.close(ours)


def test_a_terminal_gets_the_live_table(screen: IO[str]) -> None:
    assert isinstance(chosen(Verbosity.NORMAL, heard, screen, USUAL), LiveTable)


@pytest.mark.parametrize(
    ("verbosity", "environ"),
    [
        (Verbosity.VERBOSE, {}),
        (Verbosity.QUIET, {}),
        (Verbosity.NORMAL, {"TERM": "dumb"}),
        (Verbosity.NORMAL, {"TERM": ""}),
        (Verbosity.NORMAL, {"TERM": "unknown"}),
        (Verbosity.NORMAL, {"CI": "true"}),
    ],
)
def test_where_it_is_not_wanted_or_cannot_be_drawn_there_are_plain_lines(
    screen: IO[str], verbosity: Verbosity, environ: dict[str, str]
) -> None:
    assert isinstance(chosen(verbosity, heard, screen, USUAL | environ), PlainLines)


@pytest.mark.parametrize(("columns", "rows", "is_live"), [(40, 8, True), (39, 8, False), (40, 7, False), (0, 0, False)])
def test_a_terminal_that_is_too_small_gets_plain_lines(screen: IO[str], columns: int, rows: int, is_live: bool) -> None:
    sized(screen.fileno(), columns, rows)

    assert isinstance(chosen(Verbosity.NORMAL, heard, screen, USUAL), LiveTable) is is_live


def test_what_is_no_terminal_gets_plain_lines() -> None:
    assert isinstance(chosen(Verbosity.NORMAL, heard, io.StringIO(), USUAL), PlainLines)


def test_without_any_stderr_there_are_plain_lines_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)

    chosen(Verbosity.NORMAL, heard).say("one")


def test_plain_lines_do_not_load_what_only_a_terminal_needs() -> None:
    subprocess.run([sys.executable, "-c", PLAIN], check=True)


def test_the_echo_is_off_while_the_table_is_shown_and_back_afterwards(
    screen: IO[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", screen)

    def echoes() -> bool:
        return bool(termios.tcgetattr(screen.fileno())[3] & termios.ECHO)

    table = chosen(Verbosity.NORMAL, heard, screen, USUAL)
    table.say("one")
    assert echoes()
    table.begin(run(total=1, pending=1))
    assert not echoes()
    restore()
    restore()
    assert echoes()
    table.close()
    assert echoes()


@pytest.mark.parametrize(
    ("environ", "is_unicode"),
    [
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, False),
        ({"LC_CTYPE": "POSIX"}, False),
        ({"LC_ALL": "", "LANG": "C.UTF-8"}, True),
        ({}, True),
    ],
)
def test_the_locale_says_whether_more_than_ascii_can_be_shown(
    screen: IO[str], environ: dict[str, str], is_unicode: bool
) -> None:
    assert terminal.shows_unicode(screen, environ) is is_unicode
    assert not terminal.shows_unicode(io.TextIOWrapper(io.BytesIO(), encoding="ascii"), environ)


@pytest.mark.parametrize(
    ("environ", "reflows"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm", "XTERM_VERSION": "XTerm(390)"}, False),
        ({"TERM": "tmux", "XTERM_VERSION": "XTerm(390)", "TMUX": "socket,1,0"}, True),
        ({"TERM": "linux"}, False),
    ],
)
def test_some_terminals_cut_lines_where_others_wrap_them(environ: dict[str, str], reflows: bool) -> None:
    assert terminal.reflows(environ) is reflows
