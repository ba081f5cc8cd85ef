"""Before strangers' phones ring: what a run would do is said, and at a terminal somebody is asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from concierge_calls.backend import Identity
from concierge_calls.cli.questions import ask, at_a_terminal, is_yes
from concierge_calls.display import Display, Verbosity
from concierge_calls.forecast import limits, where, who
from concierge_calls.journal import ToldBy
from concierge_calls.loopback import is_loopback
from concierge_calls.models import CallStatus
from concierge_calls.plain import count, shown
from concierge_calls.routing import Route
from concierge_calls.run import Run
from concierge_calls.settings.fields import SETTINGS
from concierge_calls.settings.loading import Settings

PATIENCE = 2.0  # seconds of silence, after which it is said what is waited for
LONGEST = 40  # characters of a name that somebody gave at Vapi, and of a thing that is asked for
_TOLD = {ToldBy.FILE: "what the file says", ToldBy.EARLIER_CALLS: "what earlier calls for each service took"}
LEFT = frozenset({CallStatus.PENDING, CallStatus.NOT_CALLED})  # a run that was stopped goes on with those not called


class Prompt:
    """Says what the run would do, and asks whether to do it if `asked` and somebody sits at a terminal."""

    def __init__(self, run: Run, screen: Display, notes: Iterable[str], *, asked: bool, verbosity: Verbosity) -> None:
        """Prepare to ask; `notes` are sentences about the file and the options."""
        self._run = run
        self._screen = screen
        self._notes = notes
        self._patience: asyncio.TimerHandle | None = None
        stats = run.result().stats
        somebody = stats.pending + stats.not_called + len(run.again) > 0
        self._asked = asked and somebody and at_a_terminal()
        says = self._asked or verbosity > Verbosity.QUIET
        self._forecast = run.forecast(run.undialled()) if says else None  # a look at every row is not for nothing

    def introduce(self) -> None:
        """Say who would be called and who not."""
        if self._forecast is not None:
            self._screen.say(*who(self._forecast), *self._notes)
            waiting = "Vapi has not answered yet; it is asked for 10 seconds."
            self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._screen.say, waiting)

    async def agreed(self) -> bool:
        """Say by whom, when and how long those providers would be called, and return whether to go on."""
        if self._patience is not None:
            self._patience.cancel()
        if self._forecast is not None and self._run.again:
            again = count(len(self._run.again), "number")
            self._screen.say(f"{again} that may have rung already will be dialled again, unless the call is found.")
        if self._forecast is not None and self._run.simulated:
            self._screen.say("A simulator takes the calls: no phone rings.")
        elif self._forecast is not None and self._forecast.called:
            self._screen.say(*_caller(self._run), *_asked_for(self._run), *_host(self._run), *self._run.warnings)
            self._screen.say(*where(self._forecast), *limits(self._forecast))
        return not self._asked or await _answered_yes(self._screen)


def dialled_first(run: Run) -> Iterator[str]:
    """Say who is dialled first, where it is not whoever stands first in the file."""
    if not run.longest_first:
        return
    if run.ways.routes == (Route.KESTRA,):
        yield "Kestra calls in the file's order, though it is known whose calls take long."
        return
    told = " and ".join(_TOLD[each] for each in ToldBy if each in run.longest_first)
    whoever = "Unless Kestra takes the run, whoever" if Route.KESTRA in run.ways.routes else "Whoever"
    yield f"{whoever} is expected to talk longest is called first, by {told}; the document keeps the file's order."


def _host(run: Run) -> Iterator[str]:
    if run.ways.server is None:  # else its workers' own is what counts
        yield from host(run.settings)


def host(settings: Settings) -> Iterator[str]:
    """Name the host that calls go through, where it is not Vapi's own."""
    if settings.base_url != SETTINGS["base_url"].default:
        name = urlsplit(settings.base_url).hostname or ""
        yield f"The calls go through {'this machine' if is_loopback(name) else name}, as VAPI_BASE_URL says."


def _caller(run: Run) -> Iterator[str]:
    recorded = "" if run.settings.record else "not "
    if (server := run.ways.server) is not None:
        where = f"Kestra {shown(server.server.version, LONGEST)} at {server.client.address}"
        yield f"{where} has them called, with the key that its workers have; the calls are {recorded}recorded."
        return
    identity = run.ways.identity or Identity()
    number = f"…{identity.number[-4:]}" if identity.number else "the number that VAPI_PHONE_NUMBER_ID names"
    name = f" ({shown(identity.name, LONGEST)})" if identity.name else ""
    own = identity.assistant
    speaks = f"your assistant {shown(own, LONGEST)}" if own else "the tool's own assistant"
    yield f"They see {number}{name} and hear {speaks}; the calls are {recorded}recorded."
    if run.settings.record and own:
        yield "That a call is recorded your assistant must say by itself; only the tool's own one does."


def _asked_for(run: Run) -> Iterator[str]:
    first = next((row.request for row in run.undialled() if row.status in LEFT), None)
    if first is not None and first.service_needed:
        place = f" in {shown(first.location, LONGEST)}" if first.location else ""
        soon = shown(first.urgency.replace("_", " "), LONGEST)
        client = f", for {shown(first.client_name, LONGEST)}" if first.client_name else ""
        yield f"The first is asked for {shown(first.service_needed, LONGEST)}{place}, {soon}{client}."


async def _answered_yes(screen: Display) -> bool:
    ask("Call them now?")
    answer = ""
    try:
        answer = await _typed_line()
    finally:
        if not answer.endswith("\n"):  # Ctrl-C or Ctrl-D: the sentence that follows has a line of its own
            screen.say("")
    return is_yes(answer)


async def _typed_line() -> str:
    # Not by a thread, and not by a blocking read: Ctrl-C at the prompt must end it at once.
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()
