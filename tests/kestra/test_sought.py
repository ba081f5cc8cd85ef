"""The calls of a flow's children are looked for by their row, whichever key and whoever's clock they were placed by."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from concierge_calls.backend import Verdict
from concierge_calls.kestra.sought import SoughtBackend
from concierge_calls.models import CallMethod
from tests.calling.fakes import PaperTurn, Take, VirtualLoop, moment
from tests.kestra.test_child_marked import ASKED, RUN, SearchedBackend

KEYS = [f"{RUN}-{row}-1" for row in range(3)]


def found(backend: SearchedBackend, *keys: str, times: int = 1) -> dict[str, str]:
    """Return the ids of the calls that are found for these keys, each looked for so many times at once."""

    async def look() -> dict[str, str]:
        sought = SoughtBackend(backend, RUN)
        looks = [sought.find([key], moment(0.0)) for key in keys for _ in range(times)]
        return {key: placed.call_id for each in await asyncio.gather(*looks) for key, placed in each.items()}

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(look())


def test_a_rows_call_is_found_by_any_of_its_keys_and_never_by_another_rows() -> None:
    backend = SearchedBackend()
    backend.lists(f"{RUN}-1-3", "of-one")
    backend.lists(f"{RUN}-11-1", "of-eleven")

    assert found(backend, *KEYS) == {KEYS[1]: "of-one"}


def test_a_call_by_which_somebody_may_have_been_rung_goes_before_one_that_was_never_dialled() -> None:
    backend = SearchedBackend()
    backend.lists(f"{RUN}-1-1", "never-dialled", Verdict.NO_LINE)
    backend.lists(f"{RUN}-1-2", "rang", Verdict.FINAL)
    backend.lists(f"{RUN}-1-3", "never-dialled-too", Verdict.START_FAILED)

    assert found(backend, KEYS[1]) == {KEYS[1]: "rang"}


def test_one_look_is_that_of_all_who_look_within_a_second() -> None:
    backend = SearchedBackend()
    found(backend, *KEYS, times=20)

    assert len(backend.searched) == 1


def test_calls_are_looked_for_since_the_run_may_have_begun_by_whichever_clock() -> None:
    backend = SearchedBackend()
    found(backend, KEYS[0])
    [(beginning, since)] = backend.searched

    assert beginning == f"{RUN}-"
    assert since <= moment(0.0) - timedelta(hours=24)


def test_a_call_that_is_dialled_anew_from_here_is_made_directly_and_the_others_by_kestra() -> None:
    async def methods() -> list[CallMethod]:
        backend = SearchedBackend(Take())
        sought = SoughtBackend(backend, RUN)

        async def dialled() -> CallMethod:
            await sought.place(replace(ASKED, index=8), f"{RUN}-8-2", PaperTurn(backend))
            return sought.method

        async def followed() -> CallMethod:
            return sought.method

        return [await asyncio.create_task(each) for each in (followed(), dialled(), followed())]

    assert asyncio.run(methods()) == [CallMethod.KESTRA, SearchedBackend().method, CallMethod.KESTRA]
    assert SearchedBackend().method is not CallMethod.KESTRA
