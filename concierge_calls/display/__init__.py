"""A run shown to people: a live table on a terminal, a plain line for each call elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import IO

from concierge_calls.display import terminal
from concierge_calls.display.base import Display
from concierge_calls.display.plain_lines import NAME_WIDTH, PlainLines, Verbosity, is_wrong
from concierge_calls.display.table import Column
from concierge_calls.display.terminal import restore
from concierge_calls.models import CallResult

__all__ = ["NAME_WIDTH", "Column", "Display", "PlainLines", "Verbosity", "chosen", "is_wrong", "restore"]


def chosen(
    verbosity: Verbosity,
    heard: Callable[[CallResult], str],
    stream: IO[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Display:
    """Return the display that suits the stream (stderr), the environment and how much is to be said.

    `heard` says in one line what came of a call.
    """
    stream = stream or sys.stderr  # None when the process was started without one
    environ = os.environ if environ is None else environ
    if verbosity is not Verbosity.NORMAL or stream is None or not terminal.can_redraw(stream, environ):
        return PlainLines(verbosity, heard, stream)
    from concierge_calls.display.live import LiveTable

    return LiveTable(heard, stream, environ)
