"""The command that a flow's tasks run: it calls those who were handed over, and always ends well."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from concierge_calls.kestra.answer import Answer

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
LATEST = 1.8  # seconds from being told to stop; Kestra sends no second signal, and waits for ever
STDOUT, STDERR = 1, 2


def child(
    item: Annotated[Path | None, typer.Option("--item", help="A file with the item to call.", metavar="FILE")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file with the whole list.", metavar="FILE")] = None,
    strange: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Call those whom a flow has handed over; its tasks run this, and nobody else needs to."""
    # Until somebody listens a signal waits; that the server's terminal is closed is none of the calls' business.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    import asyncio

    try:
        asyncio.run(_work(item, file, strange or []))
    except Exception:
        _print(STDERR, traceback.format_exc())
    finally:
        # A task that fails takes with it what it has printed, and one that still waits for something never ends.
        os._exit(0)


async def _work(item: Path | None, file: Path | None, strange: list[str]) -> None:
    import asyncio

    from concierge_calls.handed import call
    from concierge_calls.kestra.child import Child
    from concierge_calls.settings.kestra import forget_the_route

    forget_the_route(os.environ)
    child, loop = Child(call, os.environ, of=item, whole=file, strange=strange), asyncio.get_running_loop()

    def stop(*_: object) -> None:
        latest = threading.Timer(LATEST, os._exit, (0,))
        latest.daemon = True
        latest.start()
        loop.call_soon_threadsafe(child.stop)

    # Not by the loop, which does not hear while a frozen server keeps the line from being written.
    for number in SIGNALS:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    _deliver(await child.work())
    os._exit(0)  # at once: a call that was left to another start may still be followed here


def _deliver(answer: Answer) -> None:
    from concierge_calls.errors import ConciergeError
    from concierge_calls.kestra import outputs

    _print(STDOUT, outputs.line(answer.entries))
    try:
        outputs.write(Path(outputs.RESULTS), answer.whole())
    except (OSError, ConciergeError) as error:
        _print(STDERR, f"concierge-calls: {outputs.RESULTS} cannot be written, so what was said stays here: {error}\n")


def _print(file: int, text: str) -> None:
    # By the file itself: Python has none where the task was started without it.
    left = text.encode("utf-8", "backslashreplace")
    with suppress(OSError):  # the server may be gone; whoever is started next reads the journal
        while left:
            left = left[os.write(file, left) :]
