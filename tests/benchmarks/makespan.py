"""How long a run takes against ideal greedy on the same calls, and what it costs: requests, memory, lines.

Run by hand: python tests/benchmarks/makespan.py [--calls 1000] [--lines 50] [--speed 20] [--poll 0.1] [--json FILE]

The simulator runs in a process of its own, the installed command in another. Ideal greedy is what nobody can beat
without knowing the lengths: the calls in the file's order, each begun the moment a line is free, without any delay.
The plan's fixed windows wait for the slowest of each window. Both are computed on the durations that the calls of
this very run had, by the simulator's ledger.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

AREAS = (201, 202, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229)
COMMAND = str(Path(sys.executable).with_name("concierge-calls"))


def numbers(calls: int) -> list[str]:
    """Return so many numbers that are reserved for fiction."""
    # The last digit decides how a call ends, so neighbours differ; 8, which talks on to its limit, is left out.
    lines = [line for tens in range(100, 200, 10) for line in range(tens, tens + 10) if line % 10 != 8]
    found = [f"+1{area}555{line:04}" for area in AREAS for line in lines]
    if calls > len(found):
        raise SystemExit(f"There are {len(found)} fictional numbers here; ask for fewer calls.")
    return found[:calls]


def greedy(durations: list[float], lines: int) -> float:
    """Return the seconds that the calls take in this order when a free line is never idle."""
    free = [0.0] * lines
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def windows(durations: list[float], lines: int) -> float:
    """Return the seconds that the calls take in windows that wait for their slowest call."""
    return sum(max(durations[start : start + lines]) for start in range(0, len(durations), lines))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the command once against a simulator and return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "providers.csv"
        with file.open("w", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(["name", "phone", "service"])
            writer.writerows(
                [f"Provider {index}", number, "plumbing"] for index, number in enumerate(numbers(options.calls))
            )
        simulator = subprocess.Popen(
            [COMMAND, "simulator", "--port", "0", "--speed", str(options.speed)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert simulator.stdout is not None
            url = next(word for word in simulator.stdout.readline().split() if word.startswith("http"))
            httpx.put(f"{url}/options", json={"talk": [10.0, 100.0]}).raise_for_status()
            return _run(options, file, url, folder)
        finally:
            simulator.terminate()
            simulator.wait()


def _run(options: argparse.Namespace, file: Path, url: str, folder: str) -> dict[str, Any]:
    environment = os.environ | {
        "VAPI_BASE_URL": url,
        "VAPI_API_KEY": "benchmark",
        "VAPI_PHONE_NUMBER_ID": "00000000-0000-4000-8000-000000000555",
        "VAPI_MAX_REQUESTS_PER_MINUTE": "0",
        "VAPI_POLL_INTERVAL": str(options.poll),
        "CONCIERGE_STATE_DIR": f"{folder}/state",
    }
    command = [COMMAND, "batch", str(file), "--yes", "-q", "--start-interval", "0", "-o", f"{folder}/document.json"]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--max-concurrent", str(options.lines)], env=environment, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - started
    ledger = httpx.get(f"{url}/ledger", timeout=60).json()
    return _figures(
        options, ledger, json.loads(Path(folder, "document.json").read_text()), wall, usage, process.returncode
    )


def _figures(
    options: argparse.Namespace, ledger: dict[str, Any], document: dict[str, Any], wall: float, usage: Any, code: int
) -> dict[str, Any]:
    calls = [ledger["numbers"][number]["calls"][0] for number in numbers(options.calls)]
    durations = [call["endedAt"] - call["createdAt"] for call in calls]
    makespan = max(call["endedAt"] for call in calls) - min(call["createdAt"] for call in calls)
    ideal = greedy(durations, options.lines)
    return {
        "calls": options.calls,
        "lines": options.lines,
        "poll_seconds": options.poll,
        "speed": options.speed,
        "exit_code": code,
        "mean_call_seconds": round(sum(durations) / len(durations), 3),
        "wall_seconds_with_start": round(wall, 2),
        "makespan_seconds": round(makespan, 2),
        "ideal_greedy_seconds": round(ideal, 2),
        "makespan_to_ideal_greedy": round(makespan / ideal, 3),
        "makespan_to_fixed_windows": round(makespan / windows(durations, options.lines), 3),
        "makespan_to_one_after_the_other": round(makespan / sum(durations), 3),
        "requests_per_call": round(sum(ledger["requests"].values()) / options.calls, 2),
        "requests": ledger["requests"],
        "peak_by_ledger": ledger["peak"],
        "peak_by_document": document["stats"]["peakConcurrent"],
        "rung_more_than_once": sum(entry["rang"] > 1 for entry in ledger["numbers"].values()),
        "results": len(document["results"]),
        "cpu_ms_per_call": round(1000 * (usage.ru_utime + usage.ru_stime) / options.calls, 2),
        "peak_memory_mb": round(usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024), 1),
    }


def main() -> None:
    """Measure as the options say, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=50)
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--poll", type=float, default=0.1)
    parser.add_argument("--json", type=Path, default=None, help="keep the figures in this file, too")
    options = parser.parse_args()
    figures = measure(options)
    for name, value in figures.items():
        print(f"{name:<32} {value}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
