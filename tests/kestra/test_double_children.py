"""The double's children: processes with every ugly side that facts 7 to 12 tell of."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.kestra.flow import FlowKind
from tests.kestra.double.children import outputs_in
from tests.kestra.double.driver import Driver
from tests.kestra.double.ours import DIALECTS, begin, running, source, told_of

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def printing(dialect: str, command: str, kind: FlowKind = FlowKind.FAN_OUT) -> str:
    """Return our flow with another command in its task."""
    text = source(dialect, kind)
    return text.replace("concierge-calls kestra child --item item.json", command).replace(
        "concierge-calls kestra child --file providers.json", command
    )


def messages(driver: Driver, execution_id: str) -> list[str]:
    """Return what an execution's log says."""
    return [line["message"] for line in driver.ask("GET", f"/logs/{execution_id}").json()]


def iteration_logs(driver: Driver, execution_id: str) -> list[str]:
    """Return what the logs of a Loop's iterations say: the parent's is empty of it (facts 9)."""
    query = {"filters[parentId][EQUALS]": execution_id, "filters[kind][EQUALS]": "LOOP", "size": "100"}
    found = driver.ask("GET", "/executions/search", params=query).json()["results"]
    return [line for each in found for line in messages(driver, each["id"])]


# facts 7 and 9: a ForEach, a Loop


@every_dialect
def test_equal_items_are_dropped_without_a_word_and_a_null_fails_all(tmp_path: Path, dialect: str) -> None:
    with running(tmp_path, dialect) as driver:
        driver.deploy(source(dialect)).raise_for_status()
        item = '{"name": "Ace"}'
        if dialect == "2":
            reply = driver.start(FlowKind.FAN_OUT.flow_id, {}, {"providers": f"{item}\n{item}\n".encode()})
        else:
            reply = driver.start(FlowKind.FAN_OUT.flow_id, {"providers": f"[{item}, {item}]"})
            bad = driver.start(FlowKind.FAN_OUT.flow_id, {"providers": f"[{item}, null]"})
            assert driver.over(bad.json()["id"])["state"]["current"] == "FAILED"
        assert len(driver.over(reply.json()["id"])["outputs"]["call_results"]) == 1
        assert len([line for line in driver.ledger()["children"] if line["event"] == "start"]) == 1


@every_dialect
def test_those_that_are_first_in_the_list_begin_first_in_an_order_that_is_nobodys(tmp_path: Path, dialect: str) -> None:
    names = ["Ace", "Best", "Cool", "Dry"]
    with running(tmp_path, dialect, {"TOGETHER": "2"}) as driver:
        execution = driver.over(begin(driver, names, limit=2))
        told = [each["name"] for each in execution["outputs"]["call_results"]]
        assert sorted(told) == names
        first = {line["item"] for line in driver.ledger()["children"][:2]}
        assert first == {"r-0", "r-1"}


@every_dialect
def test_a_free_slot_is_taken_at_once_however_slow_the_first_one_is(tmp_path: Path, dialect: str) -> None:
    names = ["waits", *(f"Provider {index}" for index in range(1, 8))]
    with running(tmp_path, dialect) as driver:
        execution_id = begin(driver, names, limit=2)
        driver.begun(8)  # all others, beside the one that is still at it
        (tmp_path / "bin" / "go").touch()
        assert driver.over(execution_id)["state"]["current"] == "SUCCESS"
        assert driver.peak() == 2


@every_dialect
def test_two_executions_have_a_limit_each(tmp_path: Path, dialect: str) -> None:
    with running(tmp_path, dialect, {"TOGETHER": "4"}) as driver:
        first, second = (begin(driver, ["a", "b", "c", "d"], limit=2, run_id=run_id) for run_id in ("r", "s"))
        assert {driver.over(each)["state"]["current"] for each in (first, second)} == {"SUCCESS"}
        assert driver.peak() == 4


@every_dialect
def test_without_allow_failure_one_failing_child_ends_all_and_its_siblings_result_is_lost(
    tmp_path: Path, dialect: str
) -> None:
    flow = (
        source(dialect, limit=2)
        .replace("allowFailure: true", "allowFailure: false")
        .replace("transmitFailed: false", "transmitFailed: true")
    )
    with running(tmp_path, dialect, {"TOGETHER": "2"}) as driver:
        execution_id = begin(driver, ["exit 7", "waits", "never"], limit=2, flow=flow)
        execution = driver.over(execution_id)  # at once: the sibling still runs
        (tmp_path / "bin" / "go").touch()

        states = {
            json.loads(run["value"])["first"]: run["state"]["current"]
            for run in execution["taskRunList"]
            if "value" in run
        }
        assert execution["state"]["current"] == "FAILED"
        assert states == ({} if dialect == "2" else {0: "FAILED", 1: "RUNNING" if dialect == "0" else "FAILED"})
        assert "outputs" not in execution
        ended = [line["item"] for line in driver.begun(2) if line["event"] == "start"]
        assert sorted(ended) == ["r-0", "r-1"]


@pytest.mark.parametrize("dialect", ["0", "1"])
def test_allow_failure_on_the_for_each_alone_looks_mild_and_forgets_the_rest(tmp_path: Path, dialect: str) -> None:
    flow = source(dialect).replace("        allowFailure: true", "        allowFailure: false")
    flow = flow.replace("    concurrencyLimit: 3", "    concurrencyLimit: 3\n    allowFailure: true")
    with running(tmp_path, dialect) as driver:
        names = ["exit 7", "exit 7 too", "exit 7 again", "never", "never either"]
        execution = driver.over(begin(driver, names, flow=flow))
        begun = {line["item"] for line in driver.ledger()["children"] if line["event"] == "start"}
        assert execution["state"]["current"] == "WARNING"
        assert begun <= {"r-0", "r-1", "r-2"}


def test_a_loop_that_does_not_transmit_failures_is_a_success_whatever_its_children_did(tmp_path: Path) -> None:
    flow = source("2").replace("allowFailure: true", "allowFailure: false")
    with running(tmp_path, "2") as driver:
        execution = driver.over(begin(driver, ["exit 7", "Ace"], flow=flow))
        assert execution["state"]["current"] == "SUCCESS"
        assert told_of(execution) == [(0, "uncertain", "exit 7"), (1, "completed", "Ace")]


def test_an_iteration_is_absent_without_a_default_of_its_loops_output(tmp_path: Path) -> None:
    flow = source("2").replace("(outputs.call.vars.results ?? [])", "outputs.call.vars.results")
    with running(tmp_path, "2") as driver:
        execution = driver.over(begin(driver, ["exit 7", "Ace"], flow=flow))
        assert told_of(execution) == [(1, "completed", "Ace")]


@every_dialect
def test_a_flow_output_that_cannot_be_rendered_fails_the_whole_execution(tmp_path: Path, dialect: str) -> None:
    flow = source(dialect, FlowKind.ONE_TASK).replace("(outputs.call.vars.results ?? [])", "outputs.call.vars.results")
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, ["silent"], FlowKind.ONE_TASK, flow=flow))
        assert (execution["state"]["current"], execution.get("outputs")) == ("FAILED", None)


# facts 10: a script task


@every_dialect
def test_what_stands_in_env_is_rendered_twice_but_on_0_21(tmp_path: Path, dialect: str) -> None:
    item = "item.value" if dialect == "2" else "taskrun.value"
    raw = source(dialect).replace("        env:\n", f'        env:\n          RAW: "{{{{ {item} }}}}"\n')
    flow = raw.replace("concierge-calls kestra child --item item.json", "printenv RAW")
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, ["it is {{ vars.lines }}"], flow=flow))
        logs = iteration_logs(driver, execution["id"]) if dialect == "2" else messages(driver, execution["id"])
        assert [("it is 3" in line, "vars.lines" in line) for line in logs] == [(dialect != "0", dialect == "0")]

        broken = driver.over(begin(driver, ["it is {{ x }}"], flow=flow, run_id="s"))
        logs = iteration_logs(driver, broken["id"]) if dialect == "2" else messages(driver, broken["id"])
        assert ["Unable to find 'x' used in the expression" in line for line in logs] == [dialect != "0"]


@every_dialect
def test_an_environment_that_is_too_large_fails_the_child(tmp_path: Path, dialect: str) -> None:
    item = "item.value" if dialect == "2" else "taskrun.value"
    flow = source(dialect).replace("        env:\n", f'        env:\n          RAW: "{{{{ {item} }}}}"\n')
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, ["x" * 210_000], flow=flow))
        logs = iteration_logs(driver, execution["id"]) if dialect == "2" else messages(driver, execution["id"])
        assert ["Argument list too long" in line for line in logs] == [True]


def test_a_child_has_the_servers_environment_a_folder_of_its_own_and_kestras_secrets(tmp_path: Path) -> None:
    told = '\'::{"outputs":{"results":["%s","%s","%s"]}}::\\n\' "$KEY" "$OWN" "$WORKING_DIR"'
    flow = printing("1", f"printf {told}; pwd", FlowKind.ONE_TASK)
    flow = flow.replace("    env:\n", "    env:\n      OWN: \"{{ secret('NAME') }}\"\n")
    environment = {"KEY": "k", "SECRET_NAME": base64.b64encode(b"s").decode()}
    with running(tmp_path, "1", environment) as driver:
        execution = driver.over(begin(driver, ["Ace"], FlowKind.ONE_TASK, flow=flow))
        key, own, folder = execution["outputs"]["call_results"]
        assert (key, own, messages(driver, execution["id"])) == ("k", "s", [folder])
        assert not Path(folder).exists()


def test_a_container_cannot_be_run_here(tmp_path: Path) -> None:
    flow = source("1", FlowKind.ONE_TASK).replace("core.runner.Process", "scripts.runner.docker.Docker")
    with running(tmp_path, "1") as driver:
        execution = driver.over(begin(driver, ["Ace"], FlowKind.ONE_TASK, flow=flow))
        assert (execution["state"]["current"], execution["outputs"]["call_results"]) == ("WARNING", [])
        assert messages(driver, execution["id"]) == ["Cannot connect to the Docker daemon"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('::{"outputs":{"a":1}}::', {"a": 1}),
        ('::{"outputs":{"a":"\u00e9 \U0001f600"}}::', {"a": "\u00e9 \U0001f600"}),
        ('::{"outputs":{"a":"\u2028"}}::', {}),  # raw; and Kestra says nothing of it
        (' ::{"outputs":{"a":1}}::', {}),
        ('::{"outputs":{"a":1}}:: ', {}),
        ("::{broken}::", {}),
        ('::{"outputs":[1]}::', {}),
        ("hello", {}),
    ],
)
def test_outputs_are_one_whole_line_without_another_kind_of_line_end(line: str, found: dict[str, Any]) -> None:
    assert outputs_in(line) == found


@every_dialect
def test_a_silent_child_is_a_success_without_a_result(tmp_path: Path, dialect: str) -> None:
    for name in ("silent", "raw"):
        with running(tmp_path, dialect) as driver:
            execution = driver.over(begin(driver, [name], FlowKind.ONE_TASK))
            assert (execution["state"]["current"], execution["outputs"]["call_results"]) == ("SUCCESS", []), name


@every_dialect
@pytest.mark.parametrize(("timeout", "kept"), [(True, 0), (False, 1)])
def test_a_failed_childs_outputs_are_kept_only_where_its_task_has_no_timeout(
    tmp_path: Path, dialect: str, *, timeout: bool, kept: int
) -> None:
    text = source(dialect, FlowKind.ONE_TASK)
    flow = text if timeout else text.replace("    timeout: PT60S", "    # timeout: PT60S")
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, ["fails after"], FlowKind.ONE_TASK, flow=flow))
        assert execution["state"]["current"] == "WARNING"
        assert [len(execution["outputs"][each]) for each in ("call_results", "call_files")] == [kept, kept]


@every_dialect
def test_a_timeout_is_sigterm_and_what_was_printed_is_lost(tmp_path: Path, dialect: str) -> None:
    printed = """printf '::{"outputs":{"results":["printed before"]}}::\\n'"""
    wait = "touch $STANDIN/ready; while :; do sleep 0.01 || true; done"
    command = f"trap 'touch $STANDIN/told; exit 0' TERM; {printed}; {wait}"
    flow = printing(dialect, command, FlowKind.ONE_TASK).replace("PT60S", "PT0.01S")
    with running(tmp_path, dialect, time_from=tmp_path / "bin" / "ready") as driver:
        execution = driver.over(begin(driver, ["Ace"], FlowKind.ONE_TASK, flow=flow))
        assert (execution["state"]["current"], execution["outputs"]["call_results"]) == ("WARNING", [])
        assert messages(driver, execution["id"])[-1] == "Timeout after PT0.01S"
        assert (tmp_path / "bin" / "told").exists()


@every_dialect
def test_a_child_that_ignores_sigterm_keeps_its_task_running_until_it_ends_by_itself(
    tmp_path: Path, dialect: str
) -> None:
    wait = "touch $STANDIN/ready; until [ -e $STANDIN/termed ]; do sleep 0.01 || true; done"
    command = f"trap 'touch $STANDIN/termed' TERM; {wait}; touch $STANDIN/after"
    flow = printing(dialect, command, FlowKind.ONE_TASK).replace("PT60S", "PT0.01S")
    with running(tmp_path, dialect, time_from=tmp_path / "bin" / "ready") as driver:
        execution = driver.over(begin(driver, ["Ace"], FlowKind.ONE_TASK, flow=flow))
        assert execution["state"]["current"] == "WARNING"
        assert (tmp_path / "bin" / "after").exists()  # nothing followed the SIGTERM


# facts 11: kill


@every_dialect
def test_a_kill_is_sigterm_begins_nobody_more_and_the_state_says_nothing_of_the_process(
    tmp_path: Path, dialect: str
) -> None:
    names = ["Ace", "waits on and on", "never"]
    with running(tmp_path, dialect) as driver:
        execution_id = begin(driver, names, limit=1)
        driver.begun(1)
        execution = killed_while_waiting(driver, execution_id, tmp_path)

        assert execution["state"]["current"] == "KILLED"
        assert {line["item"] for line in driver.ledger()["children"]} <= {"r-0", "r-1"}
        assert len([line for line in driver.ledger()["children"] if line["event"] == "end"]) == 1  # it lives on
        (tmp_path / "bin" / "go").touch()
        outputs = execution.get("outputs")
        if dialect == "2":
            assert [each["status"] for each in outputs["call_results"]] == ["completed"]
            return
        children = {json.loads(run["value"])["first"]: run for run in execution["taskRunList"] if "value" in run}
        assert outputs is None
        assert children[0]["outputs"]["vars"]["results"][0]["name"] == "Ace"
        assert (children[1]["outputs"], children[1]["state"]["current"]) == ({}, "KILLED")


def killed_while_waiting(driver: Driver, execution_id: str, tmp_path: Path) -> Any:
    """Kill an execution once its second child has begun to wait."""
    driver.begun(2)
    while not list((tmp_path / "bin").glob("*.waits")):
        driver.execution(execution_id)
    driver.kill(execution_id)
    return driver.over(execution_id)


def test_a_killed_loop_has_the_killed_iterations_with_their_defaults_at_its_endpoint(tmp_path: Path) -> None:
    with running(tmp_path, "2") as driver:
        execution_id = begin(driver, ["Ace", "waits"], limit=1)
        killed_while_waiting(driver, execution_id, tmp_path)
        (told,) = driver.ask("GET", f"/outputs/{execution_id}").json()
        entries: list[Any] = []
        while len(entries) < 2:  # the second one is there once its process has gone
            loop = driver.ask("GET", f"/outputs/{execution_id}/{told['taskRunId']}").json()
            entries = [len(each["outputs"]["results"]) for each in loop["outputs"]]
        assert entries == [1, 0]


# facts 12: sizes


@pytest.mark.parametrize(("dialect", "large"), [("0", 11 << 20), ("1", 11 << 20), ("2", 1100 << 10)])
def test_a_result_that_is_too_large_vanishes_and_the_run_is_a_success(tmp_path: Path, dialect: str, large: int) -> None:
    with running(tmp_path, dialect, {"LARGE": str(large)}) as driver:
        execution = driver.over(begin(driver, ["large", "Ace"]))
        assert execution["state"]["current"] == "SUCCESS"
        assert told_of(execution) == [(0, "uncertain", "large"), (1, "completed", "Ace")]
        logs = iteration_logs(driver, execution["id"]) if dialect == "2" else messages(driver, execution["id"])
        assert ["MessageTooBigException" in line for line in logs] == ([True] if dialect == "2" else [])


def test_what_is_not_too_large_comes_home(tmp_path: Path) -> None:
    with running(tmp_path, "1", {"LARGE": str(2 << 20)}) as driver:
        execution = driver.over(begin(driver, ["large"], FlowKind.ONE_TASK))
        assert len(execution["outputs"]["call_results"][1]) == 2 << 20
