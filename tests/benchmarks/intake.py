"""How fast a providers file is read and planned, that its memory does not grow, and what a dry run of it takes.

Run by hand: python -m tests.benchmarks.intake [--rows 10000] [--json FILE]

What is compared is a file with a tenth of the rows (memory), and csv.reader alone (time). The dry run is the installed
command in a process of its own, with the document it writes.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
import tracemalloc
from collections import deque
from pathlib import Path

from concierge_calls import phone, plan, providers
from tests.benchmarks.planted import COMMAND, ours, used

TYPED = {"service": "plumbing"}


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
    return used(command, ours(state)).cpu


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="keep the figures in this file, too")
    options = parser.parse_args()
    rows = options.rows
    figures: dict[str, float] = {"rows": rows}
    phone.parse("8645550101")  # loads the numbering plans, once in a program's life
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("csv", table), ("json", items)):
            few, many = make(Path(folder, f"few.{name}"), rows // 10), make(Path(folder, f"many.{name}"), rows)
            seconds, held, less = min(whole(many) for _ in range(3)), peak(many), peak(few)
            print(f"{name}: {rows} rows read and planned in {seconds:.2f} s, {rows / seconds:,.0f} rows/s")
            print(f"{name}: peak memory {held:,} bytes, {held / less:.2f} of that for a tenth of the rows")
            figures |= {f"{name}_seconds": seconds, f"{name}_bytes": held, f"{name}_bytes_to_tenth": held / less}
        many = Path(folder, "many.csv")
        alone, planned, tried = bare(many), whole(many), dry(many, Path(folder, "state"))
        print(f"csv.reader alone: {alone:.3f} s; reading and planning takes {planned / alone:.0f} times as long")
        print(f"dry run: {tried:.2f} s of CPU, {tried / planned:.1f} times reading and planning")
        figures |= {"csv_to_reader": planned / alone, "dry_run_cpu_seconds": tried}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
