"""What somebody wanted over a day ago is not dialled unless the run is named; what is on the line is followed."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

FIRST = "+18645550100"
ROWS = ("Blue Ridge,(864) 555-0100,plumbing", "Reedy River,(864) 555-0115,plumbing", "Haywood,864-555-0126,plumbing")


def statuses(document: Any) -> list[str]:
    return [result["status"] for result in document["results"]]


@pytest.fixture
def old(command: Any, providers: Any, vapi: Any, tmp_path: Path) -> str:
    """A run begun 25 hours ago, whose process was killed while its first call was on the line; returns its id."""
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", providers(*ROWS), "-v", "--max-concurrent", "1")
    running.until("call.in_progress")
    running.interrupt(signal.SIGKILL)
    running.finish()
    vapi.hang_up(FIRST)
    return begun(tmp_path / "state" / "journal.db", timedelta(hours=25))


def begun(path: Path, ago: timedelta) -> str:
    """Have the only run be that old, and return its id."""
    when = (datetime.now(UTC) - ago).isoformat(timespec="microseconds")
    with closing(sqlite3.connect(path)) as journal, journal:
        journal.execute("UPDATE runs SET started_at = ?", (when,))
        return str(journal.execute("SELECT id FROM runs").fetchone()[0])


def test_a_bare_resume_follows_an_old_run_dials_nobody_and_says_how_to_name_it(
    command: Any, vapi: Any, old: str
) -> None:
    resumed = command("resume")
    day = datetime.fromisoformat(resumed.document["run"]["startedAt"]).astimezone().strftime("%Y-%m-%d")

    assert (resumed.code, statuses(resumed.document)) == (5, ["completed", "pending", "pending"])
    assert resumed.document["run"]["finished"] is False
    assert resumed.lines[:2] == [
        "Finishing run RUN of providers.csv: 1 call followed, at most 1 at once.",
        f"It was begun over 24 hours ago, on {day}, so 2 providers are not called."
        " To call them all the same: concierge-calls resume RUN",
    ]
    assert resumed.lines[-1] == "To finish this run: concierge-calls resume RUN"
    assert vapi.rang == {FIRST: 1}


def test_a_bare_resume_of_an_old_run_in_which_only_the_pending_are_left_asks_vapi_nothing(
    command: Any, vapi: Any, old: str
) -> None:
    first = command("resume", "-q")
    asked = vapi.asked
    second = command("resume", "-q")

    assert (first.code, second.code, second.lines[-1]) == (5, 5, "To finish this run: concierge-calls resume RUN")
    assert statuses(second.document) == ["completed", "pending", "pending"]
    assert vapi.asked == asked


def test_an_old_run_that_is_named_dials_who_is_left(command: Any, vapi: Any, old: str) -> None:
    resumed = command("resume", old)

    assert (resumed.code, statuses(resumed.document)) == (0, ["completed", "no_answer", "busy"])
    assert vapi.rang == {FIRST: 1, "+18645550115": 1, "+18645550126": 1}


def test_a_younger_run_is_dialled_without_being_named(command: Any, vapi: Any, old: str, tmp_path: Path) -> None:
    begun(tmp_path / "state" / "journal.db", timedelta(hours=23))

    assert command("resume").code == 0
    assert vapi.rang == {FIRST: 1, "+18645550115": 1, "+18645550126": 1}


def test_a_bare_resume_passes_over_an_old_run_in_which_it_has_nothing_to_do_and_names_it(
    command: Any, providers: Any, vapi: Any, old: str, tmp_path: Path
) -> None:
    journal = tmp_path / "state" / "journal.db"
    later = later_run_with_nobody_called(command, providers, vapi, journal)
    resumed = command("resume")

    assert (resumed.code, resumed.document["run"]["id"]) == (5, old)
    assert statuses(resumed.document) == ["completed", "pending", "pending"]
    assert resumed.lines[-2:] == [
        "To finish this run: concierge-calls resume RUN",
        "Run RUN too is unfinished; to finish it, which also calls the 1 provider left in it:"
        " concierge-calls resume RUN",
    ]
    assert resumed.err.splitlines()[-1].endswith(later)

    again = command("resume")

    assert (again.code, again.document["run"]["id"], statuses(again.document)) == (5, later, ["pending"])
    assert vapi.rang == {FIRST: 1}


def later_run_with_nobody_called(command: Any, providers: Any, vapi: Any, path: Path) -> str:
    """Begin a run that dies before its first call, and make it an hour younger than the other one; returns its id."""
    vapi.options.refuse = "credits"
    stopped = command("batch", providers("Falls Park,(864) 555-0120,plumbing", name="later.csv"))
    assert stopped.code == 4
    vapi.options.refuse = None
    run = str(stopped.document["run"]["id"])
    when = (datetime.now(UTC) - timedelta(hours=24, minutes=1)).isoformat(timespec="microseconds")
    with closing(sqlite3.connect(path)) as journal, journal:
        journal.execute("UPDATE runs SET started_at = ?, stopped = NULL WHERE id = ?", (when, run))
    return run
