"""The ways by which one run's calls may go, opened once, before anybody is dialled; and who works it off by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from concierge_calls import routing
from concierge_calls.backend import Backend, Identity
from concierge_calls.caller import Caller, Rules
from concierge_calls.claiming import LookAt
from concierge_calls.draft import Order
from concierge_calls.errors import KestraError, RunRefused, SettingsError
from concierge_calls.exchange import Exchange
from concierge_calls.journal import RunRecord
from concierge_calls.lines import Lines
from concierge_calls.observers import Observer, OnError
from concierge_calls.routing import Route
from concierge_calls.stopping import Worker

if TYPE_CHECKING:
    from concierge_calls.kestra.handing import Terms
    from concierge_calls.kestra.server import Ready
    from concierge_calls.settings.loading import Settings
    from concierge_calls.vapi.backend import VapiBackend


class Ways:
    """What one run goes by: a Kestra, Vapi itself, or the one and for what does not come home the other."""

    def __init__(
        self,
        record: RunRecord,
        settings: Settings,
        order: Order,
        routes: Sequence[Route],
        exchange: Exchange | None = None,
    ) -> None:
        """Take the first of the `routes` that can be taken; on an `exchange` the way to Vapi is shared with others."""
        self.routes = routes
        self.around: Callable[[VapiBackend], Backend] = lambda vapi: vapi  # for what must be looked at before a dial
        self.server: Ready | None = None  # the Kestra that takes the run
        self.identity: Identity | None = None  # who calls, once that is known
        self.notes: list[str] = []  # what is worth a look of the way that was opened
        self._record = record
        self._settings = settings
        self._order = order
        self._exchange = exchange
        self._vapi: VapiBackend | None = None
        self._directly: Backend | None = None  # what is dialled by from here, once there is a key

    def __repr__(self) -> str:
        return f"<Ways {' or '.join(self.routes)}, {self.server!r}>"

    @property
    def are_open(self) -> bool:
        """Whether there is anybody to call by."""
        return self.server is not None or self._vapi is not None

    @property
    def backend(self) -> Backend | None:
        """Whoever can be asked for calls; None where no key is here, and Kestra's workers have theirs."""
        if self._vapi is None:
            return None
        if Route.KESTRA not in self.routes:
            return self._directly
        from concierge_calls.kestra.sought import SoughtBackend

        return SoughtBackend(self._vapi, self._record.id)

    async def open(self, stack: AsyncExitStack, *, rows: int, handed_over: bool, again: bool) -> None:
        """Open what is needed for so many rows that wait, for what was `handed_over`, and to dial some `again`.

        Raises BackendUnreachable, KestraError, RunRefused and SettingsError.
        """
        if Route.KESTRA in self.routes and (rows or handed_over):
            await self._open_kestra(stack, rows)
        if self.server is None or again or self._settings.can_call:
            self._vapi = await stack.enter_async_context(self._to_vapi())
            self._directly = self.around(self._vapi)
        if self.server is None and self._vapi is not None:
            self.identity = await self._vapi.check()

    def _to_vapi(self) -> AbstractAsyncContextManager[VapiBackend]:
        if self._exchange is not None:
            return nullcontext(self._exchange.backend(self._settings))
        return routing.backend(self._settings, simulate=self._order.simulate)

    async def _open_kestra(self, stack: AsyncExitStack, rows: int) -> None:
        try:
            self.server = await stack.enter_async_context(routing.kestra(self._settings, rows=rows))
            self.notes += self.server.shows_late
        except (KestraError, RunRefused, SettingsError) as error:
            if Route.DIRECT not in self.routes:
                raise
            self.routes = (Route.DIRECT,)
            self.notes.append(f"The calls go directly to Vapi, since Kestra cannot take this run. {error.message}")
            await self._record.go(Route.DIRECT)

    def worker(self, observer: Observer, on_error: OnError | None, look: LookAt, *, dials: bool, again: bool) -> Worker:
        """Return who works the run off by the way that is open; `dials` those who are left, some in doubt `again`."""
        caller = partial(self._caller, observer, on_error, look)
        if self.server is None:
            return caller(Route.KESTRA not in self.routes)
        from concierge_calls.kestra.runner import KestraRunner

        has_key = self._vapi is not None
        return KestraRunner(
            self._record,
            self.server,
            self._terms(),
            observer=observer,
            on_error=on_error,
            caller=caller if has_key else None,
            look=look if has_key else None,
            dials=dials,
            again=again,
            may_go_directly=Route.DIRECT in self.routes,
            poll=self._settings.poll_interval,
        )

    def _caller(self, observer: Observer, on_error: OnError | None, look: LookAt, directly: bool) -> Caller:
        backend = self._directly if directly else self.backend
        if backend is None:
            raise SettingsError("Nobody can be called directly without VAPI_API_KEY and VAPI_PHONE_NUMBER_ID.")
        if not directly:
            self._record.dial_nobody()  # whoever is left goes to Kestra
        shared, most = self._exchange, self._settings.max_concurrent
        return Caller(
            self._record,
            backend,
            Lines(most) if shared is None else shared.lines.share(most),
            self._rules(),
            observer=observer,
            on_error=on_error,
            look=look,
            pace=None if shared is None else shared.pace,
            stopping=None if shared is None else shared.stopping(self._settings),
        )

    def _terms(self) -> Terms:
        from concierge_calls.kestra.handing import Terms
        from concierge_calls.kestra.inputs import Options

        settings, order = self._settings, self._order
        options = Options(
            call_timeout=settings.call_timeout,
            analysis_timeout=settings.analysis_timeout,
            start_interval=settings.start_interval,
            record=settings.record,
            allow_redial=order.allow_redial,
            assistant_id=settings.assistant_id,
            phone_number_id=settings.phone_number_id,
        )
        return Terms(limit=settings.max_concurrent, options=options, redial_after=order.redial_after(settings))

    def _rules(self) -> Rules:
        simulate = self._order.simulate
        return Rules(
            start_interval=0.0 if simulate else self._settings.start_interval,
            redial_after=self._order.redial_after(self._settings),
            hang_up=self._order.hang_up,
        )
