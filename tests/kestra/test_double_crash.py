"""The double as a process: killed, stopped, and started again under a running child (facts 11)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kestra.double.driver import Driver
from tests.kestra.double.ours import DIALECTS, begin, told_of, worker
from tests.kestra.double.server import Process
from tests.kestra.double.store import Store

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
Starting = Callable[..., tuple[Process, Driver]]


@pytest.fixture
def kestra(tmp_path: Path) -> Iterator[Starting]:
    """Start a double as a process; at the end it is gone, and so is every child that it has started."""
    with ExitStack() as stack:

        def start(dialect: str, *arguments: str) -> tuple[Process, Driver]:
            environment = {**os.environ, **worker(tmp_path)}
            process = Process(tmp_path / "kestra", "--dialect", dialect, *arguments, environment=environment)
            stack.enter_context(process)
            return process, Driver(process.url, dialect)

        yield start


def starts(lines: list[Any]) -> list[tuple[str, int]]:
    """Return which item was started at which attempt, in order."""
    return [(line["item"], line["attempt"]) for line in lines if line["event"] == "start"]


def answers(driver: Driver) -> bool:
    """Whether a server answers anybody."""
    try:
        driver.ledger()
    except httpx.TransportError:
        return False
    return True


def ended(tmp_path: Path) -> list[Any]:
    """Return the ledger of a server that is gone."""
    return Store(tmp_path / "kestra").ledger()


def is_alive(pid: int) -> bool:
    """Whether the leader of a child's group lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" if Path("/proc").exists() else True
    )


@every_dialect
def test_after_a_crash_the_running_child_lives_on_as_an_orphan_and_is_started_a_second_time(
    kestra: Starting, tmp_path: Path, dialect: str
) -> None:
    process, driver = kestra(dialect)
    execution_id = begin(driver, ["waits", "Ace"], limit=1)
    (line, *_) = driver.begun(1)

    process.kill()
    assert is_alive(line["pid"])
    process.start()
    assert starts(driver.begun(2)) == [("r-0", 1), ("r-0", 2)]
    assert is_alive(line["pid"])
    (tmp_path / "bin" / "go").touch()
    execution = driver.over(execution_id)

    assert execution["state"]["current"] == "SUCCESS"
    assert told_of(execution) == [(0, "completed", "waits"), (1, "completed", "Ace")]
    if dialect != "2":  # a second attempt is to be seen on 1.3 alone
        attempts = [len(run["attempts"]) for run in execution["taskRunList"] if "value" in run]
        assert sorted(attempts) == ([1, 1] if dialect == "0" else [1, 2])


@every_dialect
def test_with_never_nothing_is_started_again_and_only_a_kill_ends_the_execution(kestra: Starting, dialect: str) -> None:
    process, driver = kestra(dialect, "--restart-strategy", "NEVER", "--restart-after", "0")
    execution_id = begin(driver, ["waits", "Ace"], limit=1)
    driver.begun(1)

    process.kill()
    process.start()
    assert driver.over(begin(driver, ["Best"], run_id="s"))["state"]["current"] == "SUCCESS"
    assert driver.execution(execution_id)["state"]["current"] == "RUNNING"
    assert starts(driver.ledger()["children"]) == [("r-0", 1), ("s-0", 1)]
    assert driver.kill(execution_id).is_success
    assert driver.over(execution_id)["state"]["current"] == "KILLED"


@every_dialect
def test_a_stop_waits_for_the_children_and_the_rest_runs_after_the_restart(
    kestra: Starting, tmp_path: Path, dialect: str
) -> None:
    process, driver = kestra(dialect)
    execution_id = begin(driver, ["waits", "Ace"], limit=1)
    driver.begun(1)

    process.send(signal.SIGTERM)
    while answers(driver):
        pass
    (tmp_path / "bin" / "go").touch()
    process.wait()
    assert starts(ended(tmp_path)) == [("r-0", 1)]
    process.start()
    execution = driver.over(execution_id)
    assert starts(driver.ledger()["children"]) == [("r-0", 1), ("r-1", 1)]
    assert told_of(execution) == [(0, "completed", "waits"), (1, "completed", "Ace")]


@every_dialect
def test_a_child_longer_than_the_grace_period_gets_sigterm_and_is_started_again(
    kestra: Starting, tmp_path: Path, dialect: str
) -> None:
    process, driver = kestra(dialect, "--grace", "0.1")
    execution_id = begin(driver, ["waits"], limit=1)
    while not list((tmp_path / "bin").glob("*.waits")):
        driver.ledger()

    process.kill(signal.SIGTERM)
    (tmp_path / "bin" / "go").touch()
    process.start()
    assert told_of(driver.over(execution_id)) == [(0, "completed", "waits")]
    assert starts(driver.ledger()["children"]) == [("r-0", 1), ("r-0", 2)]


def test_flows_and_executions_outlive_the_server(kestra: Starting) -> None:
    process, driver = kestra("1")
    before = driver.over(begin(driver, ["Ace"]))
    process.kill()
    process.start()
    assert driver.execution(before["id"]) == before
    assert driver.ask("GET", f"/flows/ai_concierge/{before['flowId']}").json()["revision"] == 1


def test_a_server_without_the_plugin_or_a_user_says_so(kestra: Starting) -> None:
    _, driver = kestra("1", "--without-plugin", "--no-user", "--version", "1.3.39")
    told = driver.ledger()
    assert told == {"starts": 0, "children": []}
    assert driver.ask("GET", "/executions/search").status_code == 401
