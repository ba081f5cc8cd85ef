"""How long the command takes to start, against Python itself and against the libraries that its help needs.

Run by hand: python tests/benchmarks/start.py [--rounds 15] [--json FILE]

Each figure is the least processor time of so many rounds, taken in turn, so that what else the machine does counts
for as little as possible.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("concierge-calls"))
STARTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "--version": [COMMAND, "--version"],
    "import typer, rich": [sys.executable, "-c", "import typer, rich"],
    "--help": [COMMAND, "--help"],
}
AGAINST = {"--version": ("python -c pass", 2.0), "--help": ("import typer, rich", 2.3)}


def seconds(command: Sequence[str]) -> float:
    """Return the processor time of one process, its own and the system's for it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the figures, and the two ratios with what they are to be at most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds = [{name: seconds(command) for name, command in STARTS.items()} for _ in range(options.rounds)]
    least = {name: min(figures[name] for figures in rounds) for name in STARTS}
    for name, best in least.items():
        other, limit = AGAINST.get(name, ("", 0.0))
        ratio = f", {best / least[other]:.2f} times {other} (limit {limit})" if other else ""
        print(f"{name:20} {1000 * best:6.1f} ms{ratio}")
    if options.json:
        options.json.write_text(json.dumps(least, indent=2) + "\n")
    if any(least[name] > limit * least[other] for name, (other, limit) in AGAINST.items()):
        raise SystemExit("A limit is broken.")


if __name__ == "__main__":
    main()
