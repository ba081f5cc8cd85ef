"""Opens the journal's file for writing or for reading, and says why it cannot be used."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from concierge_calls.errors import JournalError, RunLocked
from concierge_calls.journal.faults import explained
from concierge_calls.journal.lock import RunLock, make_private_folder
from concierge_calls.journal.rows import to_text

SCHEMA_VERSION = 5
APPLICATION_ID = 0x43436A6C  # "CCjl": tells our file from any other SQLite database
BUSY_SECONDS = 60.0  # another process may be stopped in the middle of a commit, or its disk be slow


def open_for_writing(path: Path, now: datetime) -> sqlite3.Connection:
    """Open the journal, make it if there is none, prove that it can be written, and sweep what dead processes left.

    Raises JournalError: not writable, full, damaged, of a newer version, or something else altogether.
    """
    if path.parts[0] == "~":  # nothing and nobody has said where this user's home is
        raise JournalError(
            "There is no home folder to keep the journal in; set CONCIERGE_STATE_DIR to a folder of yours."
        )
    with explained(path):
        _make_private_file(path)
        db = _connect(path)
        try:
            _prepare(db, path)
            _probe_and_sweep(db, path, now)
        except BaseException:
            db.close()
            raise
        return db


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the journal beside its writer; raises sqlite3.Error.

    Not with mode=ro: whoever reads first after a crash must be able to roll back what was cut short.
    """
    db = _connect(path)
    db.execute("PRAGMA query_only = 1")
    return db


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin and end where the code says so
        check_same_thread=False,  # opened by one thread, then handed to the one that owns it
    )
    db.row_factory = sqlite3.Row
    return db


def _make_private_file(path: Path) -> None:
    make_private_folder(path.parent)
    # SQLite gives its own journal beside the file the mode that the file has. The file is opened here only when it is
    # new: closing a file that this process has open elsewhere would drop the locks that SQLite holds on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    _check_whose_it_is(db, path)
    # SQLite before 3.51.3 can corrupt a write-ahead log with two writers, hence the rollback journal; EXTRA also syncs
    # the folder after a commit, and fullfsync makes macOS empty the drive's own cache.
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA synchronous = EXTRA")
    db.execute("PRAGMA fullfsync = 1")
    db.execute("PRAGMA foreign_keys = 1")
    db.execute("PRAGMA secure_delete = 1")  # what somebody said stays in no free room of the file
    if not _pragma(db, "user_version"):  # it is new
        schema = files(__package__).joinpath("schema.sql").read_text("utf-8")
        marks = f"PRAGMA user_version = {SCHEMA_VERSION}; PRAGMA application_id = {APPLICATION_ID};"
        db.executescript(f"BEGIN IMMEDIATE; {schema} {marks} COMMIT;")


def _check_whose_it_is(db: sqlite3.Connection, path: Path) -> None:
    version = _pragma(db, "user_version")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"The journal {path} comes from a newer concierge-calls (its schema is {version}, this one knows "
            f"{SCHEMA_VERSION}); upgrade concierge-calls, or set CONCIERGE_STATE_DIR to another folder."
        )
    if 0 < version < SCHEMA_VERSION:
        raise JournalError(
            f"The journal {path} comes from an older concierge-calls (its schema is {version}, this one knows "
            f"{SCHEMA_VERSION}); finish its runs with that one, then set CONCIERGE_STATE_DIR to another folder. Whom "
            f"it called lately, and who is not to be called, is not known there."
        )
    has_tables = bool(db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall())
    if has_tables and _pragma(db, "application_id") != APPLICATION_ID:
        raise JournalError(
            f"{path} is some other program's database, not a journal of runs; "
            f"set CONCIERGE_STATE_DIR to another folder."
        )


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchall()[0][0])


def _probe_and_sweep(db: sqlite3.Connection, path: Path, now: datetime) -> None:
    # Only a real write shows a read-only folder or a full disk: BEGIN IMMEDIATE alone succeeds on both.
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT OR REPLACE INTO opened (id, at) VALUES (1, ?)", (to_text(now),))
    for (run_id,) in db.execute("SELECT id FROM runs WHERE draft").fetchall():
        _sweep(db, path.parent, run_id)
    db.execute("COMMIT")


def _sweep(db: sqlite3.Connection, folder: Path, run_id: str) -> None:
    # A draft's lock is taken before the draft is written, so a free lock means that its process is dead.
    with suppress(RunLocked):
        lock = RunLock(folder, run_id)
        db.execute("DELETE FROM runs WHERE id = ? AND draft", (run_id,))
        lock.release()
