"""`forget` erases what was said and by whom, in the file itself, and keeps which numbers were called when."""

from __future__ import annotations

import os
import pty
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.command.conftest import COMMAND, LONGEST, steady

BUSY = "Larkspur Plumbing,(864) 555-0106,plumbing,left door"
TALKS = "Whispering Pines,(864) 555-0110,plumbing,right door"
HEADER = "name,phone,service,door"
WORDS = ("Larkspur", "Whispering", "(864) 555-0106", "plumbing", "left door", "right door", "licensed", "by sunrise")
KEPT = "which numbers were called when is kept."
ELSEWHERE = "Documents that were written are files of yours, and Vapi has its own records: delete both where they are."
QUESTION = "[y/N] "


def at_terminal(*arguments: str, typed: bytes) -> tuple[int, list[str]]:
    """Run the command at a terminal, type when it asks, and return its exit code and what stood on the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    patience = threading.Timer(LONGEST, process.kill)
    patience.start()
    screen, piece = b"", b" "
    while piece:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's way of saying that nobody writes any more
            piece = b""
        screen += piece
        if typed and screen.endswith(QUESTION.encode()):
            os.write(ours, typed)
            typed = b""
    os.close(ours)
    patience.cancel()
    return process.wait(), steady(screen.decode().replace("\r\n", "\n"))


def left_in(journal: Path) -> list[str]:
    data = journal.read_bytes()
    return [word for word in WORDS if word.encode() in data]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def called(command: Any, providers: Any, vapi: Any) -> Callable[..., str]:
    """Make a run, and return its id."""

    def make(*options: str) -> str:
        file = providers(BUSY, TALKS, header=HEADER)
        spoken = ("--criteria", "licensed", "--urgency", "by sunrise")
        finished = command("batch", file, *spoken, "--allow-redial", *options)
        assert finished.code == 0
        return finished.document["run"]["id"]  # type: ignore[no-any-return]

    return make


@pytest.fixture
def ended_ago(tmp_path: Path) -> Callable[..., None]:
    """Have a run end so many days ago."""

    def move(run_id: str, days: float) -> None:
        moment = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")
        for path in (tmp_path / "state").glob("*.db"):
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("UPDATE runs SET ended_at = ? WHERE id = ?", (moment, run_id))
                db.execute("UPDATE history SET at = ? WHERE run_id = ?", (moment, run_id))

    return move


def test_a_forgotten_run_keeps_its_rows_and_figures_and_not_a_word(
    command: Any, called: Any, journal: Path, vapi: Any
) -> None:
    run = called()
    before = command("show", run).document
    assert left_in(journal)
    finished = command("forget", run)

    assert (finished.code, finished.out) == (0, "")
    assert finished.lines == [f"Run RUN is forgotten; {KEPT}", ELSEWHERE]
    assert left_in(journal) == []
    after = command("show", run).document
    assert after["run"] == before["run"] | {"source": "(forgotten)"}
    assert after["stats"] == before["stats"]
    erased: dict[str, Any] = {
        "transcript": "",
        "messages": [],
        "analysis": {"status": "none", "summary": None, "structuredData": {}, "successEvaluation": None},
        "request": {
            "serviceNeeded": None,
            "userCriteria": None,
            "location": None,
            "urgency": "",
            "problemDescription": None,
            "clientName": None,
            "serviceRequestId": None,
        },
        "recordingUrl": None,
    }
    nobody: dict[str, Any] = {"id": None, "name": "(forgotten)", "phoneGiven": "", "extension": None, "extra": {}}
    assert after["results"] == [
        result
        | erased
        | {"provider": nobody | {"phone": result["provider"]["phone"], "line": result["provider"]["line"]}}
        for result in before["results"]
    ]
    assert command("show", run, "--format", "csv").code == 0


def test_a_number_that_a_forgotten_run_called_is_still_not_called_again(
    command: Any, called: Any, providers: Any, vapi: Any
) -> None:
    run = called()
    command("forget", run)
    again = command("batch", providers(BUSY, header=HEADER))

    assert again.code == 0
    assert again.document["results"][0]["error"]["code"] == "called_lately"
    assert vapi.rang == {"+18645550106": 1, "+18645550110": 1}


def test_a_run_that_was_forgotten_before_is_0(command: Any, called: Any) -> None:
    run = called()
    command("forget", run)
    again = command("forget", run)
    resumed = command("resume", run)

    assert (again.code, again.lines) == (0, ["Run RUN was forgotten before."])
    assert (resumed.code, resumed.lines) == (0, ["There is nothing to finish."])


def test_a_simulated_run_is_marked_and_forgotten_in_its_own_journal(
    command: Any, providers: Any, tmp_path: Path
) -> None:
    run = command("batch", providers(BUSY, header=HEADER), "--simulate").document["run"]["id"]
    finished = command("forget", run)

    assert (finished.code, finished.lines) == (0, [f"Run RUN, a simulated one, is forgotten; {KEPT}"])
    assert left_in(tmp_path / "state" / "simulated.db") == []
    assert command("runs").out.splitlines()[0].endswith("(forgotten)        1/1  finished, simulated")


def test_older_than_counts_by_the_end_of_a_run_and_says_how_many(
    command: Any, providers: Any, called: Any, ended_ago: Any, journal: Path
) -> None:
    new, old = called(), called()
    simulated = command("batch", "providers.csv", "--simulate").document["run"]["id"]
    for run, days in ((new, 89.9), (old, 90.1), (simulated, 90.1)):
        ended_ago(run, days)
    finished = command("forget", "--older-than", "90d")

    assert (finished.code, finished.lines) == (
        0,
        [f"2 runs, 1 of them simulated, are forgotten; {KEPT}", ELSEWHERE],
    )
    sources = {entry["run"]["id"]: entry["run"]["source"] for entry in command("runs", "--json").document}
    assert sources == {new: "providers.csv", old: "(forgotten)", simulated: "(forgotten)"}
    assert {result["provider"]["name"] for result in command("show", new).document["results"]} == {
        "Larkspur Plumbing",
        "Whispering Pines",
    }


def test_nothing_that_old_is_0(command: Any, called: Any) -> None:
    assert command("forget", "--older-than", "36h").code == 0
    called()
    finished = command("forget", "--older-than", "1W")

    assert (finished.code, finished.out) == (0, "")
    assert finished.err.startswith("No run that ended before ")
    assert finished.err.endswith(" is left to forget.\n")


@pytest.mark.parametrize("age", ["90", "d", "0d", "-1d", "1.5d", "90 days", "3m", "999999d", "٣d", ""])
def test_an_age_that_is_none_is_2_with_an_example(command: Any, called: Any, age: str) -> None:
    finished = command("forget", f"--older-than={age}")

    assert (finished.code, finished.out) == (2, "")
    assert finished.said == (
        f"--older-than {age!r} is no length of time; write a number and d, w or h for days, weeks or hours: 90d"
    )


@pytest.mark.parametrize("arguments", [(), ("20261126-abcdefgh", "--older-than", "90d")])
def test_one_run_or_an_age_is_needed(command: Any, arguments: tuple[str, ...]) -> None:
    finished = command("forget", *arguments)

    assert (finished.code, finished.out) == (2, "")
    assert finished.said == "Name one run, or say how old: concierge-calls forget --older-than 90d"


def test_a_run_that_is_not_there_is_2(command: Any) -> None:
    finished = command("forget", "20261126-abcdefgh")

    assert (finished.code, finished.out) == (2, "")
    assert finished.said == "There is no run 20261126-abcdefgh in the journal; see: concierge-calls runs."


def test_a_run_with_a_call_on_the_line_is_2_until_it_is_resumed(
    command: Any, providers: Any, vapi: Any, ended_ago: Any, journal: Path
) -> None:
    vapi.options.stuck = {"+18645550110": "in-progress"}
    running = command.start("batch", providers(TALKS, header=HEADER), "-v")
    running.until("call.in_progress")
    [entry] = command("runs", "--json").document
    run = entry["run"]["id"]
    worked_on = command("forget", run)

    assert worked_on.code == 2
    assert worked_on.said.startswith(f"Run {run} is being worked on by another process; ")

    running.interrupt(signal.SIGKILL)
    running.finish()
    open_call = (
        f"Run {run} has a call on the line, without its result or in doubt, so it is not forgotten; "
        f"finish it first: concierge-calls resume {run}"
    )
    refused = command("forget", run)
    assert (refused.code, refused.out, refused.said) == (2, "", open_call)

    ended_ago(run, 100)
    several = command("forget", "--older-than", "90d")
    assert several.code == 3
    assert several.err.splitlines()[0] == open_call
    assert several.err.splitlines()[1].startswith("No other run that ended before ")
    assert left_in(journal)

    vapi.hang_up("+18645550110")
    assert command("resume").code == 0
    assert command("forget", run).code == 0
    assert left_in(journal) == []
    assert vapi.rang == {"+18645550110": 1}


def test_while_another_run_goes_on_the_file_is_not_closed_to_it_and_3_says_so(
    command: Any, providers: Any, called: Any, vapi: Any, journal: Path
) -> None:
    old = called()
    vapi.options.stuck = {"+18645550120": "in-progress"}
    running = command.start("batch", providers("Falls Park,(864) 555-0120,moving", name="others.csv"), "-v")
    running.until("call.in_progress")
    finished = command("forget", old)

    assert finished.code == 3
    assert finished.lines == [
        f"Run RUN is forgotten; {KEPT}",
        ELSEWHERE,
        f"Old copies of the words may be left in free room of {journal}, since a run is going on;"
        " forget the same once more when it has ended.",
    ]

    vapi.hang_up("+18645550120")
    assert running.finish().code == 0
    again = command("forget", old)
    assert (again.code, again.lines) == (0, [f"Run RUN is forgotten; {KEPT}", ELSEWHERE])


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (b"y\n", 0, [f"Run RUN is forgotten; {KEPT}", ELSEWHERE]),
        (b"n\n", 2, ["Nothing was forgotten."]),
        (b"\x04", 2, ["Nothing was forgotten."]),
    ],
)
def test_at_a_terminal_somebody_is_asked(called: Any, journal: Path, typed: bytes, code: int, said: list[str]) -> None:
    run = called()
    question = f"Erase for good what was said in run RUN and by whom? {QUESTION}"
    ended, screen = at_terminal("forget", run, typed=typed)

    assert ended == code
    assert screen == [
        f"{question}{typed.decode().strip()}".rstrip() if code == 0 or typed == b"n\n" else question.rstrip(),
        *said,
    ]
    assert (left_in(journal) == []) is (code == 0)


def test_at_a_terminal_yes_asks_nobody(called: Any) -> None:
    code, screen = at_terminal("forget", called(), "--yes", typed=b"")

    assert (code, screen) == (0, [f"Run RUN is forgotten; {KEPT}", ELSEWHERE])
