"""Executions and task runs as they are kept, and as each dialect shows them (facts 6)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from tests.kestra.double.options import Options
from tests.kestra.double.store import Record

OVER = {"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED"}


def new_id() -> str:
    """Return an id as long as Kestra's."""
    return secrets.token_hex(11)


def state(name: str) -> Record:
    """Return a state that has just begun."""
    return {"current": name, "histories": [{"state": name, "date": _now()}]}


def move(record: Record, name: str) -> None:
    """Bring an execution or a task run into another state."""
    record["state"]["current"] = name
    record["state"]["histories"].append({"state": name, "date": _now()})


def is_over(record: Record) -> bool:
    """Whether nothing more comes of an execution or a task run."""
    return record["state"]["current"] in OVER


def blank(number: int, namespace: str, flow_id: str, revision: int, document: Record) -> Record:
    """Return an execution that was just created."""
    return {
        "number": number,
        "id": new_id(),
        "namespace": namespace,
        "flowId": flow_id,
        "flowRevision": revision,
        "flow": document,
        "labels": [],
        "kind": "NORMAL",
        "parentId": None,
        "item": None,
        "state": state("CREATED"),
        "taskRuns": [],
        "outputs": None,
        "log": [],
    }


def labelled(execution_id: str, given: list[Record]) -> list[Record]:
    """Return the labels of an execution: those that were given, and Kestra's own (facts 5)."""
    own = {"system.correlationId": execution_id, "system.from": "api"}
    keys = {label["key"] for label in given}
    return [*given, *({"key": key, "value": own[key]} for key in own if key not in keys)]


def task_run(
    task_id: str, *, value: str | None = None, iteration: int | None = None, parent: str | None = None
) -> Record:
    """Return a task run that has just begun."""
    return {
        "id": new_id(),
        "taskId": task_id,
        "value": value,
        "iteration": iteration,
        "parentTaskRunId": parent,
        "attempts": 1,
        "state": state("RUNNING"),
        "outputs": None,
    }


def shown(record: Record, inputs: Record, options: Options) -> Record:
    """Return an execution as GET shows it."""
    view = light(record, inputs, options)
    view["taskRunList"] = [_task_run(run, record, options) for run in record["taskRuns"]]
    return view


def light(record: Record, inputs: Record, options: Options) -> Record:
    """Return an execution as a search of 2.x shows it: without its task runs (facts 5)."""
    view: Record = {
        "id": record["id"],
        "namespace": record["namespace"],
        "flowId": record["flowId"],
        "flowRevision": record["flowRevision"],
        "inputs": inputs,
        "labels": record["labels"],
        "state": _state(record["state"]),
        "originalId": record["id"],
        "deleted": False,
        "metadata": {"attemptNumber": 1, "originalCreatedDate": record["state"]["histories"][0]["date"]},
    }
    if options.dialect != "0":
        view["tenantId"] = "main"
    if record["kind"] != "NORMAL":
        view |= {"kind": record["kind"], "parentId": record["parentId"]}
    if record["outputs"] is not None and not options.is_released_2:
        view["outputs"] = record["outputs"]
    return view


def _state(kept: Record) -> Record:
    first, last = kept["histories"][0]["date"], kept["histories"][-1]["date"]
    view = {**kept, "startDate": first, "duration": "PT1S"}
    return view | {"endDate": last} if kept["current"] in OVER else view


def _task_run(run: Record, record: Record, options: Options) -> Record:
    # A second attempt is not to be seen on 0.21 (facts 11).
    attempts = 1 if options.dialect == "0" else run["attempts"]
    view: dict[str, Any] = {
        "id": run["id"],
        "executionId": record["id"],
        "namespace": record["namespace"],
        "flowId": record["flowId"],
        "taskId": run["taskId"],
        "state": _state(run["state"]),
        "attempts": [{"state": _state(run["state"])}] * attempts,
    }
    if run["value"] is not None:
        view["value"] = run["value"]
    if run["iteration"] is not None and options.dialect == "1":
        view["iteration"] = run["iteration"]
    if options.dialect != "2" and run["outputs"] is not None:
        view["outputs"] = run["outputs"]
    return view


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
