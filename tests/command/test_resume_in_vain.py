"""A call in doubt that was dialled again in vain is in doubt as before: reported so, and dialled by no plain resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.command.test_resume_in_doubt import DOUBT, OTHER, change, statuses, uncertain, unseen
from tests.environment import KEY, NUMBER

__all__ = ["change", "uncertain"]

Change = Callable[..., None]

IN_DOUBT = ["uncertain", "no_answer"]
SOMEBODY = "+18645550198"


def occupied_by_somebody_else(vapi: Any) -> None:
    """Have the account's only line be taken, for as long as a test may take, by a call that is not ours."""
    vapi.options.lines = 1
    vapi.options.stuck = {SOMEBODY: "in-progress"}
    call = {"phoneNumberId": NUMBER, "assistantId": NUMBER, "customer": {"number": SOMEBODY}}
    asked = httpx.post(f"{vapi._simulator.url}/call", json=call, headers={"Authorization": f"Bearer {KEY}"})
    asked.raise_for_status()


@pytest.fixture
def refused(command: Any, vapi: Any, change: Change, uncertain: str) -> Any:
    """What came of dialling a call in doubt again for an account without credit."""
    unseen(change)
    vapi.options.refuse = "credits"
    done = command("resume", uncertain, "--redial-uncertain", DOUBT)
    vapi.options.refuse = None
    return done


def test_a_second_call_that_is_refused_leaves_the_first_in_doubt_and_says_why(refused: Any, vapi: Any) -> None:
    assert (refused.code, statuses(refused.document)) == (3, IN_DOUBT)
    assert refused.document["run"]["finished"] is True
    assert sum("…0106 was not dialled again, so its call stays in doubt: " in line for line in refused.lines) == 1
    assert vapi.rang == {DOUBT: 1, OTHER: 1}


def test_no_plain_resume_dials_it_and_one_that_is_asked_to_does(refused: Any, command: Any, vapi: Any) -> None:
    run_id = refused.document["run"]["id"]
    plain = [command("resume"), command("resume", run_id)]
    assert [(each.code, statuses(each.document)) for each in plain if each.out] == [(3, IN_DOUBT)]
    assert vapi.rang == {DOUBT: 1, OTHER: 1}

    asked = command("resume", run_id, "--redial-uncertain", DOUBT)
    assert (asked.code, statuses(asked.document)) == (0, ["busy", "no_answer"])
    assert vapi.rang == {DOUBT: 2, OTHER: 1}


def test_a_first_call_that_vapi_shows_after_all_is_followed(
    refused: Any,
    command: Any,
    vapi: Any,
    change: Change,
) -> None:
    run_id = refused.document["run"]["id"]
    change("UPDATE attempts SET key = run_id || '-0-1' WHERE idx = 0 AND ordinal = 1")
    resumed = command("resume", run_id)

    assert (resumed.code, statuses(resumed.document)) == (0, ["busy", "no_answer"])
    assert resumed.document["results"][0]["callId"] == vapi.ledger["numbers"][DOUBT]["calls"][0]["id"]
    assert vapi.rang == {DOUBT: 1, OTHER: 1}


def test_ctrl_c_while_a_second_call_waits_for_a_line_leaves_the_first_in_doubt(
    command: Any,
    vapi: Any,
    change: Change,
    uncertain: str,
) -> None:
    unseen(change)
    occupied_by_somebody_else(vapi)
    resuming = command.start("resume", uncertain, "--redial-uncertain", DOUBT)
    resuming.until("…0106 was not dialled again, so its call stays in doubt: ")
    resuming.interrupt()
    stopped = resuming.finish()
    vapi.options.lines = 0
    resumed = command("resume", uncertain)

    assert [(each.code, statuses(each.document)) for each in (stopped, resumed)] == [(5, IN_DOUBT), (3, IN_DOUBT)]
    assert [vapi.rang[number] for number in (DOUBT, OTHER)] == [1, 1]
