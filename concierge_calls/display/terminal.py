"""The terminal that somebody sits at: its size, what it can show, and its echo while it is drawn on."""

from __future__ import annotations

import atexit
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
        _echoing = handle, before  # first, so that whoever is interrupted here restores it
        termios.tcsetattr(handle, termios.TCSANOW, silent)


@atexit.register
def restore() -> None:
    """Give the terminal its echo back, at the latest when the process exits; does nothing where it was not taken."""
    global _echoing
    if _echoing is None:
        return
    import termios

    handle, before = _echoing
    _echoing = None
    with suppress(OSError, ValueError, termios.error):
        if _in_foreground(handle):  # whoever sets it from the background is stopped
            termios.tcsetattr(handle, termios.TCSANOW, before)


class Keys:
    """Has Ctrl-Z and Ctrl-\\ give the terminal back before they do what they always do.

    `suspended` is called before we stand still, and `resumed` when somebody has continued us.
    """

    def __init__(self, suspended: Callable[[], object], resumed: Callable[[], object]) -> None:
        self._suspended = suspended
        self._resumed = resumed
        self._is_wanted = False
        self._taken: list[int] = []

    def begin(self) -> None:
        """Begin to watch for each that means what it usually does; only the main thread can."""
        if not _in_main_thread():
            return
        self._is_wanted = True
        for number, handler in ((signal.SIGTSTP, self._suspend), (signal.SIGQUIT, self._quit)):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, handler)
                self._taken.append(number)

    def end(self) -> None:
        """Leave both to the system; in another thread than the main one, when the next of them comes."""
        self._is_wanted = False
        while self._taken and _in_main_thread():
            signal.signal(self._taken.pop(), signal.SIG_DFL)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        self._suspended()
        restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # here we stand still until somebody continues us
        if self._is_wanted:  # the display may have been closed in a thread of its own meanwhile
            signal.signal(number, self._suspend)
            mute()
        self._resumed()

    def _quit(self, number: int, frame: FrameType | None) -> None:
        restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


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
