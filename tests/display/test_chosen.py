"""Which display is chosen, what it costs to load, and the terminal's echo while a table is drawn."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from concierge_calls.display import PlainLines, Verbosity, chosen, restore, terminal
from concierge_calls.display.live import LiveTable
from concierge_calls.models import CallEvent
from tests.display.calls import heard, run

USUAL = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}
PLAIN = """
import io, sys
from concierge_calls.display import Verbosity, chosen, Column
display = chosen(Verbosity.VERBOSE, lambda _: "", io.StringIO(), {})
display.say("one"); display.table([Column("a")], [["b"]]); display.close()
assert not any(name.split(".")[0] == "rich" for name in sys.modules)
"""


MUTED = """
import sys, termios
from concierge_calls.display import terminal
terminal.mute()
print(bool(termios.tcgetattr(0)[3] & termios.ECHO))
"""
CLOSED = """
import resource, signal, sys, threading
from concierge_calls.display import Verbosity, chosen
from tests.display.calls import heard, run
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it is ended by Ctrl-backslash, in the repository
display = chosen(Verbosity.NORMAL, heard)
display.begin(run(total=1, pending=1))
closing = threading.Thread(target=display.close)
closing.start()
closing.join()
never, continued = threading.Event(), threading.Event()
signal.signal(signal.SIGCONT, lambda *_: continued.set())
print("closed", flush=True)
while not never.wait(0.01):
    if continued.is_set():
        continued.clear()
        print("continued", flush=True)
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

    table = chosen(Verbosity.NORMAL, heard, screen, USUAL)
    table.say("one")
    assert echoes(screen)
    table.begin(run(total=1, pending=1))
    assert not echoes(screen)
    restore()
    restore()
    assert echoes(screen)
    table.close()
    assert echoes(screen)


def echoes(screen: IO[str]) -> bool:
    return bool(termios.tcgetattr(screen.fileno())[3] & termios.ECHO)


def test_a_table_that_cannot_begin_leaves_the_echo_as_it_was(screen: IO[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: int) -> CallEvent:
        raise OSError("The disk is gone.")

    monkeypatch.setattr("sys.stdin", screen)
    table = chosen(Verbosity.NORMAL, heard, screen, USUAL)
    with pytest.raises(OSError, match="disk is gone"):
        table.begin(run(total=1, pending=1), map(unreadable, [0]))

    assert echoes(screen)
    assert signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL


def test_a_process_that_exits_without_closing_the_table_gives_the_echo_back(screen: IO[str]) -> None:
    ended = subprocess.run([sys.executable, "-c", MUTED], stdin=screen, stdout=subprocess.PIPE, check=True)

    assert ended.stdout == b"False\n"
    assert echoes(screen)


def test_after_a_close_in_another_thread_ctrl_z_and_ctrl_backslash_do_what_they_always_do(screen: IO[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CLOSED],
        stdin=screen,
        stdout=subprocess.PIPE,
        stderr=screen,
        env={**os.environ, **USUAL},
        cwd=Path(__file__).parents[2],
        process_group=0,
    )
    with process, ExitStack() as at_last:
        at_last.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"closed\n"
        process.send_signal(signal.SIGTSTP)
        _, stopped = os.waitpid(process.pid, os.WUNTRACED)
        process.send_signal(signal.SIGCONT)

        assert os.WIFSTOPPED(stopped)
        assert process.stdout.readline() == b"continued\n"
        assert echoes(screen)
        process.send_signal(signal.SIGQUIT)
        assert process.wait() == -signal.SIGQUIT
    assert echoes(screen)


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
