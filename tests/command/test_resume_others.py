"""A resume is never in another run's way, nor another run in its: dead ones are looked at, living ones left alone."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.simulator import Simulator, SimulatorOptions

FIRST, SECOND = "+18645550100", "+18645550110"
BLUE, REEDY, FALLS = (
    "Blue Ridge,(864) 555-0100,plumbing",
    "Reedy River,(864) 555-0110,plumbing",
    "Falls Park,(864) 555-0120,plumbing",
)
OTHER_NUMBER = "22222222-2222-4222-8222-222222222222"
IN_DOUBT = (
    "UPDATE rows SET state = 'uncertain', status = 'uncertain', result = NULL WHERE idx = 0",
    "UPDATE attempts SET state = 'uncertain', call_id = NULL, key = 'another' WHERE idx = 0",
    "UPDATE runs SET finished = 1, ended_at = started_at, stopped = NULL, sitting_since = NULL",
)


def told(document: Any) -> list[tuple[str, str | None]]:
    """Return each row's status and the code of its reason."""
    return [(row["status"], row["error"] and row["error"]["code"]) for row in document["results"]]


def on_the_line(command: Any, providers: Any, vapi: Any, rows: tuple[str, ...], name: str, *more: str) -> Any:
    """Begin a run of which the first call is on the line and stays there."""
    digits = "".join(filter(str.isdigit, rows[0].split(",")[1]))
    vapi.options.stuck = {**vapi.options.stuck, f"+1{digits}": "in-progress"}
    running = command.start("batch", providers(*rows, name=name), "-v", "--max-concurrent", "1", *more)
    running.until("call.in_progress")
    return running


def killed(running: Any) -> None:
    """End the run's process as the kernel would."""
    running.interrupt(signal.SIGKILL)
    assert running.finish().code == -signal.SIGKILL


def runs(command: Any) -> dict[str, str]:
    """Return the id of each providers file's run."""
    return {entry["run"]["source"]: entry["run"]["id"] for entry in command("runs", "--json").document}


class State:
    """The journal's file, behind the command's back."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def change(self, statement: str, *values: str) -> None:
        with closing(sqlite3.connect(self._path)) as journal, journal:
            journal.execute(statement, values)

    def doubt(self) -> None:
        """Have the first call of the only run be in doubt, and Vapi not show it."""
        for statement in IN_DOUBT:
            self.change(statement)

    def row_of(self, run_id: str) -> Any:
        """Return the run's own row."""
        with closing(sqlite3.connect(self._path)) as journal:
            return journal.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state" / "journal.db")


def test_a_run_that_dies_during_ours_is_looked_at_before_its_number_is_skipped(
    command: Any, providers: Any, vapi: Any
) -> None:
    ours = on_the_line(command, providers, vapi, (REEDY, BLUE), "ours.csv", "--allow-redial")
    killed(on_the_line(command, providers, vapi, (BLUE,), "theirs.csv", "--allow-redial"))
    vapi.hang_up(FIRST)
    vapi.options.stuck = {}
    vapi.hang_up(SECOND)
    done = ours.finish()

    assert (done.code, told(done.document)) == (0, [("completed", None), ("completed", None)])
    assert vapi.rang == {FIRST: 2, SECOND: 1}


def test_a_dead_run_is_asked_for_under_the_number_that_it_called_from(
    command: Any, providers: Any, vapi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(on_the_line(command, providers, vapi, (BLUE,), "theirs.csv"))
    vapi.hang_up(FIRST)
    vapi.options.stuck = {}
    monkeypatch.setenv("VAPI_PHONE_NUMBER_ID", OTHER_NUMBER)
    ours = command("batch", providers(BLUE, name="ours.csv"), "--allow-redial")

    assert (ours.code, told(ours.document)) == (0, [("completed", None)])
    assert vapi.rang == {FIRST: 2}


def test_a_dead_run_is_asked_for_where_it_was_told_to_call_and_nowhere_else(
    command: Any, providers: Any, vapi: Any, state: State
) -> None:
    killed(on_the_line(command, providers, vapi, (BLUE,), "theirs.csv"))
    vapi.hang_up(FIRST)
    vapi.options.stuck = {}
    with Simulator(SimulatorOptions()) as elsewhere:
        state.change("UPDATE runs SET about = json_set(about, '$.options.base_url', ?)", elsewhere.url)
        ours = command("batch", providers(BLUE, name="ours.csv"), "--allow-redial")
        asked = elsewhere.ledger()["requests"]

    assert (ours.code, told(ours.document)) == (3, [("skipped", "on_the_line")])
    assert (vapi.rang, asked["list"] > 0, asked["create"]) == ({FIRST: 1}, True, 0)


@pytest.mark.parametrize("refuse", ["key", "number"])
def test_a_named_resume_that_comes_to_nothing_leaves_the_run_as_it_was(
    command: Any, providers: Any, vapi: Any, state: State, refuse: str
) -> None:
    done = command("batch", providers(BLUE, REEDY), "-o", "doc.json")
    assert done.code == 0
    run = runs(command)["providers.csv"]
    state.doubt()
    before = state.row_of(run)
    vapi.options.refuse = refuse
    refused = command("resume", run)

    assert (refused.code, state.row_of(run)) == (4, before)
    assert command("resume").lines == ["There is nothing to finish."]


def test_a_bare_resume_names_the_other_runs_that_are_left_over(command: Any, providers: Any, vapi: Any) -> None:
    killed(on_the_line(command, providers, vapi, (BLUE, FALLS), "older.csv"))
    killed(on_the_line(command, providers, vapi, (REEDY,), "newer.csv"))
    vapi.hang_up(FIRST)
    vapi.hang_up(SECOND)
    resumed = command("resume", "-o", "doc.json")

    assert (resumed.code, json.loads(Path("doc.json").read_text())["run"]["source"]) == (0, "newer.csv")
    assert resumed.lines[-1] == (
        "Run RUN too is unfinished; to finish it, which also calls the 1 provider left in it:"
        " concierge-calls resume RUN"
    )
    assert resumed.err.splitlines()[-1].endswith(runs(command)["older.csv"])
    named = command("resume", runs(command)["older.csv"], "-q", "-o", "older.json")
    assert (named.code, named.err) == (0, "")


def test_a_bare_resume_takes_the_latest_run_that_nobody_works_on(command: Any, providers: Any, vapi: Any) -> None:
    killed(on_the_line(command, providers, vapi, (BLUE,), "dead.csv"))
    living = on_the_line(command, providers, vapi, (REEDY,), "living.csv")
    vapi.hang_up(FIRST)
    resumed = command("resume", "-o", "-")
    locked = command("resume")

    assert (resumed.code, resumed.document["run"]["source"], told(resumed.document)) == (
        0,
        "dead.csv",
        [("completed", None)],
    )
    run = runs(command)["living.csv"]
    assert (locked.code, locked.said) == (
        2,
        f"Run {run} is being worked on by another process; wait until that one ends, "
        f"or stop it, then: concierge-calls resume {run}",
    )

    vapi.hang_up(SECOND)
    assert living.finish().code == 0


@pytest.mark.parametrize("over", [True, False], ids=["over", "goes on"])
def test_a_number_in_doubt_that_a_dead_run_had_on_the_line_is_decided_after_a_look(
    command: Any, providers: Any, vapi: Any, state: State, over: bool
) -> None:
    done = command("batch", providers(BLUE, name="doubt.csv"))
    run = done.document["run"]["id"]
    state.doubt()
    killed(on_the_line(command, providers, vapi, (BLUE,), "dead.csv", "--allow-redial"))
    if over:
        [call] = vapi.ledger["numbers"][FIRST]["calls"][1:]
        hang_up_last(vapi, call["id"])
    vapi.options.stuck = {}
    before = state.row_of(run)
    resumed = command("resume", run, "--redial-uncertain", FIRST)

    if over:
        assert (resumed.code, told(resumed.document)) == (0, [("completed", None)])
        assert vapi.rang == {FIRST: 3}
    else:
        dead = runs(command)["dead.csv"]
        assert (resumed.code, resumed.lines[-1].replace(dead, "RUN")) == (
            2,
            "concierge-calls: …0100 is not dialled again, and nobody was dialled. Run RUN has this number on the line;"
            " to follow it to its end: concierge-calls resume RUN",
        )
        assert (vapi.rang, state.row_of(run)) == ({FIRST: 2}, before)


def hang_up_last(vapi: Any, call_id: str) -> None:
    """Let the other side end this one of several calls to a number."""
    account = vapi._simulator._account
    with account.lock:
        [call] = [call for call in account.created if call.id == call_id]
        account._schedule(account.catch_up(), call, "end", "customer-ended-call")
        account.catch_up()
