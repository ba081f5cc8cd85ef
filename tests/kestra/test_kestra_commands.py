"""`concierge-calls kestra deploy`, `flow` and `check` on the Kestra double in each dialect."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from concierge_calls import __version__
from concierge_calls.cli.main import app
from concierge_calls.doctor.kestra import RESTARTS
from concierge_calls.kestra.flow import is_ours, limit_of, rendered_by
from concierge_calls.simulator import Simulator, SimulatorOptions
from tests.kestra.double.driver import Driver
from tests.kestra.double.options import PASSWORD, USER, VERSIONS, Options
from tests.kestra.double.server import Double

COMMAND = Path(sys.executable).with_name("concierge-calls")
LONGEST = 240.0  # seconds until a command counts as hung; no test waits for it
FLOW = "contact_providers_concurrent in the namespace ai_concierge"
DIALECTS = list(VERSIONS)
WITHOUT = {"PATH": "/usr/bin:/bin"}  # a worker that does not have the command
NOT_CHECKED = ("warning", "Not checked: what stands above is in the way.")
NO_PLUGIN = (
    "It does not know io.kestra.plugin.scripts.shell.Commands, so a plugin is missing there. "
    "Install it (see https://kestra.io/plugins) and restart Kestra."
)


Finished = subprocess.CompletedProcess[str]


def installed(*words: str, **environment: str) -> Finished:
    """Run the installed command to its end."""
    return subprocess.run(
        [COMMAND, "kestra", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
        stdin=subprocess.DEVNULL,
    )


def run(*words: str, **environment: str) -> Finished:
    """Run the command to its end in this process, which costs a tenth of the time; the workers have it installed."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app(["kestra", *words], prog_name="concierge-calls")
        for file in (out, err):
            file.seek(0)
        return Finished(words, int(ended.value.code or 0), out.read(), err.read())


def checked(code: int, **environment: str) -> dict[str, tuple[str, str]]:
    """Run the check, and return how each thing came out; stderr is empty."""
    finished = run("check", "--json", **environment)
    assert (finished.stderr, finished.returncode) == ("", code)
    return {each["name"]: (each["state"], each["sentence"]) for each in json.loads(finished.stdout)}


def put(double: Double, source: str) -> None:
    """Put a flow on a server of 1.x as somebody else does."""
    Driver(double.url, "1").deploy(source).raise_for_status()


Start = Callable[..., Double]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start doubles whose workers have the command and a Vapi to ask, and have ours go there."""
    with ExitStack() as stack:
        vapi = Simulator(SimulatorOptions())
        vapi.start()
        stack.callback(vapi.stop)
        worker = {
            "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "CONCIERGE_STATE_DIR": str(tmp_path / "worker"),
            "VAPI_API_KEY": "sk-0123-never-to-be-seen",
            "VAPI_PHONE_NUMBER_ID": "11111111-1111-4111-8111-111111111111",
            "VAPI_BASE_URL": vapi.url,
        }

        def started(dialect: str, *, environment: dict[str, str] | None = None, **options: Any) -> Double:
            there = worker | (environment or {})
            double = Double(Options(dialect=dialect, **options), tmp_path / "kestra", environment=there)
            stack.enter_context(double)
            monkeypatch.setenv("KESTRA_URL", double.url)
            monkeypatch.setenv("KESTRA_USERNAME", USER)
            monkeypatch.setenv("KESTRA_PASSWORD", PASSWORD)
            return double

        yield started


@pytest.mark.parametrize(("dialect", "version"), [*VERSIONS.items(), ("2", "2.0.7")])
def test_a_flow_is_put_on_the_server_and_then_everything_is_as_it_should_be(
    start: Start, dialect: str, version: str, tmp_path: Path
) -> None:
    double = start(dialect, version=version)
    where = f"The flow {FLOW} at {double.url}"
    said = [run("deploy", "--max-concurrent", n).stderr for n in ("3", "3", "4")]
    found = checked(0)

    assert said == [
        f"{where} is there now as revision 1, for 3 lines.\n",
        f"{where} was there already, as revision 1, for 3 lines.\n",
        f"{where} is there now as revision 2, for 4 lines.\n",
    ]
    vapi = found.pop("worker's address")
    assert vapi[0] == "warning"
    assert vapi[1].startswith("The calls go to 127.0.0.1:")
    assert found == {
        "server": ("ok", f"It answers, as Kestra {version}."),
        "credentials": ("ok", "They are accepted, or it asks for none."),
        "tenant": ("ok", "It has the tenant main."),
        "plugin": ("ok", "It knows every task that the flow is made of."),
        "flow": ("ok", f"The flow {FLOW} is there, revision 2, for 4 lines, made by this version."),
        "worker": ("ok", f"concierge-calls {__version__} on {os.uname().nodename} is installed, as here."),
        "worker's key": ("ok", "Vapi knows the key."),
        "worker's number": found["worker's number"],
        "worker's assistant": ("ok", "The tool's own assistant speaks; the calls are not recorded."),
        "worker's clock": ("ok", "This machine's clock agrees with Vapi's."),
        "worker's folder": (
            "ok",
            f"Two children saw one state folder, {tmp_path / 'worker'}; both ran on one worker, "
            "so where there are more, see that they share it, too.",
        ),
        "restarts": ("warning", RESTARTS),
    }


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_worker_without_the_command_is_said(start: Start, dialect: str) -> None:
    start(dialect, environment=WITHOUT)
    found = checked(2)

    assert {name: line for name, line in found.items() if name.startswith("worker")} == {
        "worker": (
            "wrong",
            "The worker does not find the command concierge-calls. "
            "Install it there, on the PATH of the user that Kestra runs as.",
        )
    }


def test_a_worker_without_a_key_or_a_folder_is_said(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    servers_own = {"KESTRA_URL": "http://kestra:8080/ui/"}
    start("1", environment={"VAPI_API_KEY": "", "CONCIERGE_STATE_DIR": str(tmp_path / "file")} | servers_own)
    found = checked(2)

    assert "worker's settings" not in found
    assert found["worker's key"] == (
        "wrong",
        "VAPI_API_KEY is not set, so nobody can be called. "
        "Set it in the environment or in .env, or try without a phone: --simulate.",
    )
    assert found["worker's folder"][0] == "wrong"
    assert "cannot be written (File exists)" in found["worker's folder"][1]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_server_without_the_plugin_is_said_and_nothing_is_put_there(start: Start, dialect: str) -> None:
    double = start(dialect, plugins=())
    found = checked(2)
    refused = run("deploy")

    assert (found["plugin"], found["worker"]) == (("wrong", NO_PLUGIN), NOT_CHECKED)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"concierge-calls: The flow was not put on {double.url}. {NO_PLUGIN}\n"


def test_a_flow_that_is_not_there_yet_is_no_hindrance_as_a_run_puts_it_there(start: Start) -> None:
    start("1", environment=WITHOUT)

    assert checked(2)["flow"] == (
        "warning",
        f"There is no flow {FLOW} yet. The first run puts it there, and so does: concierge-calls kestra deploy",
    )


def test_a_flow_that_the_server_takes_no_more_since_it_was_renewed_is_said(start: Start) -> None:
    start("1", environment=WITHOUT)
    run("deploy")
    start("2", environment=WITHOUT)

    assert checked(2)["flow"] == (
        "wrong",
        f"The flow {FLOW} is there, and this Kestra would not take it: Validation error: Invalid type: "
        "io.kestra.plugin.core.flow.ForEach. Renew it with: concierge-calls kestra deploy",
    )
    run("deploy")
    assert checked(2)["flow"][0] == "ok"


def test_a_flow_in_which_a_run_could_not_set_its_limit_is_said(start: Start) -> None:
    double = start("1", environment=WITHOUT)
    put(double, run("flow").stdout.replace("timeout: PT", "# timeout: PT"))

    assert checked(2)["flow"][1].startswith("The flow on the Kestra server has no timeout: PT...S that could be set")


def test_wrong_credentials_are_said_and_the_password_is_not(start: Start) -> None:
    double = start("1")
    wrong = {"KESTRA_PASSWORD": "Wrong-never-to-be-seen-1"}
    found = checked(2, **wrong)
    refused = run("deploy", **wrong)
    sentence = (
        f"Kestra at {double.url} does not accept KESTRA_USERNAME and KESTRA_PASSWORD (HTTP 401). "
        "Copy them once more; on a new server set its first user before."
    )

    assert (found["credentials"], found["tenant"]) == (("wrong", sentence), NOT_CHECKED)
    assert (refused.returncode, refused.stderr) == (2, f"concierge-calls: {sentence}\n")


def test_a_server_without_a_user_is_said(start: Start) -> None:
    start("2", user=None)

    assert checked(2)["credentials"] == (
        "wrong",
        "Nobody has set a user on this Kestra yet. "
        "Open it in a browser and set one, then KESTRA_USERNAME and KESTRA_PASSWORD.",
    )


def test_another_tenant_is_said(start: Start) -> None:
    start("1")
    found = checked(2, KESTRA_TENANT="ours")

    assert found["credentials"] == ("ok", "They are accepted, or it asks for none.")
    assert found["tenant"][0] == "wrong"
    assert found["tenant"][1].endswith("Set KESTRA_TENANT to one that it has: main, as a rule.")


def test_an_unknown_version_is_refused(start: Start) -> None:
    start("1", version="3.0.0")
    refused = run("deploy")

    assert (refused.returncode, refused.stderr) == (
        2,
        "concierge-calls: Kestra 3.0.0 is not known to this concierge-calls, which speaks with 0.18 to 2.x. "
        "Install another version of either, or use --via direct.\n",
    )


def test_somebody_elses_flow_of_that_name_is_left_as_it_is(start: Start) -> None:
    double = start("1")
    put(double, run("flow").stdout.replace("# Rendered by concierge-calls", "# Written by hand, after concierge-calls"))
    refused = run("deploy")

    assert refused.returncode == 2
    assert refused.stderr == (
        f"concierge-calls: There is a flow {FLOW} that is not one of ours, and it was left as it is. "
        "Rename it there, or set KESTRA_NAMESPACE to another.\n"
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_flow_is_printed_for_the_server_or_without_one(start: Start, dialect: str) -> None:
    without = installed("flow", "--dialect", dialect, "--max-concurrent", "7")
    start(dialect)
    with_it = run("flow", "--max-concurrent", "7")

    assert (without.returncode, without.stderr) == (0, "")
    assert with_it.stdout == without.stdout
    assert (is_ours(without.stdout), rendered_by(without.stdout), limit_of(without.stdout)) == (True, __version__, 7)


def test_a_container_and_its_limits_are_options() -> None:
    words = ("--runner", "docker", "--image", "calls:1", "--memory", "512MB", "--cpus", "0.5")
    source = run("flow", "--dialect", "1", *words).stdout

    assert [line.strip() for line in source.splitlines() if re.search(r"containerImage|memory: |cpus", line)] == [
        'containerImage: "calls:1"',
        'memory: "512MB"',
        "cpus: 0.5",
    ]


def test_one_task_has_time_for_a_long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KESTRA_FLOW", "one-task")
    source = run("flow", "--dialect", "1", "--max-concurrent", "10").stdout

    assert "id: contact_providers_one_task" in source
    assert f"timeout: PT{2 * 100 * (300 + 90 + 120)}S" in source


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("flow",), "For which Kestra? Say it with --dialect (0, 1 or 2), or set KESTRA_URL."),
        (
            ("deploy",),
            "KESTRA_URL is not set, so there is no Kestra to go to. "
            "Set it to its address, such as http://kestra:8080, or use --via direct.",
        ),
        (
            ("check",),
            "KESTRA_URL is not set, so there is no Kestra to go to. "
            "Set it to its address, such as http://kestra:8080, or use --via direct.",
        ),
        (
            ("flow", "--dialect", "1", "--cpus", "0"),
            "--cpus must be above 0, not '0'. The most processors that a child's container may take, such as 0.5.",
        ),
    ],
)
def test_wrong_use_is_2_with_a_sentence(words: tuple[str, ...], said: str) -> None:
    refused = installed(*words)

    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", f"concierge-calls: {said}\n")


def test_the_lines_fit_a_narrow_screen_and_the_last_one_says_what_they_mean(start: Start) -> None:
    start("1", version="3.0.0")
    found = installed("check")

    assert (found.returncode, found.stderr) == (2, "")
    assert [line[:21].split() for line in found.stdout.splitlines() if line[:1].strip()] == [
        ["server", "wrong"],
        *([name, "warning"] for name in ("credentials", "tenant", "plugin", "flow", "worker", "restarts")),
        ["A", "run", "by", "Kestra", "would"],
    ]
    assert found.stdout.endswith(
        "A run by Kestra would not work. Mend what is wrong, then: concierge-calls kestra check\n"
    )
    assert max(map(len, found.stdout.splitlines()[:-1])) <= 80
