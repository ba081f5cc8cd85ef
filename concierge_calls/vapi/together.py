"""One question for all who ask the same at the same time, since requests are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Together:
    """Lets whoever asks while the same question is under way share its answer."""

    def __init__(self) -> None:
        self._asking: dict[str, asyncio.Task[Any]] = {}

    def __repr__(self) -> str:
        return f"<Together {len(self._asking)} questions under way>"

    async def ask(self, question: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the answer to this question, or raise what asking raises; whoever stops waiting ends it for nobody."""
        asking = self._asking.get(question)
        if asking is None:
            asking = self._asking[question] = asyncio.ensure_future(ask())
            asking.add_done_callback(lambda done: self._answered(question, done))
        return cast(T, await asyncio.shield(asking))

    def _answered(self, question: str, asking: asyncio.Task[Any]) -> None:
        del self._asking[question]
        if not asking.cancelled():
            asking.exception()  # looked at, also when nobody waits any more
