"""A journal that cannot be kept has nobody dialled, and a disk that fills up during a run loses no result."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

FIRST = "+18645550100"
ROWS = ("Blue Ridge,(864) 555-0100,plumbing", "Reedy River,(864) 555-0115,plumbing", "Haywood,864-555-0126,plumbing")
ONCE = {"+18645550100": 1, "+18645550115": 1, "+18645550126": 1}
MANY = tuple(f"Provider {line},864-555-0{line},plumbing" for line in range(100, 200, 10))  # each has much to say
Mount = Callable[[str], Path]


def statuses(document: Any) -> list[str]:
    return [result["status"] for result in document["results"]]


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mount]:
    """Mount a small disk as the state folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    tool, undo = shutil.which("mount"), shutil.which("umount")
    if tool is None or undo is None or os.geteuid() != 0:
        pytest.skip("only root can mount a disk of its own")
    with ExitStack() as stack:

        def mounted(options: str) -> Path:
            wanted = [tool, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
            if subprocess.run(wanted, capture_output=True, check=False).returncode:
                pytest.skip("no disk can be mounted here")
            stack.callback(lambda: subprocess.run([undo, "-l", folder], check=True))
            monkeypatch.setenv("CONCIERGE_STATE_DIR", str(folder))
            return folder

        yield mounted


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while file.write(b"0" * size) == size:
                    pass
            except OSError:
                continue


@pytest.mark.parametrize("place", ["-", "disk"], ids=["stdout", "on the full disk"])
def test_a_disk_that_fills_up_stops_the_dialling_and_the_document_comes_out(
    command: Any, providers: Any, vapi: Any, mount: Mount, place: str
) -> None:
    disk = mount("size=4m")
    film = disk / "film.mp4"
    vapi.options.stuck = {FIRST: "in-progress"}
    target = str(disk / "doc.json") if place == "disk" else place
    running = command.start("batch", providers(*MANY), "-v", "--max-concurrent", "1", "-o", target)
    running.until("call.in_progress")
    fill(film)
    vapi.hang_up(FIRST)
    full = running.finish()
    document = full.document if full.out else json.loads(Path(target).read_text())

    # What the journal itself has left free may do for the commits of some more calls, but not of all.
    called = [status for status in statuses(document) if status != "pending"]
    assert (full.code, set(called)) == (5, {"completed"})
    assert len(called) < len(MANY)
    assert document["results"][0]["transcript"]
    assert (
        "The disk that holds the journal is full, so nobody else was dialled; the calls on the line were followed to"
        " their end. Free some room, then finish the run."
    ) in full.lines
    assert full.lines[-1].startswith(("To finish this run: concierge-calls resume RUN", "The document is in "))
    assert (len(vapi.rang), set(vapi.rang.values())) == (len(called), {1})

    film.unlink()
    resumed = command("resume", "-o", "-")

    assert (resumed.code, statuses(resumed.document)) == (0, ["completed"] * len(MANY))
    assert (len(vapi.rang), set(vapi.rang.values())) == (len(MANY), {1})


def test_a_disk_without_room_for_the_results_has_nobody_dialled_and_keeps_no_run(
    command: Any, providers: Any, vapi: Any, mount: Mount
) -> None:
    disk = mount("size=1m")
    refused = command("batch", providers(*ROWS), "-q")

    assert (refused.code, refused.out) == (2, "")
    assert "is full; free some room" in refused.said
    assert vapi.rang == {}
    with closing(sqlite3.connect(disk / "journal.db")) as journal:
        assert journal.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def read_only(disk: Path) -> None:
    subprocess.run([shutil.which("mount") or "mount", "-o", "remount,ro", disk], check=True)


@pytest.mark.parametrize("arguments", [("batch", "providers.csv"), ("resume",)], ids=["batch", "resume"])
def test_a_read_only_disk_is_2_with_nobody_dialled(
    command: Any, providers: Any, vapi: Any, mount: Mount, arguments: tuple[str, ...]
) -> None:
    disk = mount("size=8m")
    providers(*ROWS)
    assert command("runs").code == 0
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", "providers.csv", "-v", "--max-concurrent", "1")
    running.until("call.in_progress")
    running.process.kill()
    running.finish()
    read_only(disk)
    refused = command(*arguments)

    assert (refused.code, refused.out) == (2, "")
    assert "set CONCIERGE_STATE_DIR to another folder" in refused.said
    assert vapi.rang == {FIRST: 1}


@pytest.mark.parametrize("arguments", [("batch", "providers.csv"), ("resume",)], ids=["batch", "resume"])
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_bytes(b"no journal at all" * 500), "is damaged or no journal at all; move it away"),
        (lambda path: os.truncate(path, 8192), "is damaged or no journal at all; move it away"),
        (lambda path: newer(path), "comes from a newer concierge-calls"),
    ],
    ids=["no journal", "cut short", "newer"],
)
def test_a_journal_that_cannot_be_read_is_2_with_nobody_dialled(
    command: Any,
    providers: Any,
    vapi: Any,
    tmp_path: Path,
    arguments: tuple[str, ...],
    spoil: Callable[[Path], object],
    sentence: str,
) -> None:
    path = tmp_path / "state" / "journal.db"
    providers(*ROWS)
    assert command("batch", "providers.csv", "--dry-run").code == 0
    spoil(path)
    before = path.read_bytes()
    refused = command(*arguments)

    assert (refused.code, refused.out) == (2, "")
    assert f"{path} {sentence}" in refused.said
    assert (vapi.rang, path.read_bytes()) == ({}, before)


def newer(path: Path) -> None:
    """Have the journal come from a version to come."""
    with closing(sqlite3.connect(path)) as journal:
        journal.execute("PRAGMA user_version = 99")
