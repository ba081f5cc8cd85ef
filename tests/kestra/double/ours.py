"""Our flows on a double: rendered, deployed and started as a run does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind, render
from concierge_calls.kestra.inputs import Options as RunOptions
from concierge_calls.kestra.inputs import inputs, items
from concierge_calls.models import CallRequest, Provider, ServiceRequest
from tests.kestra.double import standin
from tests.kestra.double.driver import NAMESPACE, Driver
from tests.kestra.double.options import Options
from tests.kestra.double.server import Double

TOLD = RunOptions(call_timeout=300, analysis_timeout=120, start_interval=1.0)
DIALECTS = tuple(Dialect)


@contextmanager
def running(
    folder: Path, dialect: str = "1", environment: Mapping[str, str] | None = None, **options: Any
) -> Iterator[Driver]:
    """Run a double whose worker has the stand-in for our command."""
    with Double(Options(dialect=dialect, **options), folder / "kestra", environment=worker(folder, environment)) as it:
        yield Driver(it.url, dialect)


def worker(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a worker that has the stand-in."""
    (folder / "bin").mkdir(exist_ok=True)
    return standin.put(folder / "bin", **(more or {}))


def asked(name: str, index: int = 0, **more: str) -> CallRequest:
    """Return a request to call somebody."""
    provider = Provider(name=name, phone=f"+18645550{100 + index % 100}")
    return CallRequest(index=index, provider=provider, request=ServiceRequest(service_needed="plumbing", **more))


def source(dialect: str, kind: FlowKind = FlowKind.FAN_OUT, *, limit: int = 3, backstop: int = 60) -> str:
    """Return one of our flows."""
    return render(kind, Dialect(dialect), limit=limit, backstop=backstop, namespace=NAMESPACE)


def begin(
    driver: Driver,
    names: Sequence[str],
    kind: FlowKind = FlowKind.FAN_OUT,
    *,
    limit: int = 3,
    flow: str | None = None,
    run_id: str = "r",
) -> str:
    """Deploy a flow and start it with a provider of each name; returns the execution's id."""
    driver.deploy(flow or source(driver.dialect, kind, limit=limit)).raise_for_status()
    requests = [asked(name, index) for index, name in enumerate(names)]
    handed = items(run_id, requests, limit=limit, options=TOLD)
    told = inputs(kind, Dialect(driver.dialect), run_id, handed, limit=limit)
    reply = driver.start(kind.flow_id, told.texts, told.files, labels=[f"run:{run_id}"]).raise_for_status()
    return str(reply.json()["id"])


def told_of(execution: Any) -> list[tuple[int, str, str]]:
    """Return index, status and name of every result that came home, in the rows' order."""
    results = execution["outputs"]["call_results"]
    return sorted((each["index"], each["status"], each["name"]) for each in results)
