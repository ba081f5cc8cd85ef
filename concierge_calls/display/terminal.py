"""The terminal that somebody sits at: its size, what it can show, and its echo while it is drawn on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import IO, Any

SMALLEST = (40, 8)  # columns and rows
WITHOUT_CURSOR = frozenset({"", "dumb", "unknown"})  # what TERM says of a terminal that cannot move its cursor

_echoing: tuple[int, list[Any]] | None = None  # the terminal whose echo is off, and how it was before


def can_redraw(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Tell whether a table can be drawn in place there: a terminal of some size, ours alone, that moves its cursor."""
    if not stream.isatty() or environ.get("TERM", "").lower() in WITHOUT_CURSOR:
        return False
    columns, rows = _asked(stream)
    large_enough = columns >= SMALLEST[0] and rows >= SMALLEST[1]
    return large_enough and not environ.get("CI") and _in_foreground(stream.fileno())


def size(stream: IO[str]) -> tuple[int, int]:
    """Return the terminal's columns and rows as they are now; guessed where it does not tell."""
    columns, rows = _asked(stream)
    if not (columns and rows):
        columns, rows = shutil.get_terminal_size()
    return columns, rows


def shows_unicode(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Tell whether more than ASCII can be shown; Python writes UTF-8 even where the user's locale is C."""
    locale = next(filter(None, map(environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return encoding.lower().startswith("utf") and locale not in ("C", "POSIX")


def reflows(environ: Mapping[str, str]) -> bool:
    """Tell whether lines that are longer than a new width are wrapped, as most terminals do, or cut."""
    return "TMUX" in environ or not ("XTERM_VERSION" in environ or environ.get("TERM") == "linux")


def is_in_foreground(stream: IO[str]) -> bool:
    """Tell whether the terminal is ours, or a shell's that has us in the background."""
    try:
        return _in_foreground(stream.fileno())
    except (OSError, ValueError):
        return True


def mute() -> None:
    """Turn off the echo of what is typed, if somebody can type, so that keys do not tear what is drawn."""
    global _echoing
    if os.name != "posix" or _echoing is not None or sys.stdin is None:
        return
    import termios

    with suppress(OSError, ValueError, termios.error):
        handle = sys.stdin.fileno()
        if not (os.isatty(handle) and _in_foreground(handle)):
            return
        before = termios.tcgetattr(handle)
        silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        termios.tcsetattr(handle, termios.TCSANOW, silent)
        _echoing = handle, before


def restore() -> None:
    """Give the terminal its echo back; does nothing where it was not taken."""
    global _echoing
    if _echoing is None:
        return
    import termios

    handle, before = _echoing
    _echoing = None
    with suppress(OSError, ValueError, termios.error):
        if _in_foreground(handle):  # whoever sets it from the background is stopped
            termios.tcsetattr(handle, termios.TCSANOW, before)


class Suspension:
    """Has Ctrl-Z give the terminal back first, and calls `resumed` when we are in the foreground again."""

    def __init__(self, resumed: Callable[[], object]) -> None:
        self._resumed = resumed
        self._is_wanted = False

    def begin(self) -> None:
        """Begin to watch, where Ctrl-Z means anything and signals can be taken."""
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._suspend)
            self._is_wanted = True

    def end(self) -> None:
        """Leave Ctrl-Z to the system again."""
        in_main = threading.current_thread() is threading.main_thread()
        if self._is_wanted and in_main:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        self._is_wanted = False

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        restore()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # here we stand still until somebody continues us
        signal.signal(signal.SIGTSTP, self._suspend)
        if self._is_wanted:  # signals are taken back in the main thread only, and `end` may have been called elsewhere
            mute()
            self._resumed()


def _asked(stream: IO[str]) -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 0, 0
    return columns, rows


def _in_foreground(handle: int) -> bool:
    try:
        return os.tcgetpgrp(handle) == os.getpgrp()
    except OSError:  # not the terminal that controls us, so nobody can put us in its background
        return True
