"""Whether Vapi is in reach: in doubt since a request was lost, and certain again when a read was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from concierge_calls.errors import ReadFailed, ReadRefused

ASK_AGAIN: Final = 5.0  # seconds


class Reach:
    """Keeps creates back from a Vapi that may be out of reach; a lost create is one more phone that may have rung."""

    def __init__(self) -> None:
        self._found = asyncio.Event()
        self._found.set()

    def __repr__(self) -> str:
        return f"<Reach {'lost' if self.is_lost else 'there'}>"

    @property
    def is_lost(self) -> bool:
        """Whether nothing was answered since a request was lost."""
        return not self._found.is_set()

    def lost(self) -> None:
        """A request got no answer that can be trusted."""
        self._found.clear()

    def found(self) -> None:
        """A read was answered."""
        self._found.set()

    async def wait(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Return when Vapi is in reach; `ask` is a read to try it by, which is tried for as long as it takes."""
        while self.is_lost:
            asking = asyncio.ensure_future(_ask(ask))
            found = asyncio.ensure_future(self._found.wait())
            try:
                await asyncio.wait({asking, found}, return_when=asyncio.FIRST_COMPLETED)
                if asking.done() and asking.result():
                    self.found()
            finally:
                asking.cancel()
                found.cancel()


async def _ask(ask: Callable[[], Awaitable[object]]) -> bool:
    try:
        await ask()
    except ReadRefused:  # a no is an answer
        return True
    except ReadFailed:
        await asyncio.sleep(ASK_AGAIN)  # it may have failed at once, where Vapi asks for a longer wait than was allowed
        return False
    return True
