"""The double over HTTP: what each dialect's server answers, as facts 1 to 6, 11 and 12 have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from concierge_calls.kestra.flow import FlowKind
from tests.kestra.double.driver import NAMESPACE, Driver
from tests.kestra.double.options import PASSWORD, RELEASED_2, USER
from tests.kestra.double.ours import DIALECTS, begin, running, source

FLOW = FlowKind.FAN_OUT.flow_id
YAML = {"Content-Type": "application/x-yaml"}
ONE = {"providers": '[{"name": "Ace", "phone": "+18645550100"}]', "max_concurrent": "3"}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def message(reply: httpx.Response) -> tuple[int, Any]:
    """Return the status and the sentence of a refusal."""
    said = reply.json()
    return reply.status_code, said.get("message", said.get("detail"))


# facts 1 and 2


@every_dialect
def test_a_server_says_its_version_and_that_it_lives_to_everybody(tmp_path: Path, dialect: str) -> None:
    user = {"isBasicAuthEnabled": False} if dialect == "0" else {"isBasicAuthInitialized": True}
    version = {"0": "0.21.0-SNAPSHOT", "1": "1.3.25", "2": "2.0.0-SNAPSHOT"}[dialect]
    with running(tmp_path, dialect) as driver:
        assert httpx.get(f"{driver.url}/ping").text == "pong"
        assert httpx.get(f"{driver.url}/api/v1/configs").json() == {"version": version, "edition": "OSS", **user}
        assert httpx.get(f"{driver.url}/api/v1/main/configs").status_code in (401, 404)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer abc"}, {"Authorization": "Basic eDp5"}])
@pytest.mark.parametrize("dialect", ["1", "2"])
def test_whoever_has_no_credentials_of_basic_auth_gets_401_without_a_body(
    tmp_path: Path, dialect: str, headers: dict[str, str]
) -> None:
    with running(tmp_path, dialect) as driver:
        reply = httpx.get(f"{driver.root}/flows/{NAMESPACE}/{FLOW}", headers=headers)
        assert (reply.status_code, reply.content) == (401, b"")


def test_until_a_user_is_set_everybody_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "1", user=None) as driver:
        told = httpx.get(f"{driver.url}/api/v1/configs").json()["isBasicAuthInitialized"]
        assert (told, driver.ask("GET", "/executions/search").status_code) == (False, 401)

        weak = driver.ask("POST", "/basicAuth", json={"uid": "x", "username": USER, "password": "weak"})
        good = driver.ask("POST", "/basicAuth", json={"uid": "x", "username": USER, "password": PASSWORD})
        assert (weak.status_code, good.status_code) == (400, 204)
        assert driver.ask("GET", "/executions/search").json() == {"results": [], "total": 0}


def test_the_tenant_is_main_or_none_and_0_21_has_none(tmp_path: Path) -> None:
    auth = httpx.BasicAuth(USER, PASSWORD)
    with running(tmp_path, "1") as driver:
        other = httpx.get(f"{driver.url}/api/v1/other/executions/search", auth=auth)
        assert message(other) == (400, "Bad Request: Tenant must be 'main' for OSS version")
        assert httpx.get(f"{driver.url}/api/v1/executions/search", auth=auth).status_code == 200
    with running(tmp_path, "0") as driver:
        assert httpx.get(f"{driver.url}/api/v1/main/executions/search").status_code == 404


# facts 3


def test_errors_are_micronauts_and_problem_details_in_released_2(tmp_path: Path) -> None:
    with running(tmp_path, "2") as driver:
        assert driver.ask("GET", "/executions/none").json() == {
            "message": "Not Found",
            "logref": None,
            "path": None,
            "_links": {"self": {"href": "/api/v1/main/executions/none", "templated": False}},
            "_embedded": {"errors": [{"message": "Not Found"}]},
        }
    with running(tmp_path, "2", version=RELEASED_2) as driver:
        reply = driver.ask("GET", "/executions/none")
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json() == {"type": "about:blank", "title": "Error", "status": 404, "detail": "Not Found"}


# facts 4


@every_dialect
def test_a_flow_has_a_revision_for_every_change_of_its_source(tmp_path: Path, dialect: str) -> None:
    text, path = source(dialect), f"/flows/{NAMESPACE}/{FLOW}"
    with running(tmp_path, dialect) as driver:
        assert driver.ask("PUT", path, content=text, headers=YAML).status_code == 404
        assert driver.ask("POST", "/flows", content=text, headers=YAML).json()["revision"] == 1
        again = driver.ask("POST", "/flows", content=text, headers=YAML)
        assert message(again) == (422, "Invalid entity: flow.id: Flow id already exists")
        assert driver.ask("PUT", path, content=text, headers=YAML).json()["revision"] == 1
        assert driver.ask("PUT", path, content=f"{text}# changed\n", headers=YAML).json()["revision"] == 2
        assert driver.ask("GET", path, params={"source": "true"}).json()["source"] == f"{text}# changed\n"
        assert "source" not in driver.ask("GET", path).json()
        other = driver.ask("PUT", f"/flows/{NAMESPACE}/other", content=text, headers=YAML)
        assert other.status_code == 404


@pytest.mark.parametrize(
    ("dialect", "old", "new", "sentence"),
    [
        ("1", "core.flow.ForEach", "core.flow.Loop", "Invalid type: io.kestra.plugin.core.flow.Loop"),
        ("2", "core.flow.Loop", "core.flow.ForEach", "Invalid type: io.kestra.plugin.core.flow.ForEach"),
        ("1", "allowFailure:", "allowFailures:", 'Unrecognized field "allowFailures" (class io.kestra.plugin.scripts'),
        ("1", "concurrencyLimit: 3", 'concurrencyLimit: "{{ x }}"', "Cannot deserialize value of type `java.lang."),
        ("1", "tasks:\n", "tasks: [\n", "Illegal genericflow source: YAML parsing error"),
    ],
)
def test_a_flow_that_a_server_does_not_take_is_422_and_validate_is_200_whatever_it_says(
    tmp_path: Path, dialect: str, old: str, new: str, sentence: str
) -> None:
    text = source(dialect).replace(old, new)
    with running(tmp_path, dialect) as driver:
        status, said = message(driver.ask("POST", "/flows", content=text, headers=YAML))
        assert (status, said[: len(f"Invalid entity: {sentence}")]) == (422, f"Invalid entity: {sentence}")
        validated = driver.ask("POST", "/flows/validate", content=text, headers=YAML)
        assert validated.status_code == 200
        assert validated.json()[0]["constraints"].startswith(f"Validation error: {sentence}")


@every_dialect
def test_our_flows_are_valid_and_without_the_script_plugin_they_are_not(tmp_path: Path, dialect: str) -> None:
    prefix = "" if dialect == "0" else "Validation error: "
    for kind in FlowKind:
        with running(tmp_path, dialect) as driver:
            reply = driver.ask("POST", "/flows/validate", content=source(dialect, kind), headers=YAML)
            assert reply.json() == [{"index": 0, "outdated": False, "warnings": []}]
        with running(tmp_path, dialect, plugins=()) as driver:
            reply = driver.ask("POST", "/flows/validate", content=source(dialect, kind), headers=YAML)
            assert reply.json()[0]["constraints"] == f"{prefix}Invalid type: io.kestra.plugin.scripts.shell.Commands"


# facts 5


def test_an_execution_is_started_by_multipart_and_by_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path, "1") as driver:
        driver.deploy(source("1")).raise_for_status()
        path = f"/executions/{NAMESPACE}/{FLOW}"
        assert message(driver.ask("POST", path, json={"providers": []})) == (
            415,
            "Content Type [application/json] not allowed. Allowed types: [multipart/form-data]",
        )
        assert message(driver.ask("POST", path)) == (422, "Invalid entity: Missing required input:providers")
        assert message(driver.start(FLOW, {"providers": "[", "max_concurrent": "3"}))[0] == 422
        assert message(driver.start(FLOW, ONE | {"max_concurrent": "x"})) == (
            422,
            "Invalid entity: Invalid value for input 'max_concurrent'. Cause: For input string: \"x\"",
        )
        assert message(driver.start("none", ONE)) == (404, "Requested Flow is not found.")
        assert message(driver.start(FLOW, ONE, revision=2)) == (404, "Requested Flow is not found.")
        assert driver.ledger() == {"starts": 0, "children": []}


def test_a_misspelt_input_goes_unnoticed_and_a_revision_is_pinned(tmp_path: Path) -> None:
    with running(tmp_path, "1") as driver:
        driver.deploy(source("1")).raise_for_status()
        driver.deploy(source("1", limit=4)).raise_for_status()
        reply = driver.start(FLOW, ONE | {"urgencie": "today"}, revision=1).json()
        execution = driver.over(reply["id"])
        assert (execution["flowRevision"], execution["inputs"]["urgency"]) == (1, "within_2_days")
        assert execution["state"]["current"] == "SUCCESS"


@every_dialect
def test_labels_keep_what_follows_the_first_colon_and_kestras_own_are_its_own(tmp_path: Path, dialect: str) -> None:
    given = {"files": {"providers": ONE["providers"].strip("[]").encode()}} if dialect == "2" else {}
    with running(tmp_path, dialect) as driver:
        driver.deploy(source(dialect)).raise_for_status()
        labels = ["run:2026-11-24T21:00:00", "system.correlationId:r"]
        execution = driver.start(FLOW, ONE, labels=labels, **given).json()
        assert execution["labels"] == [
            {"key": "run", "value": "2026-11-24T21:00:00"},
            {"key": "system.correlationId", "value": "r"},
            {"key": "system.from", "value": "api"},
        ]
        assert driver.start(FLOW, ONE, labels=["run"], **given).status_code == 422
        assert message(driver.start(FLOW, ONE, labels=["system.x:y"], **given)) == (
            422,
            "System labels can only be set by Kestra itself",
        )


@pytest.mark.parametrize(
    ("dialect", "query", "found"),
    [
        ("0", {"labels": "run:b"}, ["b"]),
        ("0", {"filters[labels][EQUALS][run]": "b"}, ["a", "b", "c"]),  # not known there, so ignored
        ("1", {"labels": "run:b"}, ["b"]),
        ("1", {"filters[labels][EQUALS][run]": "b", "filters[flowId][EQUALS]": FLOW}, ["b"]),
        ("1", {"filters[flowId][EQUALS]": "other"}, []),
        ("2", {"labels": "run:b"}, ["a", "b", "c"]),
        ("2", {"filters[labels][EQUALS][run]": "b"}, ["b"]),
        ("2", {"filters[labels][EQUALS][system.from]": "api", "size": "2"}, ["a", "b"]),
        ("1", {"sort": "state.startDate:desc"}, ["c", "b", "a"]),
    ],
)
def test_each_version_ignores_the_filters_of_the_others(
    tmp_path: Path, dialect: str, query: dict[str, str], found: list[str]
) -> None:
    with running(tmp_path, dialect) as driver:
        for run_id in ("a", "b", "c"):
            driver.over(begin(driver, ["Ace"], run_id=run_id))
        results = driver.ask("GET", "/executions/search", params=query).json()["results"]
        assert [each["labels"][0]["value"] for each in results] == found
        assert {"taskRunList" in each for each in results} <= {dialect != "2"}


@pytest.mark.parametrize(("dialect", "status"), [("0", 200), ("1", 422), ("2", 422)])
def test_an_unknown_field_inside_filters_is_refused_where_filters_are_known(
    tmp_path: Path, dialect: str, status: int
) -> None:
    with running(tmp_path, dialect) as driver:
        driver.over(begin(driver, ["Ace"]))
        query = {"filters[nothing][EQUALS]": "x"}
        assert driver.ask("GET", "/executions/search", params=query).status_code == status


def test_a_search_lags_behind_the_reply_and_a_read_by_id_does_not(tmp_path: Path) -> None:
    with running(tmp_path, "1", search_lag=3600.0) as driver:
        execution = driver.over(begin(driver, ["Ace"]))
        assert execution["state"]["current"] == "SUCCESS"
        assert driver.ask("GET", "/executions/search").json() == {"results": [], "total": 0}


@pytest.mark.parametrize(("becomes", "started"), [("lost", 1), ("gateway", 1), ("refused", 0)])
def test_a_reply_that_was_lost_or_is_a_gateways_says_nothing_of_what_was_started(
    tmp_path: Path, becomes: str, started: int
) -> None:
    with running(tmp_path, "1") as driver:
        driver.deploy(source("1")).raise_for_status()
        driver.next_starts(becomes)
        if becomes == "lost":
            with pytest.raises(httpx.RemoteProtocolError):
                driver.start(FLOW, ONE, labels=["run:r"])
        else:
            assert driver.start(FLOW, ONE, labels=["run:r"]).status_code == 502
        query = {"filters[labels][EQUALS][run]": "r"}
        assert driver.ask("GET", "/executions/search", params=query).json()["total"] == started
        assert driver.ledger()["starts"] == started
        assert driver.start(FLOW, ONE).status_code == 200


# facts 6


@pytest.mark.parametrize("dialect", ["0", "1"])
def test_before_2_the_execution_shows_every_child_with_its_item_and_its_outputs(tmp_path: Path, dialect: str) -> None:
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, ["Ace", "exit 7"]))
        children = {json.loads(run["value"])["first"]: run for run in execution["taskRunList"] if "value" in run}

        assert {run["taskId"] for run in execution["taskRunList"]} == {"refuse_another_limit", "each", "call"}
        assert children[0]["outputs"]["vars"]["results"][0]["name"] == "Ace"
        assert children[0]["outputs"]["exitCode"] == 0
        assert (children[1]["outputs"], children[1]["state"]["current"]) == ({}, "WARNING")
        assert {len(child["attempts"]) for child in children.values()} == {1}
        assert {child.get("iteration") for child in children.values()} == ({0, 1} if dialect == "1" else {None})


def test_2_shows_no_child_in_the_execution_and_has_endpoints_for_what_a_loop_brought(tmp_path: Path) -> None:
    with running(tmp_path, "2") as driver:
        execution = driver.over(begin(driver, ["Ace", "exit 7"], limit=1))
        runs = [(run["taskId"], "outputs" in run, "value" in run) for run in execution["taskRunList"]]
        assert runs == [("refuse_another_limit", False, False), ("each", False, False)]

        (told,) = driver.ask("GET", f"/outputs/{execution['id']}").json()
        loop = driver.ask("GET", f"/outputs/{execution['id']}/{told['taskRunId']}").json()
        entries = [(each["item"]["iteration"], len(each["outputs"]["results"])) for each in loop.pop("outputs")]
        assert loop == {"iterationCount": 2, "runningIterations": 0, "terminatedIterations": 2}
        assert entries == [(0, 1), (1, 0)]
        assert driver.ask("GET", f"/outputs/executions/{execution['id']}").status_code == 404


def test_released_2_has_the_flows_outputs_at_an_endpoint_alone(tmp_path: Path) -> None:
    with running(tmp_path, "2", version=RELEASED_2) as driver:
        execution = driver.over(begin(driver, ["Ace"]))
        assert "outputs" not in execution
        outputs = driver.ask("GET", f"/outputs/executions/{execution['id']}").json()
        assert [each["name"] for each in outputs["call_results"]] == ["Ace"]
        (told,) = driver.ask("GET", f"/outputs/tasks/{execution['id']}").json()
        assert told["taskId"] == "each"
        loop = driver.ask("GET", f"/outputs/tasks/{execution['id']}/{told['taskRunId']}").json()
        assert (len(loop["outputs"]), loop["terminatedIterations"]) == (1, {"SUCCESS": 1})


# facts 12 and 13


def test_inputs_of_more_than_1_mb_start_nothing_on_2_unless_they_are_a_file(tmp_path: Path) -> None:
    flow, large = FlowKind.ONE_TASK.flow_id, json.dumps([{"name": "Ace", "criteria": "x" * 1_100_000}])
    text = source("2", FlowKind.ONE_TASK)
    with running(tmp_path, "2") as driver:
        as_json = text.replace("type: FILE", "type: JSON").replace(
            "inputs.providers }}", "inputs.providers | toJson }}"
        )
        driver.deploy(as_json).raise_for_status()
        status, said = message(driver.start(flow, {"providers": large}))
        assert (status, "exceeded the configured limit of 1048576" in said) == (500, True)
        assert driver.ledger()["starts"] == 0

        driver.deploy(text).raise_for_status()
        execution = driver.over(driver.start(flow, {}, {"providers": large.encode()}).json()["id"])
        assert execution["state"]["current"] == "SUCCESS"


@pytest.mark.parametrize("part", [("providers", "any.json"), ("files", "providers"), ("providers", "providers")])
def test_a_file_input_is_taken_by_its_parts_name_or_its_files(tmp_path: Path, part: tuple[str, str]) -> None:
    content = b'[{"name": "Ace\\r\\n--", "phone": "+18645550100"}]\r\n--'.removesuffix(b"\r\n--")
    with running(tmp_path, "2") as driver:
        driver.deploy(source("2", FlowKind.ONE_TASK)).raise_for_status()
        flow, (name, file_name) = FlowKind.ONE_TASK.flow_id, part
        reply = driver.ask("POST", f"/executions/{NAMESPACE}/{flow}", files={name: (file_name, content)})
        execution = driver.over(reply.json()["id"])
        assert execution["outputs"]["call_results"][0]["name"] == "Ace\r\n--"


@pytest.mark.parametrize(
    ("dialect", "query", "levels"),
    [
        ("1", {"minLevel": "WARN"}, {"ERROR"}),
        ("2", {"filters[level][GREATER_THAN_OR_EQUAL_TO]": "WARN"}, {"ERROR"}),
        ("2", {"minLevel": "ERROR"}, {"INFO", "ERROR"}),  # not known there, so ignored
    ],
)
def test_a_log_is_cut_by_level_in_the_form_that_the_version_knows(
    tmp_path: Path, dialect: str, query: dict[str, str], levels: set[str]
) -> None:
    flow = source(dialect, FlowKind.ONE_TASK).replace("concierge-calls kestra child", "echo hello; exit 3 #")
    with running(tmp_path, dialect) as driver:
        execution = driver.over(begin(driver, ["Ace"], FlowKind.ONE_TASK, flow=flow))
        lines = driver.ask("GET", f"/logs/{execution['id']}", params=query).json()
        assert {line["level"] for line in lines} == levels
        assert lines[-1]["message"] == "Command failed with exit code 3"


# facts 11


@every_dialect
def test_kill_has_a_path_and_an_answer_of_its_own_in_each_dialect(tmp_path: Path, dialect: str) -> None:
    with running(tmp_path, dialect) as driver:
        execution_id = begin(driver, ["waits"])
        begun(driver, 1)
        killed = driver.kill(execution_id)
        assert (killed.status_code, bool(killed.content)) == ((200, True) if dialect == "2" else (202, False))
        assert driver.over(execution_id)["state"]["current"] == "KILLED"
        assert driver.kill(execution_id).status_code == killed.status_code  # over, and no conflict
        assert driver.kill("none").status_code == 404
        if dialect == "2":
            assert driver.ask("DELETE", f"/executions/{execution_id}/kill").status_code == 405


def test_released_2_says_409_to_a_kill_of_what_is_over(tmp_path: Path) -> None:
    with running(tmp_path, "2", version=RELEASED_2) as driver:
        execution = driver.over(begin(driver, ["Ace"]))
        assert driver.kill(execution["id"]).status_code == 409


def begun(driver: Driver, number: int) -> None:
    assert len([line for line in driver.begun(number) if line["event"] == "start"]) == number
