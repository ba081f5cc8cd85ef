"""What a call costs while it goes on: 2,000 of them against 50. Linux only.

Run by hand: python -m tests.benchmarks.progress [--window 75] [--json FILE]

Processor time of the whole process while all of them are on the line and nothing happens, for each call and second, by
Linux's /proc; long enough for a whole sweep, in which each call that the feed says nothing of is asked for.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.batches import batch
from tests.benchmarks.measured import AtMost, above_zero, parser, report
from tests.benchmarks.providers import listed, numbers
from tests.benchmarks.servers import UNLIMITED, figures, server, settings

FEW, MANY = 50, 2000
MOST = 1.0
LONGEST_START = 200.0  # seconds until all are on the line


def measure(calls: int, window: float) -> tuple[float, dict[str, int]]:
    """Return CPU seconds for each call and second, and the requests of that time."""
    length = LONGEST_START + window + 30
    with tempfile.TemporaryDirectory() as name, server("--least", length, "--most", length) as url:
        folder = Path(name)
        command = batch(listed(folder / "providers.csv", numbers(calls)), calls, folder)
        chosen = settings(url, folder / "state") | {"VAPI_CALL_TIMEOUT": "3600"}
        process = subprocess.Popen(command, env=chosen)
        try:
            _until_all_are_on_the_line(url, calls)
            before, began, used = figures(url)["requests"], time.monotonic(), cpu(process.pid)
            time.sleep(window)
            used, took, after = cpu(process.pid) - used, time.monotonic() - began, figures(url)["requests"]
        finally:
            process.kill()
            process.wait()
    return used / took / calls, {kind: number - before.get(kind, 0) for kind, number in after.items()}


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has taken, user and system."""
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _until_all_are_on_the_line(url: str, calls: int) -> None:
    until = time.monotonic() + LONGEST_START
    while len(figures(url)["calls"]) < calls:
        if time.monotonic() > until:
            raise SystemExit(f"{calls} calls were not on the line after {LONGEST_START:.0f} s; is the machine busy?")
        time.sleep(1)
    time.sleep(5)  # for the last of them to be taken in


def main() -> None:
    """Measure both, and report."""
    choices = parser(__doc__)
    choices.add_argument("--window", type=above_zero, default=75.0, help="seconds that are measured")
    options = choices.parse_args()
    if not Path("/proc/self/stat").exists():
        raise SystemExit("What a process takes as it goes on is read from /proc, which only Linux has: run it there.")
    few, few_asked = measure(FEW, options.window)
    many, many_asked = measure(MANY, options.window)
    found: dict[str, Any] = {
        f"CPU us per call-second, {FEW} calls": few * 1e6,
        f"CPU us per call-second, {MANY:,} calls": many * 1e6,
        f"{MANY:,} against {FEW}": AtMost(many / few, MOST),
        f"requests, {FEW} calls": few_asked,
        f"requests, {MANY:,} calls": many_asked,
    }
    report(
        f"CPU per call-second with {MANY:,} calls in progress against {FEW}",
        f"feed 1 s, {UNLIMITED}, {options.window:g} s in which nobody begins and nobody ends, rounds: 1",
        found,
        options.json,
    )


if __name__ == "__main__":
    main()
