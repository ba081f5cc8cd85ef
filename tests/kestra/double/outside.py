"""What a flow's outputs may speak of when its tasks are done (facts 7 and 11)."""

from __future__ import annotations

from typing import Any

from tests.kestra.double.store import Record


def outside(record: Record, dialect: str) -> dict[str, Any]:
    """Return `outputs` and `tasks`: by task, and in a ForEach by item, in a map's order, which is nobody's."""
    outputs: Record = {}
    states: Record = {}
    for run in sorted(record["taskRuns"], key=lambda run: run["id"]):
        if run["value"] is None:
            if run["outputs"]:
                outputs[run["taskId"]] = run["outputs"]
            continue
        states.setdefault(run["taskId"], {})[run["value"]] = {"state": run["state"]["current"]}
        # A failed child under a timeout has {}: absent on 1.3, there without vars on 0.21.
        if run["outputs"] or (dialect == "0" and run["outputs"] is not None):
            outputs.setdefault(run["taskId"], {})[run["value"]] = run["outputs"]
    return {"outputs": outputs, "tasks": states}


def finished(record: Record) -> Record:
    """Return the outputs of what was done before a kill: of a Loop, those of the iterations that had ended."""
    done: Record = {}
    for run in record["taskRuns"]:
        if run["outputs"]:
            outputs = run["outputs"]
            done[run["taskId"]] = outputs | ({"outputs": list(outputs["outputs"])} if "outputs" in outputs else {})
    return done
