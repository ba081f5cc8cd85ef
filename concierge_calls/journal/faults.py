"""Says in a sentence what went wrong with the journal's file and what to do about it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from concierge_calls.errors import IllegalTransition, JournalError, JournalFull

_ELSEWHERE = "or set CONCIERGE_STATE_DIR to another folder"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system raise into a JournalError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explain(error, path) from error


def explain(error: Exception, path: Path) -> JournalError:
    """The sentence for an error of SQLite or of the operating system."""
    if isinstance(error, JournalError):
        return error
    if disk_is_full(error):
        return JournalFull(
            f"The disk that holds the journal {path} is full; free some room, then continue with: "
            f"concierge-calls resume (or, if no run had begun, run the same command again)."
        )
    if isinstance(error, sqlite3.IntegrityError):
        return IllegalTransition(f"The journal {path} refused a change: {error}; this is a bug, please report it.")
    return JournalError(f"The journal {path} {_what_happened(error)}.")


def disk_is_full(error: Exception) -> bool:
    """Whether there was no room to write."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return _code(error) == sqlite3.SQLITE_FULL


def is_held_by_another(error: Exception) -> bool:
    """Whether another process kept the journal to itself for longer than was waited for it."""
    return _code(error) == sqlite3.SQLITE_BUSY


def still_held(path: Path) -> str:
    """The sentence for a journal that is held while calls are on the line."""
    return (
        f"Another process holds the journal {path}, so nobody new is dialled, and what comes of the calls on the line "
        f"waits to be written down; if that process is stopped, continue it or end it."
    )


def _what_happened(error: Exception) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "needs a folder, and a file stands in its place; move that away, " + _ELSEWHERE
    match _code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return (
                "was kept busy by another process for a minute; if that one is stopped, continue it or end it, "
                "then try again"
            )
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return f"is damaged or no journal at all; move it away and keep it, {_ELSEWHERE}"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"cannot be written; give this user the right to write there, {_ELSEWHERE}"
        case _:
            return f"cannot be used ({_words(error)}); check the disk and who may write there, {_ELSEWHERE}"


def _code(error: Exception) -> int:
    # The low byte is SQLite's primary code; the rest only says where it came from.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
