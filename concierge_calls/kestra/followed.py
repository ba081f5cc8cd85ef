"""What an execution shows of its children, in each dialect: who is being called, who never was, and what they told."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from concierge_calls.kestra.schemas import Execution, TaskRun, as_list

TASK: Final = "call"
LOOP: Final = "each"
FILE: Final = "results.json"
_AT_WORK: Final = frozenset({"RUNNING", "KILLING"})

Rows = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Brought:
    """What one child brought back: the results that it printed, and where the file with everything is."""

    results: object = field(repr=False)
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """An execution as it stands.

    `running` has the first row of each child that is at work, as far as that is shown; `at_work` counts the calls that
    they may have on the line.
    `begun` has the rows of all children that were ever begun; None where it cannot be told for certain.
    """

    children: tuple[Brought, ...] = ()
    running: tuple[int, ...] = ()
    at_work: int = 0
    begun: frozenset[int] | None = None


def one_task(execution: Execution, outputs: Mapping[str, Any], rows: Collection[int], limit: int) -> Seen:
    """Read an execution whose only task calls all these rows, `limit` at once; `outputs` are that task's."""
    runs = [run for run in execution.task_runs if run.task_id == TASK]
    # A version that shows no tasks at all says nothing by not showing this one.
    begun = frozenset(rows) if runs else frozenset[int]() if execution.task_runs else None
    at_work = any(run.state in _AT_WORK for run in runs)
    return Seen(tuple(_children([outputs])), at_work=min(limit, len(rows)) if at_work else 0, begun=begun)


def for_each(execution: Execution) -> Seen:
    """Read an execution of a ForEach, which shows each child with its item."""
    runs = [run for run in execution.task_runs if run.task_id == TASK]
    rows = [_rows(run.value) for run in runs]
    at_work = [each for each, run in zip(rows, runs, strict=True) if run.state in _AT_WORK]
    return Seen(
        tuple(_children(run.outputs for run in runs)),
        running=tuple(each[0] for each in at_work if each),
        at_work=len(at_work),
        begun=_all_of(rows),
    )


def loop(execution: Execution, outputs: Mapping[str, Any], iterations: int | None = None) -> Seen:
    """Read an execution of a Loop by the outputs of that; which of its iterations go on is not shown.

    `iterations` is how many there are, once the execution is over and a search has had time to know all of them.
    """
    listed = [each for each in as_list(outputs.get("outputs")) if isinstance(each, Mapping)]
    children = (each.get("outputs") for each in listed)
    at_work = _number(outputs.get("runningIterations"))
    ended = outputs.get("terminatedIterations")
    counted = at_work + (sum(map(_number, ended.values())) if isinstance(ended, Mapping) else _number(ended))
    total = None if iterations is None else max(iterations, counted)
    return Seen(
        tuple(Brought(each.get("results"), _text(each.get("file"))) for each in children if isinstance(each, Mapping)),
        at_work=0 if execution.is_over else at_work,
        begun=_begun(execution.task_runs, [_rows(_value(each)) for each in listed], total),
    )


def in_outputs(outputs: Mapping[str, Any]) -> Iterator[Brought]:
    """Return what the flow's own outputs tell of its children: their results, and each one's file."""
    yield Brought(outputs.get("call_results"))
    yield from (Brought(None, uri) for each in as_list(outputs.get("call_files")) if (uri := _text(each)))


def _begun(runs: Collection[TaskRun], listed: list[Rows], total: int | None) -> frozenset[int] | None:
    """Return whose iterations were ever begun: certain where as many are listed as there are."""
    if runs and not any(run.task_id == LOOP for run in runs):
        return frozenset()
    return _all_of(listed) if total is not None and len(listed) == total > 0 else None


def _children(outputs: Iterable[Mapping[str, Any] | None]) -> Iterator[Brought]:
    for each in outputs:
        variables, files = (each or {}).get("vars"), (each or {}).get("outputFiles")
        if isinstance(variables, Mapping) and "results" in variables:
            yield Brought(variables["results"], _text(files.get(FILE)) if isinstance(files, Mapping) else None)


def _rows(item: str | None) -> Rows:
    try:
        providers = json.loads(item or "")["providers"]
        return tuple(int(each["index"]) for each in providers)
    except (KeyError, TypeError, ValueError):
        return ()


def _all_of(rows: Collection[Rows]) -> frozenset[int] | None:
    # One whose item is not ours, or cannot be read, may have called anybody.
    return frozenset(index for each in rows for index in each) if all(rows) else None


def _value(listed: Mapping[str, Any]) -> str | None:
    item = listed.get("item")
    return _text(item.get("value")) if isinstance(item, Mapping) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
