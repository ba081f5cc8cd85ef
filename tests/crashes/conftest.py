"""Worlds to run the command in; each is gone with its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from concierge_calls.simulator import SimulatorOptions
from tests.crashes.world import World

Enter = Callable[..., World]


@pytest.fixture
def world() -> Iterator[Enter]:
    """Make a world of so many providers and lines, with the simulator's options."""
    with ExitStack() as worlds:

        def enter(providers: int, lines: int, environ: dict[str, str] | None = None, **options: Any) -> World:
            made = World(SimulatorOptions(**options), providers=providers, lines=lines, environ=environ)
            return worlds.enter_context(made)

        yield enter
