"""Runs with as many results as a benchmark wants, and what a command of this program costs in a process of its own.

python -m tests.benchmarks.planted FOLDER CALLS DONE BYTES writes such a run by the journal's own transitions, and says
its id and the most memory that it took.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concierge_calls.journal import RunRecord
    from concierge_calls.models import CallOutcome

COMMAND = str(Path(sys.executable).with_name("concierge-calls"))
CHUNK = 500
LINES = 50
MEGABYTE = 1024 if sys.platform == "linux" else 1024 * 1024  # of what the system tells
SENTENCE = "We could come tomorrow at nine, and it is about one hundred and ten dollars an hour. "


@dataclass(frozen=True, slots=True)
class Used:
    """What a process took; seconds and megabytes."""

    until_first_byte: float
    wall: float
    cpu: float
    memory: float
    written: int


@dataclass(frozen=True, slots=True)
class Planted:
    """A run in a journal of its own, and the most memory that writing it took."""

    environment: dict[str, str]
    run_id: str
    memory: float


def ours(state: Path, **more: str) -> dict[str, str]:
    """Return an environment that knows nothing but this state folder and what is added."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VAPI_", "CONCIERGE_"))}
    return inherited | {"CONCIERGE_STATE_DIR": str(state)} | more


def used(
    command: Sequence[str],
    environment: dict[str, str],
    *,
    first_byte_is_enough: bool = False,
    may_end_with: int = 0,
) -> Used:
    """Run a command to its end, or to the first byte of what it writes, and return what it took."""
    with tempfile.TemporaryFile("w+") as said:
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=said, bufsize=0)
        assert process.stdout is not None
        written, first = len(process.stdout.read(1)), time.monotonic() - began
        if first_byte_is_enough:
            process.kill()
        while piece := process.stdout.read(1 << 16):
            written += len(piece)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, may_end_with) and not first_byte_is_enough:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said.read()}")
    return Used(first, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MEGABYTE, written)


def plant(folder: Path, calls: int, done: int, size: int) -> Planted:
    """Have a process of its own write a run, so that this one stays small: a child begins with its parent's size."""
    command = [sys.executable, "-m", "tests.benchmarks.planted", str(folder), str(calls), str(done), str(size)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return Planted(ours(folder), told[0], float(told[1]))


@contextmanager
def simulator(*options: str) -> Iterator[str]:
    """Have a simulator answer in a process of its own, and give its address."""
    process = subprocess.Popen([COMMAND, "simulator", "--port", "0", *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
    finally:
        process.terminate()
        process.communicate()


def towards(url: str) -> dict[str, str]:
    """Return the settings of a run that this address answers, without the limits that are kind to Vapi."""
    return {
        "VAPI_BASE_URL": url,
        "VAPI_API_KEY": "benchmark",
        "VAPI_PHONE_NUMBER_ID": "00000000-0000-4000-8000-000000000555",
        "VAPI_MAX_REQUESTS_PER_MINUTE": "0",
    }


def number(index: int) -> str:
    """Return one of 60,000 numbers, reserved for fiction in every area."""
    return f"+1{200 + index // 100}555{100 + index % 100:04}"


def _said(size: int) -> CallOutcome:
    """What was said in a call, of so many bytes once it is written down: half as one text, half in turns."""
    from concierge_calls.models import Analysis, AnalysisStatus, CallOutcome, CallStatus, Message

    now = time.time()
    turns = size // 2 // (len(SENTENCE) + 60)
    return CallOutcome(
        status=CallStatus.COMPLETED,
        ended_reason="customer-ended-call",
        started_at=_moment(now - 90),
        ended_at=_moment(now),
        transcript=SENTENCE * (size // 2 // len(SENTENCE)),
        messages=[Message(role="user", message=SENTENCE, seconds_from_start=float(turn)) for turn in range(turns)],
        analysis=Analysis(
            status=AnalysisStatus.COMPLETE, summary="They can come.", structured_data={"availability": "available"}
        ),
        cost=0.25,
    )


def _moment(seconds: float) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


async def _write(folder: Path, calls: int, done: int, size: int) -> str:
    from concierge_calls.draft import KEPT
    from concierge_calls.journal import Journal, NewRun
    from concierge_calls.models import CallRequest, Provider, ServiceRequest
    from concierge_calls.settings.loading import load

    options = {name: getattr(load(), name) for name in KEPT} | {"allow_redial": True}
    new = NewRun(
        owner="cli", via="direct", simulated=False, max_concurrent=LINES, source="p.csv", version="0", options=options
    )
    with Journal(folder / "journal.db") as journal:
        record = await journal.draft(new)
        asked = ServiceRequest(service_needed="plumbing", location="Greenville SC")
        for first in range(0, calls, CHUNK):
            indices = range(first, min(first + CHUNK, calls))
            rows = [
                CallRequest(
                    index=index,
                    provider=Provider(
                        name=f"Business {index}",
                        phone=number(index),
                        line=index + 2,
                        extra={"city": "Greenville", "rating": "4.5"},
                    ),
                    request=asked,
                )
                for index in indices
            ]
            await record.add(rows)
        await record.start()
        left = iter(range(done))
        await asyncio.gather(*(_line(record, left, _said(size), b"." * size) for _ in range(LINES)))
        await record.finish(finished=done == calls)
        record.close()
        return record.id


async def _line(record: RunRecord, left: Iterator[int], said: CallOutcome, body: bytes) -> None:
    """Take one row after the other from pending to settled, as a line of a run does."""
    from concierge_calls.models import CallMethod, CallResult

    for _ in left:
        attempt = (await record.claim(redial_after=None)).attempt
        assert attempt is not None
        call_id = attempt.key
        await record.placed(attempt, call_id, said.started_at)
        await record.ended(attempt, said, body)
        result = CallResult.of(attempt.asked, said, call_id=call_id, call_method=CallMethod.DIRECT_VAPI)
        await record.settled(attempt, result, body)


def main() -> None:
    """Write a run, and print its id and the most memory that it took, in megabytes."""
    folder, *figures = sys.argv[1:]
    run_id = asyncio.run(_write(Path(folder), *map(int, figures)))
    print(run_id, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE)


if __name__ == "__main__":
    main()
