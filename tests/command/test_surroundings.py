"""The command in bare surroundings, and what it costs to ask it for its version or for help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.simulator import ENDINGS

COMMANDS = ("", "batch", "call", "resume", "runs", "show", "doctor", "forget", "do-not-call", "simulator")
HEAVY = {"httpx", "pydantic_settings", "fastapi", "phonenumbers", "starlette", "uvicorn", "rich", "sqlite3"}


def imported(*arguments: str) -> set[str]:
    """Return the modules that the command imports to answer this."""
    command = [sys.executable, "-X", "importtime", "-m", "concierge_calls", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_nothing_of_the_environment_is_needed_but_a_place_for_the_journal(command: Any, simulated: Any) -> None:
    document = simulated.finished.document
    bare = command.shell(
        f'env -i PATH=/usr/bin:/bin CONCIERGE_STATE_DIR={simulated.state} "$COMMAND" show {document["run"]["id"]}'
    )

    assert (bare.code, bare.err, bare.document) == (0, "", document)


def test_a_run_in_a_bare_environment_and_the_c_locale(command: Any, providers: Any, tmp_path: Path) -> None:
    file = providers("Café Zoë 🔧,(864) 555-0106,plumbing")
    bare = command.shell(
        f'env -i LC_ALL=C PATH=/usr/bin:/bin CONCIERGE_STATE_DIR={tmp_path}/bare "$COMMAND" batch {file} --simulate'
    )

    assert bare.code == 0
    assert bare.document["results"][0]["provider"]["name"] == "Café Zoë 🔧"
    assert (tmp_path / "bare" / "simulated.db").exists()


def test_without_a_state_folder_of_its_own_the_platforms_is_taken(command: Any, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("where macOS keeps a program's state cannot be moved by a variable")
    done = command.shell(
        f'env -u CONCIERGE_STATE_DIR -u HOME XDG_STATE_HOME={tmp_path}/xdg "$COMMAND" batch - --simulate --dry-run',
        input="name,phone,service\nBlue Ridge,(864) 555-0106,plumbing\n",
    )

    assert done.code == 0
    assert (tmp_path / "xdg" / "concierge-calls" / "simulated.db").exists()


def test_the_module_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "concierge_calls", "runs", "--json"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n]\n", "")


def test_the_version_is_told_at_once(command: Any) -> None:
    finished = command("--version")

    assert (finished.code, finished.out, finished.err) == (0, "concierge-calls 0.1.0\n", "")
    assert not imported("--version") & (HEAVY | {"typer", "concierge_calls.cli"})


def test_help_imports_nothing_that_takes_its_time() -> None:
    assert not imported("--help") & (HEAVY | {"pydantic"})
    assert not imported("batch", "--help") & HEAVY  # Typer itself reads a command's options with pydantic


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_terminal_and_cuts_nothing_short(command: Any, name: str) -> None:
    finished = command(*filter(None, [name]), "--help", environ={"COLUMNS": "80", "TERM": "dumb"})

    assert (finished.code, finished.err) == (0, "")
    assert [line for line in finished.out.splitlines() if len(line) > 80 or line.endswith("...")][:1] in (
        [],
        ["Usage: concierge-calls [OPTIONS] COMMAND [ARGS]..."],
    )


def test_the_simulators_help_says_what_the_last_digit_decides(command: Any) -> None:
    words = " ".join(command("simulator", "--help").out.split())

    assert all(f"{digit} {ending}" in words for digit, ending in ENDINGS.items())


def test_every_option_with_a_setting_names_its_variable_and_default(command: Any) -> None:
    words = " ".join(command("batch", "--help").out.split())

    for told in (
        "--max-concurrent N Calls on the line at once, 1 or more. (env VAPI_MAX_CONCURRENT_CALLS; default 5)",
        "--start-interval S Least seconds between two dials. (env VAPI_START_INTERVAL; default 1)",
        "--call-timeout S Each call's own limit in seconds, 10 to 43200. (env VAPI_CALL_TIMEOUT; default 300)",
        "--via ROUTE Which way the calls go: auto, direct or kestra. (env CONCIERGE_VIA; default auto)",
    ):
        assert told in words


def test_a_proxy_in_the_environment_does_not_come_between_us_and_this_machine(
    command: Any, providers: Any, vapi: Any
) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    finished = command("batch", providers("Blue Ridge,(864) 555-0106,plumbing"), environ=nowhere)

    assert finished.code == 0
    assert vapi.rang == {"+18645550106": 1}
    assert os.listdir() == ["providers.csv"]
