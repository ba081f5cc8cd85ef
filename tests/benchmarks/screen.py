"""What a frame of the live table costs with ten rows and with ten thousand.

Run by hand: python -m tests.benchmarks.screen [--json FILE]

What is compared is the CPU time of a frame at one and the same size of the screen, in turn.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from concierge_calls.display.live import LiveTable
from concierge_calls.models import (
    CallEvent,
    CallRequest,
    CallResult,
    CallStatus,
    EventKind,
    Provider,
    ServiceRequest,
)
from tests.benchmarks.measured import AtMost, median, parser, report
from tests.display.calls import AT, after, run

SIZE = (80, 14)  # a screen that ten rows fill
FRAMES = 400
ROUNDS = 7
LIMIT = 1.2
LINES = 5
STEPS = (EventKind.CALL_DIALING, EventKind.CALL_PLACED, EventKind.CALL_RINGING, EventKind.CALL_IN_PROGRESS)


class Terminal(io.StringIO):
    """A screen that forgets what was written."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


class Clock:
    """A clock that goes on by a second a frame, so that each has something new to show."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> datetime:
        self.seconds += 1
        return after(self.seconds)


def events(rows: int) -> list[CallEvent]:
    """All that happens until the last calls are on the line."""
    told: list[CallEvent] = []
    for index in range(rows):
        provider = Provider(name=f"Provider {index}", phone=f"+1864555{100 + index % 100:04}")
        asked = CallRequest(index=index, provider=provider, request=ServiceRequest())
        result = CallResult(index=index, provider=provider, request=asked.request, status=CallStatus.COMPLETED)
        ends = index < rows - LINES
        for kind in (*STEPS, *((EventKind.CALL_ENDED, EventKind.CALL_SETTLED) if ends else ())):
            final = result if kind is EventKind.CALL_SETTLED else None
            event = CallEvent(
                seq=len(told), at=AT, run_id="r", kind=kind, index=index, request=asked, call_id="a", result=final
            )
            told.append(event)
    return told


def begun(rows: int, size: tuple[int, int]) -> LiveTable:
    """A table that is shown; it has no thread, so that a frame is drawn when it is asked for."""
    table = LiveTable(lambda _: "available, tomorrow at 9 AM, $110", Terminal(), {}, size=lambda: size, now=Clock())
    table.show(run(max_concurrent=LINES, total=rows, pending=rows))
    return table


def seconds(work: Callable[[], object], times: int) -> float:
    """CPU seconds for each time."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def told(rows: int, size: tuple[int, int]) -> LiveTable:
    """A table that has taken everything that happened."""
    table = begun(rows, size)
    for event in events(rows):
        table(event)
    return table


def observed(rows: int) -> float:
    """Seconds that the observer costs the event loop for each event."""
    table, all_of_them = begun(rows, SIZE), events(rows)
    start = time.process_time()
    for event in all_of_them:
        table(event)
    return (time.process_time() - start) / len(all_of_them)


def measured() -> dict[str, Any]:
    """Return all figures."""
    few, many = (told(rows, SIZE) for rows in (10, 10_000))
    rounds = [(seconds(few.draw, FRAMES), seconds(many.draw, FRAMES)) for _ in range(ROUNDS)]
    ten, thousands = (median(column) for column in zip(*rounds, strict=True))
    full = seconds(told(10_000, (120, 40)).draw, FRAMES)
    return {
        "10 rows, ms": ten * 1e3,
        "10,000 rows, ms": thousands * 1e3,
        "10,000 rows at 120x40, ms": full * 1e3,
        "the same at 4 frames a second, % of a core": full * 400,
        "an event in the event loop, us": observed(10_000) * 1e6,
        "10,000 rows against 10": AtMost(median([right / left for left, right in rounds]), LIMIT),
    }


def main() -> None:
    """Measure, and report."""
    options = parser(__doc__).parse_args()
    report(
        "CPU per frame of the live table, with 10,000 rows against 10",
        f"{SIZE[0]}x{SIZE[1]}, {FRAMES} frames, each a second later, rounds: {ROUNDS} (median)",
        measured(),
        options.json,
    )


if __name__ == "__main__":
    main()
