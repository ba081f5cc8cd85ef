"""How soon `runs` and `show` answer from a journal of many long results, against what --help takes.

Run by hand: python -m tests.benchmarks.reading [--calls 20000] [--bytes 50000] [--rounds 9] [--json FILE]

Each figure is the least of so many rounds, taken in turn: for `runs` and --help until the process has ended, for `show`
until the first byte of the document is there. Also told, and not against --help, is how long it takes to rank all of
the results, best first, as `show` does at a terminal.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.measured import COMMAND, AtMost, at_least, parser, report, used
from tests.benchmarks.planted import BYTES_HELP, Planted, plant

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
    """Measure as the options say, and report."""
    choices = parser(__doc__)
    choices.add_argument("--calls", type=at_least(1), default=20_000)
    choices.add_argument("--bytes", type=at_least(1), default=50_000, help=BYTES_HELP)
    choices.add_argument("--rounds", type=at_least(1), default=9)
    options = choices.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(Path(folder), options.calls, options.calls, options.bytes)
        least = seconds(planted, options.rounds)
        ranked = used([sys.executable, "-c", RANKED, folder, planted.run_id], planted.environment).cpu
    found: dict[str, Any] = {f"{name}, ms": 1000 * best for name, best in least.items()}
    helped = least.pop("--help")
    found |= {f"{name} against --help": AtMost(best / helped, LIMIT) for name, best in least.items()}
    report(
        "Until `runs` has ended and `show` has written its first byte, against --help",
        f"a journal of {options.calls:,} results of {options.bytes:,} bytes, rounds: {options.rounds} (least)",
        found | {"all of them ranked, best first, CPU s": ranked},
        options.json,
    )


if __name__ == "__main__":
    main()
