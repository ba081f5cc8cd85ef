"""The one thread that writes to the journal: whatever was asked for meanwhile is committed together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from concierge_calls.errors import JournalError
from concierge_calls.journal.faults import disk_is_full, explain
from concierge_calls.journal.room import Room

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]
_Job = tuple[Operation[Any], "Future[Any]", bool]  # with whether it is revocable

MOST_AT_ONCE = 500  # operations in a commit, so that other processes get their turn


class Writer:
    """Owns the writing connection; an operation's outcome is told once it is committed."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Take over the connection to the journal at this path, which names it in errors."""
        self._db = db
        self._path = path
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._rooms: list[Room] = []
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    async def write(self, operation: Operation[T]) -> T:
        """Have the operation done and committed, also when whoever asked for it no longer waits."""
        return await asyncio.wrap_future(self.submit(operation))

    def submit(self, operation: Operation[T], *, revocable: bool = False) -> Future[T]:
        """Ask for the operation; a revocable one is left undone when its future is cancelled before its turn.

        Where the disk is full, the room that was kept is given up for all others; a revocable one fails.
        The future raises what the operation raised, with none of its writes kept; JournalFull or JournalError
        when the commit failed, for every operation that was part of it.
        """
        future: Future[T] = Future()
        if not revocable:
            future.set_running_or_notify_cancel()
        with self._closing:
            if self._closed:
                raise JournalError(f"The journal {self._path} has been closed; open it again to write to it.")
            self._jobs.put((operation, future, revocable))
        return future

    def keep(self, room: Room) -> None:
        """Give up this room, too, when the disk is full."""
        self._rooms.append(room)

    def forget(self, room: Room) -> None:
        """Do without this room from now on."""
        self._rooms.remove(room)

    def close(self) -> None:
        """Commit what was asked for, then close the connection."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        open_for_business = True
        while open_for_business:
            jobs = self._drain()
            open_for_business = jobs[-1] is not None
            self._commit([job for job in jobs if job is not None and _begins(job[1])])
        self._db.close()

    def _drain(self) -> list[_Job | None]:
        jobs = [self._jobs.get()]
        with suppress(Empty):
            while len(jobs) < MOST_AT_ONCE:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _commit(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            tell = [self._do(operation, future) for operation, future, _ in jobs]
            self._db.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            has_room = disk_is_full(error) and self._make_room()
            tell = [partial(_fail, job[1], error, self._path) for job in jobs if job[2] or not has_room]
            self._commit([job for job in jobs if has_room and not job[2]])
        for each in tell:
            each()

    def _do(self, operation: Operation[Any], future: Future[Any]) -> Callable[[], None]:
        # A savepoint each, so that one that fails takes nothing of the others with it.
        self._db.execute("SAVEPOINT operation")
        try:
            value = operation(self._db)
        except Exception as error:
            if not self._db.in_transaction or (disk_is_full(error) and any(room.is_held for room in self._rooms)):
                raise  # all of the group: SQLite has rolled it back by itself, or there is room to be given up for it
            self._db.execute("ROLLBACK TO operation")
            self._db.execute("RELEASE operation")
            return partial(_fail, future, error, self._path)
        self._db.execute("RELEASE operation")
        return partial(future.set_result, value)

    def _make_room(self) -> bool:
        given_up = [room.give_up() for room in list(self._rooms)]
        return any(given_up)

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _begins(future: Future[Any]) -> bool:
    return future.running() or future.set_running_or_notify_cancel()


def _fail(future: Future[Any], error: Exception, path: Path) -> None:
    if not isinstance(error, sqlite3.Error | OSError):
        future.set_exception(error)
        return
    explained = explain(error, path)
    explained.__cause__ = error
    future.set_exception(explained)
