"""The key is seen by Vapi alone, and what was said on the phone by nobody but its owner."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from tests.environment import KEY

TALKS = "Reedy River,(864) 555-0110,plumbing"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_key_is_nowhere_but_in_the_environment_and_at_vapi(
    command: Any, providers: Any, vapi: Any, tmp_path: Path
) -> None:
    vapi.options.stuck = {"+18645550110": "in-progress"}
    running = command.start("batch", providers(TALKS), "-v", "-o", "doc.json")
    running.until("call.in_progress")
    asked_by = Path(f"/proc/{running.process.pid}/cmdline")
    arguments = asked_by.read_bytes() if asked_by.exists() else b""
    vapi.hang_up("+18645550110")
    finished = running.finish()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]

    assert finished.code == 0
    assert os.environ["VAPI_API_KEY"] == KEY
    assert KEY not in finished.out + finished.err
    assert KEY.encode() not in arguments
    assert {"doc.json", "journal.db"} <= {path.name for path in written}
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []


def test_a_refused_key_is_not_repeated(command: Any, providers: Any, vapi: Any) -> None:
    vapi.options.refuse = "key"
    finished = command("batch", providers(TALKS), "-v")

    assert finished.code == 4
    assert KEY not in finished.out + finished.err


def test_the_journal_and_the_document_can_be_read_by_their_owner_alone(
    command: Any, providers: Any, vapi: Any, tmp_path: Path
) -> None:
    file = providers(TALKS)
    before = os.umask(0)
    try:
        assert command("batch", file, "-o", "doc.json").code == 0
    finally:
        os.umask(before)
    state = tmp_path / "state"

    assert mode(state) == 0o700
    assert {path.name: mode(path) for path in state.iterdir()} == {"journal.db": 0o600, "locks": 0o700}
    assert mode(Path("doc.json")) == 0o600


def test_a_dotenv_file_may_hold_the_key_but_not_the_address_it_is_sent_to(
    command: Any, providers: Any, vapi: Any, monkeypatch: Any
) -> None:
    monkeypatch.delenv("VAPI_API_KEY")
    Path(".env").write_text(f"VAPI_API_KEY={KEY}\nVAPI_BASE_URL=http://stranger.example\n")
    finished = command("batch", providers(TALKS))

    assert finished.code == 0
    assert vapi.rang == {"+18645550110": 1}

    monkeypatch.delenv("VAPI_BASE_URL")
    ignored = command("batch", "providers.csv", "--dry-run")  # were it read, it would be refused

    assert ignored.code == 0
