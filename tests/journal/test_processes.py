"""Several processes share one file safely, and what a dead one held is free."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from concierge_calls.errors import NoSuchRun, RunLocked
from concierge_calls.journal import Journal, RunRecord
from concierge_calls.journal.lock import RunLock, is_held
from concierge_calls.models import CallState

Begin = Callable[..., Awaitable[RunRecord]]

PRELUDE = """
import asyncio, sys
from pathlib import Path
from concierge_calls.journal import Journal, NewRun
from concierge_calls.models import CallRequest, Provider, ServiceRequest

def asked(index):
    provider = Provider(name="A", phone=f"+1{200 + index // 100}55501{index % 100:02d}")
    return CallRequest(index=index, provider=provider, request=ServiceRequest())

async def draft(journal, rows=3):
    new = NewRun(owner="cli", via="direct", simulated=False, max_concurrent=5, source="a.csv", version="0.1.0")
    record = await journal.draft(new)
    await record.add([asked(index) for index in range(rows)])
    return record

async def hold(start):
    with Journal(Path(sys.argv[1])) as journal:
        record = await draft(journal)
        if start:
            await record.start()
            await record.claim(redial_after=None)
        print(record.id, flush=True)
        sys.stdin.read()

async def claim_all():
    with Journal(Path(sys.argv[1])) as journal:
        record = await draft(journal, 100)
        await record.start()
        print(record.id, flush=True)
        sys.stdin.read()
        while True:
            claim = await record.claim(redial_after=None)
            if claim.attempt is not None:
                print(claim.attempt.index, flush=True)
            elif not claim.skipped:
                return
"""


@contextmanager
def _process(path: Path, work: str) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    command = [sys.executable, "-W", "error", "-c", f"{PRELUDE}\nasyncio.run({work})", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, process.stdin, process.stdout
        finally:
            process.kill()


def test_a_run_is_locked_while_its_process_lives_and_free_when_it_was_killed(path: Path) -> None:
    async def run() -> None:
        with _process(path, "hold(start=True)") as (process, _, said), Journal(path) as journal:
            run_id = said.readline().strip()
            with pytest.raises(RunLocked, match=f"concierge-calls resume {run_id}"):
                await journal.open_run(run_id)
            process.send_signal(signal.SIGKILL)
            process.wait()
            record = await journal.open_run(run_id)
            assert [attempt.state for attempt in await record.unfinished()] == [CallState.DIALING]
            record.close()

    asyncio.run(run())


def test_a_run_is_worked_on_as_long_as_its_process_lives(path: Path) -> None:
    with _process(path, "hold(start=True)") as (process, _, said), Journal(path) as journal:
        run_id = said.readline().strip()
        assert [journal.is_worked_on(run_id) for _ in range(2)] == [True, True]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (path.parent / "locks" / f"{run_id}.lock").exists()
        assert not journal.is_worked_on(run_id)
        assert journal.result(run_id).stats.in_progress == 1


def test_a_run_is_worked_on_by_this_process_until_it_is_closed(path: Path, begin: Begin) -> None:
    async def run() -> None:
        with Journal(path) as journal:
            record = await begin(journal, 1)
            assert journal.is_worked_on(record.id)
            with pytest.raises(RunLocked):  # looking has not taken the lock away
                await journal.open_run(record.id)
            record.close()
            assert not journal.is_worked_on(record.id)
            assert list((path.parent / "locks").iterdir()) == []

    asyncio.run(run())


def test_who_looks_whether_a_run_is_worked_on_keeps_nobody_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locks").mkdir()
    looking = os.open(tmp_path / "locks" / "run.lock", os.O_RDONLY | os.O_CREAT)  # the file of one that was killed
    lock_file = fcntl.flock
    lock_file(looking, fcntl.LOCK_SH)

    def look_away_after_the_next_question(handle: int, how: int) -> None:
        try:
            lock_file(handle, how)
        finally:
            if how & fcntl.LOCK_SH:
                os.close(looking)
                monkeypatch.undo()

    monkeypatch.setattr(fcntl, "flock", look_away_after_the_next_question)
    lock = RunLock(tmp_path, "run")
    assert is_held(tmp_path, "run")
    lock.release()


def test_a_draft_is_swept_once_its_process_is_dead(path: Path) -> None:
    with _process(path, "hold(start=False)") as (process, _, said):
        run_id = said.readline().strip()
        with Journal(path) as journal:
            assert journal.result(run_id).stats.total == 3
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (path.parent / "locks" / f"{run_id}.lock").exists()
        with Journal(path) as journal, pytest.raises(NoSuchRun):
            journal.result(run_id)
        assert list((path.parent / "locks").iterdir()) == []


def test_a_run_that_began_is_never_swept(path: Path) -> None:
    with _process(path, "hold(start=True)") as (process, _, said):
        run_id = said.readline().strip()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Journal(path) as journal:
        assert journal.latest_unfinished() == run_id


def test_two_processes_on_one_file_never_claim_the_same_number(path: Path) -> None:
    with _process(path, "claim_all()") as one, _process(path, "claim_all()") as two:
        both = (one, two)
        for _, _, said in both:
            said.readline()  # each has begun its run
        for _, told, _ in both:
            told.close()
        claimed = [[int(line) for line in said] for _, _, said in both]
        assert [process.wait() for process, _, _ in both] == [0, 0]
    assert Counter(claimed[0]) + Counter(claimed[1]) == Counter(range(100))


def test_two_threads_with_a_journal_each_never_claim_the_same_number(path: Path, begin: Begin) -> None:
    claimed: list[int] = []

    async def claim_all() -> None:
        with Journal(path) as journal:
            record = await begin(journal, 60)
            together.wait()
            while (claim := await record.claim(redial_after=None)).attempt or claim.skipped:
                claimed.extend([claim.attempt.index] if claim.attempt else [])

    Journal(path).close()
    together = threading.Barrier(2)
    threads = [threading.Thread(target=lambda: asyncio.run(claim_all())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(60))


def test_many_processes_can_make_the_journal_at_once(path: Path) -> None:
    path.parent.mkdir()
    command = [sys.executable, "-c", f"{PRELUDE}\nJournal(Path(sys.argv[1])).close()", str(path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(6)]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [(b"", 0)] * 6


def test_a_lock_whose_file_went_away_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lock_file = tmp_path / "locks" / "run.lock", fcntl.flock

    def let_go_just_before(handle: int, how: int) -> None:
        monkeypatch.undo()
        path.unlink()  # as the one before does when it is done, after this one has opened the file
        lock_file(handle, how)

    monkeypatch.setattr(fcntl, "flock", let_go_just_before)
    lock = RunLock(tmp_path, "run")
    assert path.exists()
    with pytest.raises(RunLocked):
        RunLock(tmp_path, "run")
    lock.release()


def test_of_many_who_want_a_run_one_has_it(path: Path, begin: Begin) -> None:
    async def run() -> None:
        with Journal(path) as journal:
            record = await begin(journal, 1)
            record.close()
            opened = await asyncio.gather(*(journal.open_run(record.id) for _ in range(20)), return_exceptions=True)
            assert Counter(type(one) for one in opened) == {RunRecord: 1, RunLocked: 19}

    asyncio.run(run())
