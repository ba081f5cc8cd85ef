"""What Ctrl-C and its like do to a run: the first drains it, the second leaves it, the third ends us at once.

Once its document is out they change nothing any more: how the run went is its exit code, whatever is pressed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType

from concierge_calls.display import restore
from concierge_calls.plain import count
from concierge_calls.stopping import Worker
from concierge_calls.underway import Awaited

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 5

Say = Callable[[str], object]


class Stopper:
    """Counts the requests to stop, and does what each asks for."""

    def __init__(self, say: Say, *, hang_up: bool) -> None:
        self._say = say
        self._hang_up = hang_up
        self._caller: Worker | None = None
        self._task = asyncio.current_task()
        self._asked = 0
        self._code: int | None = None  # once that cannot change any more
        self._leaving: asyncio.Task[None] | None = None

    @property
    def was_asked(self) -> bool:
        """Whether the run was to stop before it had ended."""
        return self._asked > 0

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to stop."""
        return self._code is not None

    def let_end(self, code: int) -> None:
        """Let the program end with this exit code, whoever asks it to stop from now on."""
        self._code = code

    def found(self, caller: Worker) -> None:
        """Take note of who can be told to stop, now that the first dial is near."""
        self._caller = caller

    def stop(self) -> None:
        """Do what the next request to stop asks for."""
        self._asked += 1
        if self._asked > 2:
            restore()
            os._exit(INTERRUPTED if self._code is None else self._code)  # as safe as a kill: what matters is committed
        if self.is_over:
            return
        if self._caller is None:
            if self._task is not None:
                self._task.cancel()
        elif self._asked == 1:
            self._drain(self._caller)
        else:
            self._say("Leaving; the calls on the line go on, and the journal knows them.")
            self._leaving = asyncio.ensure_future(self._caller.leave())

    def _drain(self, caller: Worker) -> None:
        caller.drain()
        live = "being hung up" if self._hang_up else "followed to the end"
        verbs = {
            Awaited.END: (f"on the line is {live}", f"on the line are {live}"),
            Awaited.ANALYSIS: ("off the line still awaits its analysis", "off the line still await their analysis"),
            Awaited.WORD: ("that Vapi does not show is still asked for", "that Vapi does not show are still asked for"),
        }
        going_on = [
            f"{count(number, f'call {one}', f'calls {many}')}{_until(caller.underway.latest(what))}"
            for what, (one, many) in verbs.items()
            if (number := caller.underway.count(what))
        ]
        parts = ["nobody new is dialled", *(going_on or ["no call is on the line"])]
        self._say(f"Stopping: {', '.join(parts)}. Once more to leave at once.")


def _until(latest: datetime | None) -> str:
    return f", until {latest.astimezone():%H:%M:%S} at the latest" if latest is not None else ""


@contextmanager
def stoppable(say: Say, *, hang_up: bool) -> Iterator[Stopper]:
    """Have signals stop the run while the context lasts; one that was ignored when we began stays ignored.

    After a run that is over they stay ignored until the program ends.
    """
    loop, stopper = asyncio.get_running_loop(), Stopper(say, hang_up=hang_up)
    taken = [number for number in SIGNALS if not _ignored(signal.getsignal(number))]
    # Not by the loop's own handlers: it takes those away at its end, and a signal in that instant would be a kill.
    before = {number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopper.stop)) for number in taken}
    try:
        yield stopper
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if stopper.is_over else handler)


def _ignored(handler: Callable[[int, FrameType | None], object] | int | None) -> bool:
    return handler is signal.SIG_IGN
