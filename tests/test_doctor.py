"""What doctor makes of each thing that it finds, and that it finds it without dialling and in time."""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpx import HTTPXMock

from concierge_calls.doctor import Check, State, account, examine, house, looking
from concierge_calls.doctor.facts import JournalFacts, SettingsFacts, UnendedCall, UnfinishedRun, VapiFacts
from concierge_calls.errors import ReadFailed, ReadRefused
from concierge_calls.journal import Journal, NewRun, Owner, RunRecord
from concierge_calls.models import (
    CallMethod,
    CallOutcome,
    CallRequest,
    CallResult,
    CallStatus,
    Provider,
    ServiceRequest,
)
from concierge_calls.settings.loading import load
from concierge_calls.vapi.schemas import Assistant, Call, PhoneNumber
from tests.environment import nobody_listens

NUMBER = PhoneNumber(number="+13125550100", name="Front desk", provider="twilio", status="active")
SILENCE = ReadFailed("Vapi could not be asked for the list of calls just now (HTTP 503); it is asked again.")
DATA = {"analysisPlan": {"structuredDataPlan": {"enabled": True}}}
PLAN = "A run takes up to 5 lines; Vapi's smallest plan has 4, which --max-concurrent 4 fits."
AMPLE = 240.0  # seconds for everything, however slow the machine and its disk are; no test waits for it
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPI_API_KEY", "sk-0123")
    monkeypatch.setenv("VAPI_PHONE_NUMBER_ID", "a-number")
    monkeypatch.setenv("VAPI_BASE_URL", "http://127.0.0.1:9")


def judged(name: str, **answers: Any) -> tuple[str, str]:
    """Return how the check of this name comes out with these answers of Vapi, all others being fine."""
    facts: dict[str, Any] = {"number": NUMBER, "calls": [], "ahead": 0.0} | answers
    vapi = VapiFacts(**facts)
    [check] = [check for check in account.checks(SettingsFacts(load()), vapi) if check.name == name]
    return check.state.value, check.sentence


def test_a_key_that_vapi_answers_to_is_known_even_where_it_answers_no() -> None:
    assert judged("key") == ("ok", "Vapi knows the key.")
    assert judged("key", number=ReadRefused("No.", 404), calls=SILENCE) == ("ok", "Vapi knows the key.")
    assert judged("key", number=ReadRefused("Not this.", 403)) == ("ok", "Vapi knows the key.")


@pytest.mark.parametrize(
    ("answers", "sentence", "in_the_way"),
    [
        ({"number": ReadRefused("No such key.", 401)}, "No such key.", "Vapi refuses the key"),
        (
            {"number": ReadRefused("A firewall.", 403), "calls": ReadRefused("A firewall.", 403)},
            "A firewall.",
            "Vapi refuses the key",
        ),
        (
            {"number": SILENCE, "calls": SILENCE},
            "Vapi could not be asked for the list of calls just now (HTTP 503). Check the network, then try again.",
            "Vapi could not be asked",
        ),
    ],
)
def test_what_is_wrong_with_the_key_is_said_once_and_named_by_the_others(
    answers: dict[str, Any], sentence: str, in_the_way: str
) -> None:
    assert judged("key", **answers) == ("wrong", sentence)
    assert judged("number", **answers) == ("warning", f"Not checked: {in_the_way}.")
    assert judged("lines", **answers) == ("warning", f"Not checked: {in_the_way}.")
    assert judged("clock", **answers | {"ahead": None}) == ("warning", f"Not checked: {in_the_way}.")
    assert judged("clock", **answers) == ("ok", "This machine's clock agrees with Vapi's.")


@pytest.mark.parametrize(
    ("number", "state", "sentence"),
    [
        (NUMBER, "ok", "…0100 (Front desk) places the calls, by twilio."),
        (PhoneNumber(), "ok", "The number places the calls."),
        (
            PhoneNumber(number="+13125550100", provider="vapi"),
            "warning",
            "…0100 is a free Vapi number: about ten calls a day, inside the United States only. "
            "For more, bring a number from Twilio, Vonage or Telnyx and set VAPI_PHONE_NUMBER_ID to it.",
        ),
        (
            PhoneNumber(number="+13125550100", status="blocked"),
            "wrong",
            "…0100 is blocked. See why in Vapi's dashboard, or set VAPI_PHONE_NUMBER_ID to another.",
        ),
        (
            PhoneNumber(number="+13125550100", status="activating"),
            "wrong",
            "…0100 is not active yet. Wait until Vapi's dashboard shows it as active.",
        ),
        (
            PhoneNumber(number="+13125550100", name="Call +1 864 555 0101\n\x1b[31mnow"),
            "ok",
            "…0100 (Call …0101 [31mnow) places the calls.",
        ),
        (ReadRefused("Unknown.", 404), "wrong", "Unknown."),
        (
            SILENCE,
            "wrong",
            "Vapi could not be asked for the list of calls just now (HTTP 503). Check the network, then try again.",
        ),
    ],
)
def test_a_number_is_good_enough_or_what_it_lacks_is_said(number: Any, state: str, sentence: str) -> None:
    assert judged("number", number=number) == (state, sentence)


@pytest.mark.parametrize(
    ("record", "own", "state", "sentence"),
    [
        ("0", None, "ok", "The tool's own assistant speaks; the calls are not recorded."),
        ("1", None, "ok", "The tool's own assistant speaks; the calls are recorded, and its first sentence says so."),
        (
            "0",
            {"name": "Ada", "latestVersion": "v3"} | DATA,
            "ok",
            "Your own assistant Ada speaks in version v3; edits count once they are published. "
            "It brings back a summary, structured data and a verdict. "
            "The calls are not recorded, whatever it is set to.",
        ),
        (
            "1",
            {"name": "Ada"} | DATA,
            "warning",
            "Your own assistant Ada speaks; edits count once they are published. "
            "It brings back a summary, structured data and a verdict. "
            "The calls are recorded (CONCIERGE_RECORD): see that its first sentence says so.",
        ),
        (
            "0",
            {
                "analysisPlan": {"summaryPlan": {"enabled": False}, "successEvaluationPlan": {"enabled": False}},
                "id": "a-1",
            },
            "warning",
            "Your own assistant a-1 speaks; edits count once they are published. "
            "It brings back nothing but the transcript. "
            "Nobody is told who can come without structured data: switch that on in Vapi's dashboard. "
            "The calls are not recorded, whatever it is set to.",
        ),
        (
            "0",
            {"name": "Ada", "artifactPlan": {"structuredOutputIds": ["one", "two"]}},
            "ok",
            "Your own assistant Ada speaks; edits count once they are published. "
            "It brings back a summary, 2 structured outputs and a verdict. "
            "The calls are not recorded, whatever it is set to.",
        ),
    ],
)
def test_an_assistant_is_told_by_its_version_what_it_brings_back_and_whether_it_records(
    monkeypatch: pytest.MonkeyPatch, record: str, own: dict[str, Any] | None, state: str, sentence: str
) -> None:
    monkeypatch.setenv("CONCIERGE_RECORD", record)
    if own is not None:
        monkeypatch.setenv("VAPI_ASSISTANT_ID", "an-assistant")

    assert judged("assistant", assistant=own and Assistant.model_validate(own)) == (state, sentence)


@pytest.mark.parametrize(
    ("most", "statuses", "state", "sentence"),
    [
        ("4", [], "ok", "No call of the last hour is still going on. A run takes up to 4 lines."),
        (
            "4",
            ["ended"] * 200,
            "warning",
            "None of 200 calls of the last hour is still going on, and there were more, so whether lines are free"
            " cannot be told. A run takes up to 4 lines.",
        ),
        ("5", ["ended"], "ok", f"No call of the last hour is still going on. {PLAN}"),
        (
            "1",
            ["ended", "queued"],
            "warning",
            "1 call of the last hour has not ended, and all calls of the organisation share its lines. "
            "A run takes up to 1 line.",
        ),
        (
            "5",
            ["ringing"] * 200,
            "warning",
            "At least 200 calls of the last hour have not ended, and all calls of the organisation share its lines. "
            + PLAN,
        ),
    ],
)
def test_lines_are_free_unless_calls_of_the_last_hour_go_on(
    monkeypatch: pytest.MonkeyPatch, most: str, statuses: list[str], state: str, sentence: str
) -> None:
    monkeypatch.setenv("VAPI_MAX_CONCURRENT_CALLS", most)

    assert judged("lines", calls=[Call(id="c", status=status) for status in statuses]) == (state, sentence)


def test_a_list_that_does_not_come_is_no_reason_not_to_call() -> None:
    assert judged("lines", calls=SILENCE)[0] == "warning"
    assert judged("lines", calls=ReadRefused("Not this.", 403)) == ("warning", "Not this.")


@pytest.mark.parametrize(
    ("ahead", "state", "off"),
    [(4.9, "ok", ""), (-3600.0, "warning", "1:00:00 ahead of"), (65.0, "warning", "1:05 behind")],
)
def test_a_clock_agrees_within_seconds_or_is_said_to_be_off(ahead: float, state: str, off: str) -> None:
    sentence = (
        f"This machine's clock is {off} Vapi's, so the hours that are shown and the redial guard are off as well. "
        "Have it set by a time server."
    )

    assert judged("clock", ahead=ahead) == (state, sentence if off else "This machine's clock agrees with Vapi's.")


def test_runs_and_calls_that_want_a_look_are_named_up_to_three_of_each() -> None:
    runs = tuple(UnfinishedRun(f"run-{n}", "movers.csv", is_worked_on=n == 0) for n in range(6))
    facts = JournalFacts(path=Path("journal.db"), unfinished=runs, unended=(UnendedCall("c-1", "run-9"),))
    kept = f"Runs are kept in journal.db, by SQLite {sqlite3.sqlite_version}."
    named = " ".join(
        f"Run run-{n} of movers.csv is unfinished; to finish it: concierge-calls resume run-{n}." for n in (1, 2, 3)
    )
    unended = (
        "Call c-1 of run run-9 did not end although it was hung up, and may still be on the line; "
        "look at it in Vapi's dashboard."
    )
    running = "Run run-0 is being worked on now."

    assert house.journal(facts, ended=()) == Check(
        "journal", State.WARNING, f"{kept} {named} So it is with 2 more runs. {unended} {running}"
    )
    only = JournalFacts(path=Path("journal.db"), unfinished=runs[:1], unended=facts.unended)
    assert house.journal(only, ended={"c-1"}) == Check("journal", State.OK, f"{kept} {running}")


def test_a_run_that_is_left_over_is_named_with_whom_a_resume_would_also_call_or_what_it_would_write() -> None:
    unfinished = UnfinishedRun("run-1", "movers.csv", is_worked_on=False, left=1_200)
    facts = JournalFacts(path=Path("journal.db"), unfinished=(unfinished,), unwritten=("run-2",))

    assert house.journal(facts, ended=()) == Check(
        "journal",
        State.WARNING,
        f"Runs are kept in journal.db, by SQLite {sqlite3.sqlite_version}. Run run-1 of movers.csv is unfinished; to"
        " finish it, which also calls the 1,200 providers left in it: concierge-calls resume run-1. The document of"
        " run run-2 was never written; to have it written: concierge-calls resume run-2.",
    )


OTHERWISE = "Where it cannot take a run, the calls go directly to Vapi."
SEE = "See whether it could take them: concierge-calls kestra check"


@pytest.mark.parametrize(
    ("via", "enabled", "told"),
    [
        ("auto", False, []),
        ("direct", False, []),
        ("auto", True, [("ok", f"Runs go by Kestra. {OTHERWISE} {SEE}")]),
        ("kestra", False, [("ok", f"Runs go by Kestra. {SEE}")]),
        ("direct", True, []),
    ],
)
def test_kestra_is_spoken_of_only_where_somebody_asks_for_it(
    via: str, enabled: bool, told: list[tuple[str, str]]
) -> None:
    found = house.kestra(via, enabled=enabled, has_address=True)
    assert [(check.state.value, check.sentence) for check in found] == told


@pytest.mark.parametrize(
    ("via", "state", "so"),
    [("auto", "warning", "the calls go directly to Vapi"), ("kestra", "wrong", "nobody can be called")],
)
def test_kestra_without_an_address_is_none(via: str, state: str, so: str) -> None:
    [check] = house.kestra(via, enabled=True, has_address=False)
    assert (check.state.value, check.sentence) == (
        state,
        f"Runs are to go by Kestra, and KESTRA_URL is not set, so {so}. Set it to Kestra's address.",
    )


def examined(patience: float = AMPLE) -> dict[str, tuple[str, str]]:
    """Return how each check comes out."""
    return {check.name: (check.state.value, check.sentence) for check in asyncio.run(examine(patience=patience))}


def stub(vapi: HTTPXMock, path: str, body: Any, behind: timedelta = timedelta(0)) -> None:
    date = format_datetime(datetime.now(UTC) - behind, usegmt=True)
    vapi.add_response(url=re.compile(rf"http://127\.0\.0\.1:9{path}"), json=body, headers={"Date": date})


def test_vapi_is_asked_a_handful_of_questions_and_for_the_last_hour_by_its_own_clock(
    httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAPI_ASSISTANT_ID", "an-assistant")
    for path, body in (("/phone-number/a-number", {}), ("/assistant/an-assistant", DATA), (r"/call\?.*", [])):
        stub(httpx_mock, path, body, behind=DAY)
    found = examined()
    requests = httpx_mock.get_requests()
    since = datetime.fromisoformat(requests[-1].url.params["createdAtGe"])

    assert {(request.method, request.url.path) for request in requests} == {
        ("GET", "/phone-number/a-number"),
        ("GET", "/assistant/an-assistant"),
        ("GET", "/call"),
    }
    assert len(requests) == 3
    assert abs(datetime.now(UTC) - DAY - timedelta(hours=1) - since) < timedelta(minutes=1)
    assert re.match(r"This machine's clock is (23:59:\d\d|24:00:\d\d) ahead of Vapi's", found["clock"][1])


async def _hung_up_in_vain(journal: Journal, call_id: str) -> str:
    """Leave a run whose only call was hung up and never seen to end, and return its id."""
    record = await _begun(journal)
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    outcome = CallOutcome(status=CallStatus.TIMEOUT)
    await record.placed(attempt, call_id, datetime.now(UTC))
    await record.ended(attempt, outcome)
    result = CallResult.of(attempt.asked, outcome, call_id=call_id, call_method=CallMethod.DIRECT_VAPI)
    await record.settled(attempt, result)
    await record.finish(finished=True)
    record.close()
    return record.id


async def _begun(journal: Journal) -> RunRecord:
    new = NewRun(
        owner=Owner.CLI, via="direct", simulated=False, max_concurrent=5, source="providers.csv", version="0.1.0"
    )
    record = await journal.draft(new)
    provider = Provider(name="Blue Ridge", phone="+18645550106", line=2)
    await record.add([CallRequest(index=0, provider=provider, request=ServiceRequest(service_needed="plumbing"))])
    await record.start()
    return record


@pytest.mark.parametrize(("status", "state"), [("in-progress", "warning"), ("ended", "ok")])
def test_a_call_that_would_not_end_is_named_until_vapi_says_that_it_has(
    httpx_mock: HTTPXMock, status: str, state: str
) -> None:
    with Journal(load().journal_path(simulated=False)) as journal:
        run = asyncio.run(_hung_up_in_vain(journal, "c-1"))
    stub(httpx_mock, "/phone-number/a-number", {})
    stub(httpx_mock, r"/call\?.*", [])
    stub(httpx_mock, "/call/c-1", {"id": "c-1", "status": status})
    came_out, sentence = examined()["journal"]

    assert came_out == state
    assert (f"Call c-1 of run {run} did not end" in sentence) == (state == "warning")


def test_a_network_that_is_dead_leaves_the_rest_to_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "ASKED_AGAIN", 0.001)  # so it is over soon, and long before the wait is
    with nobody_listens() as url:
        monkeypatch.setenv("VAPI_BASE_URL", url)
        found = examined()

    assert found["key"] == (
        "wrong",
        "Vapi could not be asked for the phone number of VAPI_PHONE_NUMBER_ID just now (ConnectError). "
        "Check the network, then try again.",
    )
    assert [found[name][1] for name in ("number", "lines", "clock")] == ["Not checked: Vapi could not be asked."] * 3
    assert [found[name][0] for name in ("assistant", "journal")] == ["ok", "ok"]


def test_a_vapi_that_takes_the_question_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("VAPI_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")

        assert examined(patience=0.4)["key"] == (
            "wrong",
            "Vapi did not answer in 0.2 seconds. Check the network, then try again.",
        )


def test_a_journal_that_another_process_holds_is_not_waited_for(
    httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = looking._answer
    monkeypatch.setattr(looking, "_answer", lambda question, wait: answer(question, AMPLE))  # it is the journal's wait
    monkeypatch.setattr(looking, "ASKED_AGAIN", AMPLE)  # times 0.2, so that Vapi's answer may be slow, too
    path = load().journal_path(simulated=False)
    Journal(path).close()
    stub(httpx_mock, "/phone-number/a-number", {})
    stub(httpx_mock, r"/call\?.*", [])
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        before = threading.enumerate()  # that of an earlier test may not be gone yet
        found = examined(patience=0.4)
        [left_behind] = [each for each in threading.enumerate() if each.name == "doctor" and each not in before]
        other.rollback()
    left_behind.join()

    assert found["journal"] == (
        "wrong",
        f"The journal {path} was kept busy for 0.2 seconds; "
        "see what another concierge-calls waits for, then try again.",
    )
    assert found["key"][0] == "ok"


@pytest.mark.parametrize(
    ("variable", "value", "states"),
    [
        ("VAPI_API_KEY", "sk 0123", {"settings": "wrong", "key": "wrong", "number": "warning", "lines": "warning"}),
        ("VAPI_BASE_URL", "http://vapi.example", {"settings": "wrong", "key": "warning", "number": "warning"}),
    ],
)
def test_without_a_usable_key_or_address_nobody_is_asked(
    httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, states: dict[str, str]
) -> None:
    monkeypatch.setenv(variable, value)
    found = examined()

    assert httpx_mock.get_requests() == []
    assert {name: found[name][0] for name in states} == states
    assert found["settings"][1].startswith(f"{variable} ")
    assert value not in str(found)
    assert found["journal"][0] == "ok"


def test_a_wrong_setting_hides_nothing_that_it_does_not_concern(
    httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "AGREES", AMPLE)  # the Date is of now, and the reply may be read much later
    stub(httpx_mock, r"/call\?.*", [])
    for variable, value in {
        "VAPI_MAX_CONCURRENT_CALLS": "0",
        "VAPI_PHONE_NUMBER_ID": "a number",
        "VAPI_ASSISTANT_ID": "an assistant",
        "CONCIERGE_REGION": "XX",
    }.items():
        monkeypatch.setenv(variable, value)
    found = examined()

    assert {name: state for name, (state, _) in found.items()} == {
        "settings": "wrong",
        "address": "warning",
        "key": "ok",
        "number": "wrong",
        "assistant": "wrong",
        "lines": "ok",
        "clock": "ok",
        "journal": "ok",
    }
    assert found["settings"][1].endswith(
        "VAPI_MAX_CONCURRENT_CALLS must be at least 1, not '0'. Calls on the line at once, 1 or more. "
        "CONCIERGE_REGION: There is no region 'XX'; use the two letters of a country, such as US, CA or GB."
    )


def test_a_dotenv_that_cannot_be_read_is_all_that_can_be_said() -> None:
    Path(".env").write_bytes(b"VAPI_API_KEY=\xff\xfe")

    assert examined() == {
        "settings": ("wrong", ".env in this folder cannot be read (UnicodeDecodeError); mend or remove it.")
    }
