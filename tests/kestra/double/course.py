"""The course of one execution: its tasks one after the other, its end, and its outputs (facts 7 and 9)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.kestra.double import records
from tests.kestra.double.fanning import fan, texts
from tests.kestra.double.outside import outside
from tests.kestra.double.pebble import PebbleError, render
from tests.kestra.double.sources import COMMANDS, FAIL, FOR_EACH, Flow
from tests.kestra.double.store import Record

if TYPE_CHECKING:
    from tests.kestra.double.engine import Engine

FALSE = ("", "false", "0", "-0")


def run_through(engine: Engine, record: Record, flow: Flow) -> None:
    """Run an execution to its end, or from where the last server left it."""
    with engine.changed:
        if engine.halted(record):
            return
        if record["state"]["current"] != "RUNNING":
            records.move(record, "RUNNING")
            engine.keep(record)
    states = []
    for task in flow.document["tasks"]:
        if not engine.halted(record):
            states.append(_task(engine, record, task))
        if "FAILED" in states:
            break
    with engine.changed:
        if not engine.halted(record) and "HALTED" not in states:
            _end(engine, record, next((name for name in ("FAILED", "WARNING") if name in states), "SUCCESS"))
            engine.changed.notify_all()


def _task(engine: Engine, record: Record, task: Record) -> str:
    run = engine.begin(record, task["id"])
    if records.is_over(run):
        state: str = run["state"]["current"]
        return state
    if task["type"] == COMMANDS:
        with engine.busy():
            return engine.command(record, task, run, engine.variables(record))
    try:
        if task["type"] == FAIL:
            return _fail(engine, record, task, run)
        return fan(engine, record, task, run, texts(_values(engine, record, task)))
    except PebbleError as fault:
        engine.log(record, "ERROR", str(fault), run)
        return engine.ended(record, run, "FAILED")


def _values(engine: Engine, record: Record, task: Record) -> list[Any]:
    rendered = render(task["values"], engine.variables(record))
    content = engine.store.get(rendered) if rendered.startswith("kestra:///") else None
    if content is not None and task["type"] != FOR_EACH:
        # Each line is an item as it stands (facts 9); only \n ends one.
        return [line for line in content.decode().split("\n") if line]
    try:
        values = json.loads(rendered)
    except ValueError:
        values = None
    if not isinstance(values, list) or None in values:  # facts 7: a null fails it before anything starts
        raise PebbleError("Found an invalid value in `values`")
    return values


def _fail(engine: Engine, record: Record, task: Record, run: Record) -> str:
    variables = engine.variables(record)
    if render(task["condition"], variables) in FALSE:
        return engine.ended(record, run, "SUCCESS")
    engine.log(record, "ERROR", render(task["errorMessage"], variables), run)
    return engine.ended(record, run, "FAILED")


def _end(engine: Engine, record: Record, state: str) -> None:
    if state == "FAILED":
        _lose(engine, record)
    else:
        try:
            record["outputs"] = engine.outputs(
                record, engine.variables(record, **outside(record, engine.options.dialect))
            )
        except PebbleError as fault:
            engine.log(record, "ERROR", str(fault))
            state = "FAILED"
    records.move(record, state)
    engine.keep(record)


def _lose(engine: Engine, record: Record) -> None:
    # The siblings' processes run on, and what they print appears nowhere (facts 7): 0.21 shows them as RUNNING.
    for each in (record, *engine.iterations(record)):
        for run in each["taskRuns"]:
            if not records.is_over(run) and engine.options.dialect != "0":
                records.move(run, "FAILED")
        if each is not record:
            records.move(each, "FAILED")
            engine.keep(each)
