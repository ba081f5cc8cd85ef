"""The flow by which a server's workers are checked: rendered, run once, and what its two children said."""

from __future__ import annotations

import asyncio
import json
import os
import re
import textwrap
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import SERVERS, Runner, filled, runner_lines
from concierge_calls.kestra.schemas import Execution, LogLine, as_list

FLOW_ID: Final = "concierge_check"
LABEL: Final = "check"
PATIENCE: Final = 120.0  # seconds until the workers must have answered; a container's image may have to be fetched
_LOOK: Final = 0.5  # seconds between two looks
# What a flow of ours says of how a child is run, and with which environment of its own.
_CHILD: Final = re.compile(
    r"^[ \t]*- id: call\n[ \t]*type: io\.kestra\.plugin\.scripts\.shell\.Commands\n(.*?)^[ \t]*allowFailure:"
    r".*?^[ \t]*env:[ \t]*\n(.*?)^[ \t]*CONCIERGE_CHILD_DEFAULTS_B64:",
    re.MULTILINE | re.DOTALL,
)


class OwnCheck(BaseModel):
    """One thing that a worker checked of itself."""

    model_config = ConfigDict(extra="ignore")

    name: str
    state: str
    sentence: str


class Said(BaseModel):
    """What a child said of the worker that it ran on; all of it other people's text."""

    model_config = ConfigDict(extra="ignore")

    version: str
    host: str = ""
    folder: str = ""
    marker: str = ""
    fault: str = ""
    checks: Annotated[list[OwnCheck], BeforeValidator(as_list)] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Workers:
    """What came of the check's execution: what each of its two children said, None where one said nothing."""

    execution_id: str
    state: str
    is_over: bool
    first: Said | None = None
    second: Said | None = None
    log: tuple[LogLine, ...] = field(default=(), repr=False)


def render(dialect: Dialect, *, runner: Runner, namespace: str, version: str, like: str = "") -> str:
    """Return the check's YAML for a server of this dialect, with children that run as those of a run do.

    They do so by what stands in the flow that it is to be `like`, the deployed one, whatever was changed there by hand;
    without it by `runner`. Raises SettingsError for a bound of containers that this Kestra does not take.
    """
    how = _how(like) or (runner_lines(runner, dialect), _secrets(runner))
    return filled(
        "check",
        {
            "version": version,
            "server": SERVERS[dialect],
            "namespace": namespace,
            "runner": textwrap.indent(how[0], "    "),
            "secrets": textwrap.indent(how[1], "      "),
        },
    )


def _how(source: str) -> tuple[str, str] | None:
    found = _CHILD.search(source)
    return (_lines(found[1]), _lines(found[2])) if found else None


def _lines(text: str) -> str:
    return textwrap.dedent(text).rstrip("\n")


def _secrets(runner: Runner) -> str:
    return filled(f"{runner.kind}_secrets", {}).rstrip("\n")


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
