"""How fast a providers file is read and planned, that its memory does not grow, and what a dry run of it takes.

Run by hand: python -m tests.benchmarks.intake [--rows 10000] [--json FILE]

What is compared is a file with a tenth of the rows (memory), and csv.reader alone (time). The dry run is the installed
command in a process of its own, with the document it writes.
"""

from __future__ import annotations

import csv
import json
import tempfile
import time
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

from concierge_calls import phone, plan, providers
from tests.benchmarks.measured import COMMAND, at_least, parser, report, used
from tests.benchmarks.servers import environment

TYPED = {"service": "plumbing"}
ROUNDS = 3


def table(path: Path, rows: int) -> Path:
    """Write a table as a scraper exports it: some twenty columns, numbers that differ."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "phone", "city", *(f"column_{number}" for number in range(17))])
        for number in range(rows):
            writer.writerow(
                [f"Business {number}", f"({200 + number // 100}) 555-01{number % 100:02}", "Greenville"]
                + ["some text"] * 17
            )
    return path


def items(path: Path, rows: int) -> Path:
    """Write the same as a JSON array."""
    with table(path.with_suffix(".csv"), rows).open(newline="") as file:
        path.write_text(json.dumps(list(csv.DictReader(file))))
    return path


def whole(path: Path) -> float:
    """Read and plan the file; returns the seconds it took."""
    began = time.perf_counter()
    file = providers.read(path)
    deque(plan.make(file, source=file.name, typed=TYPED), maxlen=0)
    return time.perf_counter() - began


def bare(path: Path) -> float:
    """Read the table with csv.reader alone; returns the seconds it took."""
    began = time.perf_counter()
    with path.open(newline="") as file:
        deque(csv.reader(file), maxlen=0)
    return time.perf_counter() - began


def peak(path: Path) -> int:
    """Read the file row by row; returns the bytes that were held at once."""
    tracemalloc.start()
    deque(providers.read(path), maxlen=0)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held


def dry(path: Path, state: Path) -> float:
    """Return the processor time of a dry run of the file, in seconds."""
    command = [COMMAND, "batch", str(path), "--service", TYPED["service"], "--dry-run", "-o", "-"]
    return used(command, environment(state)).cpu


def measured(folder: Path, rows: int) -> dict[str, Any]:
    """Return the figures of both kinds of file, and of the dry run of a table."""
    found: dict[str, Any] = {}
    for name, make in (("csv", table), ("json", items)):
        few, many = make(folder / f"few.{name}", rows // 10), make(folder / f"many.{name}", rows)
        seconds, held, less = min(whole(many) for _ in range(ROUNDS)), peak(many), peak(few)
        found |= {
            f"{name}: read and planned, s": seconds,
            f"{name}: rows/s": rows / seconds,
            f"{name}: memory, bytes": held,
            f"{name}: memory against a tenth of the rows": held / less,
        }
    many, planned = folder / "many.csv", found["csv: read and planned, s"]
    alone, tried = min(bare(many) for _ in range(ROUNDS)), dry(many, folder / "state")
    return found | {
        "csv.reader alone, s": alone,
        "csv: read and planned against csv.reader alone": planned / alone,
        "dry run, CPU s": tried,
        "dry run against reading and planning": tried / planned,
    }


def main() -> None:
    """Measure as the options say, and report."""
    choices = parser(__doc__)
    choices.add_argument("--rows", type=at_least(10), default=10_000)
    options = choices.parse_args()
    phone.parse("8645550101")  # loads the numbering plans, once in a program's life
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options.rows)
    report(
        "Reading and planning a providers file, against a tenth of its rows and against csv.reader alone",
        f"{options.rows:,} rows of 20 columns, rounds: {ROUNDS} (least), one dry run",
        found,
        options.json,
    )


if __name__ == "__main__":
    main()
