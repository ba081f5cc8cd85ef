"""What answers a benchmark's calls, in a process of its own, and the settings of a run that it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.measured import COMMAND

HERE = Path(__file__).parent
UNLIMITED = "start interval 0, requests a minute without limit"
STRANGERS = ("VAPI_", "CONCIERGE_", "KESTRA_")  # what would make a run another one than what is measured


@contextmanager
def server(*options: object) -> Iterator[str]:
    """Run the benchmarks' server with these options while the context lasts; yields its address."""
    with _running([sys.executable, str(HERE / "server.py"), *map(str, options)]) as line:
        yield line.strip()


@contextmanager
def simulator(*options: object) -> Iterator[str]:
    """Run the command's own simulator with these options while the context lasts; yields its address."""
    with _running([COMMAND, "simulator", "--port", "0", *map(str, options)]) as line:
        yield next(word for word in line.split() if word.startswith("http"))


@contextmanager
def _running(command: Sequence[str]) -> Iterator[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline()
    finally:
        process.terminate()
        process.communicate()


def figures(url: str) -> dict[str, Any]:
    """Return what the benchmarks' server has seen."""
    import httpx  # a process that measures its own memory, or begins others, stays small without it

    seen: dict[str, Any] = httpx.get(f"{url}/figures", timeout=60).json()
    return seen


def environment(state: Path, **more: str) -> dict[str, str]:
    """Return an environment whose settings are this state folder and what is added, and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(STRANGERS)}
    return inherited | {"CONCIERGE_STATE_DIR": str(state)} | more


def settings(url: str, state: Path, *, poll: float | None = None, unlimited: bool = True) -> dict[str, str]:
    """Return the environment of a run that this address answers; `unlimited` leaves out what is kind to Vapi."""
    limits = {"VAPI_MAX_REQUESTS_PER_MINUTE": "0", "VAPI_START_INTERVAL": "0"} if unlimited else {}
    feed = {} if poll is None else {"VAPI_POLL_INTERVAL": str(poll)}
    return environment(
        state,
        VAPI_BASE_URL=url,
        VAPI_API_KEY="benchmark",
        VAPI_PHONE_NUMBER_ID="00000000-0000-4000-8000-000000000555",
        VAPI_ASSISTANT_ID="00000000-0000-4000-8000-000000000777",
        **limits,
        **feed,
    )
