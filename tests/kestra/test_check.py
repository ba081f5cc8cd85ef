"""What is found of a Kestra server, line by line, and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concierge_calls import __version__
from concierge_calls.doctor.kestra import RESTARTS, DeployedFlow, KestraFacts, checks
from concierge_calls.errors import KestraNotStarted, KestraRefused, KestraUnreachable
from concierge_calls.kestra.check_flow import OwnCheck, Said, Workers
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.schemas import Flow, LogLine, Server

FLOW = "contact_providers_concurrent in the namespace ai_concierge"
NOT_CHECKED = ("warning", "Not checked: what stands above is in the way.")
RESTART = {"restarts": ("warning", RESTARTS)}
KEY = OwnCheck(name="key", state="ok", sentence="Vapi knows the key.")
FIRST = Said(version=__version__, host="w1", folder="/state", marker="made", checks=[KEY])
SECOND = Said(version=__version__, host="w2", folder="/state", marker="seen", checks=[KEY])
DEPLOYED = DeployedFlow(flow=Flow(3, "id: x"), rendered_by=__version__, lines=5)
WORKERS = Workers("e-1", "SUCCESS", True, FIRST, SECOND)
GOOD = KestraFacts(
    address="http://kestra:8080",
    namespace="ai_concierge",
    tenant="main",
    flow_id="contact_providers_concurrent",
    patience=120.0,
    server=Server("1.3.25", Dialect.V1, True),
    admitted="yes",
    constraints="",
    deployed=DEPLOYED,
    workers=WORKERS,
)
ALL_GOOD = {
    "server": ("ok", "It answers, as Kestra 1.3.25."),
    "credentials": ("ok", "They are accepted, or it asks for none."),
    "tenant": ("ok", "It has the tenant main."),
    "plugin": ("ok", "It knows every task that the flow is made of."),
    "flow": ("ok", f"The flow {FLOW} is there, revision 3, for 5 lines, made by this version."),
    "worker": ("ok", f"concierge-calls {__version__} on w1 and {__version__} on w2 is installed, as here."),
    "worker's key": ("ok", "On w1: Vapi knows the key."),
    "worker's folder": ("ok", "w1 and w2 share one state folder, /state."),
} | RESTART


def told(found: KestraFacts) -> dict[str, tuple[str, str]]:
    return {check.name: (check.state.value, check.sentence) for check in checks(found)}


def differing(**what: Any) -> dict[str, tuple[str, str]]:
    """Return the lines that differ from those of a server that is as it should be."""
    return dict(set(told(replace(GOOD, **what)).items()) - set(ALL_GOOD.items()))


def test_a_server_that_is_as_it_should_be_has_a_line_for_each_thing() -> None:
    assert told(GOOD) == ALL_GOOD


def test_of_a_server_that_does_not_answer_nothing_else_is_checked() -> None:
    found = told(
        replace(
            GOOD,
            server=KestraUnreachable("Nothing listens at http://kestra:8080."),
            admitted=None,
            constraints=None,
            deployed=None,
            workers=None,
        )
    )
    names = ("credentials", "tenant", "plugin", "flow", "worker")

    assert found == {
        "server": ("wrong", "Nothing listens at http://kestra:8080."),
        **dict.fromkeys(names, NOT_CHECKED),
        **RESTART,
    }


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        (
            {"exposes_credentials": True},
            {
                "address": (
                    "warning",
                    "The credentials travel to http://kestra:8080 readable for whoever is in between. "
                    "Put TLS before Kestra and https:// into KESTRA_URL, unless that net is yours alone.",
                )
            },
        ),
        (
            {"has_credentials": False},
            {
                "credentials": (
                    "warning",
                    "It asks for none, so whoever reaches it can read who is called and have others called.",
                )
            },
        ),
        (
            {"admitted": KestraRefused("No such password.", 401)},
            {"credentials": ("wrong", "No such password."), "tenant": NOT_CHECKED},
        ),
        (
            {"admitted": KestraRefused("No password.", 401), "server": Server("1.3.25", Dialect.V1, False)},
            {
                "credentials": (
                    "wrong",
                    "Nobody has set a user on this Kestra yet. "
                    "Open it in a browser and set one, then KESTRA_USERNAME and KESTRA_PASSWORD.",
                ),
                "tenant": NOT_CHECKED,
            },
        ),
        (
            {"server": KestraRefused("No such password.", 401), "admitted": None},
            {
                "server": ("ok", "It answers."),
                "credentials": ("wrong", "No such password."),
                "tenant": NOT_CHECKED,
            },
        ),
        ({"admitted": KestraRefused("No tenant x.", 400)}, {"tenant": ("wrong", "No tenant x.")}),
        (
            {"admitted": KestraUnreachable("It broke.")},
            {"credentials": ("wrong", "It broke."), "tenant": NOT_CHECKED},
        ),
        (
            {"constraints": "Validation error: Invalid type: io.kestra.plugin.scripts.shell.Commands", "workers": None},
            {
                "plugin": (
                    "wrong",
                    "It does not know io.kestra.plugin.scripts.shell.Commands, so a plugin is missing there. "
                    "Install it (see https://kestra.io/plugins) and restart Kestra.",
                ),
                "worker": NOT_CHECKED,
            },
        ),
        (
            {"constraints": "tasks:\n must not be \x1b[31mempty"},
            {
                "plugin": (
                    "wrong",
                    "It would not take the flow: tasks: must not be [31mempty. Unless the flow was changed by hand, "
                    "this is a bug in concierge-calls: please report it with the server's version.",
                )
            },
        ),
        ({"constraints": KestraUnreachable("It broke.")}, {"plugin": ("wrong", "It broke.")}),
        (
            {"deployed": "no"},
            {
                "flow": (
                    "warning",
                    f"There is no flow {FLOW} yet. "
                    "The first run puts it there, and so does: concierge-calls kestra deploy",
                )
            },
        ),
        (
            {"deployed": replace(DEPLOYED, rendered_by=None)},
            {
                "flow": (
                    "wrong",
                    f"The flow {FLOW} is not one of ours. Rename it there, or set KESTRA_NAMESPACE, "
                    "then: concierge-calls kestra deploy",
                )
            },
        ),
        (
            {"deployed": replace(DEPLOYED, flow=Flow(3, "id: x", is_disabled=True))},
            {"flow": ("wrong", f"The flow {FLOW} is disabled. Enable it there.")},
        ),
        (
            {"deployed": replace(DEPLOYED, rendered_by="0.0.1", lines=1)},
            {
                "flow": (
                    "warning",
                    f"The flow {FLOW} is there, revision 3, for 1 line, made by version 0.0.1; this is {__version__}. "
                    "Renew it with: concierge-calls kestra deploy",
                )
            },
        ),
        (
            {"deployed": replace(DEPLOYED, constraints="Invalid type: io.kestra.plugin.core.flow.ForEach")},
            {
                "flow": (
                    "wrong",
                    f"The flow {FLOW} is there, and this Kestra would not take it: Invalid type: "
                    "io.kestra.plugin.core.flow.ForEach. Renew it with: concierge-calls kestra deploy",
                )
            },
        ),
        ({"deployed": KestraUnreachable("It broke.")}, {"flow": ("wrong", "It broke.")}),
    ],
)
def test_each_thing_that_is_not_as_it_should_be_is_said_in_its_line(
    what: dict[str, Any], lines: dict[str, tuple[str, str]]
) -> None:
    assert differing(**what) == lines


def silent(*log: str, is_over: bool = True) -> Workers:
    return Workers(
        "e-1",
        "FAILED" if is_over else "QUEUED",
        is_over,
        log=tuple(LogLine("first", "ERROR", message) for message in log),
    )


OTHER = Said(version="0.0.1", host="w2\x1b", folder="/other", marker="made")
ALONE = f"concierge-calls {__version__} on w1 is installed, as here."
NO_FOLDER = Said(version=__version__, host="w1", folder="/state", fault="Permission denied")


@pytest.mark.parametrize(
    ("workers", "lines"),
    [
        (KestraNotStarted("No."), {"worker": ("wrong", "No.")}),
        (
            silent("/bin/sh: 2: concierge-calls: not found", "Command failed with exit code 127"),
            {
                "worker": (
                    "wrong",
                    "The worker does not find the command concierge-calls. "
                    "Install it there, on the PATH of the user that Kestra runs as.",
                )
            },
        ),
        (
            silent("Cannot find secret\nfor key 'VAPI_API_KEY'."),
            {
                "worker": (
                    "wrong",
                    "The worker said nothing; its log ends with: Cannot find secret for key 'VAPI_API_KEY'. "
                    "See the execution e-1 in Kestra, and on the worker: concierge-calls doctor",
                )
            },
        ),
        (
            silent(),
            {
                "worker": (
                    "wrong",
                    "The worker said nothing; its log is empty. "
                    "See the execution e-1 in Kestra, and on the worker: concierge-calls doctor",
                )
            },
        ),
        (
            silent(is_over=False),
            {
                "worker": (
                    "wrong",
                    "No worker took the check in 2:00 (it stood at QUEUED). "
                    "See whether a worker is up and has a free thread.",
                )
            },
        ),
        (
            replace(WORKERS, second=OTHER),
            {
                "worker": (
                    "warning",
                    f"concierge-calls {__version__} on w1 and 0.0.1 on w2, and {__version__} here. "
                    "Install the same one.",
                ),
                "worker's key": ("ok", "On w1: Vapi knows the key."),
                "worker's folder": (
                    "warning",
                    "Two children see two state folders, so a second start after a crash would know of the first by "
                    "Vapi's list alone. "
                    "Have CONCIERGE_STATE_DIR be one folder that all workers and containers share.",
                ),
            },
        ),
        (
            replace(WORKERS, second=SECOND.model_copy(update={"host": "w1"})),
            {
                "worker": ("ok", ALONE),
                "worker's key": ("ok", "Vapi knows the key."),
                "worker's folder": (
                    "ok",
                    "Two children saw one state folder, /state; both ran on one worker, "
                    "so where there are more, see that they share it, too.",
                ),
            },
        ),
        (
            replace(WORKERS, second=None),
            {
                "worker": ("ok", ALONE),
                "worker's key": ("ok", "Vapi knows the key."),
                "worker's folder": ("warning", "Not checked: only one of two children answered. Try again."),
            },
        ),
        (
            replace(WORKERS, first=NO_FOLDER, second=NO_FOLDER),
            {
                "worker": ("ok", ALONE),
                "worker's folder": (
                    "wrong",
                    "/state on w1 cannot be written (Permission denied). "
                    "Set CONCIERGE_STATE_DIR there to a folder that can.",
                ),
            },
        ),
    ],
)
def test_what_the_workers_said_or_did_not_say_has_its_lines(
    workers: Workers | KestraNotStarted, lines: dict[str, tuple[str, str]]
) -> None:
    found = told(replace(GOOD, workers=workers))

    assert {name: line for name, line in found.items() if name.startswith("worker")} == lines


def test_what_a_worker_checked_of_itself_is_told_as_far_as_it_matters_and_once() -> None:
    own = [
        OwnCheck(name="key", state="wrong", sentence="Vapi does not know\nthis key of +1 864 555 0101."),
        OwnCheck(name="kestra", state="wrong", sentence="This worker has no way by Kestra."),
        OwnCheck(name="clock", state="sideways", sentence="It goes round."),
    ]
    first = FIRST.model_copy(update={"checks": own})
    second = SECOND.model_copy(update={"checks": own, "host": "w1"})
    found = told(replace(GOOD, workers=Workers("e-1", "SUCCESS", True, first, second)))

    assert {name: line for name, line in found.items() if name.startswith("worker's") and "folder" not in name} == {
        "worker's key": ("wrong", "Vapi does not know this key of …0101."),
        "worker's clock": ("warning", "It goes round."),
    }
