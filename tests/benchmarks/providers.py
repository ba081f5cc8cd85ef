"""Providers files of as many rows as a benchmark wants, whose numbers are all reserved for fiction."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

AREAS = [area for area in range(201, 1000) if area % 100 != 11]


def number(index: int) -> str:
    """Return one of the numbers that are reserved for fiction, a hundred in each area.

    Raises SystemExit when there are not so many.
    """
    if index >= 100 * len(AREAS):
        raise SystemExit(f"There are {100 * len(AREAS):,} fictional numbers; ask for fewer calls.")
    return f"+1{AREAS[index // 100]}555{100 + index % 100:04}"


def numbers(calls: int) -> list[str]:
    """Return the first so many of them."""
    return [number(index) for index in range(calls)]


def listed(file: Path, phones: Sequence[str], **columns: Sequence[object]) -> Path:
    """Write a providers file of these numbers, with these further columns, and return its path."""
    with file.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["name", "phone", "service", *columns])
        for index, (phone, *more) in enumerate(zip(phones, *columns.values(), strict=True)):
            writer.writerow([f"Provider {index}", phone, "plumbing", *more])
    return file
