"""Requests a minute with default settings, as the server counts them (python -m tests.benchmarks.minute [--json FILE]).

Runs of 5, 50 and 500 lines go on side by side, each with a server of its own, for some ten minutes. What a line loses
is the time from when the next call could have been dialled, a line being free and the last dial a second ago, to when
it was.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.measured import Measured, batch, mean, providers, report, run, server, settings

MOST_A_MINUTE = 150
INTERVAL = 1.0  # the default seconds between two dials
MOST_LOST = 0.52  # seconds: half a tick, and 20 ms


class Load(NamedTuple):
    """So many lines, calls, and seconds that these take."""

    lines: int
    calls: int
    least: float
    most: float


LOADS = (Load(5, 60, 10, 40), Load(50, 300, 30, 90), Load(500, 360, 240, 290))


def measure(load: Load) -> Measured:
    """Call everybody once."""
    with tempfile.TemporaryDirectory() as name, server("--least", load.least, "--most", load.most) as url:
        folder = Path(name)
        file = providers(folder / "providers.csv", load.calls)
        return run(batch(file, load.lines, folder), url, settings(url, folder, unlimited=False))


def lost(measured: Measured, lines: int) -> list[float]:
    """Return the seconds by which each call but the first was dialled later than it could have been."""
    begun = [call["begun"] for call in measured.calls]
    ended = sorted(call["ended"] for call in measured.calls)
    free = [0.0] * lines + ended
    return [begun[k] - max(begun[k - 1] + INTERVAL, free[k]) for k in range(1, len(begun))]


def on_the_line(measured: Measured) -> int:
    """Return how many calls were on the line at once."""
    steps = sorted([(call["begun"], 1) for call in measured.calls] + [(call["ended"], -1) for call in measured.calls])
    busy = most = 0
    for _, step in steps:
        busy += step
        most = max(most, busy)
    return most


def shown(loads: tuple[Load, ...], rounds: list[Measured]) -> dict[str, Any]:
    """Return the figures of all loads."""
    figures: dict[str, Any] = {"settings": "all by default: a dial a second, feed 1 s, at most 150 requests a minute"}
    for load, each in zip(loads, rounds, strict=True):
        late = lost(each, load.lines)
        figures |= {
            f"{load.lines} lines: calls, on the line at once": f"{load.calls}, {on_the_line(each)}",
            f"{load.lines} lines: most requests a minute (limit {MOST_A_MINUTE})": max(each.seen["minutes"]),
            f"{load.lines} lines: lost before a dial, mean s (limit {MOST_LOST})": mean(late),
            f"{load.lines} lines: lost before a dial, longest s": max(late),
            f"{load.lines} lines: requests": each.seen["requests"],
        }
    return figures


def main() -> None:
    """Measure all loads at once, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, nargs="*", help="only these")
    parser.add_argument("--json", type=Path, help="keep the figures in this file, too")
    options = parser.parse_args()
    loads = tuple(load for load in LOADS if not options.lines or load.lines in options.lines)
    with ThreadPoolExecutor(len(loads)) as side_by_side:
        rounds = list(side_by_side.map(measure, loads))
    report("Requests a minute with 5, 50 and 500 lines", shown(loads, rounds), options.json)


if __name__ == "__main__":
    main()
