"""How long the command takes to start, against Python itself and against the libraries that its help needs.

Run by hand: python -m tests.benchmarks.start [--rounds 15] [--json FILE]

Each figure is the least processor time of so many rounds, taken in turn, so that what else the machine does counts
for as little as possible.
"""

from __future__ import annotations

import sys
from typing import Any

from tests.benchmarks.measured import COMMAND, AtMost, at_least, parser, report, used

STARTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "--version": [COMMAND, "--version"],
    "import typer, rich": [sys.executable, "-c", "import typer, rich"],
    "--help": [COMMAND, "--help"],
}
AGAINST = {"--version": ("python -c pass", 2.0), "--help": ("import typer, rich", 2.3)}


def main() -> None:
    """Measure as the options say, and report."""
    choices = parser(__doc__)
    choices.add_argument("--rounds", type=at_least(1), default=15)
    options = choices.parse_args()
    rounds = [{name: used(command).cpu for name, command in STARTS.items()} for _ in range(options.rounds)]
    least = {name: min(figures[name] for figures in rounds) for name in STARTS}
    found: dict[str, Any] = {f"{name}, CPU ms": 1000 * best for name, best in least.items()}
    found |= {
        f"{name} against {other}": AtMost(least[name] / least[other], limit) for name, (other, limit) in AGAINST.items()
    }
    report(
        "Starting the command against Python itself and the libraries that its help needs",
        f"rounds: {options.rounds} (least CPU)",
        found,
        options.json,
    )


if __name__ == "__main__":
    main()
