"""Requests a minute with default settings, as the server counts them.

Run by hand: python -m tests.benchmarks.minute [--lines 5 50 500] [--json FILE]

Runs of 5, 50 and 500 lines go on side by side, each with a server of its own, for some ten minutes. At the default dial
a second 500 lines are never full in that time: 360 calls of 240 to 290 s are some 264 on the line at once. The figures
say how many there were. What a line loses is the time from when the next call could have been dialled, a line being
free and the last dial a second ago, to when it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.batches import Measured, batch, run
from tests.benchmarks.measured import AtMost, mean, parser, report
from tests.benchmarks.providers import listed, numbers
from tests.benchmarks.servers import server, settings

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
        file = listed(folder / "providers.csv", numbers(load.calls))
        return run(batch(file, load.lines, folder), url, settings(url, folder / "state", unlimited=False))


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


def figures(loads: Sequence[Load], rounds: Sequence[Measured]) -> dict[str, Any]:
    """Return the figures of all loads."""
    found: dict[str, Any] = {}
    for load, each in zip(loads, rounds, strict=True):
        late = lost(each, load.lines)
        found |= {
            f"{load.lines} lines: on the line at most": on_the_line(each),
            f"{load.lines} lines: most requests a minute": AtMost(max(each.seen["minutes"]), MOST_A_MINUTE),
            f"{load.lines} lines: lost before a dial, mean s": AtMost(mean(late), MOST_LOST),
            f"{load.lines} lines: lost before a dial, longest s": max(late),
            f"{load.lines} lines: requests": each.seen["requests"],
        }
    return found


def main() -> None:
    """Measure all loads at once, and report."""
    known = [load.lines for load in LOADS]
    choices = parser(__doc__)
    choices.add_argument("--lines", type=int, nargs="+", choices=known, default=known, help="only these")
    options = choices.parse_args()
    loads = [load for load in LOADS if load.lines in options.lines]
    with ThreadPoolExecutor(len(loads)) as side_by_side:
        rounds = list(side_by_side.map(measure, loads))
    calls = "; ".join(f"{each.calls} calls of {each.least} to {each.most} s on {each.lines} lines" for each in loads)
    report(
        f"Requests a minute with {', '.join(str(load.lines) for load in loads)} lines",
        f"all by default: a dial a second, feed 1 s, at most 150 requests a minute; {calls}",
        figures(loads, rounds),
        options.json,
    )


if __name__ == "__main__":
    main()
