"""Whatever is wrong, a child ends well and says in its line who was not called, and why."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from concierge_calls.vapi import backend
from tests.environment import nobody_listens
from tests.kestra.children import AVAILABLE, NOBODY, RUN, Done, Workers, as_base64, item, item_of, provider

DEPLOY = "put the flow on the server again with: concierge-calls kestra deploy"


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Workers that call nobody here."""
    with Workers() as made:
        yield made
        assert made.keys == {}


def told(done: Done) -> list[tuple[Any, Any, Any, Any]]:
    """Return who was not called, and why."""
    return [(each["index"], each["run_id"], each["status"], each["error"]["message"]) for each in done.results]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no base64 !", f"CONCIERGE_CHILD_ITEM_B64 is not base64 of a text, so nobody is called; {DEPLOY}"),
        (
            "",
            "What the flow handed over is not JSON (Expecting value: line 1 column 1 (char 0)), so nobody is called; ",
        ),
        (base64.b64encode(b'{"na').decode(), "What the flow handed over is not JSON (Unterminated string starting at"),
        (as_base64([]), f"The flow handed over a list, so nobody is called; {DEPLOY}"),
        (as_base64("x"), f"The flow handed over no run's id, so nobody is called; {DEPLOY}"),
        (
            as_base64(item(AVAILABLE) | {"providers": []}),
            "The flow handed over nobody, or a row twice, or providers of",
        ),
    ],
)
def test_an_item_that_cannot_be_read_is_one_entry_with_the_sentence(workers: Workers, text: str, sentence: str) -> None:
    [(index, run_id, status, message)] = told(workers.call({}, environ={"CONCIERGE_CHILD_ITEM_B64": text}))

    assert (index, run_id, status) == (None, None, "not_called")
    assert message.startswith(sentence)


@pytest.mark.parametrize(
    ("handed", "sentence"),
    [
        (
            item_of([provider(3, AVAILABLE), provider(3, NOBODY)]),
            "The flow handed over nobody, or a row twice, or providers of several runs, so nobody is called; give it"
            " the providers of one run.",
        ),
        (
            item(AVAILABLE, NOBODY, call_timeout=5),
            "--call-timeout must be at least 10, not '5'. Each call's own limit in",
        ),
        (item(AVAILABLE, NOBODY) | {"options": 7}, "What the flow handed over as options is no object, so nobody is"),
    ],
)
def test_an_item_that_cannot_be_called_has_an_entry_for_each_provider(
    workers: Workers, handed: Mapping[str, Any], sentence: str
) -> None:
    done = told(workers.call(handed))

    assert [(run_id, status) for _, run_id, status, _ in done] == [(RUN, "not_called")] * 2
    assert [index for index, *_ in done] == [each["index"] for each in handed["providers"]]
    assert all(message.startswith(sentence) for *_, message in done), done


def test_a_flow_of_another_version_has_nobody_called_and_says_which_to_install(workers: Workers) -> None:
    done = told(workers.start(item(AVAILABLE, NOBODY), "--slowly", "--item", "item.json").finish())

    sentence = (
        "The concierge-calls on this worker does not know --slowly, which the flow says, so nobody is called; install"
        " the version that put the flow on the server."
    )
    assert done == [(index, RUN, "not_called", sentence) for index in (0, 1)]


def test_a_row_that_cannot_be_used_is_skipped_with_its_reason(workers: Workers) -> None:
    done = workers.call(item_of([provider(0, "none"), provider(1, AVAILABLE, service_needed=None)]))

    assert told(done) == [
        (0, RUN, "skipped", "the flow's providers, provider 1: 'none' is not a phone number; correct it."),
        (
            1,
            RUN,
            "skipped",
            "the flow's providers, provider 2: No service is named; fill the cell in, or name one for all with"
            " --service.",
        ),
    ]


@pytest.mark.parametrize(
    ("environ", "code", "sentence"),
    [
        (
            {"VAPI_API_KEY": "", "VAPI_PHONE_NUMBER_ID": ""},
            "settings",
            "VAPI_API_KEY and VAPI_PHONE_NUMBER_ID are not set, so nobody can be called. Set them in the environment or"
            " in .env, or try it without a phone: --simulate.",
        ),
        (
            {"VAPI_BASE_URL": "http://vapi.example"},
            "settings",
            "VAPI_BASE_URL must begin with https://, or with http:// for this machine itself. Where Vapi is; https"
            " unless it is loopback, and never taken from .env.",
        ),
        (
            {"CONCIERGE_CHILD_LINES": "many"},
            "not_understood",
            f"CONCIERGE_CHILD_LINES must be a whole number above 0, so nobody is called; {DEPLOY}",
        ),
    ],
)
def test_settings_that_are_missing_or_wrong_are_said_of_each_provider(
    workers: Workers, environ: dict[str, str], code: str, sentence: str
) -> None:
    done = workers.call(item(AVAILABLE, NOBODY, first=4), environ=environ)

    assert told(done) == [(index, RUN, "not_called", sentence) for index in (4, 5)]
    assert {each["error"]["code"] for each in done.results} == {code}


@pytest.mark.parametrize("refused", ["key", "number"])
def test_what_vapi_refuses_before_the_first_dial_is_said_of_each_provider(workers: Workers, refused: str) -> None:
    workers.options.refuse = refused
    done = workers.call(item(AVAILABLE, NOBODY))
    sentence = {
        "key": "Vapi does not know this key. Set VAPI_API_KEY to the organisation's private key, not the public one.",
        "number": "Vapi does not know the phone number to call from. Check VAPI_PHONE_NUMBER_ID, and that the key is of"
        " the same organisation.",
    }[refused]

    assert told(done) == [(index, RUN, "not_called", sentence) for index in (0, 1)]
    assert {each["error"]["code"] for each in done.results} == {"refused"}
    assert workers.markers() == []


def test_what_vapi_refuses_at_the_first_dial_leaves_no_mark(workers: Workers) -> None:
    workers.options.refuse = "credits"
    done = workers.call(item(AVAILABLE, NOBODY))

    assert [(status, message[:27]) for *_, status, message in told(done)] == (
        [("not_called", "Vapi wants to be paid first")] * 2
    )
    assert workers.markers() == []

    workers.options.refuse = "key"

    assert workers.call(item(AVAILABLE, NOBODY)).statuses == ["not_called", "not_called"]


def test_a_vapi_that_is_out_of_reach_is_said_of_each_provider(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "CHECK_PATIENCE", 0.1)  # where the product tries for 10 seconds
    with nobody_listens() as url:
        done = workers.call(item(AVAILABLE), environ={"VAPI_BASE_URL": url})

    assert told(done) == [
        (
            0,
            RUN,
            "not_called",
            "Vapi is out of reach, so nobody was dialled; check the network, then run the same command again.",
        )
    ]


def test_a_state_folder_that_cannot_be_used_is_said_of_each_provider(workers: Workers) -> None:
    workers.state.write_text("in the way")
    done = workers.call(item(AVAILABLE))
    [(index, run_id, status, message)] = told(done)

    assert (index, run_id, status) == (0, RUN, "not_called")
    assert message.endswith(
        " needs a folder, and a file stands in its place; move that away, or set CONCIERGE_STATE_DIR to another folder."
    )


def test_a_folder_of_markers_that_cannot_be_used_is_said_of_each_provider(workers: Workers) -> None:
    workers.state.mkdir()
    (workers.state / "markers").write_text("in the way")
    [(index, run_id, status, message)] = told(workers.call(item(AVAILABLE)))

    assert (index, run_id, status) == (0, RUN, "not_called")
    assert message == (
        f"Who is dialled cannot be marked in {workers.state}/markers (File exists), so nobody is dialled; give this"
        " user room and the right to write there, or set CONCIERGE_STATE_DIR to another folder."
    )


def test_a_damaged_journal_of_a_row_that_was_marked_makes_it_uncertain(workers: Workers) -> None:
    workers.options.refuse = "key"
    workers.call(item(AVAILABLE, NOBODY))
    workers.options.refuse = None
    [journal] = workers.journals()
    journal.write_text("in the way" * 100)
    (workers.state / "markers").mkdir(exist_ok=True)
    (workers.state / "markers" / f"{RUN}-1-1").touch()
    done = workers.call(item(AVAILABLE, NOBODY))

    assert [(each["status"], each["error"]["code"]) for each in done.results] == [
        ("not_called", "journal"),
        ("uncertain", "marked"),
    ]


def test_a_fault_of_our_own_still_ends_well_and_is_in_the_tasks_log(workers: Workers) -> None:
    done = workers.start(item(AVAILABLE), planted="bug").finish()

    assert done.code == 0
    assert '"status":"not_called"' in done.out
    assert '"code":"bug"' in done.out
    assert "RuntimeError: planted" in done.err


def test_a_state_folder_that_cannot_be_told_still_has_an_entry_for_each_provider(workers: Workers) -> None:
    done = workers.call(item(AVAILABLE, NOBODY), environ={"CONCIERGE_STATE_DIR": "~nobody-of-that-name/state"})

    assert [(each["index"], each["status"], each["error"]["code"]) for each in done.results] == [
        (0, "not_called", "settings"),
        (1, "not_called", "settings"),
    ]
