"""Who is told what by a program's two callbacks, however roundabout the way to a result is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concierge_calls import CallEvent, CallResult, CallStatus, PlacementError, RunResult, call_providers, routing
from concierge_calls.backend import Verdict
from concierge_calls.errors import AccountRefused, NumberRefused
from concierge_calls.report import exit_code
from tests.calling.fakes import FakeBackend, Take
from tests.calling.simulated import ENVIRONMENT, REQUEST, StartVapi, providers, statuses

Told = list[tuple[str, int, str]]
Begin = Callable[[dict[int, list[Take]]], FakeBackend]

FORGOTTEN = Take(verdict=Verdict.LOST, talk=0)


@pytest.fixture
def on_paper(state: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Have the calls of the next run placed on paper, in no time."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def begin(takes: dict[int, list[Take]]) -> FakeBackend:
        backend = FakeBackend(takes, lambda key: None)

        @asynccontextmanager
        async def opened(*_: object, **__: object) -> AsyncIterator[FakeBackend]:
            yield backend

        monkeypatch.setattr(routing, "backend", opened)
        return backend

    return begin


def called(rows: str, told: Told, **more: Any) -> RunResult:
    """Call so many providers and write down what the callbacks are told."""

    def complete(result: CallResult, index: int) -> None:
        told.append(("complete", index, result.status.value))

    def error(fault: PlacementError, request: object, index: int) -> None:
        told.append((type(fault).__name__, index, fault.code))

    whom = providers(rows)
    return asyncio.run(call_providers(whom, REQUEST, on_call_complete=complete, on_call_error=error, **more))


def test_a_call_that_was_lost_is_told_as_an_error_and_not_as_complete(on_paper: Begin) -> None:
    backend, told = on_paper({0: [replace(FORGOTTEN, shown=10**6)], 1: [Take(talk=0)]}), Told()
    run = called("00", told, max_concurrent=1)

    assert statuses(run.results) == ["uncertain", "completed"]
    assert told == [("PlacementInDoubt", 0, "lost"), ("complete", 1, "completed")]
    assert len(backend.sent) == 2


def test_a_call_that_was_lost_and_is_found_later_is_complete_once(on_paper: Begin) -> None:
    def find(event: CallEvent) -> None:
        if event.result is not None and event.result.status is CallStatus.UNCERTAIN:
            backend.calls["call-1"].take = Take(talk=0)

    backend, told = on_paper({0: [FORGOTTEN]}), Told()
    run = called("0", told, observer=find)

    assert statuses(run.results) == ["completed"]
    assert told == [("PlacementInDoubt", 0, "lost"), ("complete", 0, "completed")]
    assert len(backend.sent) == 1


@pytest.mark.parametrize(
    ("take", "fault"),
    [
        (Take(error=NumberRefused("No such number.", "bad_number")), ("NumberRefused", 0, "bad_number")),
        (Take(error=AccountRefused("No credit.", "credits")), ("AccountRefused", 0, "credits")),
        (Take(verdict=Verdict.ACCOUNT, talk=0), ("AccountRefused", 0, "account")),
    ],
)
def test_who_was_not_called_is_told_once_as_an_error(on_paper: Begin, take: Take, fault: tuple[str, int, str]) -> None:
    on_paper({0: [take]})
    told = Told()
    called("0", told)
    assert told == [fault]


def test_who_is_called_at_the_second_try_is_complete_and_no_error(on_paper: Begin) -> None:
    on_paper({0: [Take(verdict=Verdict.START_FAILED, talk=0), Take(talk=0)]})
    told = Told()
    called("0", told)
    assert told == [("complete", 0, "completed")]


def test_a_backend_that_tells_of_no_call_any_more_stops_the_run_with_4_and_its_calls_are_still_in_progress(
    on_paper: Begin,
) -> None:
    backend, told = on_paper({0: [Take(talk=0)]}), Told()
    backend.bug = AccountRefused("Nothing is told any more.", "key")
    run = called("00", told, max_concurrent=1)

    assert (exit_code(run), run.run.finished) == (4, False)
    assert run.run.stopped is not None
    assert run.run.stopped.code == "key"
    assert statuses(run.results) == ["in_progress", "not_called"]
    assert (backend.hung_up, told) == ([], [])


def test_an_account_that_is_refused_by_the_end_of_a_call_is_told_as_an_error_and_stops_the_run(
    start: StartVapi,
) -> None:
    vapi, told = start(refuse="credits-ended"), Told()
    run = called("000", told, max_concurrent=1)

    assert told == [("AccountRefused", 0, "account")]
    assert (exit_code(run), statuses(run.results)) == (4, ["not_called"] * 3)
    assert (vapi.asked("create"), vapi.times_rung(providers("000"))) == (1, [0, 0, 0])
