"""How long a run takes against ideal greedy and against fixed windows.

Run by hand: python -m tests.benchmarks.makespan [--calls 1000] [--lines 50] [--poll 0.02] [--rounds 3] [--json FILE]

Ideal greedy is what nobody can beat without knowing the lengths: the calls in the order in which they began, each begun
the moment a line is free, without any delay. The plan's fixed windows wait for the slowest call of each window, and for
half a second between two of them. Both are computed on the lengths of the very calls of each round, as the server saw
them; start-up is excluded.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.batches import Measured, batch, greedy, run, windows
from tests.benchmarks.measured import AtMost, above_zero, at_least, mean, median, parser, report
from tests.benchmarks.providers import listed, numbers
from tests.benchmarks.servers import UNLIMITED, server, settings

MOST_OF_GREEDY, MOST_OF_WINDOWS = 1.03, 0.5
SLACK = 0.02  # seconds that a line may be idle beyond half a tick


def measure(options: argparse.Namespace) -> Measured:
    """Call everybody once."""
    with tempfile.TemporaryDirectory() as name, server() as url:
        folder = Path(name)
        file = listed(folder / "providers.csv", numbers(options.calls))
        return run(batch(file, options.lines, folder), url, settings(url, folder / "state", poll=options.poll))


def figures(rounds: list[Measured], options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all rounds."""
    lines = options.lines
    to_greedy = [each.makespan / greedy(each.lengths, lines) for each in rounds]
    to_windows = [each.makespan / windows(each.lengths, lines) for each in rounds]
    idle = median([1000 * mean(each.idle(lines)) for each in rounds])
    return {
        "mean call, seconds": mean(rounds[0].lengths),
        "makespan, seconds": median([each.makespan for each in rounds]),
        "against ideal greedy": AtMost(median(to_greedy), MOST_OF_GREEDY),
        "the same, best round": min(to_greedy),
        "against fixed windows": AtMost(median(to_windows), MOST_OF_WINDOWS),
        "idle line, mean ms": AtMost(idle, 1000 * (options.poll / 2 + SLACK)),
        "requests per call": median([each.requests for each in rounds]) / options.calls,
        "CPU ms per call": median([1000 * each.used.cpu for each in rounds]) / options.calls,
    }


def main() -> None:
    """Measure as the options say, and report."""
    choices = parser(__doc__)
    choices.add_argument("--calls", type=at_least(1), default=1000)
    choices.add_argument("--lines", type=at_least(1), default=50)
    choices.add_argument("--poll", type=above_zero, default=0.02, help="seconds between two looks of the feed")
    choices.add_argument("--rounds", type=at_least(1), default=3)
    options = choices.parse_args()
    rounds = [measure(options) for _ in range(options.rounds)]
    report(
        "Makespan against ideal greedy and against fixed windows",
        f"{options.calls:,} calls of 0.2 to 2 s, {options.lines} lines, feed {options.poll} s, {UNLIMITED}, "
        f"rounds: {options.rounds} (median)",
        figures(rounds, options),
        options.json,
    )


if __name__ == "__main__":
    main()
