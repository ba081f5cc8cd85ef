"""A call in doubt is dialled again only when its number is asked for, and only if Vapi does not show it."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

DOUBT, OTHER = "+18645550106", "+18645550115"
ROWS = ("Blue Ridge,(864) 555-0106,plumbing", "Reedy River,(864) 555-0115,plumbing")
Change = Callable[..., None]


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """Change the journal behind the command's back."""

    def execute(*statements: str) -> None:
        with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as journal, journal:
            for statement in statements:
                journal.execute(statement)

    return execute


@pytest.fixture
def uncertain(command: Any, providers: Any, vapi: Any, change: Change) -> str:
    """A finished run of two calls, of whose first nothing was ever heard; returns its id."""
    done = command("batch", providers(*ROWS))
    assert done.code == 0
    change(
        "UPDATE rows SET state = 'uncertain', status = 'uncertain', result = NULL WHERE idx = 0",
        "UPDATE attempts SET state = 'uncertain', call_id = NULL WHERE idx = 0",
        "UPDATE runs SET finished = 1, ended_at = started_at, sitting_since = NULL",
    )
    return str(done.document["run"]["id"])


def unseen(change: Change) -> None:
    """Have Vapi not show the call in doubt."""
    change("UPDATE attempts SET key = 'another' WHERE idx = 0")


def statuses(document: Any) -> list[str]:
    return [result["status"] for result in document["results"]]


@pytest.mark.parametrize("named", [True, False], ids=["named", "bare"])
@pytest.mark.parametrize("spelling", ["+18645550106", "864.555.0106", "(864) 555-0106"])
def test_a_number_in_doubt_is_dialled_again_on_request(
    command: Any, vapi: Any, change: Change, uncertain: str, spelling: str, named: bool
) -> None:
    unseen(change)
    resumed = command("resume", *([uncertain] if named else []), "--redial-uncertain", spelling)

    assert (resumed.code, statuses(resumed.document)) == (0, ["busy", "no_answer"])
    assert resumed.lines[0] == (
        "Finishing run RUN of providers.csv: 0 calls followed, 1 call in doubt looked for,"
        " 1 of them dialled again unless found, 0 providers left to call, at most 5 at once."
    )
    assert resumed.document["results"][0]["callId"] == vapi.ledger["numbers"][DOUBT]["calls"][1]["id"]
    assert vapi.rang == {DOUBT: 2, OTHER: 1}


def test_a_call_that_vapi_shows_after_all_is_followed_and_not_dialled_again(
    command: Any, vapi: Any, uncertain: str
) -> None:
    resumed = command("resume", uncertain, "--redial-uncertain", DOUBT)

    assert (resumed.code, statuses(resumed.document)) == (0, ["busy", "no_answer"])
    assert resumed.document["results"][0]["callId"] == vapi.ledger["numbers"][DOUBT]["calls"][0]["id"]
    assert vapi.rang == {DOUBT: 1, OTHER: 1}


def test_nothing_redials_a_number_in_doubt_that_was_not_asked_for(
    command: Any, vapi: Any, change: Change, uncertain: str
) -> None:
    unseen(change)
    resumed = command("resume", uncertain)

    assert (resumed.code, statuses(resumed.document)) == (3, ["uncertain", "no_answer"])
    assert vapi.rang == {DOUBT: 1, OTHER: 1}


@pytest.mark.parametrize(
    ("phone", "sentence"),
    [
        (OTHER, "Run RUN has no call to …0115 that is uncertain, so nobody was dialled; see how it went: "),
        ("864 555 0199", "Run RUN has no call to …0199 that is uncertain, so nobody was dialled; see how it went: "),
        ("none", "'none' is not a phone number; correct it."),
    ],
)
def test_a_number_that_is_not_in_doubt_is_2_and_nobody_is_dialled(
    command: Any, vapi: Any, change: Change, uncertain: str, phone: str, sentence: str
) -> None:
    unseen(change)
    before = vapi.asked
    refused = command("resume", uncertain, "--redial-uncertain", DOUBT, "--redial-uncertain", phone)

    assert (refused.code, refused.out) == (2, "")
    assert refused.said.replace(uncertain, "RUN").startswith(sentence)
    assert vapi.asked == before


def test_who_asked_not_to_be_called_is_not_dialled_again_on_request_either(
    command: Any, vapi: Any, change: Change, uncertain: str
) -> None:
    unseen(change)
    change(
        "INSERT INTO do_not_call SELECT number, '2026-11-01T12:00:00.000000+00:00', '\"\"' FROM attempts WHERE idx = 0"
    )
    on_this_wall = datetime(2026, 11, 1, 12, tzinfo=UTC).astimezone()
    refused = command("resume", uncertain, "--redial-uncertain", DOUBT)

    assert (refused.code, refused.said) == (
        2,
        f"…0106 is not dialled again, and nobody was dialled. They asked on {on_this_wall:%Y-%m-%d} not to be called.",
    )
    assert vapi.rang == {DOUBT: 1, OTHER: 1}


def test_without_a_call_in_doubt_anywhere_there_is_nobody_to_dial_again(command: Any, vapi: Any) -> None:
    refused = command("resume", "--redial-uncertain", DOUBT)

    assert (refused.code, refused.said) == (
        2,
        "There is no run with a call in doubt, so nobody was dialled; see: concierge-calls runs",
    )


def test_a_vapi_that_cannot_be_asked_for_the_call_has_nobody_dialled(
    command: Any, vapi: Any, change: Change, uncertain: str
) -> None:
    unseen(change)
    vapi.options.fail_reads = 1.0
    refused = command("resume", uncertain, "--redial-uncertain", DOUBT)

    assert (refused.code, refused.out) == (2, "")
    assert vapi.rang == {DOUBT: 1, OTHER: 1}


def test_resume_says_that_it_looks_for_a_call_and_until_when_and_afterwards_what_is_true(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.create_delay = 60.0
    asking = command.start("batch", providers(ROWS[0]), "-v")
    asking.until("call.dialing")
    vapi.wait_for(DOUBT)
    asking.interrupt(signal.SIGKILL)
    asking.finish()
    resumed = command("resume")

    assert resumed.lines[:2] == [
        "Finishing run RUN of providers.csv: 0 calls followed, 1 call in doubt looked for, 0 providers left to call,"
        " at most 5 at once.",
        "Vapi is asked for the call whose reply never came, until M:SS at the latest.",
    ]
    assert (resumed.code, statuses(resumed.document)) == (0, ["busy"])
    assert json.loads(resumed.out)["results"][0]["error"] is None
