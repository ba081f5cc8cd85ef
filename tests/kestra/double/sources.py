"""A flow's YAML, read as strictly as a server of that dialect does, and no further than our flows go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

FAIL = "io.kestra.plugin.core.execution.Fail"
FOR_EACH = "io.kestra.plugin.core.flow.ForEach"
LOOP = "io.kestra.plugin.core.flow.Loop"
COMMANDS = "io.kestra.plugin.scripts.shell.Commands"
PROCESS = "io.kestra.plugin.core.runner.Process"
DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"

INPUT_TYPES = ("STRING", "INT", "JSON", "FILE")
_TASK = {"id", "type", "allowFailure"}
_FLOW = {"id", "namespace", "description", "labels", "variables", "inputs", "tasks", "outputs", "disabled"}
_KNOWN = {
    FAIL: _TASK | {"condition", "errorMessage"},
    FOR_EACH: _TASK | {"values", "concurrencyLimit", "tasks"},
    LOOP: _TASK | {"values", "concurrencyLimit", "tasks", "transmitFailed", "fetchType", "outputs"},
    COMMANDS: _TASK | {"taskRunner", "containerImage", "timeout", "env", "inputFiles", "outputFiles", "commands"},
    PROCESS: {"type"},
    DOCKER: {"type", "memory", "cpu", "volumes"},
}
_INPUT = {"id", "type", "required", "defaults", "description"}
_OUTPUT = {"id", "type", "value", "description"}


class InvalidFlow(Exception):
    """The YAML is no flow that this server would take."""


@dataclass(frozen=True)
class Flow:
    """A flow as it is deployed."""

    namespace: str
    id: str
    revision: int
    source: str

    @property
    def document(self) -> dict[str, Any]:
        """What its YAML says."""
        return _parsed(self.source)


@cache
def _parsed(source: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(source)
    return document


def read(source: str, dialect: str, plugins: Sequence[str]) -> dict[str, Any]:
    """Return what a flow's YAML says; raises InvalidFlow for what a server of this dialect refuses (facts 4, 7, 9)."""
    try:
        document = _parsed(source)
    except yaml.YAMLError as fault:
        raise InvalidFlow(f"Illegal genericflow source: YAML parsing error: {fault}") from None
    if not isinstance(document, dict):
        raise InvalidFlow("Illegal genericflow source: YAML parsing error: no object")
    _only(document, _FLOW, "io.kestra.core.models.flows.Flow")
    if not document.get("tasks"):
        raise InvalidFlow("tasks: must not be empty")
    if not re.fullmatch(r"[a-zA-Z0-9][\w.-]*", str(document.get("id"))):
        raise InvalidFlow("id: must match the pattern")
    for task in _tasks(document["tasks"]):
        _check_task(task, dialect, plugins)
    for each in document.get("inputs") or []:
        _only(each, _INPUT, "io.kestra.core.models.flows.Input")
        if each.get("type") not in INPUT_TYPES:
            raise InvalidFlow(f"Invalid type: {each.get('type')}")
        if dialect == "2" and "required" in each and "defaults" in each:  # facts 18
            raise InvalidFlow(f"inputs: {each['id']}: required and defaults cannot stand together")
    for each in document.get("outputs") or []:
        _only(each, _OUTPUT, "io.kestra.core.models.flows.Output")
    return document


def _tasks(tasks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for task in tasks:
        yield task
        yield from _tasks(task.get("tasks") or [])


def _check_task(task: Mapping[str, Any], dialect: str, plugins: Sequence[str]) -> None:
    kind = task.get("type")
    absent = FOR_EACH if dialect == "2" else LOOP
    if kind not in (FAIL, FOR_EACH, LOOP, *plugins) or kind == absent:
        raise InvalidFlow(f"Invalid type: {kind}")
    _only(task, _KNOWN[kind], kind)
    limit = task.get("concurrencyLimit")
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise InvalidFlow(
            f"Cannot deserialize value of type `java.lang.Integer` from {limit!r}: not a valid Integer value"
        )
    if kind in (FOR_EACH, LOOP) and limit is None:
        raise InvalidFlow("the double knows no default of concurrencyLimit")
    if kind == COMMANDS:
        _check_runner(task.get("taskRunner") or {})
        if not re.fullmatch(r"PT\d+(\.\d+)?S", task.get("timeout", "PT1S")):
            raise InvalidFlow(f"Cannot deserialize value of type `java.time.Duration` from {task['timeout']!r}")


def _check_runner(runner: Mapping[str, Any]) -> None:
    kind = runner.get("type")
    if kind not in (PROCESS, DOCKER):
        raise InvalidFlow(f"Invalid type: {kind}")
    _only(runner, _KNOWN[kind], kind)


def _only(found: Mapping[str, Any], known: set[str], owner: str) -> None:
    for name in found:
        if name not in known:
            raise InvalidFlow(f'Unrecognized field "{name}" (class {owner}), not marked as ignorable')
