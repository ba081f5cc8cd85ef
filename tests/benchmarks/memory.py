"""The most memory that a run and its document take with many results, against few.

Run by hand: python -m tests.benchmarks.memory [--calls 20000] [--fewer 1000] [--bytes 50000] [--run 20000] [--json F]

Each figure is the most memory that a process of its own ever held. The results are written by the journal's own
transitions, fifty lines at a time, each with its conversation and with the backend's own record, of so many bytes each;
then `show` writes them as each format. With --run the command itself calls so many, and the fewer, at the benchmarks'
server, whose calls take 0.2 to 2 s, on as many lines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.measured import batch, providers, run, server, settings
from tests.benchmarks.planted import COMMAND, LINES, plant, used

LIMIT, MOST = 1.2, 100.0  # times, and megabytes
FORMATS = ("json", "jsonl", "csv")


def shown(folder: Path, calls: int, size: int) -> dict[str, float]:
    """Return the megabytes that writing and showing so many results took at most."""
    planted = plant(folder, calls, calls, size)
    found = {"written down": planted.memory}
    for format_ in FORMATS:
        command = [COMMAND, "show", planted.run_id, "--format", format_, "-o", "-"]
        found[f"show as {format_}"] = used(command, planted.environment).memory
    return found


def called(folder: Path, calls: int, size: int) -> float:
    """Return the megabytes that a run of so many calls took at most, from the file to the document."""
    file = providers(folder / "providers.csv", calls)
    with server("--analysis", 0.2, "--said", size // 3) as url:  # it is said in the transcript, and by turns twice
        return run(batch(file, LINES, folder), url, settings(url, folder, poll=0.1)).memory_mb


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Return each figure for few results and for many."""
    figures: dict[str, Any] = {"calls": options.calls, "fewer": options.fewer, "bytes": options.bytes, "lines": LINES}
    rows: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as many:
        left, right = (shown(Path(few), options.fewer, options.bytes), shown(Path(many), options.calls, options.bytes))
        rows |= {name: (left[name], right[name]) for name in left}
    if options.run:
        with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as many:
            few_mb, many_mb = (
                called(Path(few), options.fewer, options.bytes),
                called(Path(many), options.run, options.bytes),
            )
            rows[f"batch of {options.run:,}"] = few_mb, many_mb
    return figures | {"megabytes": rows}


def main() -> None:
    """Print the figures, and whether they keep the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--fewer", type=int, default=1_000)
    parser.add_argument(
        "--bytes", type=int, default=50_000, help="of each result, and of the backend's own record of it"
    )
    parser.add_argument("--run", type=int, default=0, help="calls by the command itself, which takes minutes")
    parser.add_argument("--json", type=Path, help="keep the figures in this file, too")
    options = parser.parse_args()
    figures = measured(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"Most memory with {options.calls:,} results of {options.bytes:,} bytes, against {options.fewer:,} of them:")
    broken = False
    for name, (few, many) in figures["megabytes"].items():
        broken |= many > LIMIT * few or many > MOST
        print(f"{name:24} {many:6.1f} MB, {many / few:.2f} times {few:.1f} MB (limits {MOST:.0f} MB, {LIMIT})")
    if broken:
        raise SystemExit("A limit is broken.")


if __name__ == "__main__":
    main()
