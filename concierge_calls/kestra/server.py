"""Whether a Kestra can take a run: asked once, before anybody is dialled, and what is deployed there for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from concierge_calls.backend import ENDING, RINGING
from concierge_calls.errors import KestraRefused
from concierge_calls.kestra import flow
from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.faults import missing_type
from concierge_calls.kestra.flow import FlowKind, Runner
from concierge_calls.kestra.inputs import rows_in_slice
from concierge_calls.kestra.schemas import Server
from concierge_calls.plain import shown

SLACK: Final = 900.0  # seconds beside the calls: a queue, a restart, an image to be fetched
_SHOWN_AT_ITS_END: Final = (
    "Kestra 2 shows a call only once it is over; until then who is being called counts as not yet called."
)
_TOLD_AT_THE_END: Final = (
    "A flow of one task tells of its calls only once all are over: until then they count as not yet called, and Ctrl-C"
    " leaves those in doubt of whom Vapi shows no call."
)
_LONGEST: Final = 240  # characters of what the server says


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is handed over: rows, calls at once, and the seconds that one of them may take."""

    rows: int
    limit: int
    call_timeout: float
    analysis_timeout: float
    start_interval: float

    def in_child(self, kind: FlowKind) -> int:
        """How many calls one child makes, one after the other."""
        return -(-self.rows // self.limit) if kind is FlowKind.ONE_TASK else rows_in_slice(self.rows, self.limit)

    def backstop(self, kind: FlowKind) -> int:
        """The seconds after which Kestra ends a child."""
        return flow.backstop(self.in_child(kind), self.call_timeout, self.analysis_timeout)

    def allowed(self, kind: FlowKind) -> float:
        """The seconds after which the whole execution is ended: rounds times the limit of a call, and slack."""
        children = 1 if kind is FlowKind.ONE_TASK else -(-self.rows // self.in_child(kind))
        rounds = -(-children // self.limit) * self.in_child(kind)
        longest = RINGING + self.call_timeout + ENDING + self.analysis_timeout
        return rounds * longest + self.rows * self.start_interval + SLACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A Kestra in good health, and the flow that a run of this size is handed to; empty where none is handed over."""

    client: KestraClient = field(repr=False)
    server: Server
    kind: FlowKind
    source: str = field(repr=False, default="")
    allowed: float = 0.0
    limit: int = 1  # calls at once

    @property
    def shows_late(self) -> tuple[str, ...]:
        """Say what is not shown of the calls, and when it is."""
        if self.kind is FlowKind.ONE_TASK:
            return (_TOLD_AT_THE_END,)
        return (_SHOWN_AT_ITS_END,) if self.server.dialect is Dialect.V2 else ()


async def ready(client: KestraClient, kind: FlowKind, size: Size, runner: Runner) -> Ready:
    """Ask for version, credentials, tenant and plugin, and whether the flow is right; deploys nothing.

    Raises KestraUnreachable, and KestraRefused where it cannot take the run.
    """
    server = await client.greet()
    await client.admit()
    if not size.rows:
        return Ready(client=client, server=server, kind=kind, limit=size.limit)
    source = await _source(client, server, kind, size, runner)
    if constraints := await client.validate(source):
        raise KestraRefused(_unfit(client, kind, constraints))
    return Ready(client=client, server=server, kind=kind, source=source, allowed=size.allowed(kind), limit=size.limit)


async def _source(client: KestraClient, server: Server, kind: FlowKind, size: Size, runner: Runner) -> str:
    deployed = await client.flow(kind.flow_id)
    backstop = size.backstop(kind)
    if deployed is None:
        return flow.render(
            kind, server.dialect, limit=size.limit, backstop=backstop, runner=runner, namespace=client.namespace
        )
    if not flow.is_ours(deployed.source):
        raise KestraRefused(
            f"The flow {kind.flow_id} in the namespace {client.namespace} at {client.address} is not one of ours, so"
            " nobody is called by it. Rename it there, or set KESTRA_NAMESPACE to another."
        )
    if deployed.is_disabled:
        raise KestraRefused(
            f"The flow {kind.flow_id} in the namespace {client.namespace} at {client.address} is disabled, so nobody is"
            " called by it. Enable it there, then run the same command again."
        )
    return flow.changed(deployed.source, limit=size.limit, backstop=backstop)


def _unfit(client: KestraClient, kind: FlowKind, constraints: str) -> str:
    if missing := missing_type(constraints):
        return (
            f"Kestra at {client.address} does not know {shown(missing, _LONGEST)}, so a plugin is missing there. "
            "Install it (see https://kestra.io/plugins) and restart Kestra, then: concierge-calls kestra check"
        )
    return (
        f"Kestra at {client.address} would not take the flow {kind.flow_id}: {shown(constraints, _LONGEST)}. "
        "Put a new one there with: concierge-calls kestra deploy"
    )
