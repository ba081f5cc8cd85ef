"""What stands between a list of providers and the first dial: refusals, guards, and drafts that leave nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from concierge_calls import BackendUnreachable, Provider, RunRefused, SettingsError, UsageError, call_providers
from concierge_calls.beginning import drafted
from concierge_calls.draft import Order, rows_of
from concierge_calls.errors import ProvidersFileError
from concierge_calls.journal import Journal
from concierge_calls.settings.loading import load
from tests.calling.simulated import StartVapi, kept, providers
from tests.environment import nobody_listens

NOBODY = Provider(name="Nobody", phone="not a number")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"reject_keys": frozenset({"a-key"})}, "VAPI_API_KEY"),
        ({"refuse": "key"}, "VAPI_API_KEY"),
        ({"refuse": "number"}, "VAPI_PHONE_NUMBER_ID"),
    ],
)
def test_what_vapi_refuses_before_the_first_dial_leaves_no_run_and_no_request_to_dial(
    start: StartVapi, state: Path, options: dict[str, object], sentence: str
) -> None:
    vapi = start(**options)
    with pytest.raises(RunRefused, match=sentence) as raised:
        vapi.call(providers("01"))
    assert raised.value.exit_code == 4
    assert (vapi.asked("create"), kept(state)) == (0, [])


def test_an_assistant_of_the_users_own_that_vapi_does_not_know_is_refused_before_the_first_dial(
    start: StartVapi, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vapi = start(refuse="assistant")
    monkeypatch.setenv("VAPI_ASSISTANT_ID", "theirs")
    with pytest.raises(RunRefused, match="VAPI_ASSISTANT_ID"):
        vapi.call(providers("01"))
    assert (vapi.asked("create"), kept(state)) == (0, [])


def test_a_setting_that_is_missing_is_named_and_leaves_no_run(
    start: StartVapi, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vapi = start()
    monkeypatch.delenv("VAPI_API_KEY")
    with pytest.raises(SettingsError, match="VAPI_API_KEY is not set"):
        vapi.call(providers("01"))
    assert kept(state) == []


def test_providers_of_whom_none_can_be_called_are_an_error_and_leave_no_run(start: StartVapi, state: Path) -> None:
    vapi = start()
    with pytest.raises(ProvidersFileError):
        vapi.call([NOBODY])
    with pytest.raises(ProvidersFileError):
        vapi.call([])
    assert (vapi.asked("phone-number"), kept(state)) == (0, [])


def test_one_who_cannot_be_called_is_skipped_with_the_reason_and_the_others_are_called(start: StartVapi) -> None:
    run = start().call([NOBODY, *providers("6")])
    assert [result.status.value for result in run.results] == ["skipped", "busy"]
    assert run.results[0].error is not None
    assert run.results[0].error.code == "not_a_number"
    assert (run.stats.skipped, run.stats.unusable) == (1, 1)


def test_a_run_without_a_service_is_wrong_use_and_leaves_no_run(start: StartVapi, state: Path) -> None:
    vapi = start()
    with pytest.raises(UsageError, match="--service"):
        asyncio.run(call_providers(providers("01")))
    assert (vapi.asked("phone-number"), kept(state)) == (0, [])


def test_a_draft_that_is_not_started_is_gone_with_its_rows_and_its_lock(start: StartVapi, state: Path) -> None:
    start()

    async def declined() -> None:
        order = Order(rows=rows_of(providers("01")), source="python", typed={"service": "plumbing"})
        async with drafted(order, load()) as run:
            assert run.result().stats.total == 2
            assert kept(state) != []
            with Journal(state / "journal.db") as journal:
                assert list(journal.runs()) == []
                assert journal.latest_unfinished() is None

    asyncio.run(declined())
    assert kept(state) == []


def test_a_number_that_another_run_called_is_left_alone_unless_it_is_asked_for(start: StartVapi) -> None:
    vapi, whom = start(), providers("67")
    first = vapi.call(whom[:1])
    second = vapi.call(whom)
    assert [result.status.value for result in second.results] == ["skipped", "voicemail"]
    assert second.results[0].error is not None
    assert second.results[0].error.code == "called_lately"
    assert first.run.id in second.results[0].error.message
    assert vapi.times_rung(whom) == [1, 1]

    third = vapi.call(whom, allow_redial=True)
    assert [result.status.value for result in third.results] == ["busy", "voicemail"]
    assert vapi.times_rung(whom) == [2, 2]


def test_a_run_in_which_everybody_is_skipped_on_purpose_is_finished_and_asks_vapi_nothing(start: StartVapi) -> None:
    vapi, whom = start(), providers("6")
    vapi.call(whom)
    asked = vapi.simulator.ledger()["requests"]
    run = vapi.call(whom)
    assert (run.stats.skipped, run.stats.unusable, run.run.finished) == (1, 0, True)
    assert vapi.simulator.ledger()["requests"] == asked


def test_a_number_that_was_called_longer_ago_is_called_again(start: StartVapi, monkeypatch: pytest.MonkeyPatch) -> None:
    vapi, whom = start(), providers("6")
    vapi.call(whom)
    monkeypatch.setenv("CONCIERGE_REDIAL_AFTER", "0")
    vapi.call(whom)
    assert vapi.times_rung(whom) == [2]


def test_who_asked_on_the_phone_not_to_be_called_again_never_is(start: StartVapi) -> None:
    whom = [Provider(name="Never again", phone="+13125550174")]
    vapi = start()
    [result] = vapi.call(whom).results
    assert result.analysis.structured_data["do_not_call"] is True

    again = vapi.call([*whom, *providers("6")], allow_redial=True)
    assert again.results[0].error is not None
    assert again.results[0].error.code == "do_not_call"
    assert vapi.times_rung(whom) == [1]


def test_a_vapi_that_is_not_there_is_out_of_reach_and_leaves_no_run(
    start: StartVapi, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vapi = start()
    with nobody_listens() as url:
        monkeypatch.setenv("VAPI_BASE_URL", url)
        monkeypatch.setattr("concierge_calls.vapi.backend.CHECK_PATIENCE", 0.3)
        with pytest.raises(BackendUnreachable) as raised:
            vapi.call(providers("01"))
    assert (raised.value.exit_code, kept(state)) == (2, [])


def test_a_vapi_that_answers_with_a_proxys_page_is_out_of_reach_too(
    start: StartVapi, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vapi = start(fail_reads=1.0, html_errors=True)
    monkeypatch.setattr("concierge_calls.vapi.backend.CHECK_PATIENCE", 0.3)
    with pytest.raises(BackendUnreachable):
        vapi.call(providers("01"))
    assert (vapi.asked("create"), kept(state)) == (0, [])


def test_a_route_that_there_is_not_is_wrong_use(start: StartVapi, state: Path) -> None:
    vapi = start()
    with pytest.raises(UsageError, match="--via direct"):
        vapi.call(providers("01"), via="kestra")
    assert (vapi.asked("phone-number"), kept(state)) == (0, [])
