"""What it brings to dial the longest first, where it is known how long calls take, against the file's order.

Run by hand: python -m tests.benchmarks.longest [--calls 160] [--lines 20] [--speed 10] [--json FILE]

The installed command calls the same providers three times at a simulator in a process of its own: in the file's order;
with an `expected_duration` of two classes, the longest fifth and the rest, each with its mean; and with the length
that each call had the first time. The simulator draws a call's length by its number, so it is the same each time. Then
the same three orders in virtual time, without any delay, of calls as people have them: 30 % are not answered and ring
for 30 s, the others talk for 4 minutes on average (lognormal, cv 0.7, at most 10), means of so many drawings. And `by
service`: calls for one of five services, for which they talk 2 to 6 minutes on average, ordered by the mean of 200
earlier calls for each, against the file's order of the same calls.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.batches import batch, greedy
from tests.benchmarks.measured import above_zero, at_least, mean, parser, report, used
from tests.benchmarks.providers import listed, number
from tests.benchmarks.servers import UNLIMITED, settings, simulator

HINTS = ("two classes", "exact")
BY_SERVICE = "by service"
SERVICES = (120.0, 180.0, 240.0, 300.0, 360.0)  # seconds that calls for each of five talk on average
EARLIER = 200  # calls for each of them
POLL = 0.1
TALKS = [10.0, 100.0]
LONG = 0.2  # the share of calls that are called long
DRAWINGS = 20
SIZES = ((100, 5), (100, 10), (1_000, 5), (1_000, 10), (1_000, 50), (10_000, 50))
SPREAD = math.sqrt(math.log(1 + 0.7**2))


def classes(lengths: Sequence[float]) -> list[float]:
    """Return of each call the mean of its class."""
    least = sorted(lengths)[int((1 - LONG) * len(lengths))]
    long, short = (mean(kind) for kind in ([x for x in lengths if x >= least], [x for x in lengths if x < least]))
    return [long if length >= least else short for length in lengths]


def makespan(lengths: Sequence[float], lines: int, hints: Sequence[float]) -> float:
    """Return the seconds that the calls take when a free line is never idle, the longest by the hints first."""
    order = sorted(range(len(lengths)), key=lambda call: -hints[call])
    return greedy([lengths[call] for call in order], lines)


def drawn(calls: int, chance: random.Random, talks: float = 240.0) -> list[float]:
    """Return the lengths of so many calls as people have them, in seconds; who answers talks so long on average."""
    middle = math.log(talks) - SPREAD**2 / 2
    return [30.0 if chance.random() < 0.3 else min(600.0, chance.lognormvariate(middle, SPREAD)) for _ in range(calls)]


def drawn_by_service(calls: int, chance: random.Random) -> tuple[list[float], list[float]]:
    """Return the lengths of so many calls, each for one of the services, and the mean of earlier calls for its own."""
    usual = {talks: mean(drawn(EARLIER, chance, talks)) for talks in SERVICES}
    asked = [chance.choice(SERVICES) for _ in range(calls)]
    return [drawn(1, chance, talks)[0] for talks in asked], [usual[talks] for talks in asked]


def virtual(calls: int, lines: int) -> dict[str, float]:
    """Return the mean share, by each kind of hint, of what the file's order takes."""
    shares: dict[str, list[float]] = {name: [] for name in (*HINTS, BY_SERVICE)}
    for drawing in range(DRAWINGS):
        lengths = drawn(calls, random.Random(drawing))  # noqa: S311 -- keeps no secrets
        for name, hints in zip(HINTS, (classes(lengths), lengths), strict=True):
            shares[name].append(makespan(lengths, lines, hints) / greedy(lengths, lines))
        of_services, usual = drawn_by_service(calls, random.Random(drawing))  # noqa: S311 -- keeps no secrets
        shares[BY_SERVICE].append(makespan(of_services, lines, usual) / greedy(of_services, lines))
    return {name: mean(each) for name, each in shares.items()}


def real(options: argparse.Namespace) -> dict[str, Any]:
    """Return what each order took, and against the file's order."""
    # 8 talks on to the call's own limit; three of 9 in a row, which such an order brings together, end a run.
    phones = list(islice((phone for phone in map(number, count()) if phone[-1] not in "89"), options.calls))
    taken, lengths = called(options, phones, {})
    hinted = zip(HINTS, (classes(lengths), lengths), strict=True)
    seconds = {name: called(options, phones, {"expected_duration": hints})[0] for name, hints in hinted}
    return {
        "a call, mean s": mean(lengths),
        "no order takes less than, s": max(sum(lengths) / options.lines, *lengths),
        "file's order, s": taken,
        **{f"{name}, s": each for name, each in seconds.items()},
        **{f"{name} against the file's order": each / taken for name, each in seconds.items()},
    }


def called(
    options: argparse.Namespace, phones: Sequence[str], columns: dict[str, Sequence[float]]
) -> tuple[float, list[float]]:
    """Call these once and return the seconds that it took, and those of each call."""
    with tempfile.TemporaryDirectory() as name, simulator("--speed", options.speed) as url:
        httpx.put(f"{url}/options", json={"talk": TALKS}).raise_for_status()
        folder = Path(name)
        file = listed(folder / "providers.csv", phones, **columns)
        used(batch(file, options.lines, folder), settings(url, folder / "state", poll=POLL))
        ledger = httpx.get(f"{url}/ledger", timeout=60).json()["numbers"]
    calls = [ledger[phone]["calls"][0] for phone in phones]
    begun, over = (min(call["createdAt"] for call in calls), max(call["endedAt"] for call in calls))
    return over - begun, [call["endedAt"] - call["createdAt"] for call in calls]


def main() -> None:
    """Measure as the options say, and report."""
    choices = parser(__doc__)
    choices.add_argument("--calls", type=at_least(10), default=160)
    choices.add_argument("--lines", type=at_least(1), default=20)
    choices.add_argument("--speed", type=above_zero, default=10.0, help="how many times real time the simulator goes")
    options = choices.parse_args()
    found = real(options)
    for calls, lines in SIZES:
        shares = virtual(calls, lines)
        found |= {f"virtual, {calls:,} calls on {lines} lines: {name}": share for name, share in shares.items()}
    report(
        "Dialling the longest first against the file's order",
        f"{options.calls:,} calls on {options.lines} lines, talks of {TALKS[0]:g} to {TALKS[1]:g} s, "
        f"speed {options.speed:g}, feed {POLL} s, {UNLIMITED}, rounds: 1; "
        f"virtual: mean of {DRAWINGS} drawings, against the file's order",
        found,
        options.json,
    )


if __name__ == "__main__":
    main()
