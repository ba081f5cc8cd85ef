"""What is only looked up is answered at once: nothing that takes time to load is loaded for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("asyncio", "fastapi", "httpx", "jinja2", "phonenumbers", "pydantic", "rich", "sqlite3", "starlette", "uvicorn")


def loaded_by(*arguments: str) -> list[str]:
    """Return which of the heavy packages the command has loaded when it ends."""
    code = f"""
import atexit, sys
from concierge_calls.__main__ import main
atexit.register(lambda: print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr))
sys.argv = ["concierge-calls", *{arguments!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("concierge-calls ", "Usage: concierge-calls "))
    return done.stderr.split()


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_and_version_load_nothing_that_takes_time(option: str) -> None:
    assert loaded_by(option) == []


def test_the_version_alone_needs_no_command_line() -> None:
    code = "import sys; from concierge_calls.__main__ import main; main(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)

    assert {"typer", "dataclasses", "concierge_calls.cli"}.isdisjoint(done.stdout.split())
