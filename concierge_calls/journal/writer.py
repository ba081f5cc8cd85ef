"""The one thread that writes to the journal: whatever was asked for meanwhile is committed together."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from concierge_calls.errors import JournalError
from concierge_calls.journal.faults import disk_is_full, explain, is_held_by_another, still_held
from concierge_calls.journal.room import Room

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]
log = logging.getLogger(__name__)

MOST_AT_ONCE = 500  # operations in a commit, so that other processes get their turn
GATHERING = 0.001  # seconds for which a commit waits for company where the one before it had some: a sync takes as long


class _Job(NamedTuple):
    operation: Operation[Any]
    future: Future[Any]
    revocable: bool
    waits: bool  # without end, once a run has begun, while another process holds the journal


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
        self._has_begun = False  # a run for whose calls room is kept
        self._has_warned = False
        self._has_company = False  # the latest commit was of several operations
        self._to_tell: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    async def write(self, operation: Operation[T]) -> T:
        """Have the operation done and committed, also when whoever asked for it no longer waits.

        Raises as the future of `submit`; but while room is kept for the calls on the line, a journal that another
        process holds is waited for as long as it takes.
        """
        return await self._told(self._ask(operation, revocable=False, waits=True))

    async def write_for(self, operation: Operation[T], undo: Callable[[sqlite3.Connection, T], object]) -> T:
        """Have the operation done and committed for whoever waits for it, and undone once nobody does.

        Whoever is cancelled, be it again and again, is told so when nothing of it is left: it was never begun, or both
        it and `undo`, which is handed its outcome, are committed or have failed. Raises as the future of `submit`.
        """
        asked = self.submit(operation, revocable=True)
        try:
            return await self._told(asked)
        except asyncio.CancelledError:
            if not asked.cancel():
                await _in_spite_of_all(asyncio.wrap_future(self._undone(asked, undo)))
            raise

    async def _told(self, asked: Future[T]) -> T:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()
        asked.add_done_callback(lambda _: self._tell(loop, told))
        await told
        return asked.result()

    def _tell(self, loop: asyncio.AbstractEventLoop, told: asyncio.Future[None]) -> None:
        # To wake a loop takes a while, so that all who wait there are told of a commit together.
        if threading.current_thread() is self._thread:
            self._to_tell.setdefault(loop, []).append(told)
        else:
            _wake(loop, [told])

    def _undone(self, asked: Future[T], undo: Callable[[sqlite3.Connection, T], object]) -> Future[None]:
        # Asked for by the writer's own thread, since the event loop of whoever waited may be gone by then.
        undone: Future[None] = Future()

        def begin(_: object) -> None:
            with suppress(JournalError):  # it has been closed
                if asked.exception() is None:
                    undoing = self._ask(partial(_undo, asked, undo), revocable=False, waits=True)
                    undoing.add_done_callback(lambda _: undone.set_result(None))
                    return
            undone.set_result(None)

        asked.add_done_callback(begin)
        return undone

    def submit(self, operation: Operation[T], *, revocable: bool = False) -> Future[T]:
        """Ask for the operation; a revocable one is left undone when its future is cancelled before its turn.

        Where the disk is full, the room that was kept is given up for all others; a revocable one fails. While another
        process holds the journal, a revocable one waits as one of `write` does; any other fails after a minute, since
        a thread may stand still until it is done. The future raises what the operation raised, with none of its writes
        kept; JournalFull or JournalError when the commit failed, for every operation that was part of it.
        """
        return self._ask(operation, revocable=revocable, waits=revocable)

    def _ask(self, operation: Operation[T], *, revocable: bool, waits: bool) -> Future[T]:
        future: Future[T] = Future()
        if not revocable:
            future.set_running_or_notify_cancel()
        with self._closing:
            if self._closed:
                raise JournalError(f"The journal {self._path} has been closed; open it again to write to it.")
            self._jobs.put(_Job(operation, future, revocable, waits))
        return future

    def keep(self, room: Room) -> None:
        """Give up this room, too, when the disk is full; what is committed next begins the run that it is kept for.

        From then on, until it is forgotten, calls may be on the line, so a journal that is held is waited for.
        """
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
        waiting: list[_Job] = []
        is_open = True
        while is_open or waiting:
            asked = self._drain(wait=not waiting)
            is_open = is_open and (not asked or asked[-1] is not None)
            waiting = self._commit([*waiting, *(job for job in asked if job is not None)])
        self._db.close()

    def _drain(self, *, wait: bool) -> list[_Job | None]:
        jobs = [self._jobs.get()] if wait else []
        if self._has_company:
            time.sleep(GATHERING)
        with suppress(Empty):
            while len(jobs) < MOST_AT_ONCE:
                jobs.append(self._jobs.get_nowait())
        self._has_company = len(jobs) > 1
        return jobs

    def _commit(self, jobs: list[_Job]) -> list[_Job]:
        """Do these together, tell what came of each, and return those that are to be tried again."""
        again: list[_Job] = []
        if not jobs:
            return again
        try:
            self._db.execute("BEGIN IMMEDIATE")
            jobs = [job for job in jobs if _begins(job.future)]  # until the journal is ours they can be revoked
            tell = self._do_all(jobs)
            self._db.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            again = self._worth_another_try(error, jobs)
            tell = [partial(_fail, job.future, error, self._path) for job in jobs if job not in again]
        else:
            self._has_begun, self._has_warned = bool(self._rooms), False
        for each in tell:
            each()
        while self._to_tell:
            _wake(*self._to_tell.popitem())
        return again

    def _do_all(self, jobs: list[_Job]) -> list[Callable[[], None]]:
        # A savepoint for each costs as much as many a job, so where there are several, they share one unless one fails.
        if len(jobs) > 1:
            self._db.execute("SAVEPOINT jobs")
            try:
                return [partial(job.future.set_result, job.operation(self._db)) for job in jobs]
            except Exception as error:
                if not self._db.in_transaction or self._is_of_all(error):
                    raise
            self._db.execute("ROLLBACK TO jobs")
        return [self._do(job.operation, job.future) for job in jobs]

    def _do(self, operation: Operation[Any], future: Future[Any]) -> Callable[[], None]:
        # A savepoint each, so that one that fails takes nothing of the others with it.
        self._db.execute("SAVEPOINT operation")
        try:
            value = operation(self._db)
        except Exception as error:
            if not self._db.in_transaction or self._is_of_all(error):
                raise
            self._db.execute("ROLLBACK TO operation")
            self._db.execute("RELEASE operation")
            return partial(_fail, future, error, self._path)
        self._db.execute("RELEASE operation")
        return partial(future.set_result, value)

    def _is_of_all(self, error: Exception) -> bool:
        """Whether all of the group fail with it: there is room to be given up for them, or they can wait."""
        if is_held_by_another(error):
            return self._is_patient
        return disk_is_full(error) and any(room.is_held for room in self._rooms)

    def _worth_another_try(self, error: Exception, jobs: list[_Job]) -> list[_Job]:
        if disk_is_full(error) and self._make_room():
            return [job for job in jobs if not job.revocable]
        if is_held_by_another(error) and self._is_patient:
            self._warn()
            return [job for job in jobs if job.waits]
        return []

    @property
    def _is_patient(self) -> bool:
        return self._has_begun and bool(self._rooms) and not self._closed

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(still_held(self._path))

    def _make_room(self) -> bool:
        given_up = [room.give_up() for room in list(self._rooms)]
        return any(given_up)

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _undo(asked: Future[T], undo: Callable[[sqlite3.Connection, T], object], db: sqlite3.Connection) -> None:
    undo(db, asked.result())


def _wake(loop: asyncio.AbstractEventLoop, told: list[asyncio.Future[None]]) -> None:
    with suppress(RuntimeError):  # the loop has been closed, and nobody waits any more
        loop.call_soon_threadsafe(_set_done, told)


def _set_done(told: list[asyncio.Future[None]]) -> None:
    for each in told:
        if not each.done():  # whoever waited was cancelled
            each.set_result(None)


async def _in_spite_of_all(future: asyncio.Future[None]) -> None:
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])


def _begins(future: Future[Any]) -> bool:
    return future.running() or future.set_running_or_notify_cancel()


def _fail(future: Future[Any], error: Exception, path: Path) -> None:
    if not _begins(future):
        return
    if not isinstance(error, sqlite3.Error | OSError):
        future.set_exception(error)
        return
    explained = explain(error, path)
    explained.__cause__ = error
    future.set_exception(explained)
