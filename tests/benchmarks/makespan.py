"""How long a run takes against ideal greedy and fixed windows (python -m tests.benchmarks.makespan [--json FILE]).

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

from tests.benchmarks.measured import (
    Measured,
    batch,
    greedy,
    mean,
    median,
    providers,
    report,
    run,
    server,
    settings,
    windows,
)

MOST_OF_GREEDY, MOST_OF_WINDOWS = 1.03, 0.5
SLACK = 0.02  # seconds that a line may be idle beyond half a tick


def measure(options: argparse.Namespace) -> Measured:
    """Call everybody once."""
    with tempfile.TemporaryDirectory() as name, server() as url:
        folder = Path(name)
        file = providers(folder / "providers.csv", options.calls)
        return run(batch(file, options.lines, folder), url, settings(url, folder, poll=options.poll))


def shown(rounds: list[Measured], options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all rounds."""
    lines = options.lines
    to_greedy = [each.makespan / greedy(each.lengths, lines) for each in rounds]
    return {
        "settings": f"{options.calls} calls of 0.2 to 2 s, {lines} lines, feed {options.poll} s, no limits",
        "rounds": len(rounds),
        "mean call, seconds": mean(rounds[0].lengths),
        "makespan, seconds": median([each.makespan for each in rounds]),
        f"against ideal greedy (limit {MOST_OF_GREEDY})": median(to_greedy),
        "the same, best round": min(to_greedy),
        f"against fixed windows (limit {MOST_OF_WINDOWS})": median(
            [each.makespan / windows(each.lengths, lines) for each in rounds]
        ),
        f"idle line, mean ms (limit {1000 * (options.poll / 2 + SLACK):.0f})": median(
            [1000 * mean(each.idle(lines)) for each in rounds]
        ),
        "requests per call": median([each.requests for each in rounds]) / options.calls,
        "CPU ms per call": median([1000 * each.cpu for each in rounds]) / options.calls,
    }


def main() -> None:
    """Measure as the options say, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=50)
    parser.add_argument("--poll", type=float, default=0.02, help="seconds between two looks of the feed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="keep the figures in this file, too")
    options = parser.parse_args()
    rounds = [measure(options) for _ in range(options.rounds)]
    report("Makespan against ideal greedy and against fixed windows", shown(rounds, options), options.json)


if __name__ == "__main__":
    main()
