"""What is only looked up is answered at once: nothing that takes time to load is loaded for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from concierge_calls.cli.main import app

HEAVY = (
    "asyncio",
    "click",
    "concierge_calls.simulator",
    "fastapi",
    "httpx",
    "jinja2",
    "phonenumbers",
    "pydantic",
    "pydantic_settings",
    "pygments",
    "rich",
    "sqlite3",
    "starlette",
    "uvicorn",
)


def every(command: Any, *typed: str) -> Iterator[tuple[str, ...]]:
    """Return what is typed for each command, those of a group and hidden ones too."""
    yield typed
    for name, other in getattr(command, "commands", {}).items():
        yield from every(other, *typed, name)


COMMANDS = list(every(get_command(app)))


def loaded_by(*arguments: str) -> tuple[str, list[str]]:
    """Return what the command writes to stdout, and which of the heavy packages it has loaded when it ends."""
    code = f"""
import atexit, sys
from concierge_calls.__main__ import main
atexit.register(lambda: print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr))
sys.argv = ["concierge-calls", *{arguments!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr.split()


def test_the_version_loads_nothing_that_takes_time() -> None:
    told, loaded = loaded_by("--version")

    assert told.startswith("concierge-calls ")
    assert loaded == []


@pytest.mark.parametrize("typed", COMMANDS, ids=" ".join)
def test_the_help_of_no_command_loads_what_takes_time(typed: tuple[str, ...]) -> None:
    told, loaded = loaded_by(*typed, "--help")

    assert told.startswith(f"{' '.join(('Usage: concierge-calls', *typed))} [OPTIONS]")
    assert loaded == (["concierge_calls.simulator"] if typed == ("simulator",) else [])  # which knows its own endings


def test_a_list_of_the_runs_needs_the_journal_alone() -> None:
    assert loaded_by("runs", "--json") == ("[\n]\n", ["asyncio", "sqlite3"])


def test_a_run_that_nobody_watches_loads_neither_a_screen_nor_a_server(vapi: Any, providers: Any) -> None:
    file = providers("Blue Ridge,(864) 555-0106,plumbing")
    written, loaded = loaded_by("batch", file, "--yes", "--quiet")

    assert vapi.rang == {"+18645550106": 1}
    assert '"status": "busy"' in written
    assert loaded == ["asyncio", "httpx", "phonenumbers", "pydantic", "pydantic_settings", "sqlite3"]


def test_the_version_alone_needs_no_command_line() -> None:
    code = "import sys; from concierge_calls.__main__ import main; main(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)

    assert {"typer", "dataclasses", "concierge_calls.cli"}.isdisjoint(done.stdout.split())
