"""Which route a run takes, decided once, before anybody is dialled, and opened for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from concierge_calls.errors import KestraRefused, RunRefused, UsageError

if TYPE_CHECKING:
    from concierge_calls.kestra.server import Ready
    from concierge_calls.settings.loading import Settings
    from concierge_calls.vapi.backend import VapiBackend
    from concierge_calls.vapi.client import VapiClient

SIMULATED_SPEED = 30.0
SIMULATED_NUMBER = "00000000-0000-4000-8000-000000000555"


class Route(StrEnum):
    """By which way a run's calls go to Vapi."""

    DIRECT = "direct"
    KESTRA = "kestra"


def decide(via: str, *, typed: bool, simulate: bool, enabled: bool) -> tuple[Route, ...]:
    """Return the routes that a run may take, the first that it can; raises UsageError for one that cannot be taken.

    A simulated run is always direct, whatever is set; only typing the contrary is an error. `auto` takes Kestra where
    that is enabled, and is direct where it cannot take the run.
    """
    if simulate and typed and via == "kestra":
        raise UsageError("A simulated run is always direct: leave out --via kestra, or --simulate.")
    if simulate or via == "direct" or (via == "auto" and not enabled):
        return (Route.DIRECT,)
    return (Route.KESTRA,) if via == "kestra" else (Route.KESTRA, Route.DIRECT)


@asynccontextmanager
async def kestra(settings: Settings, *, rows: int) -> AsyncIterator[Ready]:
    """Open the way to Kestra for so many rows, once it is seen that it can take them.

    Raises SettingsError and KestraError where it cannot, and RunRefused where it does not accept our credentials.
    """
    from concierge_calls.kestra.client import KestraClient
    from concierge_calls.kestra.flow import FlowKind, Runner, RunnerKind
    from concierge_calls.kestra.server import Size, ready

    size = Size(
        rows=rows,
        limit=settings.max_concurrent,
        call_timeout=settings.call_timeout,
        analysis_timeout=settings.analysis_timeout,
        start_interval=settings.start_interval,
    )
    runner = Runner(
        kind=RunnerKind(settings.kestra_runner),
        image=settings.kestra_image,
        memory=settings.kestra_memory,
        cpus=settings.kestra_cpus,
    )
    async with KestraClient(**settings.kestra_needed()) as client:
        try:
            server = await ready(client, FlowKind(settings.kestra_flow), size, runner)
        except KestraRefused as error:
            if error.is_about_credentials:
                raise RunRefused(f"{error.message} Nobody was dialled.") from error
            raise
        yield server


@asynccontextmanager
async def backend(settings: Settings, *, simulate: bool) -> AsyncIterator[VapiBackend]:
    """Open the way to Vapi, or to a simulator that is started for it and dies with it."""
    async with client(settings, simulate=simulate) as vapi:
        yield backend_on(vapi, settings, simulate=simulate)


@asynccontextmanager
async def client(settings: Settings, *, simulate: bool) -> AsyncIterator[VapiClient]:
    """Open what speaks to Vapi, or to a simulator that is started for it and dies with it."""
    if not simulate:
        key, _ = settings.needed()
        async with _client(key, settings.base_url, settings.max_requests_per_minute) as vapi:
            yield vapi
        return
    from concierge_calls.simulator import Simulator, SimulatorOptions

    simulator = Simulator(SimulatorOptions(speed=SIMULATED_SPEED))
    await asyncio.to_thread(simulator.start)
    try:
        async with _client("simulated", simulator.url, 0) as vapi:
            yield vapi
    finally:
        await asyncio.to_thread(simulator.stop)


def number_id(settings: Settings, *, simulate: bool) -> str:
    """Return the id of the phone number that calls; raises SettingsError when none is set."""
    return SIMULATED_NUMBER if simulate else settings.needed()[1]


def backend_on(client: VapiClient, settings: Settings, *, simulate: bool, **shared: Any) -> VapiBackend:
    """Return a backend that speaks through this client; `shared` is what else it shares with others."""
    from concierge_calls.vapi.backend import VapiBackend

    return VapiBackend(
        client,
        phone_number_id=number_id(settings, simulate=simulate),
        assistant_id=settings.assistant_id,
        call_timeout=settings.call_timeout,
        analysis_timeout=settings.analysis_timeout,
        record=settings.record,
        poll_interval=settings.poll_interval,
        simulated=simulate,
        **shared,
    )


def _client(key: str, base_url: str, per_minute: int) -> VapiClient:
    from concierge_calls.vapi.client import VapiClient
    from concierge_calls.vapi.clock import VapiClock
    from concierge_calls.vapi.gate import Gate

    clock = VapiClock()
    return VapiClient(key, base_url=base_url, gate=Gate(per_minute, now=clock.seconds), clock=clock)
