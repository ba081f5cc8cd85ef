"""How many transitions a second the journal commits, one by one and at once.

Run by hand: python -m tests.benchmarks.journal [--json FILE]

What is compared is a run with one line, whose transitions are committed one after the other, with runs whose lines
share commits. The journals are written in the working folder, whose disk it is that is measured.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from concierge_calls.journal import Journal, NewRun, RunRecord
from concierge_calls.models import CallOutcome, CallRequest, CallResult, CallStatus, Provider, ServiceRequest
from tests.benchmarks.measured import parser, report
from tests.benchmarks.providers import numbers

CALLS = 1_000
STEPS = 4  # claim, placed, ended, settled
DONE = CallOutcome(status=CallStatus.COMPLETED, transcript="word " * 2_000)


async def call(record: RunRecord) -> None:
    """Take one row from pending to settled."""
    attempt = (await record.claim(redial_after=datetime.now(UTC))).attempt
    if attempt is None:
        raise AssertionError("nobody was left to call")
    await record.placed(attempt, attempt.key, datetime.now(UTC))
    await record.ended(attempt, DONE, b"{}")
    await record.settled(attempt, CallResult.of(attempt.asked, DONE), b"{}")


async def measure(journal: Journal, lines: int) -> float:
    """Transitions a second with so many calls at once."""
    new = NewRun(owner="cli", via="direct", simulated=True, max_concurrent=lines, source="", version="0")
    record = await journal.draft(new)
    providers = [Provider(name="A", phone=number) for number in numbers(CALLS)]
    await record.add([CallRequest(index=i, provider=one, request=ServiceRequest()) for i, one in enumerate(providers)])
    await record.start()
    line = asyncio.Semaphore(lines)

    async def one() -> None:
        async with line:
            await call(record)

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CALLS)))
    return CALLS * STEPS / (time.perf_counter() - start)


def main() -> None:
    """Print the figures, and how much faster many at once are than one after the other."""
    options = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Journal(Path(folder) / "runs.db") as journal:
        rates = {lines: asyncio.run(measure(journal, lines)) for lines in (1, 5, 50)}
    found = {f"lines: {lines}, transitions/s": rate for lines, rate in rates.items()}
    found |= {f"{lines} lines against 1": rates[lines] / rates[1] for lines in (5, 50)}
    report(
        "Transitions that the journal commits with many calls at once, against one",
        f"SQLite {sqlite3.sqlite_version}, {CALLS:,} calls of {STEPS} transitions, "
        f"{len(DONE.transcript or ''):,} bytes of transcript each, rounds: 1",
        found,
        options.json,
    )


if __name__ == "__main__":
    main()
