"""How fast a providers file is read and planned, and that its memory does not grow: run by hand, prints figures."""

from __future__ import annotations

import csv
import json
import tempfile
import time
import tracemalloc
from collections import deque
from pathlib import Path

from concierge_calls import phone, plan, providers

ROWS = 10_000
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


def main() -> None:
    """Print the figures."""
    phone.parse("8645550101")  # loads the numbering plans, once in a program's life
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("csv", table), ("json", items)):
            few, many = make(Path(folder, f"few.{name}"), ROWS // 10), make(Path(folder, f"many.{name}"), ROWS)
            seconds = min(whole(many) for _ in range(3))
            print(f"{name}: {ROWS} rows read and planned in {seconds:.2f} s, {ROWS / seconds:,.0f} rows/s")
            held = peak(many)
            print(f"{name}: peak memory {held:,} bytes, {held / peak(few):.2f} of that for a tenth of the rows")
        alone, planned = bare(Path(folder, "many.csv")), whole(Path(folder, "many.csv"))
        print(f"csv.reader alone: {alone:.3f} s; reading and planning takes {planned / alone:.0f} times as long")


if __name__ == "__main__":
    main()
