"""How soon a resume of a long run dials somebody, against a fresh run of the same length and against a short one.

Run by hand: python -m tests.benchmarks.resume [--calls 10000] [--done 9000] [--bytes 3000] [--rounds 5] [--json FILE]

Each figure is the least of so many rounds, from the start of the command until a simulator in a process of its own has
its first request to dial. Each resume has a copy of the same journal, whose calls that are done have results of so many
bytes; nobody is asked, and what a run says is said, so everybody who is left is looked at before the first dial.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.benchmarks.planted import COMMAND, Planted, number, ours, plant, simulator, towards

LIMIT = 1.5
SHORT = 10
LOOK = 0.02  # seconds between two looks at what the simulator has


def listed(path: Path, calls: int) -> str:
    """Write a providers file of so many rows and return its path."""
    with path.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["name", "phone", "service", "city", "rating"])
        rows = ([f"Business {row}", number(row), "plumbing", "Greenville", "4.5"] for row in range(calls))
        writer.writerows(rows)
    return str(path)


def first_dial(command: Sequence[str], state: Path) -> float:
    """Return the seconds until somebody is dialled; then the command is ended."""
    with simulator() as url, (state / "said").open("wb") as said:
        environment = ours(state, **towards(url))
        began = time.time()
        process = subprocess.Popen(
            [COMMAND, *command, "--yes", "-o", "-"], env=environment, stdout=subprocess.DEVNULL, stderr=said
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
            file, few = listed(state / "many.csv", calls), listed(state / "few.csv", SHORT)
            found["fresh"].append(first_dial(["batch", file], _empty(state / "fresh")))
            found["short"].append(first_dial(["batch", few], _empty(state / "short")))
            shutil.copytree(kept, state / "resumed")
            found["resume"].append(first_dial(["resume", planted.run_id], state / "resumed"))
    return {name: min(each) for name, each in found.items()}


def _empty(state: Path) -> Path:
    state.mkdir()
    return state


def main() -> None:
    """Print the figures, and whether they keep the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--done", type=int, default=9_000)
    parser.add_argument(
        "--bytes", type=int, default=3_000, help="of each result, and of the backend's own record of it"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="keep the figures in this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(Path(folder), options.calls, options.done, options.bytes)
        least = seconds(planted, options.calls, options.rounds)
    resumed, fresh, short = least["resume"], least["fresh"], least["short"]
    figures = {"calls": options.calls, "done": options.done, "bytes": options.bytes, "seconds": least}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"Until the first dial, {options.calls:,} calls, of which {options.done:,} are done:")
    print(f"{'resume':24} {resumed:6.2f} s")
    for name, other, limit in ((f"{options.calls:,}", fresh, f" (limit {LIMIT})"), (f"{SHORT}", short, "")):
        print(
            f"{f'a fresh run of {name}':24} {other:6.2f} s, the resume takes {resumed / other:.2f} times as long{limit}"
        )
    if resumed > LIMIT * fresh:
        raise SystemExit("The limit is broken.")


if __name__ == "__main__":
    main()
