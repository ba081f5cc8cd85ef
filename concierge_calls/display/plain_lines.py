"""Call events as plain lines for people: one for each call that ends or fails, every event on request."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import IntEnum
from typing import IO

from concierge_calls.display.base import Display
from concierge_calls.display.writer import Writer
from concierge_calls.models import SKIPPED_ON_PURPOSE, CallEvent, CallResult, CallStatus, EventKind
from concierge_calls.plain import clock, shown

WRONG = frozenset({CallStatus.ERROR, CallStatus.TIMEOUT, CallStatus.UNCERTAIN, CallStatus.CANCELLED})
NAME_WIDTH = 30
NAME_WIDTH_ON_TERMINAL = 20


class Verbosity(IntEnum):
    """How much is said."""

    QUIET = 0  # nothing unless something is wrong
    NORMAL = 1  # each call that ended or failed
    VERBOSE = 2  # every event


class PlainLines(Display):
    """An observer that writes a time-stamped line for each event worth one.

    Phone numbers are shown by their last four digits. A terminal that closes, or a pipe that nobody reads any
    more, ends the lines but not the run.
    """

    def __init__(self, verbosity: Verbosity, heard: Callable[[CallResult], str], stream: IO[str] | None = None) -> None:
        stream = stream or sys.stderr  # None when the process was started without one
        super().__init__(stream, Writer(stream))
        self._verbosity = verbosity
        self._heard = heard
        self._name_width = NAME_WIDTH_ON_TERMINAL if self._on_terminal else NAME_WIDTH

    def _take(self, event: CallEvent) -> None:
        if (text := self._text(event)) is not None:
            at = event.at.astimezone()
            if self._on_terminal:  # who sits there knows the date, and has only so much room
                from concierge_calls.display.cells import cut

                self._writer.say(cut(f"{at:%H:%M:%S}  {text}", self._columns()) + "\n")
            else:
                self._writer.say(f"{at:%Y-%m-%d %H:%M:%S}  {text}\n")

    def _text(self, event: CallEvent) -> str | None:
        final = event.result if event.kind in (EventKind.CALL_SETTLED, EventKind.CALL_SKIPPED) else None
        if self._verbosity is Verbosity.VERBOSE:
            what = _known(event) if final is None else self._outcome(final)
            return "  ".join((f"{event.kind.value:<16}", *_who(event, self._name_width), *what)).rstrip()
        if final is None or (self._verbosity is Verbosity.QUIET and not is_wrong(final)):
            return None
        return "  ".join((*_who(event, self._name_width), *self._outcome(final))).rstrip()

    def _outcome(self, result: CallResult) -> tuple[str, ...]:
        spoken = clock(result.duration) if result.duration else ""
        return f"{result.status.words:<9}", f"{spoken:>5}", shown(self._heard(result))


def is_wrong(result: CallResult) -> bool:
    """Tell whether somebody should look at this, even somebody who wanted to hear nothing."""
    on_purpose = result.error is None or result.error.code in SKIPPED_ON_PURPOSE
    return result.status in WRONG or (result.status is CallStatus.SKIPPED and not on_purpose)


def _known(event: CallEvent) -> tuple[str, ...]:
    return tuple(shown(text) for text in (event.call_id, event.ended_reason) if text)


def _who(event: CallEvent, width: int) -> tuple[str, ...]:
    if event.request is None:
        return ()
    provider = event.request.provider
    name = shown(provider.name, width) or "(no name)"
    return f"{name:<{width}}", f"…{provider.last_four}" if provider.phone else "    -"
