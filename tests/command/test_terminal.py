"""At a terminal: the document goes to a new file, and before strangers' phones ring somebody is asked."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command.conftest import COMMAND, steady

# Makes the terminal the one that Ctrl-C reaches the command from, then becomes the command.
OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
QUESTION = "Call them now? [y/N] "
BUSY = "Blue Ridge,(864) 555-0106,plumbing"

Terminal = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def terminal() -> Terminal:
    """Run the command at a terminal, type when it asks, and return its exit code and what stood on the screen."""

    def run(*arguments: str, typed: bytes = b"") -> tuple[int, list[str]]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "300"},
        )
        os.close(theirs)
        screen = read_all(ours, typed)
        os.close(ours)
        return process.wait(), steady(screen.replace("\r\n", "\n"))

    return run


def read_all(ours: int, typed: bytes) -> str:
    screen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's way of saying that nobody writes any more
            piece = b""
        screen += piece
        if not piece:
            return screen.decode()
        if typed and screen.endswith(QUESTION.encode()):
            os.write(ours, typed)
            typed = b""


def document(name: str) -> Any:
    return json.loads(Path(name).read_text())


def test_the_document_goes_to_a_new_file_and_the_closing_line_says_where(
    terminal: Terminal, providers: Any, vapi: Any
) -> None:
    file = providers(BUSY)

    for name in ("providers.results.json", "providers.results-2.json"):
        code, screen = terminal("batch", file, "--yes", "--allow-redial")
        assert code == 0
        assert " ".join(screen).endswith(f"The document is in {os.path.abspath(name)}")
        assert not any(QUESTION in line for line in screen)
        assert document(name)["stats"]["busy"] == 1
    assert document("providers.results.json")["run"] != document("providers.results-2.json")["run"]
    assert vapi.rang == {"+18645550106": 2}


def test_o_with_a_dash_writes_to_the_terminal_all_the_same(terminal: Terminal, providers: Any, vapi: Any) -> None:
    code, screen = terminal("batch", providers(BUSY), "--yes", "-q", "-o", "-")

    assert (code, json.loads("\n".join(screen))["stats"]["busy"]) == (0, 1)
    assert os.listdir() == ["providers.csv"]


def test_somebody_is_asked_and_yes_calls(terminal: Terminal, providers: Any, vapi: Any) -> None:
    code, screen = terminal("batch", providers(BUSY), typed=b"y\n")

    assert code == 0
    asked = screen.index(f"{QUESTION}y")
    assert screen[:asked] == [
        "1 provider will be called.",
        "From columns of the file: service from 'service'.",
        "They see …0100 (Simulated line) and hear the tool's own assistant; the calls are not recorded.",
        "The first is asked for plumbing, within 2 days.",
        "The calls go through this machine, as VAPI_BASE_URL says.",
        "In New York it is M:SS: 1 number.",
        "It takes 9 minutes at the longest, if every call lasts as long as it may.",
    ]
    assert vapi.rang == {"+18645550106": 1}


@pytest.mark.parametrize(
    ("typed", "shown", "words"),
    [
        (b"n\n", "n", "Nobody was dialled."),
        (b"\n", "", "Nobody was dialled."),
        (b"\x04", "", "Nobody was dialled."),
        (b"\x03", "^C", "Interrupted before the first dial; nobody was dialled."),
    ],
)
def test_no_or_ctrl_c_is_2_and_leaves_nothing_behind(
    terminal: Terminal, providers: Any, vapi: Any, kept: Any, typed: bytes, shown: str, words: str
) -> None:
    code, screen = terminal("batch", providers(BUSY), "-q", typed=typed)

    assert (code, kept()) == (2, 0)
    assert screen[-2:] == [f"{QUESTION}{shown}".rstrip(), words]
    assert screen[0] == "1 provider will be called."
    assert os.listdir() == ["providers.csv"]
    assert vapi.ledger["requests"]["create"] == 0


def test_nobody_is_asked_where_nobody_would_be_called(terminal: Terminal, providers: Any, vapi: Any) -> None:
    terminal("batch", providers(BUSY), "--yes")
    code, screen = terminal("batch", "providers.csv")

    assert code == 0
    assert not any(QUESTION in line for line in screen)


def test_nobody_is_asked_about_a_simulator(terminal: Terminal, providers: Any) -> None:
    code, screen = terminal("batch", providers(BUSY), "--simulate")

    assert code == 0
    assert "A simulator takes the calls: no phone rings." in screen
    assert not any(QUESTION in line for line in screen)


def test_a_dry_run_shows_the_plan_and_writes_no_file(terminal: Terminal, providers: Any) -> None:
    code, screen = terminal("batch", providers(BUSY), "--dry-run")

    assert (code, [re.sub(" {2,}", "  ", line) for line in screen]) == (
        0,
        [
            "  Provider  Phone  There  Why not, or what is worth a look",
            "call  Blue Ridge  +18645550106  M:SS",
            "From columns of the file: service from 'service'.",
            "In New York it is M:SS: 1 number.",
            "It takes 9 minutes at the longest, if every call lasts as long as it may.",
            "1 provider: 1 would be called, 0 not.",
        ],
    )
    assert os.listdir() == ["providers.csv"]


def test_a_resume_asks_too_before_it_dials_somebody(terminal: Terminal, providers: Any, vapi: Any) -> None:
    vapi.options.refuse = "credits"
    assert terminal("batch", providers(BUSY), "--yes", "-o", "doc.json")[0] == 4
    vapi.options.refuse = None
    declined, screen = terminal("resume", typed=b"n\n")

    assert (declined, vapi.rang) == (2, {})
    assert screen[-2:] == [f"{QUESTION}n", "Nobody was dialled."]
    assert "In New York it is M:SS: 1 number." in screen
    assert terminal("resume", typed=b"y\n")[0] == 0
    assert vapi.rang == {"+18645550106": 1}


def test_ctrl_c_at_the_question_of_a_resume_is_2_too(terminal: Terminal, providers: Any, vapi: Any) -> None:
    vapi.options.refuse = "credits"
    terminal("batch", providers(BUSY), "--yes", "-o", "doc.json")
    vapi.options.refuse = None
    code, screen = terminal("resume", typed=b"\x03")

    assert (code, vapi.rang) == (2, {})
    assert screen[-2:] == [f"{QUESTION}^C", "Nobody was dialled."]


def test_quiet_still_says_where_a_file_went_that_nobody_named(terminal: Terminal, providers: Any, vapi: Any) -> None:
    code, screen = terminal("batch", providers(BUSY), "--yes", "-q")

    assert code == 0
    assert screen == [f"The document is in {os.path.abspath('providers.results.json')}"]


def test_a_recorded_call_by_the_users_own_assistant_is_pointed_out(
    terminal: Terminal, providers: Any, vapi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAPI_ASSISTANT_ID", "22222222-2222-4222-8222-222222222222")
    _, screen = terminal("batch", providers(BUSY), "--record", typed=b"n\n")
    told = screen.index(
        "They see …0100 (Simulated line) and hear your assistant Simulated assistant; the calls are recorded."
    )

    assert (
        screen[told + 1] == "That a call is recorded your assistant must say by itself; only the tool's own one does."
    )


def test_show_writes_the_document_to_a_new_file_and_tells_who_may_come(
    terminal: Terminal, providers: Any, vapi: Any, command: Any
) -> None:
    run = command("batch", providers("Talks,(864) 555-0100,plumbing")).document["run"]["id"]
    code, screen = terminal("show", run)

    assert code == 0
    assert any(line.startswith("Who may come") for line in screen)
    assert screen[-1] == f"The document is in {os.path.abspath('providers.results.json')}"
    assert document("providers.results.json")["run"]["id"] == run
