"""What it brings to dial the longest first, where it is known how long calls take, against the file's order.

Run by hand: python -m tests.benchmarks.longest [--calls 160] [--lines 20] [--speed 10] [--json FILE]

The installed command calls the same providers three times at a simulator in a process of its own: in the file's order;
with an `expected_duration` of two classes, the longest fifth and the rest, each with its mean; and with the length
that each call had the first time. The simulator draws a call's length by its number, so it is the same each time. Then
the same three orders in virtual time, without any delay, of calls as people have them: 30 % are not answered and ring
for 30 s, the others talk for 4 minutes on average (lognormal, cv 0.7, at most 10), means of so many drawings.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import math
import random
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import httpx

from tests.benchmarks.planted import COMMAND, number, ours, simulator, towards, used

ORDERS = ("file", "two classes", "exact")
LONG = 0.2  # the share of calls that are called long
DRAWINGS = 20
SIZES = ((100, 5), (100, 10), (1_000, 5), (1_000, 10), (1_000, 50), (10_000, 50))
SPREAD = math.sqrt(math.log(1 + 0.7**2))


def classes(lengths: Sequence[float]) -> list[float]:
    """Return of each call the mean of its class."""
    least = sorted(lengths)[int((1 - LONG) * len(lengths))]
    long, short = (mean(kind) for kind in ([x for x in lengths if x >= least], [x for x in lengths if x < least]))
    return [long if length >= least else short for length in lengths]


def makespan(lengths: Sequence[float], lines: int, hints: Sequence[float] | None = None) -> float:
    """Return the seconds that the calls take when a free line is never idle, the longest by the hints first."""
    order = range(len(lengths)) if hints is None else sorted(range(len(lengths)), key=lambda call: -hints[call])
    free = [0.0] * lines
    for call in order:
        heapq.heapreplace(free, free[0] + lengths[call])
    return max(free)


def drawn(calls: int, chance: random.Random) -> list[float]:
    """Return the lengths of so many calls as people have them, in seconds."""
    middle = math.log(240) - SPREAD**2 / 2
    return [30.0 if chance.random() < 0.3 else min(600.0, chance.lognormvariate(middle, SPREAD)) for _ in range(calls)]


def virtual(calls: int, lines: int) -> dict[str, float]:
    """Return each order's mean share of what the file's order takes."""
    shares: dict[str, list[float]] = {name: [] for name in ORDERS}
    for drawing in range(DRAWINGS):
        lengths = drawn(calls, random.Random(drawing))  # noqa: S311 -- keeps no secrets
        hints = dict(zip(ORDERS, (None, classes(lengths), lengths), strict=True))
        for name, hint in hints.items():
            shares[name].append(makespan(lengths, lines, hint) / makespan(lengths, lines))
    return {name: round(mean(each), 3) for name, each in shares.items()}


def real(options: argparse.Namespace) -> dict[str, Any]:
    """Return of each order the seconds from the first create to the last end, and of the file's order the lengths."""
    # 8 talks on to the call's own limit; three of 9 in a row, which such an order brings together, end a run.
    phones = list(islice((phone for phone in map(number, range(60_000)) if phone[-1] not in "89"), options.calls))
    taken, lengths = called(options, phones, None)
    hints = {"two classes": classes(lengths), "exact": lengths}
    return {
        "lengths": lengths,
        "seconds": {"file": taken} | {name: called(options, phones, hint)[0] for name, hint in hints.items()},
    }


def called(
    options: argparse.Namespace, phones: Sequence[str], hints: Sequence[float] | None
) -> tuple[float, list[float]]:
    """Call these once and return the seconds that it took, and those of each call."""
    with tempfile.TemporaryDirectory() as folder, simulator("--speed", str(options.speed)) as url:
        httpx.put(f"{url}/options", json={"talk": [10.0, 100.0]}).raise_for_status()
        file = Path(folder, "providers.csv")
        with file.open("w", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(["name", "phone", "service", "expected_duration"])
            for row, phone in enumerate(phones):
                writer.writerow([f"Business {row}", phone, "plumbing", "" if hints is None else hints[row]])
        environment = ours(Path(folder, "state"), VAPI_POLL_INTERVAL="0.1", **towards(url))
        limits = ["--start-interval", "0", "--max-concurrent", str(options.lines), "--yes", "-q", "-o", "-"]
        used([COMMAND, "batch", str(file), *limits], environment)
        ledger = httpx.get(f"{url}/ledger", timeout=60).json()["numbers"]
    calls = [ledger[phone]["calls"][0] for phone in phones]
    begun, over = (min(call["createdAt"] for call in calls), max(call["endedAt"] for call in calls))
    return over - begun, [call["endedAt"] - call["createdAt"] for call in calls]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=160)
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--json", type=Path, help="keep the figures in this file, too")
    options = parser.parse_args()
    found = real(options)
    lengths, seconds = found["lengths"], found["seconds"]
    least = max(sum(lengths) / options.lines, *lengths)
    print(
        f"{options.calls} calls on {options.lines} lines, {mean(lengths):.2f} s on average, at the least {least:.1f} s:"
    )
    for name in ORDERS:
        print(f"  {name:12} {seconds[name]:6.2f} s, {seconds[name] / seconds['file']:.3f} times the file's order")
    table = {f"{calls} calls on {lines} lines": virtual(calls, lines) for calls, lines in SIZES}
    print(f"in virtual time, mean of {DRAWINGS} drawings, times the file's order:")
    for size, shares in table.items():
        print(f"  {size:24} {', '.join(f'{name} {shares[name]:.3f}' for name in ORDERS[1:])}")
    if options.json:
        figures = {"calls": options.calls, "lines": options.lines, "speed": options.speed}
        options.json.write_text(json.dumps(figures | {"seconds": seconds, "virtual": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
