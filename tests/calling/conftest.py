"""What the tests of calling start from: a rehearsal of a run, or a simulator for a real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from concierge_calls.simulator import Simulator, SimulatorOptions
from tests.calling.rehearsal import Rehearsal, Rehearse
from tests.calling.simulated import ENVIRONMENT, StartVapi, Vapi

IN_MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder of our own is made there
SPEED = 200.0


@pytest.fixture(scope="session")
def new_folder() -> Iterator[Path]:
    """Make a folder in memory where that can be: no test waits for a disk here."""
    with TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def rehearse(new_folder: Path) -> Rehearse:
    """Begin a rehearsal in a folder of its own."""
    numbers = count()
    return lambda rows, takes=None: Rehearsal(new_folder / f"run-{next(numbers)}", rows, takes)


@pytest.fixture
def state(new_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the state folder of this test."""
    with TemporaryDirectory(dir=new_folder) as folder:
        monkeypatch.setenv("CONCIERGE_STATE_DIR", folder)
        yield Path(folder)


@pytest.fixture
def start(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartVapi]:
    """Start simulators that are gone at the end of the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Vapi:
            known: dict[str, Any] = {"speed": SPEED, "talk": (20.0, 40.0)} | options
            simulator = stack.enter_context(Simulator(SimulatorOptions(**known)))
            for name, value in {**ENVIRONMENT, "VAPI_BASE_URL": simulator.url}.items():
                monkeypatch.setenv(name, value)
            return Vapi(simulator)

        yield start
