"""What all runs of a server share: its lines, the pace of its dials, what stops them, and one way to Vapi."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from concierge_calls import routing
from concierge_calls.lines import Lines
from concierge_calls.pace import Pace
from concierge_calls.stopping import Brakes, Stopping

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings
    from concierge_calls.vapi.backend import VapiBackend
    from concierge_calls.vapi.client import VapiClient
    from concierge_calls.vapi.watch import Watch


class Exchange:
    """The account's lines and requests, of which each run of a server has its part."""

    def __init__(self, settings: Settings, client: VapiClient, *, simulate: bool, server_url: str | None) -> None:
        """Share what these settings allow; `server_url` is where Vapi sends its server messages."""
        self.lines = Lines(settings.max_concurrent)
        interval = 0.0 if simulate else settings.start_interval
        self.pace = Pace(interval, sleep=asyncio.sleep, monotonic=time.monotonic)
        self._brakes = Brakes()
        self.client = client
        self.simulate = simulate
        self._settings = settings
        self._server_url = server_url
        self._watches: dict[str, Watch] = {}  # by the number that calls: Vapi's list is asked for by it

    def __repr__(self) -> str:
        return f"<Exchange {self.lines!r}, {self.client!r}>"

    def stopping(self, settings: Settings) -> Stopping:
        """Return what stops one run, whose calls fail like those alone that leave the same number and assistant."""
        return Stopping(self._brakes, (settings.phone_number_id, settings.assistant_id))

    def backend(self, settings: Settings) -> VapiBackend:
        """Return the way of one run, which has settings of its own."""
        secret = self._settings.webhook_secret
        return routing.backend_on(
            self.client,
            settings,
            simulate=self.simulate,
            watch=self._watch(routing.number_id(settings, simulate=self.simulate)),
            server_url=self._server_url,
            server_secret=None if secret is None else secret.get_secret_value(),
        )

    def hasten(self, call_id: str, news: str) -> None:
        """Have Vapi asked at once for a call that is followed, because somebody says that there is this news of it."""
        for watch in self._watches.values():
            watch.hasten(call_id, news)

    def _watch(self, number_id: str) -> Watch:
        from concierge_calls.vapi.backend import log
        from concierge_calls.vapi.following import Pace as Waits
        from concierge_calls.vapi.watch import Watch

        if number_id not in self._watches:
            self._watches[number_id] = Watch(
                self.client,
                phone_number_id=number_id,
                poll_interval=self._settings.poll_interval,
                pace=Waits(),
                warn=log.warning,
            )
        return self._watches[number_id]


@asynccontextmanager
async def exchange(settings: Settings, *, simulate: bool, server_url: str | None = None) -> AsyncIterator[Exchange]:
    """Open the way that runs share; raises SettingsError when the key or the number is not set."""
    routing.number_id(settings, simulate=simulate)
    async with routing.client(settings, simulate=simulate) as client:
        yield Exchange(settings, client, simulate=simulate, server_url=server_url)
