"""A journal that cannot be used says so in a sentence before anybody is dialled, and is nobody else's to read."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from concierge_calls.errors import IllegalTransition, JournalError, JournalFull
from concierge_calls.journal import Journal, RunRecord, opening
from concierge_calls.journal.faults import explain
from concierge_calls.journal.reading import Reader
from concierge_calls.models import CallState

Begin = Callable[..., Awaitable[RunRecord]]


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_the_files_are_the_users_alone_whatever_the_umask(path: Path, begin: Begin, mask: int) -> None:
    async def run(journal: Journal) -> dict[str, int]:
        await begin(journal, 1)
        return await journal._writer.write(lambda db: _modes_while_writing(db, path.parent))

    with _umask(mask), Journal(path) as journal:
        modes = asyncio.run(run(journal))
    assert modes == {"state": 0o700, "runs.db": 0o600, "runs.db-journal": 0o600, "locks": 0o700, ".lock": 0o600}


def _modes_while_writing(db: sqlite3.Connection, folder: Path) -> dict[str, int]:
    # SQLite's own journal beside the file is there only within a transaction that has changed something.
    db.execute("UPDATE opened SET at = 'just now'")
    return {
        entry.suffix if entry.suffix == ".lock" else entry.name: _mode(entry) for entry in [folder, *folder.rglob("*")]
    }


def test_a_folder_of_the_users_own_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Journal(tmp_path / "runs.db").close()
    assert _mode(tmp_path) == 0o755


def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    Journal(path).close()
    path.chmod(0o644)
    Journal(path).close()
    assert _mode(path) == 0o600


def test_the_journal_is_kept_as_safely_as_sqlite_can(journal: Journal) -> None:
    names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
    read = journal._writer.submit(lambda db: [db.execute(f"PRAGMA {name}").fetchall()[0][0] for name in names])
    assert read.result() == ["delete", 3, 1, 1]


def test_what_is_deleted_is_gone_from_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = opening._connect

    def careless(path: Path) -> sqlite3.Connection:
        db = connect(path)
        db.execute("PRAGMA secure_delete = 0").fetchall()  # how a connection begins depends on who built SQLite
        return db

    monkeypatch.setattr(opening, "_connect", careless)
    with Journal(path) as journal:
        asyncio.run(journal.add_do_not_call("+12005550199", "said at length: " + "never again, " * 1000))
        before = path.read_bytes()
        asyncio.run(journal.remove_do_not_call("+12005550199"))
    assert before.count(b"never again") > 990  # a page's end cuts some in two
    assert b"never again" not in path.read_bytes()


def _opening(path: Path) -> str:
    with pytest.raises(JournalError) as caught:
        Journal(path)
    return caught.value.message


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert _opening(tmp_path / "state" / "runs.db") == (
        f"The journal {tmp_path}/state/runs.db needs a folder, and a file stands in its place; "
        "move that away, or set CONCIERGE_STATE_DIR to another folder."
    )


def test_a_folder_in_which_nothing_can_be_made_is_named() -> None:
    assert "set CONCIERGE_STATE_DIR to another folder" in _opening(Path("/proc/concierge-calls/runs.db"))


def test_a_user_without_a_home_is_told_to_name_a_folder_and_nothing_is_made_in_the_working_one() -> None:
    assert _opening(Path("~/.local/state/concierge-calls/journal.db")) == (
        "There is no home folder to keep the journal in; set CONCIERGE_STATE_DIR to a folder of yours."
    )
    assert os.listdir() == []


@pytest.mark.parametrize("content", [b"not a database, but long enough to be taken for one" * 50, b"SQLite format 3\0"])
def test_a_file_that_is_no_journal_is_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert f"{path} is damaged or no journal at all; move it away and keep it" in _opening(path)
    assert path.read_bytes() == content


def test_a_journal_that_was_cut_short_is_said_to_be_damaged(path: Path) -> None:
    Journal(path).close()
    with path.open("r+b") as file:
        file.truncate(8192)
    assert "is damaged" in _opening(path)


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    assert _opening(path) == (
        f"{path} is some other program's database, not a journal of runs; set CONCIERGE_STATE_DIR to another folder."
    )


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (
            99,
            "newer concierge-calls (its schema is 99, this one knows 5); "
            "upgrade concierge-calls, or set CONCIERGE_STATE_DIR to another folder.",
        ),
        (
            4,
            "older concierge-calls (its schema is 4, this one knows 5); "
            "finish its runs with that one, then set CONCIERGE_STATE_DIR to another folder. "
            "Whom it called lately, and who is not to be called, is not known there.",
        ),
    ],
)
def test_a_journal_of_another_version_is_left_alone(path: Path, version: int, sentence: str) -> None:
    Journal(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    assert _opening(path) == f"The journal {path} comes from a{'n' if version < 5 else ''} {sentence}"


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a disk of its own")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run([shutil.which("umount") or "umount", "-l", folder], check=True)


def test_a_read_only_disk_is_known_at_once(tmp_path: Path) -> None:
    with _mounted(tmp_path / "disk", "size=1m"):
        Journal(tmp_path / "disk" / "runs.db").close()
        remount = [shutil.which("mount") or "mount", "-o", "remount,ro", str(tmp_path / "disk")]
        if subprocess.run(remount, capture_output=True, check=False).returncode:
            pytest.skip("no disk can be made read-only here")
        assert "CONCIERGE_STATE_DIR" in _opening(tmp_path / "disk" / "runs.db")


def test_a_full_disk_is_known_at_once(tmp_path: Path) -> None:
    with _mounted(tmp_path / "disk", "size=256k"):
        Journal(tmp_path / "disk" / "runs.db").close()
        _fill(tmp_path / "disk" / "film.mp4")
        with pytest.raises(JournalFull, match="free some room"):
            Journal(tmp_path / "disk" / "runs.db")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"0" * 4096)
            except OSError:
                return


def test_a_disk_that_fills_up_refuses_the_write_and_keeps_all_before_it(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 3)
        await record.claim(redial_after=None)
        pages = "SELECT page_count FROM pragma_page_count"
        await journal._writer.write(lambda db: db.execute(f"PRAGMA max_page_count = {_one(db, pages)}").fetchall())
        with pytest.raises(JournalFull, match="free some room, then continue with: concierge-calls resume"):
            await journal.add_do_not_call("+12005550199", "x" * 100_000)
        assert journal.do_not_call("+12005550199") is None
        await journal._writer.write(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchall())
        assert (await record.counts())[CallState.DIALING] == 1
        assert (await record.claim(redial_after=None)).attempt is not None

    asyncio.run(run())


def test_whoever_reads_first_after_a_crash_rolls_back_what_was_cut_short(
    journal: Journal, path: Path, tmp_path: Path
) -> None:
    crashed = tmp_path / "crashed"

    def cut_short(db: sqlite3.Connection) -> None:
        # Too much for the cache, so it is in the file before it is committed; copied as a crash leaves it.
        db.execute("PRAGMA cache_size = 1")
        db.executemany(
            "INSERT INTO do_not_call VALUES (?, '', ?)", ((str(n), '"' + "x" * 999 + '"') for n in range(999))
        )
        shutil.copytree(path.parent, crashed)
        raise ValueError("crashed")

    with pytest.raises(ValueError, match="crashed"):
        journal._writer.submit(cut_short).result()
    assert (crashed / "runs.db").stat().st_size > 500_000
    assert Reader(crashed / "runs.db").fetch("SELECT * FROM do_not_call") == []
    assert not (crashed / "runs.db-journal").exists()


def test_reading_never_makes_a_journal(path: Path) -> None:
    path.parent.mkdir()
    with pytest.raises(JournalError, match="cannot be written"):
        Reader(path).fetch("SELECT 1")
    assert not path.exists()


def _one(db: sqlite3.Connection, sql: str) -> int:
    return int(db.execute(sql).fetchall()[0][0])


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (sqlite3.SQLITE_BUSY, "was kept busy by another process for a minute"),
        (sqlite3.SQLITE_READONLY, "cannot be written"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be written"),
        (sqlite3.SQLITE_CORRUPT | 1 << 8, "is damaged"),
        (sqlite3.SQLITE_IOERR, "cannot be used (disk I/O error)"),
    ],
)
def test_what_sqlite_says_becomes_a_sentence_that_names_the_file(code: int, sentence: str) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    explained = explain(error, Path("/state/runs.db"))
    assert explained.message.startswith(f"The journal /state/runs.db {sentence}")
    assert not isinstance(explained, JournalFull)


def test_a_change_that_the_database_forbids_is_a_bug() -> None:
    assert isinstance(explain(sqlite3.IntegrityError("UNIQUE"), Path("runs.db")), IllegalTransition)
