"""A run that Kestra would not begin after all: gone, unless somebody has been told its id."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from concierge_calls.beginning import drafted_in
from concierge_calls.draft import API, Order, rows_of
from concierge_calls.errors import KestraNotStarted
from concierge_calls.journal import Journal, Owner
from concierge_calls.kestra.runner import AtWork
from concierge_calls.models import CallEvent, Provider, RunResult
from concierge_calls.routing import Route
from concierge_calls.settings.loading import load

OPENED = cast(Any, object())  # of which nothing is asked


class Refused:
    """Works a run off by a Kestra that refuses to start it."""

    stopped, interrupted, underway = None, False, AtWork(0)

    async def call_all(self) -> None:
        """Start nothing."""
        raise KestraNotStarted("Kestra takes no more.")

    def drain(self, *, hang_up: bool = False) -> None:
        """Nobody is called."""

    async def leave(self) -> None:
        """Nobody is followed."""


def began(journal: Journal, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> tuple[RunResult | None, list[str]]:
    """Return what is kept of a run that was not started, and the kinds of what was told of it."""
    events: list[CallEvent] = []

    async def play() -> str:
        rows = rows_of([Provider(name="Ace Plumbing", phone=None, phone_given="+18645550100")])
        order = Order(rows=rows, source=API, typed={"service": "plumbing"}, owner=owner)
        async with drafted_in(journal, order, load(), routes=(Route.KESTRA,)) as run:
            run.ways.server = OPENED
            monkeypatch.setattr(run.ways, "worker", lambda *_, **__: Refused())
            with pytest.raises(KestraNotStarted):
                await run.start(events.append)
            return run.id

    return journal.begun(asyncio.run(play())), [event.kind.value for event in events]


def test_it_is_gone_where_nobody_knows_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        assert began(journal, Owner.CLI, monkeypatch) == (None, ["run.started"])


def test_it_is_kept_with_the_reason_where_its_id_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        kept, kinds = began(journal, Owner.API, monkeypatch)
        assert kept is not None
        [result] = kept.results

        assert (kept.run.finished, result.status, kinds) == (False, "not_called", ["run.started", "run.ended"])
        assert result.error is not None
        assert (result.error.code, result.error.message) == ("kestra_not_started", "Kestra takes no more.")
