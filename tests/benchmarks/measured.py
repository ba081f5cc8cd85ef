"""One run of the installed command, or of a peer, against a server in its own process: what it cost and did."""

from __future__ import annotations

import csv
import heapq
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

COMMAND = str(Path(sys.executable).with_name("concierge-calls"))
PAUSE = 0.5  # seconds between two windows, as the plan has them (its batchDelayMs)
HERE = Path(__file__).parent
ASSISTANT = "00000000-0000-4000-8000-000000000777"
PHONE_NUMBER = "00000000-0000-4000-8000-000000000555"
AREAS = [area for area in range(201, 1000) if area % 100 != 11]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run: seconds, and what the server saw; `cpu` is the whole process, user and system."""

    wall: float
    cpu: float
    memory_mb: float
    seen: dict[str, Any]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls, in the order in which they began."""
        return sorted(self.seen["calls"], key=lambda call: call["begun"])

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return sum(self.seen["requests"].values())

    @property
    def makespan(self) -> float:
        """Seconds from the first create to the last end."""
        return float(max(call["ended"] for call in self.calls) - self.calls[0]["begun"])

    @property
    def lengths(self) -> list[float]:
        """Seconds that each call took, in the order in which they began."""
        return [call["ended"] - call["begun"] for call in self.calls]

    def idle(self, lines: int) -> list[float]:
        """Return for each line that was taken again the seconds that it was free: the k-th end, the lines+k-th begin.

        Only while somebody is left to call.
        """
        begun = [call["begun"] for call in self.calls][lines:]
        ended = sorted(call["ended"] for call in self.calls)
        return [begin - end for begin, end in zip(begun, ended, strict=False)]


def numbers(calls: int) -> list[str]:
    """Return so many numbers that are reserved for fiction."""
    if calls > 100 * len(AREAS):
        raise SystemExit(f"There are {100 * len(AREAS)} fictional numbers; ask for fewer calls.")
    return [f"+1{AREAS[index // 100]}555{100 + index % 100:04}" for index in range(calls)]


def greedy(lengths: Sequence[float], lines: int) -> float:
    """Return the seconds that the calls take in this order when a free line is never idle."""
    free = [0.0] * lines
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def windows(lengths: Sequence[float], lines: int) -> float:
    """Return the seconds that the calls take in the plan's windows, which wait for their slowest call and pause."""
    slowest = [max(lengths[start : start + lines]) for start in range(0, len(lengths), lines)]
    return sum(slowest) + PAUSE * (len(slowest) - 1)


def providers(file: Path, calls: int) -> Path:
    """Write a providers file of so many rows."""
    with file.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["name", "phone", "service"])
        writer.writerows([f"Provider {index}", number, "plumbing"] for index, number in enumerate(numbers(calls)))
    return file


@contextmanager
def server(*options: object) -> Iterator[str]:
    """Run the server with these options while the context lasts; yields its address."""
    command = [sys.executable, str(HERE / "server.py"), *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def settings(url: str, folder: Path, *, poll: float | None = None, unlimited: bool = True) -> dict[str, str]:
    """Return the environment of a run; `unlimited` switches off what is there to be kind to Vapi."""
    chosen = {
        "VAPI_BASE_URL": url,
        "VAPI_API_KEY": "benchmark",
        "VAPI_PHONE_NUMBER_ID": PHONE_NUMBER,
        "VAPI_ASSISTANT_ID": ASSISTANT,
        "CONCIERGE_STATE_DIR": str(folder / "state"),
    }
    chosen |= {"VAPI_MAX_REQUESTS_PER_MINUTE": "0", "VAPI_START_INTERVAL": "0"} if unlimited else {}
    return chosen | ({} if poll is None else {"VAPI_POLL_INTERVAL": str(poll)})


def batch(file: Path, lines: int, folder: Path) -> list[str]:
    """Return the command that calls them all."""
    return [COMMAND, "batch", str(file), "-y", "-q", "-o", str(folder / "out.json"), "--max-concurrent", str(lines)]


def run(command: Sequence[str], url: str, environment: dict[str, str]) -> Measured:
    """Run a command to its end, which must be a good one, and return what that cost."""
    started = time.monotonic()
    process = subprocess.Popen(command, env=os.environ | environment)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    megabyte = 1024 if sys.platform == "linux" else 1024 * 1024
    return Measured(
        wall=wall, cpu=used.ru_utime + used.ru_stime, memory_mb=used.ru_maxrss / megabyte, seen=figures(url)
    )


def figures(url: str) -> dict[str, Any]:
    """Return what the server has seen."""
    seen: dict[str, Any] = httpx.get(f"{url}/figures", timeout=60).json()
    return seen


def mean(values: Sequence[float]) -> float:
    """Return the mean of these; 0.0 of none."""
    return statistics.fmean(values) if values else 0.0


def median(values: Sequence[float]) -> float:
    """Return the middle one of these."""
    return statistics.median(values)


def report(title: str, shown: dict[str, Any], file: Path | None) -> None:
    """Print what is compared and the figures, and keep them in a file if one is named."""
    print(title)
    for name, value in shown.items():
        print(f"  {name:<44} {value:,.3f}" if isinstance(value, float) else f"  {name:<44} {value}")
    if file is not None:
        file.write_text(json.dumps({"compared": title, **shown}, indent=2) + "\n")
