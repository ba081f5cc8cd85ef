"""The most memory that a run and its document take with many results, against few.

Run by hand: python -m tests.benchmarks.memory [--calls 20000] [--fewer 1000] [--bytes 50000] [--run 20000] [--json F]

Each figure is the most memory that a process of its own ever held. The results are written by the journal's own
transitions, fifty lines at a time, each with its conversation and with the backend's own record, of so many bytes each;
then `show` writes them as each format. With --run the command itself calls so many, and the fewer, at the benchmarks'
server, whose calls take 0.2 to 2 s, on as many lines.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.batches import batch, run
from tests.benchmarks.measured import COMMAND, AtMost, at_least, parser, report, used
from tests.benchmarks.planted import BYTES_HELP, LINES, plant
from tests.benchmarks.providers import listed, numbers
from tests.benchmarks.servers import UNLIMITED, server, settings

LIMIT, MOST = 1.2, 100.0  # times, and megabytes
FORMATS = ("json", "jsonl", "csv")
RUN_HELP = "calls by the command itself; 20,000 of 50 KB take some ten minutes and 2.2 GB of disk (default: none)"


def shown(folder: Path, calls: int, size: int) -> dict[str, float]:
    """Return the megabytes that writing and showing so many results took at most."""
    planted = plant(folder, calls, calls, size)
    found = {"written down": planted.memory}
    for format_ in FORMATS:
        command = [COMMAND, "show", planted.run_id, "--format", format_, "-o", "-"]
        found[f"show as {format_}"] = used(command, planted.environment).memory
    return found


def called(folder: Path, calls: int, size: int) -> dict[str, float]:
    """Return the megabytes that a run of so many calls took at most, from the file to the document."""
    file = listed(folder / "providers.csv", numbers(calls))
    with server("--analysis", 0.2, "--said", size // 3) as url:  # it is said in the transcript, and by turns twice
        measured = run(batch(file, LINES, folder), url, settings(url, folder / "state", poll=0.1))
    return {"batch": measured.used.memory}


def compared(measure: Callable[[Path, int, int], dict[str, float]], few: int, many: int, size: int) -> dict[str, Any]:
    """Return each figure for few and for many, and the one against the other."""
    with tempfile.TemporaryDirectory() as folder:
        less = measure(Path(folder), few, size)
    with tempfile.TemporaryDirectory() as folder:
        more = measure(Path(folder), many, size)
    found: dict[str, Any] = {}
    for name, held in more.items():
        found |= {
            f"{name}, {few:,}: MB": less[name],
            f"{name}, {many:,}: MB": AtMost(held, MOST),
            f"{name}, {many:,} against {few:,}": AtMost(held / less[name], LIMIT),
        }
    return found


def chosen() -> argparse.Namespace:
    """Return the options."""
    choices = parser(__doc__)
    choices.add_argument("--calls", type=at_least(1), default=20_000)
    choices.add_argument("--fewer", type=at_least(1), default=1_000)
    choices.add_argument("--bytes", type=at_least(1), default=50_000, help=BYTES_HELP)
    choices.add_argument("--run", type=at_least(0), default=0, help=RUN_HELP)
    return choices.parse_args()


def main() -> None:
    """Measure as the options say, and report."""
    options = chosen()
    found = compared(shown, options.fewer, options.calls, options.bytes)
    if options.run:
        found |= compared(called, options.fewer, options.run, options.bytes)
    report(
        "Most memory with many results, against few",
        f"results of {options.bytes:,} bytes, {LINES} lines, rounds: 1"
        + (f", batch with feed 0.1 s, {UNLIMITED}" if options.run else ""),
        found,
        options.json,
    )


if __name__ == "__main__":
    main()
