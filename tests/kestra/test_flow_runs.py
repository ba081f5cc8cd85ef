"""Our flows as they run on the double, in each dialect, with a stand-in for the command of their tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.kestra.flow import FlowKind, changed
from tests.kestra.double.driver import Driver
from tests.kestra.double.ours import DIALECTS, begin, running, source, told_of

pytestmark = pytest.mark.parametrize("dialect", DIALECTS)

# facts 10: what went through real servers, and was broken by some ways through them.
HOSTILE = [
    "Ace \"quoted\" and 'quoted' Plumbing",
    "back\\slash \\n \\u0041",
    "new\nline\ttab",
    "{{ vars.lines }}",
    "{{ secret('VAPI_API_KEY') }} {% raw %} {# no #}",
    "$(id) `id` $HOME ; exit 1",
    "caf\u00e9 \u4e2d\u6587 \U0001f600",
    "line\u2028separator\u0085next",
    '::{"outputs":{"results":[]}}::',
    "kestra:///double/etc/passwd",
    "-- --help",
    "",
]


@pytest.mark.parametrize("kind", FlowKind)
def test_twelve_items_at_limit_three_are_three_at_once_and_every_hostile_name_comes_home(
    tmp_path: Path, dialect: str, kind: FlowKind
) -> None:
    environment = {"TOGETHER": "3" if kind is FlowKind.FAN_OUT else "1"}
    with running(tmp_path, dialect, environment) as driver:
        execution = driver.over(begin(driver, HOSTILE, kind, limit=3))

        assert execution["state"]["current"] == "SUCCESS"
        assert told_of(execution) == [(index, "completed", name) for index, name in enumerate(HOSTILE)]
        assert {each["run_id"] for each in execution["outputs"]["call_results"]} == {"r"}
        assert driver.peak() == (3 if kind is FlowKind.FAN_OUT else 1)
        assert files(driver, execution) == sorted(HOSTILE)


def files(driver: Driver, execution: Any) -> list[str]:
    """Return who is in the files that the children left."""
    path = f"/executions/{execution['id']}/file"
    kept = [driver.ask("GET", path, params={"path": uri}) for uri in execution["outputs"]["call_files"]]
    return sorted(each["name"] for reply in kept for each in reply.raise_for_status().json())


def test_250_providers_are_slices_and_every_one_of_them_comes_home(tmp_path: Path, dialect: str) -> None:
    names = [f"Provider {index}" for index in range(250)]
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, names, limit=8))

        assert told_of(execution) == [(index, "completed", name) for index, name in enumerate(names)]
        assert len(execution["outputs"]["call_files"]) == 84


@pytest.mark.parametrize("kind", FlowKind)
def test_an_item_may_be_larger_than_an_environment_takes(tmp_path: Path, dialect: str, kind: FlowKind) -> None:
    names = ["Ace " * 50_000]  # 200 KB; a value of the environment ends at 128 KiB (facts 10)
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, names, kind))
        assert told_of(execution) == [(0, "completed", names[0])]


def test_a_child_that_fails_is_one_uncertain_entry_and_stops_nobody(tmp_path: Path, dialect: str) -> None:
    names = ["exit 7", "killed", "silent", "fails after it told", "Ace", "Best"]
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, names, limit=2))

        assert execution["state"]["current"] == ("SUCCESS" if dialect == "2" else "WARNING")
        assert told_of(execution) == [
            (0, "uncertain", "exit 7"),
            (1, "uncertain", "killed"),
            (2, "uncertain", "silent"),
            (3, "uncertain", "fails after it told"),  # a timeout makes Kestra forget what it had printed
            (4, "completed", "Ace"),
            (5, "completed", "Best"),
        ]


def test_a_slice_whose_child_fails_is_an_uncertain_entry_for_each_of_its_providers(
    tmp_path: Path, dialect: str
) -> None:
    names = ["exit 7", "its neighbour", *(f"Provider {index}" for index in range(2, 102))]
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, names, limit=8))

        told = told_of(execution)
        assert told[:2] == [(0, "uncertain", "exit 7"), (1, "uncertain", "its neighbour")]
        assert {status for _, status, _ in told[2:]} == {"completed"}
        assert [index for index, _, _ in told] == list(range(102))


def test_all_children_may_fail_and_everybody_still_has_an_entry(tmp_path: Path, dialect: str) -> None:
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, ["exit 7", "killed"], limit=2))
        assert told_of(execution) == [(0, "uncertain", "exit 7"), (1, "uncertain", "killed")]
        assert execution["outputs"]["call_files"] == []


@pytest.mark.parametrize("kind", FlowKind)
def test_nobody_to_call_is_an_empty_list_of_results(tmp_path: Path, dialect: str, kind: FlowKind) -> None:
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, [], kind))
        assert (execution["state"]["current"], execution["outputs"]["call_results"]) == ("SUCCESS", [])


@pytest.mark.parametrize("kind", FlowKind)
def test_the_one_task_has_our_own_limit_inside_and_the_other_refuses_what_it_was_not_rendered_for(
    tmp_path: Path, dialect: str, kind: FlowKind
) -> None:
    with running(tmp_path, dialect) as driver:
        driver.deploy(source(dialect, kind)).raise_for_status()
        providers = '{"name": "Ace", "phone": "+18645550100"}'
        whole = providers if dialect == "2" and kind is FlowKind.FAN_OUT else f"[{providers}]"
        files = {"providers": whole.encode()} if dialect == "2" else {}
        inputs = {"max_concurrent": "9"} | ({} if files else {"providers": whole})
        execution = driver.over(driver.start(kind.flow_id, inputs, files).json()["id"])

        errors = [line["message"] for line in driver.ask("GET", f"/logs/{execution['id']}").json()]
        if kind is FlowKind.ONE_TASK:
            assert (execution["state"]["current"], told_name(execution)) == ("SUCCESS", "Ace")
            return
        assert (execution["state"]["current"], driver.ledger()["children"]) == ("FAILED", [])
        assert errors == [
            "This flow calls 3 providers at once, and was asked for 9: nobody was called. Leave max_concurrent out, "
            "or deploy the flow for as many with: concierge-calls kestra deploy --max-concurrent 9"
        ]


def told_name(execution: Any) -> Any:
    (result,) = execution["outputs"]["call_results"]
    return result["name"]


def test_plain_providers_that_somebody_starts_the_flow_with_reach_the_child_with_the_flows_inputs(
    tmp_path: Path, dialect: str
) -> None:
    told = '"$(cat item.json)" "$(echo $CONCIERGE_CHILD_DEFAULTS_B64 | base64 -d)" $CONCIERGE_CHILD_LINES'
    flow = source(dialect).replace("concierge-calls kestra child --item item.json", f"printf '%s\\n' {told}")
    providers = [{"name": "Ace {{ 7 }}", "phone": "+18645550100"}, {"name": "Best", "phone": "+18645550101"}]
    inputs = {"service_needed": "a {{ leak }}", "location": "Greenville SC", "max_concurrent": "3"}
    files = {}
    if dialect == "2":
        files["providers"] = "\n".join(json.dumps(each) for each in providers).encode()
    else:
        inputs["providers"] = json.dumps(providers)
    with running(tmp_path, dialect) as driver:
        driver.deploy(flow).raise_for_status()
        execution = driver.over(driver.start("contact_providers_concurrent", inputs, files).json()["id"])
        handed = sorted(handed_over(driver, execution["id"]), key=lambda each: each[0]["name"])

        own = {"service_needed": "a {{ leak }}", "user_criteria": "", "location": "Greenville SC"}
        own |= {"urgency": "within_2_days", "run_id": "", "execution_id": execution["id"]}
        places = ["", ""] if dialect == "0" else [0, 1]  # where a provider stands in the list, where that is known
        assert [item for item, _, _ in handed] == providers
        assert [lines for _, _, lines in handed] == [3, 3]
        got = [{**defaults, "execution_id": execution["id"]} for _, defaults, _ in handed]
        assert got == [{**own, "place": place} for place in places]


def handed_over(driver: Driver, execution_id: str) -> list[tuple[Any, Any, Any]]:
    """Return what each child was handed: item, defaults and lines, which it printed one after the other."""
    logs = [execution_id]
    if driver.dialect == "2":  # a Loop's iterations have logs of their own (facts 9)
        query = {"filters[parentId][EQUALS]": execution_id, "filters[kind][EQUALS]": "LOOP"}
        logs = [each["id"] for each in driver.ask("GET", "/executions/search", params=query).json()["results"]]
    lines = [line for each in logs for line in driver.ask("GET", f"/logs/{each}").json()]
    said: dict[str, list[Any]] = {}
    for line in lines:
        said.setdefault(line["taskRunId"], []).append(json.loads(line["message"]))
    return [(item, defaults, number) for item, defaults, number in said.values()]


def test_a_run_changes_the_limit_of_the_deployed_flow_and_kestra_keeps_to_it(tmp_path: Path, dialect: str) -> None:
    names = [f"Provider {index}" for index in range(6)]
    with running(tmp_path, dialect, {"TOGETHER": "2"}) as driver:
        driver.deploy(source(dialect, limit=5)).raise_for_status()
        execution = driver.over(
            begin(driver, names, limit=2, flow=changed(source(dialect, limit=5), limit=2, backstop=30))
        )

        assert (execution["flowRevision"], execution["state"]["current"]) == (2, "SUCCESS")
        assert driver.peak() == 2
