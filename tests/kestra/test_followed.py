"""What an execution shows of its children, and what it does not: nobody who may have been dialled waits again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from concierge_calls.kestra import followed
from concierge_calls.kestra.followed import Brought, Seen
from concierge_calls.kestra.schemas import Execution, TaskRun


def item(*rows: int) -> str:
    return json.dumps({"providers": [{"index": row, "name": "Ace"} for row in rows]})


def run(
    task_id: str, state: str = "SUCCESS", value: str | None = None, outputs: Mapping[str, Any] | None = None
) -> Any:
    return TaskRun("a-run", task_id, value, state, 1, outputs)


def execution(*runs: TaskRun, state: str = "RUNNING") -> Execution:
    return Execution("an-execution", "ns", "a_flow", 1, {}, state, runs, None)


GUARD = run("refuse_another_limit")
PRINTED = {"vars": {"results": ["a result"]}, "outputFiles": {"results.json": "kestra:///a"}}


def test_a_for_each_shows_who_is_called_who_was_and_what_they_told() -> None:
    seen = followed.for_each(
        execution(
            GUARD,
            run("each", "RUNNING"),
            run("call", "RUNNING", item(2)),
            run("call", "SUCCESS", item(0, 1), PRINTED),
            run("call", "WARNING", item(3), {}),
            run("call", "CREATED", item(4)),
        )
    )
    assert seen == Seen((Brought(["a result"], "kestra:///a"),), (2,), 1, frozenset({0, 1, 2, 3, 4}))


@pytest.mark.parametrize("value", [None, "no JSON", "[]", '{"providers": []}', '{"phone": "x"}'])
def test_a_child_whose_item_is_not_ours_may_have_called_anybody(value: str | None) -> None:
    assert followed.for_each(execution(run("call", "SUCCESS", item(0)), run("call", "KILLED", value))).begun is None


def test_a_loop_is_certain_only_where_as_many_iterations_are_listed_as_there_are() -> None:
    listed = {"item": {"value": item(0), "iteration": 0}, "outputs": {"results": ["a result"], "file": "kestra:///a"}}
    killed = {"item": {"value": item(1), "iteration": 1}, "outputs": {"results": [], "file": ""}}
    counts = {"iterationCount": 5, "runningIterations": 1, "terminatedIterations": {"SUCCESS": 1}}
    over = execution(GUARD, run("each", "KILLED"), state="KILLED")
    both, one = {**counts, "outputs": [listed, killed]}, {**counts, "outputs": [listed]}

    assert followed.loop(over, both, 2) == Seen(
        (Brought(["a result"], "kestra:///a"), Brought([], None)), (), 0, frozenset({0, 1})
    )
    assert followed.loop(over, both).begun is None  # how many there are was not asked yet
    assert followed.loop(over, both, 3).begun is None
    assert followed.loop(over, one, 1).begun is None  # the Loop itself has counted two
    assert followed.loop(over, {}, 0).begun is None
    assert followed.loop(execution(run("each", "RUNNING")), both).at_work == 1


def test_nobody_was_begun_where_a_task_before_the_loop_ended_it() -> None:
    assert followed.loop(execution(run("refuse_another_limit", "FAILED"), state="FAILED"), {}).begun == frozenset()
    assert followed.loop(execution(state="KILLED"), {}).begun is None  # a version that shows no tasks says nothing


def test_one_task_may_have_called_everybody_as_soon_as_it_is_there() -> None:
    rows = [0, 1, 2]
    running = execution(GUARD, run("call", "RUNNING"))
    assert followed.one_task(running, {}, rows, 2) == Seen((), (), 2, frozenset(rows))
    assert followed.one_task(running, {}, rows, 5).at_work == 3  # there are no more
    assert followed.one_task(execution(GUARD), {}, rows, 2) == Seen((), (), 0, frozenset())
    assert followed.one_task(execution(), {}, rows, 2).begun is None
    assert followed.one_task(execution(GUARD, run("call")), PRINTED, rows, 2).children == (
        Brought(["a result"], "kestra:///a"),
    )


def test_the_flows_own_outputs_are_results_and_files() -> None:
    told = {"call_results": ["a result"], "call_files": ["kestra:///a", "", None]}
    assert list(followed.in_outputs(told)) == [Brought(["a result"]), Brought(None, "kestra:///a")]
    assert list(followed.in_outputs({})) == [Brought(None)]
