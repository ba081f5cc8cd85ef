"""The flow that asks a server's workers: as it is rendered, and what comes of it when they do not answer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from concierge_calls.kestra import flow
from concierge_calls.kestra.check_flow import FLOW_ID, Workers, ask_workers, render
from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind, Runner, RunnerKind, rendered_by
from tests.kestra.double.options import PASSWORD, USER, VERSIONS, Options
from tests.kestra.double.server import Double

CONTAINER = Runner(kind=RunnerKind.DOCKER, image="calls:1", memory="512MB", cpus=0.5)


def rendered(dialect: Dialect = Dialect.V1, runner: Runner | None = None) -> str:
    return render(dialect, runner=runner or Runner(), namespace="ai_concierge", version="0.1.0")


def task(name: str, env: dict[str, str], **runner: Any) -> dict[str, Any]:
    return {
        "id": name,
        "type": "io.kestra.plugin.scripts.shell.Commands",
        **runner,
        "allowFailure": True,
        "env": env | {"CONCIERGE_CHECK": "{{ inputs.check }}"},
        "commands": ["concierge-calls kestra check --here"],
    }


@pytest.mark.parametrize(
    ("runner", "env", "how"),
    [
        (Runner(), {}, {"taskRunner": {"type": "io.kestra.plugin.core.runner.Process"}}),
        (
            CONTAINER,
            {
                "VAPI_API_KEY": "{{ secret('VAPI_API_KEY') }}",
                "VAPI_PHONE_NUMBER_ID": "{{ secret('VAPI_PHONE_NUMBER_ID') }}",
            },
            {
                "containerImage": "calls:1",
                "taskRunner": {
                    "type": "io.kestra.plugin.scripts.runner.docker.Docker",
                    "memory": {"memory": "512MB"},
                    "cpu": {"cpus": 0.5},
                },
            },
        ),
    ],
    ids=["process", "docker"],
)
def test_two_children_are_run_one_after_the_other_as_those_of_a_run_are(
    runner: Runner, env: dict[str, str], how: dict[str, Any]
) -> None:
    document = yaml.safe_load(rendered(runner=runner))

    assert (document["id"], document["namespace"]) == (FLOW_ID, "ai_concierge")
    assert document["tasks"] == [task("first", env, **how), task("second", env, **how)]
    assert {output["id"]: output["value"] for output in document["outputs"]} == {
        name: f"{{{{ (outputs.{name}.vars.check ?? {{}}) | toJson }}}}" for name in ("first", "second")
    }


@pytest.mark.parametrize("kind", FlowKind)
@pytest.mark.parametrize("dialect", Dialect)
def test_the_children_are_run_as_it_stands_in_the_deployed_flow_whatever_was_changed_there(
    dialect: Dialect, kind: FlowKind
) -> None:
    container = Runner(kind=RunnerKind.DOCKER, image="calls:1")
    deployed = flow.render(kind, dialect, limit=5, backstop=1020, runner=container, namespace="ai_concierge")
    theirs = re.sub(r"^( +)# (volumes:|  - |CONCIERGE_STATE_DIR: )", r"\1\2", deployed, flags=re.MULTILINE)
    text = render(dialect, runner=Runner(), namespace="ai_concierge", version="0.1.0", like=theirs)
    folder = "/var/lib/concierge-calls"
    how = {
        "containerImage": "calls:1",
        "taskRunner": {
            "type": "io.kestra.plugin.scripts.runner.docker.Docker",
            "volumes": [f"{folder}:{folder}"],
        },
    }
    env = {name: f"{{{{ secret('{name}') }}}}" for name in ("VAPI_API_KEY", "VAPI_PHONE_NUMBER_ID")}
    env["CONCIERGE_STATE_DIR"] = folder

    assert yaml.safe_load(text)["tasks"] == [task("first", env, **how), task("second", env, **how)]


def test_a_flow_that_says_it_otherwise_leaves_it_to_the_settings() -> None:
    theirs = "id: contact_providers_concurrent\ntasks:\n  - id: call\n    type: other\n"

    assert render(Dialect.V1, runner=CONTAINER, namespace="ai_concierge", version="0.1.0", like=theirs) == rendered(
        runner=CONTAINER
    )


def test_the_flow_is_one_of_ours_and_the_same_for_every_server_but_for_its_heading() -> None:
    flows = [rendered(dialect) for dialect in Dialect]

    assert {rendered_by(source) for source in flows} == {"0.1.0"}
    assert len({source.split("\nid: ")[1] for source in flows}) == 1


@pytest.mark.parametrize("dialect", list(VERSIONS))
def test_a_check_that_takes_too_long_is_killed_and_told(dialect: str, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "concierge-calls"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\nexec sleep 600\n")
    command.chmod(0o700)
    path = {"PATH": f"{command.parent}:/usr/bin:/bin"}

    async def play() -> tuple[Workers, str]:
        with Double(Options(dialect=dialect), tmp_path / "kestra", environment=path) as double:
            async with KestraClient(double.url, username=USER, password=PASSWORD) as client:
                workers = await ask_workers(client, rendered(Dialect(dialect)), patience=0.0)
                async with asyncio.timeout(30):
                    while True:
                        execution = await client.execution(workers.execution_id)
                        if execution.is_over:
                            return workers, execution.state
                        await asyncio.sleep(0.02)

    workers, state = asyncio.run(play())
    assert (workers.is_over, workers.first, workers.second, state) == (False, None, None, "KILLED")
