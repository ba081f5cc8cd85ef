"""concierge_calls/kestra/flow.py: what is rendered for whom, and what of a deployed flow is changed."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

import pytest
import yaml

from concierge_calls import __version__
from concierge_calls.errors import KestraRefused, SettingsError
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import (
    FlowKind,
    Runner,
    RunnerKind,
    backstop,
    changed,
    is_ours,
    limit_of,
    render,
    rendered_by,
)
from tests.kestra.double import pebble

IMAGE = "registry.example.com/concierge:1"
DOCKER = Runner(kind=RunnerKind.DOCKER, image=IMAGE, memory="512MB", cpus=2.0)
EVERY = [
    pytest.param(kind, dialect, runner, id=f"{kind}-{dialect}-{runner.kind}")
    for kind in FlowKind
    for dialect in Dialect
    for runner in (Runner(), DOCKER)
]


def rendered(kind: FlowKind, dialect: Dialect, runner: Runner | None = None, *, limit: int = 5) -> str:
    return render(kind, dialect, limit=limit, backstop=1020, runner=runner, namespace="ai_concierge")


def parsed(kind: FlowKind, dialect: Dialect, runner: Runner | None = None) -> Any:
    return yaml.safe_load(rendered(kind, dialect, runner))


def child(flow: Any) -> Any:
    tasks = [*flow["tasks"], *(inner for task in flow["tasks"] for inner in task.get("tasks", []))]
    return next(task for task in tasks if task["id"] == "call")


@pytest.mark.parametrize(("kind", "dialect", "runner"), EVERY)
def test_a_flow_has_the_plans_inputs_and_its_output(kind: FlowKind, dialect: Dialect, runner: Runner) -> None:
    flow = parsed(kind, dialect, runner)
    inputs = {each["id"]: (each["type"], each.get("defaults")) for each in flow["inputs"]}

    assert (flow["id"], flow["namespace"]) == (kind.flow_id, "ai_concierge")
    assert inputs == {
        "providers": ("FILE" if dialect is Dialect.V2 else "JSON", None),
        "service_needed": ("STRING", None),
        "user_criteria": ("STRING", None),
        "location": ("STRING", None),
        "urgency": ("STRING", "within_2_days"),
        "max_concurrent": ("INT", 5),
        "run_id": ("STRING", None),
    }
    assert [output["id"] for output in flow["outputs"]] == ["call_results", "call_files"]


@pytest.mark.parametrize(("kind", "dialect", "runner"), EVERY)
def test_a_child_is_bounded_from_afar_and_its_failure_is_its_own(
    kind: FlowKind, dialect: Dialect, runner: Runner
) -> None:
    task = child(parsed(kind, dialect, runner))
    assert (task["allowFailure"], task["timeout"], task["outputFiles"]) == (True, "PT1020S", ["results.json"])


@pytest.mark.parametrize(("kind", "dialect", "runner"), EVERY)
def test_no_value_of_a_users_stands_in_a_command_or_raw_in_the_environment(
    kind: FlowKind, dialect: Dialect, runner: Runner
) -> None:
    task = child(parsed(kind, dialect, runner))
    raw = [value for value in task["env"].values() if "{{" in value and "base64encode" not in value]

    assert "{{" not in "".join(task["commands"])
    assert [value for value in raw if "secret(" not in value] in (
        ["{{ vars.lines }}"],
        ["{{ inputs.max_concurrent ?? vars.lines }}"],  # a number, or there is no execution
    )


@pytest.mark.parametrize("dialect", Dialect)
def test_kestra_bounds_the_children_by_a_number_and_refuses_another(dialect: Dialect) -> None:
    refuse, fan = parsed(FlowKind.FAN_OUT, dialect)["tasks"]

    assert fan["type"].endswith(".Loop" if dialect is Dialect.V2 else ".ForEach")
    assert fan["concurrencyLimit"] == 5
    assert fan.get("transmitFailed") is (False if dialect is Dialect.V2 else None)
    assert "concierge-calls kestra deploy --max-concurrent {{ inputs.max_concurrent }}" in refuse["errorMessage"]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    ("item", "names"),
    [
        ({"run_id": "r", "providers": [{"index": 3, "name": "Ace"}, {"index": 4, "name": "Best"}]}, ["Ace", "Best"]),
        ({"name": "Ace", "phone": "+18645550100"}, ["Ace"]),
        ({"name": "Ace", "providers": "none"}, ["Ace"]),
        ({"providers": ["Ace", 7]}, [None, None]),
        ("+18645550100", [None]),
    ],
)
def test_whatever_an_item_is_its_child_without_a_result_is_an_uncertain_entry(
    dialect: Dialect, item: Any, names: list[str | None]
) -> None:
    text = item if isinstance(item, str) else json.dumps(item)
    iteration = {"item": {"value": text, "iteration": 0}, "outputs": {"results": [], "file": ""}}
    outputs = {"each": {"outputs": [iteration]}} if dialect is Dialect.V2 else {}
    [value] = [each["value"] for each in parsed(FlowKind.FAN_OUT, dialect)["outputs"] if each["id"] == "call_results"]
    told = json.loads(pebble.render(value, {"outputs": outputs, "tasks": {"call": {text: {"state": "WARNING"}}}}))

    assert [(each["name"], each["status"]) for each in told] == [(name, "uncertain") for name in names]


@pytest.mark.parametrize("kind", FlowKind)
def test_containers_get_their_bounds_and_their_secrets_from_kestra(kind: FlowKind) -> None:
    task = child(parsed(kind, Dialect.V1, DOCKER))

    assert task["containerImage"] == IMAGE
    assert task["taskRunner"] == {
        "type": "io.kestra.plugin.scripts.runner.docker.Docker",
        "memory": {"memory": "512MB"},
        "cpu": {"cpus": 2},
    }
    assert task["env"]["VAPI_API_KEY"] == "{{ secret('VAPI_API_KEY') }}"


@pytest.mark.parametrize(
    ("given", "size"),
    [("512MB", "512MB"), ("512m", "512MB"), ("2 gb", "2GB"), ("64K", "64KB"), ("536870912", "536870912")],
)
def test_a_containers_memory_is_written_as_kestra_reads_it(given: str, size: str) -> None:
    runner = Runner(kind=RunnerKind.DOCKER, image=IMAGE, memory=given)

    assert child(parsed(FlowKind.FAN_OUT, Dialect.V2, runner))["taskRunner"]["memory"] == {"memory": size}


def test_half_a_processor_is_for_those_kestras_that_know_it() -> None:
    runner = Runner(kind=RunnerKind.DOCKER, image=IMAGE, cpus=0.5)
    with pytest.raises(SettingsError) as caught:
        parsed(FlowKind.FAN_OUT, Dialect.V0, runner)

    assert child(parsed(FlowKind.FAN_OUT, Dialect.V1, runner))["taskRunner"]["cpu"] == {"cpus": 0.5}
    assert caught.value.message == (
        "KESTRA_CPUS is 0.5, and Kestra up to 0.22 bounds a container by whole processors alone: make it a whole"
        " number, or leave it out."
    )


@pytest.mark.parametrize("kind", FlowKind)
def test_a_process_takes_its_secrets_from_the_worker_and_the_other_way_stands_beside_it(kind: FlowKind) -> None:
    text = rendered(kind, Dialect.V1)
    task = child(yaml.safe_load(text))

    assert task["taskRunner"] == {"type": "io.kestra.plugin.core.runner.Process"}
    assert sorted(task["env"]) == ["CONCIERGE_CHILD_DEFAULTS_B64", "CONCIERGE_CHILD_LINES"]
    # Without its marks the comment is YAML that works.
    other = child(yaml.safe_load(re.sub(r"^( +)# (VAPI_\w+: )", r"\1\2", text, flags=re.MULTILINE)))
    assert other["env"]["VAPI_API_KEY"] == "{{ secret('VAPI_API_KEY') }}"


def test_the_volume_that_stands_in_a_comment_is_yaml_that_works() -> None:
    text = rendered(FlowKind.FAN_OUT, Dialect.V1, DOCKER)
    text = re.sub(r"^( +)# (volumes:|  - |CONCIERGE_STATE_DIR: )", r"\1\2", text, flags=re.MULTILINE)
    task = child(yaml.safe_load(text))

    folder = task["env"]["CONCIERGE_STATE_DIR"]
    assert task["taskRunner"]["volumes"] == [f"{folder}:{folder}"]


@pytest.mark.parametrize(("kind", "dialect", "runner"), EVERY)
def test_a_change_of_limit_and_backstop_changes_nothing_else(kind: FlowKind, dialect: Dialect, runner: Runner) -> None:
    before = rendered(kind, dialect, runner)
    after = changed(before, limit=12, backstop=34)
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    bound = ["-concurrencyLimit: 5", "+concurrencyLimit: 12"] if kind is FlowKind.FAN_OUT else []

    assert [re.sub(r"^([+-]) +", r"\1", line).split(" #")[0] for line in lines] == [
        "-lines: 5",
        "+lines: 12",
        "-defaults: 5",
        "+defaults: 12",
        *bound,
        "-timeout: PT1020S",
        "+timeout: PT34S",
    ]
    assert (limit_of(before), limit_of(after)) == (5, 12)
    assert changed(after, limit=5, backstop=1020) == before


def test_what_an_operator_has_changed_is_kept() -> None:
    source = rendered(FlowKind.FAN_OUT, Dialect.V1)
    theirs = (
        source.replace("variables:\n", "labels:\n  team: ops\n\nvariables:\n  region: south\n  # ours:\n")
        .replace("    description: Calls at once", "    displayName: Lines\n    description: At once")
        .replace("        env:\n", "        env:\n          VAPI_POLL_INTERVAL: '5'\n")
    )
    after = changed(theirs, limit=7, backstop=99)

    assert "region: south" in after
    assert "VAPI_POLL_INTERVAL: '5'" in after
    assert changed(after, limit=5, backstop=1020) == theirs


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("  lines: 5", "  rows: 5", "variables: lines"),
        ("    defaults: 5 # the limit\n", "", "max_concurrent's default"),
        ("concurrencyLimit: 5", "concurrencyLimit: many", "concurrencyLimit"),
        ("timeout: PT1020S", "timeout: PT17M", "timeout: PT...S"),
        ("concurrencyLimit: 5", "concurrencyLimit: 5\n    # was:\n    concurrencyLimit: 5", "concurrencyLimit"),
    ],
)
def test_a_deployed_flow_that_has_such_a_place_no_more_or_twice_is_refused_by_its_name(
    old: str, new: str, name: str
) -> None:
    with pytest.raises(KestraRefused) as caught:
        changed(rendered(FlowKind.FAN_OUT, Dialect.V1).replace(old, new), limit=7, backstop=99)
    assert caught.value.message == (
        f"The flow on the Kestra server has no {name} that could be set (or more than one), so the run was not handed "
        "to it and nobody was called. Put a new one there with: concierge-calls kestra deploy"
    )


@pytest.mark.parametrize(("kind", "dialect", "runner"), EVERY)
def test_a_flow_says_what_it_is_who_rendered_it_and_how_it_is_deployed(
    kind: FlowKind, dialect: Dialect, runner: Runner
) -> None:
    source = rendered(kind, dialect, runner)
    servers = {"0": "Kestra 0.18 to 0.22", "1": "Kestra 0.23 to 1.x", "2": "Kestra 2.x"}
    setting = "KESTRA_FLOW=one-task " if kind is FlowKind.ONE_TASK else ""

    assert source.splitlines()[1:3] == [
        f"# Rendered by concierge-calls {__version__} for {servers[dialect]}.",
        f"# Deployed by: {setting}concierge-calls kestra deploy --max-concurrent 5",
    ]
    assert (is_ours(source), rendered_by(source)) == (True, __version__)
    assert (is_ours("id: contact_providers_concurrent\n"), rendered_by("id: other\n")) == (False, None)


@pytest.mark.parametrize(("kind", "dialect", "runner"), EVERY)
def test_no_line_of_a_flow_is_too_long_to_read(kind: FlowKind, dialect: Dialect, runner: Runner) -> None:
    assert [line for line in rendered(kind, dialect, runner).splitlines() if len(line) > 120] == []


def test_a_flow_of_somebody_elses_has_no_limit_of_ours() -> None:
    with pytest.raises(KestraRefused, match="no variables: lines that could be set"):
        limit_of("id: contact_providers_concurrent\n")


def test_the_backstop_is_twice_what_a_child_takes_at_the_longest() -> None:
    assert backstop(1, 300, 120) == 2 * (300 + 90 + 120)
    assert backstop(50, 300, 120) == 50 * backstop(1, 300, 120)
    assert backstop(3, 10.5, 0.2) == 605  # seconds, whole ones


@pytest.mark.parametrize(
    ("runner", "sentence"),
    [
        (
            {"kind": RunnerKind.DOCKER},
            "KESTRA_RUNNER=docker needs KESTRA_IMAGE, the name of an image that has concierge-calls installed.",
        ),
        (
            {"kind": RunnerKind.DOCKER, "image": 'a"\nb: c'},
            "KESTRA_RUNNER=docker needs KESTRA_IMAGE, the name of an image that has concierge-calls installed.",
        ),
        (
            {"kind": RunnerKind.DOCKER, "image": "a", "memory": "much"},
            "KESTRA_MEMORY is 'much': write it as Docker does, such as 512MB.",
        ),
        (
            {"kind": RunnerKind.DOCKER, "image": "a", "cpus": 0.0},
            "KESTRA_CPUS is 0: it must be a number of cores above 0, such as 1 or 0.5.",
        ),
        (
            {"memory": "512MB", "cpus": 1.0},
            "KESTRA_MEMORY and KESTRA_CPUS are for a container alone: set KESTRA_RUNNER=docker too, or leave them out.",
        ),
        (
            {"image": "calls:1"},
            "KESTRA_IMAGE is for a container alone: set KESTRA_RUNNER=docker too, or leave it out.",
        ),
    ],
)
def test_a_runner_that_cannot_be_is_refused_by_the_names_of_its_settings(runner: Any, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Runner(**runner)
    assert caught.value.message == sentence


def test_a_namespace_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        render(FlowKind.FAN_OUT, Dialect.V1, limit=5, backstop=1020, namespace="a: b\n")
    assert caught.value.message == (
        "'a: b\\n' is no namespace of Kestra's: KESTRA_NAMESPACE has small letters, digits, dots, - and _."
    )
