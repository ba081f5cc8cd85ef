"""Whoever watches a run sees a call that was dialled again in vain as one in doubt, no longer on the line."""

from __future__ import annotations

import pytest

from concierge_calls.display.board import Board
from concierge_calls.errors import AccountRefused, NumberRefused, PlacementError
from concierge_calls.models import CallStatus
from tests.calling.fakes import Take, moment
from tests.calling.rehearsal import Rehearsal, Rehearse
from tests.calling.test_redialling import LOST, WHY, asked_to_dial_again


@pytest.mark.parametrize("error", [AccountRefused("No credit.", "credits"), NumberRefused("No such number.", "bad")])
def test_a_row_that_went_back_into_doubt_is_told_with_the_result_that_it_has_again(
    rehearse: Rehearse, error: PlacementError
) -> None:
    async def scenario(run: Rehearsal) -> None:
        await (await asked_to_dial_again(run)).call_all()

    run = rehearse(1, {0: [LOST, Take(error=error)]})
    run.play(scenario)

    [_, settled] = run.events
    assert settled.result == run.results()[0]
    assert (settled.result.status, settled.result.error) == (CallStatus.UNCERTAIN, WHY)

    board = Board(lambda result: "")
    for event in run.events:
        board.fold(event)
    view = board.view(10, moment(0))
    assert ([row.state for row in view.live], [row.state for row in view.ended]) == ([], [CallStatus.UNCERTAIN.words])
