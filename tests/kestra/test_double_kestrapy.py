"""Kestra's own Python client drives the double, so that it is not only our reading of the API."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.kestra.flow import FlowKind
from tests.kestra.double.driver import NAMESPACE, Driver
from tests.kestra.double.options import PASSWORD, RELEASED_2, USER
from tests.kestra.double.ours import running, source

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # one of its models has a field that shadows pydantic's
    import kestrapy
    from kestrapy.exceptions import UnauthorizedException, UnprocessableEntityException
    from kestrapy.query import eq, where

FLOW = FlowKind.FAN_OUT.flow_id


@contextmanager
def client(url: str, **more: Any) -> Iterator[kestrapy.KestraClient]:
    """Open the client, which keeps its connections to itself."""
    it: Any = kestrapy.KestraClient(host=url, **({"username": USER, "password": PASSWORD} | more))  # type: ignore[no-untyped-call]
    try:
        yield it
    finally:
        it._session.close()


@pytest.fixture
def released(tmp_path: Path) -> Iterator[Driver]:
    """Run a released 2.0, whose paths the client knows."""
    with running(tmp_path, "2", {"TOGETHER": "3"}, version=RELEASED_2) as driver:
        yield driver


def test_the_official_client_deploys_starts_follows_and_reads_a_run(released: Driver) -> None:
    lines = "".join(f'{{"name": "Provider {index}", "phone": "+186455501{index:02}"}}\n' for index in range(12))
    with client(released.url) as kestra:
        (valid,) = kestra.flows.validate_flows("main", source("2"))
        flow = kestra.flows.create_flow("main", source("2"))
        again = kestra.flows.update_flow(NAMESPACE, FLOW, "main", source("2", limit=3, backstop=99))
        inputs = {"providers": lines.encode(), "service_needed": "plumbing", "max_concurrent": 3}
        started = kestra.executions.create_execution(
            "main", NAMESPACE, FLOW, labels=["run:r"], revision=again.revision, inputs=inputs
        )
        released.over(started.id)
        execution = kestra.executions.execution(started.id, "main")
        found = kestra.executions.search_executions(
            "main", filters=where(eq(kestrapy.QueryFilterField.FLOW_ID, FLOW)), sort=["state.startDate:desc"]
        )
        outputs = kestra.outputs.execution_outputs(started.id, "main")
        (told,) = kestra.outputs.task_outputs_information(started.id, "main")
        loop = kestra.outputs.task_run_outputs(started.id, told.task_run_id, "main")
        content = kestra.executions.download_file_from_execution(started.id, outputs["call_files"][0], "main")

    assert (valid.constraints, flow.revision, again.revision) == (None, 1, 2)
    assert (execution.flow_revision, execution.state.current) == (2, "SUCCESS")
    assert {(label.key, label.value) for label in execution.labels} >= {("run", "r"), ("system.from", "api")}
    assert [each["id"] for each in found["results"]] == [started.id]
    assert sorted(each["name"] for each in outputs["call_results"]) == sorted(f"Provider {n}" for n in range(12))
    assert (told.task_id, loop["iterationCount"], released.peak()) == ("each", 12, 3)
    assert b'"status": "completed"' in content


def test_the_official_client_kills_a_run(tmp_path: Path) -> None:
    with running(tmp_path, "2", version=RELEASED_2) as driver, client(driver.url) as kestra:
        kestra.flows.create_flow("main", source("2"))
        started = kestra.executions.create_execution(
            "main", NAMESPACE, FLOW, inputs={"providers": b'{"name": "waits", "phone": "+18645550100"}'}
        )
        driver.begun(1)
        kestra.executions.kill_execution(started.id, "main", is_on_kill_cascade=True)
        assert driver.over(started.id)["state"]["current"] == "KILLED"


def test_the_official_client_understands_how_the_double_says_no(released: Driver) -> None:
    with client(released.url) as kestra, client(released.url, username="stranger@kestra.io") as stranger:
        with pytest.raises(
            UnprocessableEntityException, match=r"Invalid type: io\.kestra\.plugin\.core\.flow\.ForEach"
        ):
            kestra.flows.create_flow("main", source("1"))
        with pytest.raises(UnauthorizedException):
            stranger.flows.create_flow("main", source("2"))
