"""What calls have said is let go once they are settled; a long run would hold all of it till garbage is collected."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from concierge_calls.vapi.backend import VapiBackend
from concierge_calls.vapi.following import Life
from concierge_calls.vapi.schemas import Call
from tests.vapi.conftest import steps


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> Counter[str]:
    return Counter(kind.__name__ for kind in map(type, gc.get_objects()) if kind in (Call, Life, httpx.Response))


@pytest.mark.usefixtures("uncollected")
def test_nothing_is_held_of_calls_that_are_settled_though_no_garbage_is_collected(vapi: Any) -> None:
    async def follow(backend: VapiBackend, number: int) -> None:
        placed = vapi.call(f"c-{number}", ends=10.0 + number, analysed=2)
        assert [step async for step in steps(backend, placed)]

    async def scenario(backend: VapiBackend) -> Counter[str]:
        before = held()
        await asyncio.gather(*(follow(backend, number) for number in range(20)))
        await asyncio.sleep(60)  # for the feed to rest, which knows what it has shown last
        return held() - before

    assert vapi.run(scenario) == Counter()
