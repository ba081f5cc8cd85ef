"""What is asked for at the same time is committed together, and one that fails harms none of the others."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.errors import JournalError
from concierge_calls.journal.opening import open_for_reading, open_for_writing
from concierge_calls.journal.writer import MOST_AT_ONCE, Writer


class Watched:
    """A writer whose statements are written down, and which can be kept busy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.statements: list[str] = []
        db = open_for_writing(path, datetime(2026, 11, 24, tzinfo=UTC))
        db.execute("CREATE TABLE words (word TEXT UNIQUE)")
        db.set_trace_callback(self.statements.append)
        self.writer = Writer(db, path)

    def keep_busy(self) -> threading.Event:
        """Hold the writer in a commit of its own until the event is set."""
        reached, go_on = threading.Event(), threading.Event()

        def wait(_: sqlite3.Connection) -> bool:
            reached.set()
            return go_on.wait(10)

        self.writer.submit(wait)
        reached.wait()
        self.statements.clear()
        return go_on

    def say(self, word: str) -> Future[int]:
        return self.writer.submit(lambda db: db.execute("INSERT INTO words VALUES (?)", (word,)).rowcount)

    def said(self) -> list[str]:
        with closing(open_for_reading(self.path)) as db:
            return [word for (word,) in db.execute("SELECT word FROM words ORDER BY rowid").fetchall()]

    def commits(self) -> int:
        return self.statements.count("COMMIT")


@pytest.fixture
def watched(path: Path) -> Iterator[Watched]:
    watched = Watched(path)
    yield watched
    watched.writer.close()


def test_what_is_asked_for_meanwhile_is_committed_together(watched: Watched) -> None:
    go_on = watched.keep_busy()
    said = [watched.say(str(number)) for number in range(100)]
    go_on.set()
    assert [future.result() for future in said] == [1] * 100
    assert watched.commits() == 2  # that which kept it busy, and one for all hundred
    assert watched.said() == [str(number) for number in range(100)]


def test_a_commit_takes_only_so_much_so_that_other_processes_get_their_turn(watched: Watched) -> None:
    go_on = watched.keep_busy()
    said = [watched.say(str(number)) for number in range(MOST_AT_ONCE + 1)]
    go_on.set()
    said[-1].result()
    assert watched.commits() == 3


def test_one_that_fails_takes_nothing_of_the_others_with_it(watched: Watched) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO words VALUES ('half')")
        raise ValueError("changed its mind")

    go_on = watched.keep_busy()
    before, failing, after = watched.say("before"), watched.writer.submit(half), watched.say("after")
    go_on.set()
    assert (before.result(), after.result()) == (1, 1)
    with pytest.raises(ValueError, match="changed its mind"):
        failing.result()
    assert watched.said() == ["before", "after"]
    assert watched.commits() == 2


def test_only_where_one_fails_has_each_a_savepoint_of_its_own(watched: Watched) -> None:
    for words, savepoints in ((["a", "b", "c"], 1), (["d", "a", "e"], 4)):
        go_on = watched.keep_busy()
        futures = [watched.say(word) for word in words]
        go_on.set()
        assert [future.exception() is None for future in futures] == [word != "a" or savepoints == 1 for word in words]
        assert sum(statement.startswith("SAVEPOINT") for statement in watched.statements) == savepoints
    assert watched.said() == ["a", "b", "c", "d", "e"]


def test_all_who_wait_in_one_loop_are_told_of_a_commit_by_waking_it_once(watched: Watched) -> None:
    woken: list[object] = []

    async def say(word: str) -> int:
        return await watched.writer.write(lambda db: db.execute("INSERT INTO words VALUES (?)", (word,)).rowcount)

    async def say_all() -> list[int]:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def count(*what: Any) -> None:
            woken.append(what)
            wake(*what)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(loop, "call_soon_threadsafe", count)
            return await say_abcd()

    async def say_abcd() -> list[int]:
        go_on = watched.keep_busy()
        asking = [asyncio.ensure_future(say(word)) for word in "abcd"]
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(*asking)

    assert asyncio.run(say_all()) == [1, 1, 1, 1]
    assert len(woken) == 1


def test_a_commit_is_done_also_when_the_loop_in_which_it_was_awaited_is_gone(watched: Watched) -> None:
    go_on = watched.keep_busy()

    async def ask_and_go() -> None:
        asking = asyncio.ensure_future(
            watched.writer.write(lambda db: db.execute("INSERT INTO words VALUES ('a')").rowcount)
        )
        await asyncio.sleep(0)
        asking.cancel()

    asyncio.run(ask_and_go())
    go_on.set()
    assert watched.say("b").result() == 1
    assert watched.said() == ["a", "b"]


def test_outcomes_are_told_in_order_and_only_once_they_are_committed(watched: Watched) -> None:
    told: list[tuple[int, int]] = []
    go_on = watched.keep_busy()
    for number in range(5):
        said = watched.say(str(number))
        said.add_done_callback(lambda _, number=number: told.append((number, len(watched.said()))))  # type: ignore[misc]
    last = watched.say("last")
    go_on.set()
    last.result()
    assert told == [(number, 6) for number in range(5)]


def test_a_commit_that_fails_fails_for_all_that_was_in_it(watched: Watched) -> None:
    def break_the_commit(db: sqlite3.Connection) -> None:
        # A deferred constraint is looked at by the commit, and by nothing before it.
        db.execute("PRAGMA defer_foreign_keys = 1")
        db.execute("INSERT INTO history (run_id, kind, at) VALUES ('nobody', 'run.started', '')")

    go_on = watched.keep_busy()
    asked: list[Future[Any]] = [watched.say("first"), watched.writer.submit(break_the_commit), watched.say("last")]
    go_on.set()
    for future in asked:
        with pytest.raises(JournalError, match="FOREIGN KEY constraint failed"):
            future.result()
    assert watched.said() == []
    assert watched.say("again").result() == 1


def test_a_transaction_that_sqlite_gave_up_fails_for_all_that_was_in_it(watched: Watched) -> None:
    go_on = watched.keep_busy()
    give_up = "INSERT OR ROLLBACK INTO words VALUES ('first')"
    asked = [watched.say("first"), watched.writer.submit(lambda db: db.execute(give_up).rowcount), watched.say("last")]
    go_on.set()
    for future in asked:
        with pytest.raises(JournalError):
            future.result()
    assert watched.said() == []
    assert watched.say("again").result() == 1


def test_what_is_revoked_before_its_turn_is_never_done(watched: Watched) -> None:
    go_on = watched.keep_busy()
    revoked = watched.writer.submit(lambda db: db.execute("INSERT INTO words VALUES ('no')").rowcount, revocable=True)
    firm = watched.say("yes")
    assert revoked.cancel()
    assert not firm.cancel()
    go_on.set()
    assert firm.result() == 1
    assert watched.said() == ["yes"]


def test_closing_commits_what_was_asked_for(watched: Watched) -> None:
    go_on = watched.keep_busy()
    said = [watched.say(str(number)) for number in range(10)]
    go_on.set()
    watched.writer.close()
    watched.writer.close()
    assert all(future.done() for future in said)
    assert len(watched.said()) == 10
    with pytest.raises(JournalError, match="has been closed"):
        watched.say("late")
