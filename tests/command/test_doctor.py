"""`doctor`: each check by itself, a line that says what to do, exit code 0 or 2, and no phone rings."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import sqlite3
import struct
import termios
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.simulator import Simulator, SimulatorOptions
from tests.command.test_terminal import read_all
from tests.environment import KEY

HERE = {"CONCIERGE_STATE_DIR": "state"}
NAMES = ["address", "key", "number", "assistant", "lines", "clock", "journal"]

READY = f"""\
address    warning  The calls go to HERE instead of Vapi itself. If
                    that is not meant, unset VAPI_BASE_URL.
key        ok       Vapi knows the key.
number     ok       …0100 (Simulated line) places the calls, by twilio.
assistant  ok       The tool's own assistant speaks; the calls are not recorded.
lines      ok       No call of the last hour is still going on. A run takes up
                    to 5 lines; Vapi's smallest plan has 4, which
                    --max-concurrent 4 fits.
clock      ok       This machine's clock agrees with Vapi's.
journal    ok       Runs are kept in state/journal.db, by SQLite {sqlite3.sqlite_version}.

A run would work. Read the warnings first.
"""
NOTHING_SET = f"""\
key        wrong    VAPI_API_KEY is not set, so nobody can be called. Set it in
                    the environment or in .env, or try without a phone:
                    --simulate.
number     wrong    VAPI_PHONE_NUMBER_ID is not set. Set it to the id of a phone
                    number in Vapi's dashboard.
assistant  ok       The tool's own assistant speaks; the calls are not recorded.
lines      warning  Not checked: there is no key.
clock      warning  Not checked: there is no key.
journal    ok       Runs are kept in state/journal.db, by SQLite {sqlite3.sqlite_version}.

A run would not work. Mend what is wrong, then: concierge-calls doctor
"""


def steadied(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "HERE", text)


def checked(command: Any, code: int, **more: Any) -> dict[str, tuple[str, str]]:
    """Return how each check comes out."""
    finished = command("doctor", "--json", **more)
    assert (finished.code, finished.err) == (code, "")
    assert KEY not in finished.out
    return {check["name"]: (check["state"], check["sentence"]) for check in finished.document}


def test_what_is_there_is_said_check_by_check_and_nobody_is_dialled(command: Any, vapi: Any) -> None:
    finished = command("doctor", environ=HERE)

    assert (finished.code, steadied(finished.out), finished.err) == (0, READY, "")
    assert all(len(line) <= 80 for line in finished.out.splitlines())
    assert vapi.ledger["requests"]["create"] == 0
    assert vapi.rang == {}


def test_without_a_key_the_journal_is_checked_all_the_same(command: Any) -> None:
    finished = command("doctor", environ=HERE)

    assert (finished.code, finished.out, finished.err) == (2, NOTHING_SET, "")
    assert Path("state/journal.db").exists()


def test_json_is_a_list_of_checks_a_line_each(command: Any, vapi: Any) -> None:
    finished = command("doctor", "--json")
    first, *lines, last = finished.out.splitlines()

    assert (finished.code, finished.err, first, last) == (0, "", "[", "]")
    assert [json.loads(line.removesuffix(",")) for line in lines] == finished.document
    assert [list(check) for check in finished.document] == [["name", "state", "sentence"]] * len(NAMES)
    assert [check["name"] for check in finished.document] == NAMES
    assert {check["state"] for check in finished.document} == {"ok", "warning"}


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        (
            "key",
            "Vapi does not know this key (it says: Invalid Key. Hot tip, you may be using the private key instead of "
            "the public key, or vice versa.). Set VAPI_API_KEY to the organisation's private key, not the public one.",
        ),
        (
            "number",
            "Vapi did not show the phone number of VAPI_PHONE_NUMBER_ID, HTTP 404 (it says: PhoneNumber with ID "
            "our-number not found.). Check the settings and what the key may see.",
        ),
        (
            "assistant",
            "Vapi did not show the assistant of VAPI_ASSISTANT_ID, HTTP 404 (it says: Assistant with ID "
            "our-assistant not found.). Check the settings and what the key may see.",
        ),
    ],
)
def test_what_vapi_refuses_is_2_and_hides_nothing_else(command: Any, vapi: Any, refused: str, sentence: str) -> None:
    vapi.options.refuse = refused
    ours = {"VAPI_PHONE_NUMBER_ID": "our-number", "VAPI_ASSISTANT_ID": "our-assistant"}
    found = checked(command, 2, environ=ours)

    assert found[refused] == ("wrong", sentence)
    assert [name for name, (state, _) in found.items() if state == "wrong"] == [refused]
    assert found["journal"][0] == "ok"


def test_a_free_number_is_a_warning_and_0(command: Any, vapi: Any) -> None:
    vapi.options.provider = "vapi"

    assert checked(command, 0)["number"] == (
        "warning",
        "…0100 (Simulated line) is a free Vapi number: about ten calls a day, inside the United States only. "
        "For more, bring a number from Twilio, Vonage or Telnyx and set VAPI_PHONE_NUMBER_ID to it.",
    )


def test_an_assistant_that_extracts_nothing_is_a_warning(command: Any, vapi: Any) -> None:
    state, sentence = checked(command, 0, environ={"VAPI_ASSISTANT_ID": "no-analysis"})["assistant"]

    assert state == "warning"
    assert "It brings back nothing but the transcript." in sentence


def test_a_run_that_goes_on_takes_lines_and_one_that_was_killed_is_to_be_resumed(
    command: Any, providers: Any, vapi: Any
) -> None:
    vapi.options.stuck = {"+18645550110": "in-progress"}
    running = command.start("batch", providers("Reedy River,(864) 555-0110,plumbing"), "-v", "--call-timeout", "43200")
    running.until("call.in_progress")
    [run] = json.loads(command("runs", "--json").out)
    during = checked(command, 0)
    running.interrupt(signal.SIGKILL)
    running.finish()
    after = checked(command, 0)
    run_id = run["run"]["id"]

    assert during["lines"][0] == "warning"
    assert during["lines"][1].startswith("1 call of the last hour has not ended, and all calls of the organisation")
    assert during["journal"][0] == "ok"
    assert during["journal"][1].endswith(f" Run {run_id} is being worked on now.")
    assert after["journal"][0] == "warning"
    assert after["journal"][1].endswith(
        f" Run {run_id} of providers.csv is unfinished; to finish it: concierge-calls resume {run_id}."
    )


def test_a_clock_that_is_hours_off_is_told_and_the_last_hour_is_vapis(
    command: Any, monkeypatch: pytest.MonkeyPatch, vapi: Any
) -> None:
    with Simulator(SimulatorOptions(clock_skew=-7200.0)) as simulator:
        monkeypatch.setenv("VAPI_BASE_URL", simulator.url)
        state, sentence = checked(command, 0)["clock"]

    assert state == "warning"
    assert re.sub(r"(2:00:0\d|1:59:5\d)", "HOURS", sentence) == (
        "This machine's clock is HOURS ahead of Vapi's, so the hours that are shown and the redial guard are off as "
        "well. Have it set by a time server."
    )


def newer(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def corrupt(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be taken for one" * 50)


def no_folder(path: Path) -> None:
    path.parent.touch()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (newer, "comes from a newer concierge-calls (its schema is 99,"),
        (corrupt, "is damaged or no journal at all; move it away and keep it, or set CONCIERGE_STATE_DIR"),
        (no_folder, "needs a folder, and a file stands in its place; move that away, or set CONCIERGE_STATE_DIR"),
    ],
)
def test_a_journal_that_cannot_be_used_is_2_and_vapi_is_asked_all_the_same(
    command: Any, vapi: Any, tmp_path: Path, spoil: Any, words: str
) -> None:
    path = tmp_path / "state" / "journal.db"
    spoil(path)
    found = checked(command, 2)

    assert found["journal"][0] == "wrong"
    assert found["journal"][1].startswith(f"The journal {path} {words}")
    assert {name: state for name, (state, _) in found.items() if state != "ok"} == {
        "address": "warning",
        "journal": "wrong",
    }


@pytest.mark.parametrize(
    ("environ", "code", "told"),
    [
        ({"KESTRA_ENABLED": "false"}, 0, None),
        ({"KESTRA_ENABLED": "true"}, 0, "warning"),
        ({"CONCIERGE_VIA": "kestra"}, 2, "wrong"),
    ],
)
def test_kestra_has_its_line_only_where_it_is_asked_for(
    command: Any, vapi: Any, environ: dict[str, str], code: int, told: str | None
) -> None:
    assert checked(command, code, environ=environ).get("kestra", (None,))[0] == told


def at_a_terminal(command: Any, columns: int) -> str:
    """Return what stands on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    finished = command("doctor", environ=HERE | {"TERM": "xterm", "LC_ALL": "C.UTF-8"}, stdout=theirs)
    os.close(theirs)
    screen = read_all(ours, b"").replace("\r\n", "\n")
    os.close(ours)
    assert (finished.code, finished.err) == (0, "")
    return screen


@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal_it_reads_as_in_a_pipe(command: Any, vapi: Any, columns: int) -> None:
    assert steadied(at_a_terminal(command, columns)) == READY


def test_on_a_narrow_terminal_no_word_is_lost(command: Any, vapi: Any) -> None:
    screen = at_a_terminal(command, 40)
    said = "".join("".join(line[20:] for line in screen.splitlines()).split())
    document = command("doctor", "--json", environ=HERE).document

    assert all(len(line) <= 40 for line in screen.splitlines())
    assert said.startswith("".join("".join(check["sentence"].split()) for check in document))


def test_a_reader_that_went_away_does_not_change_the_exit_code(command: Any) -> None:
    finished = command.shell('set -o pipefail; "$COMMAND" doctor | true; echo ${PIPESTATUS[0]}')

    assert (finished.out, finished.err) == ("2\n", "")
