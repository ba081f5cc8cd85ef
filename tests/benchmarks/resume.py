"""How soon a resume of a long run dials somebody, against a fresh run of the same length and against a short one.

Run by hand: python -m tests.benchmarks.resume [--calls 10000] [--done 9000] [--bytes 3000] [--rounds 5] [--json FILE]

Each figure is the least of so many rounds, from the start of the command until a simulator in a process of its own has
its first request to dial. Each resume has a copy of the same journal, whose calls that are done have results of so many
bytes; nobody is asked, and what a run says is said, so everybody who is left is looked at before the first dial.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.measured import COMMAND, AtMost, at_least, parser, report
from tests.benchmarks.planted import BYTES_HELP, Planted, plant
from tests.benchmarks.providers import listed, numbers
from tests.benchmarks.servers import UNLIMITED, settings, simulator

LIMIT = 1.5
SHORT = 10
LOOK = 0.02  # seconds between two looks at what the simulator has


def table(file: Path, calls: int) -> str:
    """Write a providers file of so many rows and return its path."""
    return str(listed(file, numbers(calls), city=["Greenville"] * calls, rating=["4.5"] * calls))


def first_dial(command: Sequence[str], state: Path) -> float:
    """Return the seconds until somebody is dialled; then the command is ended."""
    with simulator() as url, (state / "said").open("wb") as said:
        began = time.time()
        process = subprocess.Popen(
            [COMMAND, *command, "--yes", "-o", "-"], env=settings(url, state), stdout=subprocess.DEVNULL, stderr=said
        )
        while not (dialled := _dialled(url)):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} has dialled nobody: {(state / 'said').read_text()}")
            time.sleep(LOOK)
        process.kill()
        process.wait()
    return min(dialled) - began


def _dialled(url: str) -> list[float]:
    numbers = httpx.get(f"{url}/ledger").json()["numbers"].values()
    return [call["createdAt"] for entry in numbers for call in entry["calls"]]


def seconds(planted: Planted, calls: int, rounds: int) -> dict[str, float]:
    """Return the least seconds until the first dial of each."""
    kept = Path(planted.environment["CONCIERGE_STATE_DIR"])
    found: dict[str, list[float]] = {"resume": [], "fresh": [], "short": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder)
            file, few = table(state / "many.csv", calls), table(state / "few.csv", SHORT)
            found["fresh"].append(first_dial(["batch", file], _empty(state / "fresh")))
            found["short"].append(first_dial(["batch", few], _empty(state / "short")))
            shutil.copytree(kept, state / "resumed")
            found["resume"].append(first_dial(["resume", planted.run_id], state / "resumed"))
    return {name: min(each) for name, each in found.items()}


def _empty(state: Path) -> Path:
    state.mkdir()
    return state


def chosen() -> argparse.Namespace:
    """Return the options; somebody must be left to call."""
    choices = parser(__doc__)
    choices.add_argument("--calls", type=at_least(2), default=10_000)
    choices.add_argument("--done", type=at_least(1), default=9_000)
    choices.add_argument("--bytes", type=at_least(1), default=3_000, help=BYTES_HELP)
    choices.add_argument("--rounds", type=at_least(1), default=5)
    options = choices.parse_args()
    if options.done >= options.calls:
        choices.error("--done leaves nobody to call: it must be less than --calls")
    return options


def main() -> None:
    """Measure as the options say, and report."""
    options = chosen()
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(Path(folder), options.calls, options.done, options.bytes)
        least = seconds(planted, options.calls, options.rounds)
    resumed, fresh, short = least["resume"], least["fresh"], least["short"]
    found: dict[str, Any] = {
        "resume, s": resumed,
        f"a fresh run of {options.calls:,}, s": fresh,
        f"a fresh run of {SHORT}, s": short,
        f"resume against a fresh run of {options.calls:,}": AtMost(resumed / fresh, LIMIT),
        f"resume against a fresh run of {SHORT}": resumed / short,
    }
    report(
        "Until the first dial of a resume, against a fresh run",
        f"{options.calls:,} calls, of which {options.done:,} are done with {options.bytes:,} bytes each, {UNLIMITED}, "
        f"rounds: {options.rounds} (least)",
        found,
        options.json,
    )


if __name__ == "__main__":
    main()
