"""ForEach and Loop: children side by side, at most as many as the limit says, for one execution (facts 7 and 9)."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.kestra.double import records
from tests.kestra.double.pebble import PebbleError, render
from tests.kestra.double.sources import FOR_EACH
from tests.kestra.double.store import Record

if TYPE_CHECKING:
    from tests.kestra.double.engine import Engine

Job = Callable[[], str]


def texts(values: list[Any]) -> list[str]:
    """Return each value's text, in which an object is its JSON, without duplicates (facts 7 and 9)."""
    shown = (value if isinstance(value, str) else _json(value) for value in values)
    return list(dict.fromkeys(shown))


def fan(engine: Engine, record: Record, task: Record, run: Record, values: list[str]) -> str:
    """Run a task's children for every value; returns the state that the ForEach or Loop came to."""
    if task["type"] == FOR_EACH:
        jobs = [_child(engine, record, task, run, index, value) for index, value in enumerate(values)]
    else:
        with engine.lock:
            run["outputs"] = {**_counts(engine, len(values)), **(run["outputs"] or {}), "runningIterations": 0}
        jobs = [_iteration(engine, record, task, run, index, value) for index, value in enumerate(values)]
    states = _side_by_side(engine, record, task["concurrencyLimit"], jobs)
    if states is None:
        return "HALTED"
    return engine.ended(record, run, _verdict(task, states), run["outputs"])


def _verdict(task: Record, states: list[str]) -> str:
    if "FAILED" in states:
        # allowFailure here looks mild, and lets the items that were not begun be forgotten (facts 7).
        return "WARNING" if task.get("allowFailure") else "FAILED"
    if task["type"] == FOR_EACH and "WARNING" in states:
        return "WARNING"
    return "SUCCESS"  # a Loop's state says nothing of its children (facts 9)


def _side_by_side(engine: Engine, record: Record, limit: int, jobs: list[Job]) -> list[str] | None:
    """Work off the jobs; returns their states, at once when one has FAILED, and None when the server stops."""
    waiting = deque(_out_of_order(jobs, limit or len(jobs)))
    states: list[str] = []
    working = min(limit or len(jobs), len(jobs))  # a limit of 0 is none (facts 7)

    def work() -> None:
        nonlocal working
        while True:
            with engine.changed:
                if not waiting or engine.halted(record) or "FAILED" in states:
                    break
                job = waiting.popleft()
            with engine.busy():
                state = job()
            with engine.changed:
                states.append(state)
                engine.changed.notify_all()
        with engine.changed:
            working -= 1
            engine.changed.notify_all()

    for _ in range(working):
        engine.in_a_thread(work)
    with engine.changed:
        engine.changed.wait_for(lambda: working == 0 or "FAILED" in states or engine.halted(record))
        return None if engine.halted(record) else list(states)


def _out_of_order(jobs: list[Job], limit: int) -> list[Job]:
    """Turn round those that begin together: within the limit the order is not that of the list (facts 7)."""
    chunks = [jobs[start : start + limit] for start in range(0, len(jobs), max(1, limit))]
    return [job for chunk in chunks for job in reversed(chunk)]


def _child(engine: Engine, record: Record, task: Record, run: Record, index: int, value: str) -> Job:
    (inner,) = task["tasks"]

    def work() -> str:
        child = engine.begin(record, inner["id"], value, iteration=index, parent=run["id"])
        if records.is_over(child):
            return str(child["state"]["current"])
        taskrun = {"value": value} if engine.options.dialect == "0" else {"value": value, "iteration": index}
        return engine.command(record, inner, child, engine.variables(record, taskrun=taskrun))

    return work


def _iteration(engine: Engine, record: Record, task: Record, run: Record, index: int, value: str) -> Job:
    (inner,) = task["tasks"]
    item = {"value": value, "index": index}

    def work() -> str:
        inside = engine.iteration_of(record, index, value)
        if records.is_over(inside):
            return str(inside["state"]["current"])
        _began(engine, record, run)
        child = engine.begin(inside, inner["id"])
        state = str(child["state"]["current"])
        if not records.is_over(child):
            state = engine.command(inside, inner, child, engine.variables(inside, item=item))
        with engine.changed:
            if state == "HALTED" or engine.halted(record):
                _note_killed(engine, record, task, run, inside, index, value)
                return "HALTED"
            return _iteration_ended(engine, record, task, run, inside, child, state)

    return work


def _iteration_ended(
    engine: Engine, record: Record, task: Record, run: Record, inside: Record, child: Record, state: str
) -> str:
    variables = _inside(engine, inside, child)
    try:
        if not engine.options.is_released_2:
            engine.outputs(inside, variables)  # 2.0d renders the flow's outputs here too (facts 9)
    except PebbleError as fault:
        engine.log(inside, "ERROR", str(fault))
        state = "FAILED"
    _add_outputs(engine, task, run, inside, variables)
    records.move(inside, state)
    engine.keep(inside)
    _terminated(engine, record, run, state)
    return "SUCCESS" if state == "FAILED" and task.get("transmitFailed") is False else state


def _note_killed(
    engine: Engine, record: Record, task: Record, run: Record, inside: Record, index: int, value: str
) -> None:
    # The outputs of the Loop's task run have the killed iterations too, with their defaults (facts 11).
    if not engine.stopping and record["state"]["current"] == "KILLED":
        variables = engine.variables(inside, outputs={}, tasks={}, item={"value": value, "index": index})
        _add_outputs(engine, task, run, inside, variables)
        engine.keep(record)


def _inside(engine: Engine, inside: Record, child: Record) -> dict[str, Any]:
    outputs = {child["taskId"]: child["outputs"]} if child["outputs"] else {}
    states = {child["taskId"]: {"state": child["state"]["current"]}}
    return engine.variables(inside, outputs=outputs, tasks=states, item=inside["item"])


def _add_outputs(engine: Engine, task: Record, run: Record, inside: Record, variables: dict[str, Any]) -> None:
    try:
        rendered = {}
        for output in task["outputs"]:
            text = render(output["value"], variables)
            rendered[output["id"]] = json.loads(text) if output["type"] == "JSON" else text
    except (PebbleError, ValueError) as fault:  # without its default an iteration is absent (facts 9)
        engine.log(inside, "ERROR", str(fault))
        return
    item = {"value": inside["item"]["value"], "iteration": inside["item"]["index"]}
    run["outputs"]["outputs"].append({"item": item, "outputs": rendered})


def _counts(engine: Engine, number: int) -> Record:
    # A number in 2.0d, a map by state in released 2.x (facts 9).
    terminated: Record | int = {} if engine.options.is_released_2 else 0
    return {"iterationCount": number, "runningIterations": 0, "terminatedIterations": terminated, "outputs": []}


def _began(engine: Engine, record: Record, run: Record) -> None:
    with engine.changed:
        run["outputs"]["runningIterations"] += 1
        engine.keep(record)


def _terminated(engine: Engine, record: Record, run: Record, state: str) -> None:
    with engine.changed:
        counts = run["outputs"]
        counts["runningIterations"] -= 1
        if engine.options.is_released_2:
            counts["terminatedIterations"][state] = counts["terminatedIterations"].get(state, 0) + 1
        else:
            counts["terminatedIterations"] += 1
        engine.keep(record)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
