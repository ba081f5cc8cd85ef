"""Runs with as many results as a benchmark wants, written by the journal's own transitions.

python -m tests.benchmarks.planted FOLDER CALLS DONE BYTES writes such a run, and says its id and the most memory
that it took.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.measured import MEGABYTE
from tests.benchmarks.providers import number
from tests.benchmarks.servers import environment

if TYPE_CHECKING:
    from concierge_calls.journal import RunRecord
    from concierge_calls.models import CallOutcome

CHUNK = 500
LINES = 50
BYTES_HELP = "of each result, and of the backend's own record of it"
SENTENCE = "We could come tomorrow at nine, and it is about one hundred and ten dollars an hour. "


@dataclass(frozen=True, slots=True)
class Planted:
    """A run in a journal of its own, and the most memory that writing it took."""

    environment: dict[str, str]
    run_id: str
    memory: float


def plant(folder: Path, calls: int, done: int, size: int) -> Planted:
    """Have a process of its own write a run, so that this one stays small: a child begins with its parent's size."""
    command = [sys.executable, "-m", "tests.benchmarks.planted", str(folder), str(calls), str(done), str(size)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return Planted(environment(folder), told[0], float(told[1]))


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
