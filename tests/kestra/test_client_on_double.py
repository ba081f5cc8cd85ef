"""The client against a server: the Kestra double, in each of its dialects, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from concierge_calls.errors import KestraNotStarted, KestraRefused
from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.schemas import Execution
from tests.kestra.double.options import PASSWORD, USER, Options
from tests.kestra.double.server import Double

T = TypeVar("T")

SERVERS = [("0", "0.21.0-SNAPSHOT"), ("1", "1.3.25"), ("2", "2.0.0-SNAPSHOT"), ("2", "2.0.7")]
EVERY_SERVER = pytest.mark.parametrize(("dialect", "version"), SERVERS, ids=[version for _, version in SERVERS])
SOURCE = """
id: a_flow
namespace: ai_concierge
inputs:
  - id: told
    type: STRING
tasks:
  - id: call
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner:
      type: io.kestra.plugin.core.runner.Process
    allowFailure: true
    env:
      TOLD: "{{ inputs.told }}"
    outputFiles:
      - results.json
    commands:
      - COMMAND
outputs:
  - id: printed
    type: JSON
    value: "{{ (outputs.call.vars.results ?? []) | toJson }}"
  - id: file
    type: STRING
    value: "{{ outputs.call.outputFiles['results.json'] ?? '' }}"
"""
SPEAKS = """'printf %s "$TOLD" > results.json; echo "::{\\"outputs\\":{\\"results\\":[1]}}::"'"""
FAILS = "'exit 7'"
WAITS = "'sleep 600'"


@asynccontextmanager
async def opened(dialect: str, version: str, folder: Path) -> AsyncIterator[KestraClient]:
    """Start a server and open a client for it."""
    with Double(Options(dialect=dialect, version=version, search_lag=0.2), folder) as double:
        async with KestraClient(double.url, username=USER, password=PASSWORD) as client:
            yield client


async def started(client: KestraClient, command: str) -> str:
    revision = await client.deploy("a_flow", SOURCE.replace("COMMAND", command))
    return await client.start("a_flow", revision=revision, inputs={"told": "é"}, files={}, labels={"run": "r-1"})


async def until(asking: Callable[[], Awaitable[T]], is_it: Callable[[T], bool]) -> T:
    """Ask until the answer is the one that is waited for."""
    async with asyncio.timeout(30):
        while True:
            if is_it(answer := await asking()):
                return answer
            await asyncio.sleep(0.02)


async def ended(client: KestraClient, execution_id: str) -> Execution:
    return await until(lambda: client.execution(execution_id), lambda execution: execution.is_over)


@EVERY_SERVER
def test_an_execution_is_started_found_by_its_label_and_brings_its_outputs_home(
    dialect: str, version: str, tmp_path: Path
) -> None:
    async def play() -> None:
        async with opened(dialect, version, tmp_path) as client:
            assert (await client.greet()).version == version
            await client.admit()
            assert await client.flow("a_flow") is None
            name = await started(client, SPEAKS)
            execution = await ended(client, name)
            outputs = await client.outputs(execution)
            found = await until(lambda: client.find("a_flow", "run", "r-1"), bool)
            others = await client.find("a_flow", "run", "r-2")

            assert (execution.state, execution.flow_id, execution.revision) == ("SUCCESS", "a_flow", 1)
            assert (execution.labels["run"], found, others) == ("r-1", [name], [])
            assert outputs["printed"] == [1]
            assert await client.file(name, outputs["file"]) == "é".encode()

    asyncio.run(play())


@EVERY_SERVER
def test_why_a_child_failed_is_in_the_log(dialect: str, version: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with opened(dialect, version, tmp_path) as client:
            execution = await ended(client, await started(client, FAILS))

            assert execution.state == "WARNING"
            assert [line.message for line in await client.logs(execution.id)] == ["Command failed with exit code 7"]

    asyncio.run(play())


@EVERY_SERVER
def test_an_execution_is_killed_also_when_it_is_over_already(dialect: str, version: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with opened(dialect, version, tmp_path) as client:
            name = await started(client, WAITS)
            await client.kill(name)
            execution = await ended(client, name)
            await client.kill(name)

            assert (execution.state, (await client.execution(name)).state) == ("KILLED", "KILLED")
            with pytest.raises(KestraRefused) as caught:
                await client.kill("nobody")
            assert caught.value.status == 404

    asyncio.run(play())


@EVERY_SERVER
def test_a_refused_start_has_started_nothing(dialect: str, version: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with opened(dialect, version, tmp_path) as client:
            revision = await client.deploy("a_flow", SOURCE.replace("COMMAND", SPEAKS))
            for flow_id, inputs in (("a_flow", {}), ("no_flow", {"told": "x"})):
                with pytest.raises(KestraNotStarted):
                    await client.start(flow_id, revision=revision, inputs=inputs, files={}, labels={"run": "r-1"})

    asyncio.run(play())


@EVERY_SERVER
def test_a_flow_is_renewed_only_where_it_has_changed(dialect: str, version: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with opened(dialect, version, tmp_path) as client:
            first, second = SOURCE.replace("COMMAND", SPEAKS), SOURCE.replace("COMMAND", FAILS)
            revisions = [await client.deploy("a_flow", source) for source in (first, first, second)]
            flow = await client.flow("a_flow")
            constraints = await client.validate(first.replace("shell.Commands", "shell.Nothing"))

            assert revisions == [1, 1, 2]
            assert flow is not None
            assert (flow.revision, flow.source) == (2, second)
            assert await client.validate(first) is None
            assert constraints is not None
            assert "Invalid type: io.kestra.plugin.scripts.shell.Nothing" in constraints

    asyncio.run(play())
