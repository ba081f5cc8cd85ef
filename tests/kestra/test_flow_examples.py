"""examples/kestra: what is in them holds together, and start.sh starts our flow as it stands."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from concierge_calls.kestra.flow import FlowKind
from tests.kestra.double.driver import Driver
from tests.kestra.double.options import PASSWORD, USER
from tests.kestra.double.ours import DIALECTS, running, source

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "kestra"
NAMES = ["Augusta Road Plumbing & Heating", "Blue Ridge Plumbing Co.", "Reedy River Plumbers"]


def start(driver: Driver, **more: str) -> subprocess.CompletedProcess[str]:
    """Run start.sh against the double."""
    environment = {**os.environ, "KESTRA_URL": driver.url, "KESTRA_USERNAME": USER, "KESTRA_PASSWORD": PASSWORD, **more}
    return subprocess.run([EXAMPLES / "start.sh"], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_curl_starts_the_deployed_flow_by_multipart_in_each_dialect(tmp_path: Path, dialect: str) -> None:
    with running(tmp_path, dialect, {"TOGETHER": "3"}) as driver:
        driver.deploy(source(dialect, limit=3)).raise_for_status()
        done = start(driver)
        assert (done.returncode, done.stderr) == (0, "")
        execution = driver.over(done.stdout.strip())

        told = [(each["name"], each["status"]) for each in execution["outputs"]["call_results"]]
        inputs = {name: value for name, value in execution["inputs"].items() if name not in ("providers", "run_id")}
        assert sorted(told) == [(name, "completed") for name in NAMES]
        assert driver.peak() == 3
        assert inputs == {
            "service_needed": "plumbing",
            "user_criteria": "licensed, available tomorrow",
            "location": "Greenville SC",
            "urgency": "within_24_hours",
            "max_concurrent": 3,
        }
        assert {"key": "run", "value": execution["inputs"]["run_id"]} in execution["labels"]


def test_the_curl_says_what_the_server_said_and_starts_nothing(tmp_path: Path) -> None:
    with running(tmp_path, "1") as driver:
        done = start(driver)
        assert (done.returncode, done.stdout) == (22, "")
        assert "404" in done.stderr
        wrong = start(driver, KESTRA_PASSWORD="wrong")  # noqa: S106
        assert (wrong.returncode, "401" in wrong.stderr) == (22, True)
    with running(tmp_path, "1", version="3.0.0") as driver:
        unknown = start(driver)
        assert unknown.returncode == 2
        assert unknown.stderr == f"start.sh: Kestra 3.0 at {driver.url} is not known here: nobody is called.\n"
        assert driver.ledger() == {"starts": 0, "children": []}


def parsed(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text())


def test_the_server_keeps_its_state_in_postgres_and_starts_no_child_a_second_time() -> None:
    kestra = parsed("server.yaml")["kestra"]
    assert kestra["server"]["worker-task-restart-strategy"] == "NEVER"
    assert (kestra["repository"]["type"], kestra["queue"]["type"]) == ("postgres", "postgres")


def test_two_workers_share_one_state_folder_and_are_given_the_time_to_end_their_calls() -> None:
    compose, server = parsed("compose.yaml"), parsed("server.yaml")
    workers = [compose["services"][name] for name in ("worker-1", "worker-2")]
    grace = int(server["kestra"]["server"]["termination-grace-period"].removesuffix("m"))

    assert workers[0] == workers[1]
    folder = workers[0]["environment"]["CONCIERGE_STATE_DIR"]
    assert f"state:{folder}" in workers[0]["volumes"]
    assert int(workers[0]["stop_grace_period"].removesuffix("m")) > grace
    assert sum(int(re.findall(r"--thread=(\d+)", worker["command"])[0]) for worker in workers) >= 5


def test_only_the_workers_have_the_key_and_no_secret_stands_in_a_file() -> None:
    services = parsed("compose.yaml")["services"]
    keys = {
        name: sorted(key for key in service["environment"] if key.startswith("VAPI_"))
        for name, service in services.items()
    }
    wanted = ["VAPI_API_KEY", "VAPI_PHONE_NUMBER_ID"]
    assert keys == {"postgres": [], "kestra": [], "worker-1": wanted, "worker-2": wanted}
    secret = re.compile(r"^\s*(?:password|\w*PASSWORD|VAPI_\w+): (.+)$", re.MULTILINE)
    values = {
        value for name in ("compose.yaml", "server.yaml") for value in secret.findall((EXAMPLES / name).read_text())
    }
    assert values
    assert all(value.startswith("${") for value in values)


def test_every_component_reads_the_settings_and_shares_kestras_storage() -> None:
    services, kestra = parsed("compose.yaml")["services"], parsed("server.yaml")["kestra"]
    for name in ("kestra", "worker-1", "worker-2"):
        assert "./server.yaml:/etc/kestra/server.yaml:ro" in services[name]["volumes"]
        assert f"storage:{kestra['storage']['local']['base-path']}" in services[name]["volumes"]
        assert services[name]["command"].endswith("--config /etc/kestra/server.yaml")
        needed = set(re.findall(r"\$\{(\w+)\}", (EXAMPLES / "server.yaml").read_text()))
        assert needed <= set(services[name]["environment"])


def test_the_flows_name_the_same_state_folder_as_the_workers() -> None:
    folder = parsed("compose.yaml")["services"]["worker-1"]["environment"]["CONCIERGE_STATE_DIR"]
    secrets = Path(__file__).resolve().parents[2] / "concierge_calls" / "kestra" / "flows" / "docker_secrets.yaml"
    assert f"# CONCIERGE_STATE_DIR: {folder}\n" in secrets.read_text()
    assert FlowKind.FAN_OUT.flow_id in (EXAMPLES / "start.sh").read_text()
