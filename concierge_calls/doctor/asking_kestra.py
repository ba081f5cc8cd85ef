"""Asks a Kestra server for what a run there needs, one question after the other; what it means is decided elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from concierge_calls import __version__
from concierge_calls.doctor import kestra
from concierge_calls.doctor.check import Check
from concierge_calls.doctor.kestra import DeployedFlow, KestraFacts
from concierge_calls.errors import KestraError

if TYPE_CHECKING:
    from concierge_calls.kestra.client import KestraClient
    from concierge_calls.kestra.dialect import Dialect
    from concierge_calls.kestra.flow import FlowKind, Runner
    from concierge_calls.settings.kestra import KestraAccess

T = TypeVar("T")


async def examine_kestra(
    access: KestraAccess, *, kind: FlowKind, source: Callable[[Dialect], str], runner: Runner, patience: float
) -> list[Check]:
    """Check everything that a run by this Kestra needs; `source` renders its flow for a dialect.

    The workers have `patience` seconds to answer. Nobody is called; the small flow that asks them stays on the server.
    """
    from concierge_calls.kestra.client import KestraClient

    async with KestraClient(**access) as client:
        return list(kestra.checks(await _look(client, access, kind, source, runner, patience)))


async def _look(
    client: KestraClient,
    access: KestraAccess,
    kind: FlowKind,
    source: Callable[[Dialect], str],
    runner: Runner,
    patience: float,
) -> KestraFacts:
    """Ask as long as no answer is in the way of the next question."""
    from concierge_calls.kestra.check_flow import ask_workers, render

    facts = KestraFacts(
        address=client.address,
        namespace=client.namespace,
        tenant=access["tenant"],
        flow_id=kind.flow_id,
        exposes_credentials=client.exposes_credentials,
        has_credentials=bool(access["password"] or access["api_token"]),
        patience=patience,
        server=await _answer(client.greet()),
    )
    if isinstance(facts.server, KestraError):
        return facts
    if fault := await _answer(client.admit()):
        return replace(facts, admitted=fault)
    dialect = facts.server.dialect
    constraints = await _answer(client.validate(source(dialect)))
    deployed = await _answer(_deployed(client, kind.flow_id))
    facts = replace(facts, admitted="yes", constraints=constraints or "", deployed=deployed or "no")
    if constraints:  # of which the flow that is there has the same
        known = replace(deployed, constraints="") if isinstance(deployed, DeployedFlow) else facts.deployed
        return replace(facts, deployed=known)
    like = deployed.flow.source if isinstance(deployed, DeployedFlow) and deployed.rendered_by else ""
    check = render(dialect, runner=runner, namespace=client.namespace, version=__version__, like=like)
    return replace(facts, workers=await _answer(ask_workers(client, check, patience=patience)))


async def _answer(question: Awaitable[T]) -> T | KestraError:
    try:
        return await question
    except KestraError as error:
        return error


async def _deployed(client: KestraClient, flow_id: str) -> DeployedFlow | None:
    from concierge_calls.kestra.flow import changed, limit_of, rendered_by

    flow = await client.flow(flow_id)
    if flow is None:
        return None
    if (version := rendered_by(flow.source)) is None:
        return DeployedFlow(flow=flow, rendered_by=None, lines=None)
    lines = limit_of(flow.source)
    changed(flow.source, limit=lines, backstop=1)  # as a run does; it raises where that is not possible any more
    constraints = await client.validate(flow.source)
    return DeployedFlow(flow=flow, rendered_by=version, lines=lines, constraints=constraints or "")
