"""What every route of the service works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from concierge_calls.api.running import Runs
from concierge_calls.exchange import Exchange
from concierge_calls.journal import Journal
from concierge_calls.settings.loading import Settings

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One server: its settings, its journal, and the runs that it works on."""

    settings: Settings
    journal: Journal
    exchange: Exchange
    runs: Runs
    host: str  # as --host named it

    @property
    def simulated(self) -> bool:
        """Whether no phone rings."""
        return self.exchange.simulate

    @property
    def token(self) -> str | None:
        """What whoever asks must show; None when that is not set."""
        return None if self.settings.api_token is None else self.settings.api_token.get_secret_value()

    def status_url(self, run_id: str) -> str:
        """Return where a run can be looked at."""
        return f"{PREFIX}/runs/{run_id}"


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(_service)]
