"""The flow by which a server's workers are checked: rendered, run once, and what its two children said."""

from __future__ import annotations

import asyncio
import json
import os
import string
import textwrap
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import resources
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import Runner, RunnerKind
from concierge_calls.kestra.schemas import Execution, LogLine

FLOW_ID: Final = "concierge_check"
LABEL: Final = "check"
PATIENCE: Final = 120.0  # seconds until the workers must have answered; a container's image may have to be fetched
_LOOK: Final = 0.5  # seconds between two looks
_SERVERS: Final = {Dialect.V0: "Kestra 0.18 to 0.22", Dialect.V1: "Kestra 0.23 to 1.x", Dialect.V2: "Kestra 2.x"}
_SECRETS: Final = ("VAPI_API_KEY", "VAPI_PHONE_NUMBER_ID")


class OwnCheck(BaseModel):
    """One thing that a worker checked of itself."""

    model_config = ConfigDict(extra="ignore")

    name: str
    state: str
    sentence: str


def _listed(value: object) -> object:
    return value if isinstance(value, list) else []


class Said(BaseModel):
    """What a child said of the worker that it ran on; all of it other people's text."""

    model_config = ConfigDict(extra="ignore")

    version: str
    host: str = ""
    folder: str = ""
    marker: str = ""
    fault: str = ""
    checks: Annotated[list[OwnCheck], BeforeValidator(_listed)] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Workers:
    """What came of the check's execution: what each of its two children said, None where one said nothing."""

    execution_id: str
    state: str
    is_over: bool
    first: Said | None = None
    second: Said | None = None
    log: tuple[LogLine, ...] = field(default=(), repr=False)


class _Template(string.Template):
    """Has @{name} for its places: YAML and Pebble have their own use for $ and {{ }}."""

    delimiter = "@"


def render(dialect: Dialect, *, runner: Runner, namespace: str, version: str) -> str:
    """Return the check's YAML for a server of this dialect, with children that run as those of a run do."""
    text = resources.files(__package__).joinpath("flows", "check.yaml").read_text(encoding="utf-8")
    is_docker = runner.kind is RunnerKind.DOCKER
    # A container has nothing of the worker's environment; a process has all of it.
    secrets = [f"{name}: \"{{{{ secret('{name}') }}}}\"" for name in _SECRETS] if is_docker else []
    return _Template(text).substitute(
        version=version,
        server=_SERVERS[dialect],
        namespace=namespace,
        runner=textwrap.indent(_runner(runner), "    "),
        secrets=textwrap.indent("\n".join(secrets) or "# Key and number are the worker's own.", "      "),
    )


def _runner(runner: Runner) -> str:
    if runner.kind is RunnerKind.PROCESS:
        return "taskRunner:\n  type: io.kestra.plugin.core.runner.Process"
    lines = [
        f"containerImage: {json.dumps(runner.image)}",
        "taskRunner:\n  type: io.kestra.plugin.scripts.runner.docker.Docker",
    ]
    if runner.memory:
        lines.append(f"  memory:\n    memory: {json.dumps(runner.memory)}")
    if runner.cpus:
        lines.append(f"  cpu:\n    cpus: {runner.cpus:g}")
    return "\n".join(lines)


async def ask_workers(
    client: KestraClient,
    source: str,
    *,
    patience: float = PATIENCE,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Workers:
    """Deploy the check, have it run once and return what came of it; after `patience` seconds it is killed.

    Raises KestraError where the server does not take it.
    """
    revision = await client.deploy(FLOW_ID, source)
    name = os.urandom(8).hex()
    execution_id = await client.start(
        FLOW_ID, revision=revision, inputs={"check": name}, files={}, labels={LABEL: name}
    )
    until = monotonic() + patience
    while not (execution := await client.execution(execution_id)).is_over and monotonic() < until:
        await sleep(_LOOK)
    if not execution.is_over:
        await client.kill(execution_id)
    outputs = await client.outputs(execution)
    first, second = (_said(outputs.get(task)) or _inline(execution, task) for task in ("first", "second"))
    log = () if first and second else tuple(await client.logs(execution_id))
    return Workers(execution_id, execution.state, execution.is_over, first, second, log)


def _inline(execution: Execution, task_id: str) -> Said | None:
    # What a child of a failed or killed execution has said stands with the task, where the version shows it.
    runs = (run for run in execution.task_runs if run.task_id == task_id and run.outputs)
    variables = ((run.outputs or {}).get("vars") for run in runs)
    return next((said for each in variables if isinstance(each, dict) and (said := _said(each.get("check")))), None)


def _said(value: Any) -> Said | None:
    try:
        return Said.model_validate(json.loads(value) if isinstance(value, str) else value)
    except (ValidationError, ValueError):
        return None
