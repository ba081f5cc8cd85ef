"""`doctor` says before anybody is dialled that the journal's disk has too little room for what is said in a run."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.doctor import Check, State, house
from concierge_calls.doctor.facts import Disk, JournalFacts, UnfinishedRun
from tests.journal.test_opening import _mounted

KEPT = f"Runs are kept in state/journal.db, by SQLite {sqlite3.sqlite_version}."
FREE = re.compile(r"\b[01]\.\d MB free")


def found(command: Any, code: int, *, lines: int) -> tuple[str, str]:
    """Return how the journal's check comes out for a run of so many lines."""
    environ = {"CONCIERGE_STATE_DIR": "state", "VAPI_MAX_CONCURRENT_CALLS": str(lines)}
    finished = command("doctor", "--json", environ=environ)
    assert (finished.code, finished.err) == (code, "")
    [check] = [check for check in finished.document if check["name"] == "journal"]
    return check["state"], FREE.sub("SOME MB free", check["sentence"])


def test_a_disk_with_too_little_room_for_a_run_is_wrong_and_2_and_fewer_lines_may_do(command: Any, vapi: Any) -> None:
    with _mounted(Path("state"), "size=1500k"):
        assert found(command, 2, lines=5) == (
            "wrong",
            f"{KEPT} Its disk has SOME MB free, and a run of 5 lines needs 3.1 MB for what is said in its calls. "
            "Free some room, or set CONCIERGE_STATE_DIR to a folder on another disk.",
        )
        assert found(command, 0, lines=1) == ("ok", KEPT)
    assert vapi.rang == {}


def test_the_sentence_is_shown_whole_and_a_run_is_refused_as_it_says(command: Any, vapi: Any, providers: Any) -> None:
    environ = {"CONCIERGE_STATE_DIR": "state"}
    with _mounted(Path("state"), "size=1500k"):
        said = command("doctor", environ=environ)
        refused = command("batch", providers("Blue Ridge,(864) 555-0100,plumbing"), environ=environ)

    assert said.code == refused.code == 2
    assert FREE.sub("SOME MB free", said.out).endswith(
        f"""\
journal    wrong    Runs are kept in state/journal.db, by SQLite {sqlite3.sqlite_version}. Its
                    disk has SOME MB free, and a run of 5 lines needs 3.1 MB for
                    what is said in its calls. Free some room, or set
                    CONCIERGE_STATE_DIR to a folder on another disk.

A run would not work. Mend what is wrong, then: concierge-calls doctor
"""
    )
    assert "is full; free some room" in refused.err
    assert vapi.rang == {}


@pytest.mark.parametrize(
    ("free", "state", "lack"),
    [
        (1_572_864, State.WARNING, ""),
        (
            1_572_863,
            State.WRONG,
            "Its disk has 1.6 MB free, and a run of 2 lines needs 1.6 MB for what is said in its calls. "
            "Free some room, or set CONCIERGE_STATE_DIR to a folder on another disk. ",
        ),
    ],
)
def test_a_lack_of_room_hides_nothing_else_that_wants_a_look(free: int, state: State, lack: str) -> None:
    facts = JournalFacts(
        path=Path("state/journal.db"),
        unfinished=(UnfinishedRun("run-1", "movers.csv", is_worked_on=False),),
        disk=Disk(free=free, wanted=1_572_864, lines=2),
    )

    assert house.journal(facts, ended=()) == Check(
        "journal",
        state,
        f"{KEPT} {lack}Run run-1 of movers.csv is unfinished; to finish it: concierge-calls resume run-1.",
    )
