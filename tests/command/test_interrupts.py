"""Ctrl-C: the first drains, the second leaves, the third ends at once; resume rings nobody a second time."""

from __future__ import annotations

import asyncio
import fcntl
import json
import re
import signal
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from concierge_calls.caller import Caller, Rules
from concierge_calls.cli.signals import Stopper
from concierge_calls.journal import Attempt
from concierge_calls.journal.lock import is_held
from concierge_calls.lines import Lines
from concierge_calls.models import CallState
from concierge_calls.simulator import Simulator, SimulatorOptions
from concierge_calls.underway import Awaited
from tests.calling.fakes import FakeBackend
from tests.command.conftest import wait_until
from tests.environment import KEY, NUMBER

FIRST = "+18645550100"
TIME = re.compile(r"\d\d:\d\d:\d\d(?= at the latest)")
ROWS = ("Blue Ridge,(864) 555-0100,plumbing", "Reedy River,(864) 555-0115,plumbing", "Haywood,864-555-0126,plumbing")
ONCE = {"+18645550100": 1, "+18645550115": 1, "+18645550126": 1}


def statuses(document: Any) -> list[str]:
    return [result["status"] for result in document["results"]]


@pytest.fixture
def talking(command: Any, providers: Any, vapi: Any) -> Any:
    """A run whose first call is on the line and stays there."""
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", providers(*ROWS), "-v", "--max-concurrent", "1")
    running.until("call.in_progress")
    return running


def test_the_first_ctrl_c_dials_nobody_new_and_follows_the_call_on_the_line(
    talking: Any, command: Any, vapi: Any
) -> None:
    talking.interrupt()
    talking.until("Stopping: nobody new is dialled, 1 call on the line is followed to the end, until ")
    assert re.search(r", until \d\d:\d\d:\d\d at the latest\. Once more to leave at once\.", talking.heard)
    vapi.hang_up(FIRST)
    stopped = talking.finish()

    assert stopped.code == 5
    assert statuses(stopped.document) == ["completed", "pending", "pending"]
    assert stopped.document["run"]["finished"] is False
    assert stopped.lines[-3] == "3 providers: 1 completed, 2 not yet called."
    assert stopped.lines[-1] == "To finish this run: concierge-calls resume RUN"
    assert vapi.rang == {FIRST: 1}

    resumed = command("resume", stopped.document["run"]["id"])

    assert resumed.code == 0
    assert resumed.lines[:6] == [
        "Finishing run RUN of providers.csv: 0 calls followed, 2 providers left to call, at most 1 at once.",
        "They see …0100 (Simulated line) and hear the tool's own assistant; the calls are not recorded.",
        "The first is asked for plumbing, within 2 days.",
        "The calls go through this machine, as VAPI_BASE_URL says.",
        "In New York it is M:SS: 2 numbers.",
        "It takes 15 minutes at the longest, if every call lasts as long as it may.",
    ]
    assert statuses(resumed.document) == ["completed", "no_answer", "busy"]
    assert resumed.document["results"][0] == stopped.document["results"][0]
    assert vapi.rang == ONCE


def test_the_second_ctrl_c_leaves_the_call_and_resume_takes_it_up_again(talking: Any, command: Any, vapi: Any) -> None:
    talking.interrupt()
    talking.until("Stopping")
    talking.interrupt()
    left = talking.finish()

    assert left.code == 5
    assert statuses(left.document) == ["in_progress", "pending", "pending"]
    assert left.document["results"][0]["callId"] == vapi.ledger["numbers"][FIRST]["calls"][0]["id"]
    assert "Leaving; the calls on the line go on, and the journal knows them." in left.lines

    vapi.hang_up(FIRST)
    resumed = command("resume")

    assert resumed.code == 0
    assert statuses(resumed.document) == ["completed", "no_answer", "busy"]
    assert resumed.document["results"][0]["callId"] == left.document["results"][0]["callId"]
    assert vapi.rang == ONCE


def test_the_third_ctrl_c_ends_at_once_and_resume_finds_the_call_whose_reply_was_awaited(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.create_delay = 60.0
    running = command.start("batch", providers(ROWS[0]), "-v")
    running.until("call.dialing")
    vapi.wait_for(FIRST)
    running.interrupt()
    running.until("Stopping")
    running.interrupt()
    running.until("Leaving")
    running.interrupt()
    ended = running.finish()

    assert (ended.code, ended.out) == (5, "")

    vapi.options.create_delay = 0.0
    resumed = command("resume")

    assert resumed.code == 0
    assert statuses(resumed.document) == ["completed"]
    assert vapi.rang == {FIRST: 1}


def test_a_run_that_was_told_to_stop_is_5_though_everybody_had_been_called(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", providers(ROWS[0]), "-v")
    running.until("call.in_progress")
    running.interrupt()
    running.until("Stopping")
    vapi.hang_up(FIRST)
    stopped = running.finish()

    assert (stopped.code, stopped.document["run"]["finished"]) == (5, True)
    assert command("resume").code == 0
    assert vapi.rang == {FIRST: 1}


def test_ctrl_c_while_only_an_analysis_is_awaited_says_that_and_until_when(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.analysis = "missing"
    running = command.start("batch", providers(ROWS[0]), "-v", "--analysis-timeout", "600")
    running.until("call.ended")
    running.interrupt()
    running.until("Stopping: nobody new is dialled, 1 call off the line still awaits its analysis, until ")
    assert TIME.sub("TIME", running.heard.splitlines()[-1]).endswith(
        "its analysis, until TIME at the latest. Once more to leave at once."
    )
    running.interrupt()

    assert running.finish().code == 5


NOTHING = cast(Any, None)  # of what is not looked at


def going_on(calls: list[Awaited]) -> str:
    """What the first Ctrl-C says while this is awaited of each call, with every time of day replaced."""
    said: list[str] = []

    async def stop() -> None:
        backend = FakeBackend({}, lambda key: None)
        caller = Caller(NOTHING, backend, Lines(5), Rules(), observer=lambda event: None)
        for number, awaited in enumerate(calls):
            caller.underway.put(dialled(number, backend.now()), awaited)
        stopper = Stopper(said.append, hang_up=False)
        stopper.found(caller)
        stopper.stop()

    asyncio.run(stop())
    return TIME.sub("TIME", said[0])


def dialled(number: int, at: datetime) -> Attempt:
    return Attempt(
        id=number, run_id="", ordinal=1, key="", state=CallState.PLACED, asked=NOTHING, dialed_at=at, call_id="call"
    )


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([], "no call is on the line."),
        (
            [Awaited.END],
            "1 call on the line is followed to the end, until TIME at the latest.",
        ),
        (
            [Awaited.WORD] * 2,
            "2 calls that Vapi does not show are still asked for, until TIME at the latest.",
        ),
        (
            [*Awaited, Awaited.ANALYSIS, Awaited.END],
            "2 calls on the line are followed to the end, until TIME at the latest, "
            "2 calls off the line still await their analysis, until TIME at the latest, "
            "1 call that Vapi does not show is still asked for, until TIME at the latest.",
        ),
    ],
)
def test_the_first_ctrl_c_says_what_goes_on_and_until_when(calls: list[Awaited], said: str) -> None:
    assert going_on(calls) == f"Stopping: nobody new is dialled, {said} Once more to leave at once."


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_told_to_end_drains_like_ctrl_c(talking: Any, vapi: Any, number: int) -> None:
    talking.interrupt(number)
    talking.until("Stopping")
    vapi.hang_up(FIRST)

    assert talking.finish().code == 5
    assert vapi.rang == {FIRST: 1}


def test_with_hang_up_the_first_ctrl_c_also_ends_the_call(command: Any, providers: Any, vapi: Any) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", providers(*ROWS), "-v", "--max-concurrent", "1", "--hang-up")
    running.until("call.in_progress")
    running.interrupt()
    stopped = running.finish()

    assert stopped.code == 5
    assert statuses(stopped.document) == ["cancelled", "pending", "pending"]
    assert vapi.ledger["live"] == 0


def test_ctrl_c_before_the_first_dial_keeps_no_run(command: Any, providers: Any, vapi: Any, kept: Any) -> None:
    vapi.options.reply_delay = 60.0
    running = command.start("batch", providers(*ROWS), "-v")
    running.until("From columns of the file: service from 'service'.")
    running.interrupt()
    ended = running.finish()

    assert (ended.code, ended.out, kept()) == (2, "", 0)
    assert ended.lines[-1] == "Interrupted before the first dial; nobody was dialled."
    assert vapi.rang == {}


def test_hanging_up_the_terminal_does_not_stop_a_run_that_was_told_to_ignore_it(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", providers(ROWS[0]), "-v", prefix=("nohup",))
    running.until("call.in_progress")
    running.interrupt(signal.SIGHUP)
    vapi.hang_up(FIRST)

    assert running.finish().code == 0


def test_a_last_call_that_ctrl_c_hung_up_leaves_nothing_to_finish(command: Any, providers: Any, vapi: Any) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", providers(ROWS[0]), "-v", "--hang-up")
    running.until("call.in_progress")
    running.interrupt()
    done = running.finish()

    assert (done.code, statuses(done.document), done.document["run"]["finished"]) == (5, ["cancelled"], True)
    assert command("resume").lines == ["There is nothing to finish."]


def test_ctrl_c_between_the_beginning_and_the_first_dial_keeps_no_run(
    command: Any, providers: Any, kept: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # One request a minute, which the check takes: the first dial is due when the simulator's young minute is over.
    with Simulator(SimulatorOptions(clock_skew=1 - time.time() % 60)) as simulator:
        monkeypatch.setenv("VAPI_API_KEY", KEY)
        monkeypatch.setenv("VAPI_PHONE_NUMBER_ID", NUMBER)
        monkeypatch.setenv("VAPI_BASE_URL", simulator.url)
        monkeypatch.setenv("VAPI_MAX_REQUESTS_PER_MINUTE", "1")
        running = command.start("batch", providers(*ROWS), "-v")
        running.until("run.started")
        assert kept() == 1
        running.interrupt()
        ended = running.finish()
        requests = simulator.ledger()["requests"]

    assert (ended.code, ended.out, kept(), requests["create"]) == (2, "", 0, 0)
    assert list((tmp_path / "state" / "locks").iterdir()) == []
    assert ended.lines[-1] == (
        "concierge-calls: Interrupted before the first dial: nobody was dialled, and no run is kept."
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("resumes", [False, True], ids=["batch", "resume"])
def test_once_the_document_is_out_no_signal_changes_how_the_run_went(
    command: Any, providers: Any, vapi: Any, number: int, resumes: bool
) -> None:
    if resumes:
        vapi.options.refuse = "credits"
        assert command("batch", providers(ROWS[1]), "-o", "doc.json").code == 4
        vapi.options.refuse = None
    running = command.start(*(["resume"] if resumes else ["batch", providers(ROWS[1]), "-o", "doc.json"]))
    running.until("The document is in ")
    pause = threading.Event()
    while running.process.poll() is None:
        running.interrupt(number)
        pause.wait(0.002)
    done = running.finish()

    assert (done.code, done.out, done.err.splitlines()[-1]) == (0, "", running.heard.splitlines()[-1])
    assert json.loads(Path("doc.json").read_text())["stats"]["noAnswer"] == 1


@pytest.mark.parametrize("named", [True, False], ids=["named", "bare"])
def test_ctrl_c_while_another_process_looks_at_the_run_to_be_resumed_is_5_and_leaves_it_as_it_was(
    talking: Any, command: Any, vapi: Any, tmp_path: Path, named: bool
) -> None:
    talking.interrupt(signal.SIGKILL)
    talking.finish()
    [run] = [line.split()[0] for line in command("runs").out.splitlines()]
    before = command("show", run).document
    with (tmp_path / "state" / "locks" / f"{run}.look.lock").open("w") as look:
        fcntl.flock(look, fcntl.LOCK_EX)
        running = command.start("resume", *([run] if named else []))
        wait_for_its_process(tmp_path / "state", run)
        running.interrupt()
        interrupted = running.finish()

    assert (interrupted.code, interrupted.out) == (5, "")
    assert interrupted.lines == [
        "Interrupted before the first dial; nobody was dialled, and the run can still be resumed."
    ]
    assert command("show", run).document == before


def wait_for_its_process(state: Path, run: str) -> None:
    """Return as soon as a process has the run for itself, though another one looks at it."""
    wait_until(lambda: is_held(state, run))
