"""What runs inside a flow: has those called who were handed over, and tells what came of it, however it ends."""

from __future__ import annotations

import asyncio
import math
import os
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from concierge_calls.backend import ENDING, RINGING, Backend
from concierge_calls.errors import ConciergeError, NobodyDialled, UsageError
from concierge_calls.kestra import item
from concierge_calls.kestra.answer import Answer, answer, nobody, reason_of, unknown
from concierge_calls.kestra.item import Part
from concierge_calls.kestra.marked import MarkedBackend
from concierge_calls.kestra.markers import Markers
from concierge_calls.kestra.searched import Searched
from concierge_calls.kestra.sweeping import sweep
from concierge_calls.models import Reason
from concierge_calls.plain import one_line
from concierge_calls.stopping import LEAVING_LIMIT, Worker

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings

GRACE = 1.0  # seconds for what is in flight when the task is told to stop; no second signal comes, and Kestra waits
ALLOWED = 1.5  # times what the calls take at the longest, from the first dial on
MARGIN = 20.0  # seconds before the flow's own backstop, at twice what the calls take; it loses what was printed
FEWEST_REQUESTS = 3  # a minute; with fewer a call could not even be looked for, placed and followed
LONGEST_POLL = 60.0  # seconds
BUG = Reason("bug", "concierge-calls has a fault, which the task's log shows; please report it.")
STRANGE = (
    "The concierge-calls on this worker does not know {}, which the flow says, so nobody is called; install the version"
    " that put the flow on the server."
)
TOLD = ("call_timeout", "analysis_timeout", "start_interval", "record", "assistant_id", "phone_number_id")


class Calling(Protocol):
    """Whoever calls those of a part of a run; it lies above this package."""

    async def __call__(
        self,
        part: Part,
        settings: Settings,
        path: Path,
        *,
        around: Callable[[Searched], Backend],
        on_caller: Callable[[Worker], object],
    ) -> object:
        """Begin the part's run in the journal at this path, or finish it as soon as nobody else works on it.

        `around` is put between the run and the backend; `on_caller` is handed who can be told to stop.
        Raises ConciergeError when nobody could be dialled.
        """


class Child:
    """One child: works once, and may be told to stop."""

    def __init__(
        self,
        calling: Calling,
        environ: Mapping[str, str],
        *,
        of: Path | None = None,
        whole: Path | None = None,
        strange: Sequence[str] = (),
    ) -> None:
        """Have those called by `calling` whom the file `of` (an item), `whole` (the list) or the environment names.

        `strange` are words of the flow's command that nobody here understands: with any, nobody is called.
        """
        self._calling = calling
        self._environ = environ
        self._of = of
        self._whole = whole
        self._strange = strange
        self._told_to_stop = asyncio.Event()
        self._ends = asyncio.Event()  # nobody more is dialled, be it as the time is over
        self._caller: Worker | None = None
        self._leaving: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """Dial nobody more, and have `work` return within a second or so."""
        self._ends.set()
        self._told_to_stop.set()

    async def work(self) -> Answer:
        """Have everybody called who was handed over, and return what is known then; raises nothing on purpose."""
        try:
            handed = item.given(self._environ, item=self._of, whole=self._whole)
        except UsageError as error:
            return nobody([(None, None, None)], error)
        try:
            part = item.part(handed, self._environ)
        except UsageError as error:
            return nobody(list(item.named(handed)) or [(None, None, None)], error)
        return await self._called(part)

    async def _called(self, part: Part) -> Answer:
        try:
            settings = settings_of(part)
            state = settings.journal_path(simulated=False).parent
        except ConciergeError as error:
            return unknown(part, None, reason_of(error))
        path = state / "children" / part.name / "journal.db"
        reason = None
        try:
            self._must_understand()
            settings.needed()
            if not part.place:
                sweep(markers=state / "markers", children=state / "children")
            wait = _first_wait(part, settings, path)
            await self._until_told(self._begin(part, settings, path, wait), bound(part, settings, wait))
        except NobodyDialled:
            pass  # it had to end; whoever is started next calls them
        except ConciergeError as error:
            reason = reason_of(error)
        except Exception:
            _show_bug()
            reason = BUG
        return answer(part, path, state / "markers", reason)

    def _must_understand(self) -> None:
        if self._strange:
            raise UsageError(STRANGE.format(one_line(" ".join(self._strange))))

    async def _begin(self, part: Part, settings: Settings, path: Path, wait: float) -> None:
        await asyncio.sleep(wait)
        around = partial(_marked, part=part, markers=path.parents[2] / "markers", ends=self._ends)
        await self._calling(part, settings, path, around=around, on_caller=self._found)

    def _found(self, caller: Worker) -> None:
        self._caller = caller

    async def _until_told(self, work: Coroutine[Any, Any, None], seconds: float) -> None:
        calling = asyncio.ensure_future(work)
        told = asyncio.ensure_future(self._told_to_stop.wait())
        await asyncio.wait({calling, told}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not calling.done():
            self._leave(calling)
            await asyncio.wait({calling, told}, timeout=LEAVING_LIMIT, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({calling}, timeout=GRACE)
        told.cancel()
        if calling.done() and not calling.cancelled():
            calling.result()

    def _leave(self, calling: asyncio.Future[None]) -> None:
        self._ends.set()
        if self._caller is None:
            calling.cancel()
        else:
            self._leaving = asyncio.ensure_future(self._caller.leave())


def settings_of(part: Part) -> Settings:
    """Return this child's settings: what the run was told, and its share of what the account may be asked.

    Raises SettingsError.
    """
    from concierge_calls.settings.loading import load

    told = {name: part.options[name] for name in TOLD if name in part.options}
    settings = load(told)
    # What the run was told of its assistant holds, also that it is the tool's own, whatever the worker's is.
    assistant = part.options.get("assistant_id") if part.options else settings.assistant_id
    limit = settings.max_requests_per_minute
    return settings.model_copy(
        update={
            "max_concurrent": part.max_concurrent,
            "assistant_id": assistant,
            "max_requests_per_minute": min(limit, max(FEWEST_REQUESTS, limit // part.lines)),
            "poll_interval": min(max(LONGEST_POLL, settings.poll_interval), settings.poll_interval * part.lines),
        }
    )


def bound(part: Part, settings: Settings, wait: float = 0.0) -> float:
    """Return the seconds after which the child leaves what is still on the line, before the flow's backstop.

    `wait` are those before its first dial, which may be none in the end where they are too many.
    """
    rounds = math.ceil(len(part.rows) / part.max_concurrent)
    longest = rounds * (RINGING + settings.call_timeout + ENDING + settings.analysis_timeout)
    return min(wait + ALLOWED * longest, 2 * longest - MARGIN)


def _first_wait(part: Part, settings: Settings, path: Path) -> float:
    # The first children are started together, and a number may dial only so often; later ones follow upon an end.
    return 0.0 if part.place >= part.lines or path.exists() else part.place * settings.start_interval


def _marked(backend: Searched, *, part: Part, markers: Path, ends: asyncio.Event) -> Backend:
    return MarkedBackend(backend, Markers(markers), part.run_id, part.numbers, ends=ends)


def _show_bug() -> None:
    # By the file itself: Python has no stderr where the task was started without one, and would write to stdout.
    with suppress(OSError):
        os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
