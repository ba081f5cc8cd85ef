"""What was found of a Kestra server means for a run that goes there: line by line, from its address to its workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeGuard

from concierge_calls import __version__
from concierge_calls.doctor.check import Check, State, shown
from concierge_calls.errors import KestraError, KestraRefused
from concierge_calls.plain import clock, count
from concierge_calls.plain import shown as safe

if TYPE_CHECKING:
    from concierge_calls.kestra.check_flow import Said, Workers
    from concierge_calls.kestra.schemas import Flow, Server

LONGEST_TOLD: Final = 240  # characters of what others say
WORTH_TELLING: Final = ("settings", "key", "number", "assistant", "clock", "address")  # of a worker's own checks
NOT_FOUND: Final = ("not found", "exit code 127", "no such file")
RESTARTS: Final = (
    "No API shows whether kestra.server.worker-task-restart-strategy is NEVER. Set it: otherwise a child that was cut "
    "short is started again, which then rests on the markers and on Vapi's list alone."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedFlow:
    """The flow that runs are handed to, as it is on the server; `rendered_by` is None for somebody else's.

    `constraints` are what this Kestra has against it by now, empty where it has nothing.
    """

    flow: Flow
    rendered_by: str | None
    lines: int | None
    constraints: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KestraFacts:
    """What a Kestra server answered; None where it was not asked, the error where it said no or nothing."""

    address: str
    namespace: str
    tenant: str
    flow_id: str
    exposes_credentials: bool = False
    has_credentials: bool = True
    patience: float = 0.0  # seconds that the workers were given
    server: Server | KestraError
    admitted: Literal["yes"] | KestraError | None = None
    constraints: str | KestraError | None = None  # empty where nothing is wrong with the flow there
    deployed: DeployedFlow | Literal["no"] | KestraError | None = None
    workers: Workers | KestraError | None = None


def checks(found: KestraFacts) -> Iterator[Check]:
    """Return a check each; where one is in the way of the others, they say so."""
    if found.exposes_credentials:
        sentence = (
            f"The credentials travel to {found.address} readable for whoever is in between. "
            "Put TLS before Kestra and https:// into KESTRA_URL, unless that net is yours alone."
        )
        yield Check("address", State.WARNING, sentence)
    yield _server(found.server)
    yield from _admission(found)
    yield _plugin(found.constraints)
    yield _flow(found)
    yield from _workers(found)
    yield Check("restarts", State.WARNING, RESTARTS)


def _server(server: Server | KestraError) -> Check:
    if not isinstance(server, KestraError):
        return Check("server", State.OK, f"It answers, as Kestra {shown(server.version)}.")
    if _is_about_credentials(server):
        return Check("server", State.OK, "It answers.")
    return Check("server", State.WRONG, server.message)


def _is_about_credentials(fault: object) -> TypeGuard[KestraRefused]:
    return isinstance(fault, KestraRefused) and fault.status in (401, 403)


def _admission(found: KestraFacts) -> Iterator[Check]:
    """Return the checks of credentials and tenant, which one question answers."""
    fault = found.server if isinstance(found.server, KestraError) else found.admitted
    if _is_about_credentials(fault):
        yield Check("credentials", State.WRONG, _unless_new(fault, found.server))
        yield _not_checked("tenant")
    elif isinstance(found.server, KestraError):
        yield _not_checked("credentials")
        yield _not_checked("tenant")
    elif isinstance(fault, KestraRefused) and fault.status == 400:
        yield _accepted(found)
        yield Check("tenant", State.WRONG, fault.message)
    elif isinstance(fault, KestraError):
        yield Check("credentials", State.WRONG, fault.message)
        yield _not_checked("tenant")
    else:
        yield _accepted(found)
        yield Check("tenant", State.OK, f"It has the tenant {shown(found.tenant)}.")


def _accepted(found: KestraFacts) -> Check:
    if found.has_credentials:
        return Check("credentials", State.OK, "They are accepted, or it asks for none.")
    sentence = "It asks for none, so whoever reaches it can read who is called and have others called."
    return Check("credentials", State.WARNING, sentence)


def _unless_new(fault: KestraRefused, server: Server | KestraError) -> str:
    if isinstance(server, KestraError) or server.has_user is not False:
        return fault.message
    return (
        "Nobody has set a user on this Kestra yet. "
        "Open it in a browser and set one, then KESTRA_USERNAME and KESTRA_PASSWORD."
    )


def _plugin(constraints: str | KestraError | None) -> Check:
    if constraints is None:
        return _not_checked("plugin")
    if isinstance(constraints, KestraError):
        return Check("plugin", State.WRONG, constraints.message)
    if not constraints:
        return Check("plugin", State.OK, "It knows every task that the flow is made of.")
    return Check("plugin", State.WRONG, refused_flow(constraints))


def refused_flow(constraints: str) -> str:
    """Return the sentence for a flow that the server would not take."""
    from concierge_calls.kestra.faults import missing_type

    if missing := missing_type(constraints):
        return (
            f"It does not know {shown(missing)}, so a plugin is missing there. "
            "Install it (see https://kestra.io/plugins) and restart Kestra."
        )
    return (
        f"It would not take the flow: {safe(constraints, LONGEST_TOLD)}. Unless the flow was changed by hand, this is a"
        " bug in concierge-calls: please report it with the server's version."
    )


def _flow(found: KestraFacts) -> Check:
    deploy = "concierge-calls kestra deploy"
    flow = f"{found.flow_id} in the namespace {shown(found.namespace)}"
    if isinstance(found.deployed, DeployedFlow):
        return Check("flow", *_of_flow(found.deployed, flow, deploy))
    if isinstance(found.deployed, KestraError):
        return Check("flow", State.WRONG, found.deployed.message)
    if found.deployed is None:
        return _not_checked("flow")
    sentence = f"There is no flow {flow} yet. The first run puts it there, and so does: {deploy}"
    return Check("flow", State.WARNING, sentence)


def _of_flow(deployed: DeployedFlow, flow: str, deploy: str) -> tuple[State, str]:
    if deployed.rendered_by is None:
        return State.WRONG, (
            f"The flow {flow} is not one of ours. Rename it there, or set KESTRA_NAMESPACE, then: {deploy}"
        )
    if deployed.flow.is_disabled:
        return State.WRONG, f"The flow {flow} is disabled. Enable it there."
    if deployed.constraints:
        why = safe(deployed.constraints, LONGEST_TOLD)
        return (
            State.WRONG,
            f"The flow {flow} is there, and this Kestra would not take it: {why}. Renew it with: {deploy}",
        )
    lines = f", for {count(deployed.lines, 'line')}" if deployed.lines else ""
    is_there = f"The flow {flow} is there, revision {deployed.flow.revision}{lines}"
    if deployed.rendered_by != __version__:
        version = shown(deployed.rendered_by)
        return State.WARNING, f"{is_there}, made by version {version}; this is {__version__}. Renew it with: {deploy}"
    return State.OK, f"{is_there}, made by this version."


def _workers(found: KestraFacts) -> Iterator[Check]:
    workers = found.workers
    if workers is None:
        yield _not_checked("worker")
        return
    if isinstance(workers, KestraError):
        yield Check("worker", State.WRONG, workers.message)
        return
    said = [each for each in (workers.first, workers.second) if each]
    if not said:
        yield Check("worker", State.WRONG, _silence(workers, found.patience))
        return
    yield _versions(said)
    yield from _own_checks(said)
    yield _folder(workers.first, workers.second)


def _silence(workers: Workers, patience: float) -> str:
    log = [line.message for line in workers.log]
    if not workers.is_over and not log:
        return (
            f"No worker took the check in {clock(patience)} (it stood at {shown(workers.state)}). "
            "See whether a worker is up and has a free thread."
        )
    if any(words in line.lower() for line in log for words in NOT_FOUND):
        return (
            "The worker does not find the command concierge-calls. "
            "Install it there, on the PATH of the user that Kestra runs as."
        )
    told = f"its log ends with: {safe(log[-1], LONGEST_TOLD).rstrip('.')}" if log else "its log is empty"
    return (
        f"The worker said nothing; {told}. See the execution {shown(workers.execution_id)} in Kestra, "
        f"and on the worker: concierge-calls doctor"
    )


def _versions(said: list[Said]) -> Check:
    where = " and ".join(dict.fromkeys(f"{shown(each.version)} on {shown(each.host)}" for each in said))
    if all(each.version == __version__ for each in said):
        return Check("worker", State.OK, f"concierge-calls {where} is installed, as here.")
    return Check("worker", State.WARNING, f"concierge-calls {where}, and {__version__} here. Install the same one.")


def _own_checks(said: list[Said]) -> Iterator[Check]:
    """Return what the workers checked of themselves, once where they agree."""
    states = {state.value: state for state in State}
    told: set[tuple[str, str]] = set()
    for each in said:
        for check in each.checks:
            if check.name in WORTH_TELLING and (check.name, check.sentence) not in told:
                told.add((check.name, check.sentence))
                state = states.get(check.state, State.WARNING)
                where = f"On {shown(each.host)}: " if len({one.host for one in said}) > 1 else ""
                yield Check(f"worker's {check.name}", state, where + safe(check.sentence, LONGEST_TOLD))


def _folder(first: Said | None, second: Said | None) -> Check:
    name = "worker's folder"
    for said in (first, second):
        if said and said.fault:
            folder, why = safe(said.folder, LONGEST_TOLD), safe(said.fault, LONGEST_TOLD)
            sentence = (
                f"{folder} on {shown(said.host)} cannot be written ({why}). "
                "Set CONCIERGE_STATE_DIR there to a folder that can."
            )
            return Check(name, State.WRONG, sentence)
    if first is None or second is None:
        return Check(name, State.WARNING, "Not checked: only one of two children answered. Try again.")
    if (first.marker, second.marker) != ("made", "seen"):
        return Check(
            name,
            State.WARNING,
            "Two children see two state folders, so a second start after a crash would know of the first by Vapi's list"
            " alone. Have CONCIERGE_STATE_DIR be one folder that all workers and containers share.",
        )
    if first.host == second.host:
        alone = "both ran on one worker, so where there are more, see that they share it, too"
        return Check(name, State.OK, f"Two children saw one state folder, {safe(first.folder, LONGEST_TOLD)}; {alone}.")
    hosts = f"{shown(first.host)} and {shown(second.host)}"
    return Check(name, State.OK, f"{hosts} share one state folder, {safe(first.folder, LONGEST_TOLD)}.")


def _not_checked(name: str) -> Check:
    return Check(name, State.WARNING, "Not checked: what stands above is in the way.")
