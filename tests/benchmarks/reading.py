"""How soon `runs` and `show` answer from a journal of many long results, against what --help takes.

Run by hand: python -m tests.benchmarks.reading [--calls 20000] [--bytes 50000] [--rounds 9] [--json FILE]

Each figure is the least of so many rounds, taken in turn: for `runs` and --help until the process has ended, for `show`
until the first byte of the document is there. Also told, and not against --help, is how long it takes to rank all of
the results, best first, as `show` does at a terminal.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.planted import COMMAND, Planted, plant, used

LIMIT = 3.0
RANKED = """
import sys, time
from pathlib import Path
from concierge_calls.journal import Journal
from concierge_calls.ranking import best_first
with Journal(Path(sys.argv[1], "journal.db")) as journal:
    best_first(journal.result(sys.argv[2]).results, 10)
print(time.process_time())
"""


def seconds(planted: Planted, rounds: int) -> dict[str, float]:
    """Return the least seconds of each, by what it is."""
    shows = {f"show --format {kind}": kind for kind in ("json", "jsonl")}
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        found.setdefault("--help", []).append(used([COMMAND, "--help"], planted.environment).wall)
        found.setdefault("runs", []).append(used([COMMAND, "runs"], planted.environment).wall)
        for name, kind in shows.items():
            command = [COMMAND, "show", planted.run_id, "--format", kind, "-o", "-"]
            first = used(command, planted.environment, first_byte_is_enough=True).until_first_byte
            found.setdefault(name, []).append(first)
    return {name: min(each) for name, each in found.items()}


def main() -> None:
    """Print the figures, and whether they keep the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument(
        "--bytes", type=int, default=50_000, help="of each result, and of the backend's own record of it"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="keep the figures in this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(Path(folder), options.calls, options.calls, options.bytes)
        least = seconds(planted, options.rounds)
        ranked = used([sys.executable, "-c", RANKED, folder, planted.run_id], planted.environment).cpu
    figures = {"calls": options.calls, "bytes": options.bytes, "seconds": least, "ranked_cpu_seconds": ranked}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"Until the answer, from a journal of {options.calls:,} results of {options.bytes:,} bytes:")
    for name, best in least.items():
        against = "" if name == "--help" else f", {best / least['--help']:.2f} times --help (limit {LIMIT})"
        print(f"{name:20} {1000 * best:6.0f} ms{against}")
    print(f"all of them ranked, best first: {ranked:.1f} s of CPU")
    if any(best > LIMIT * least["--help"] for best in least.values()):
        raise SystemExit("A limit is broken.")


if __name__ == "__main__":
    main()
