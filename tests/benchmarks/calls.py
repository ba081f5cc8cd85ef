"""What a call costs: processor time against its peers, and requests.

Run by hand: python -m tests.benchmarks.calls [--frozen] [--peers NAME ...] [--rounds 3] [--json FILE]

The peers are aiohttp, httpx.AsyncClient and Vapi's own SDK, each with a semaphore, Node's fetch with a bound, and xargs
with curl; they ask for each call as often as the command looks at its feed, and keep no journal. aiohttp and the SDK
are installed by the extra `bench`. All are whole processes, with all that they begin, on the same calls, numbers and
kind of server, in turn, with what is kind to Vapi switched off. Figures and ratios are the middle ones of so many
rounds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.batches import Measured, batch, run
from tests.benchmarks.measured import AtMost, above_zero, at_least, mean, median, parser, report
from tests.benchmarks.providers import listed, numbers
from tests.benchmarks.servers import HERE, UNLIMITED, server, settings

OURS = "concierge-calls"
PEERS = {
    "aiohttp": [sys.executable, "peer.py", "aiohttp"],
    "httpx": [sys.executable, "peer.py", "httpx"],
    "vapi": [sys.executable, "peer.py", "vapi"],
    "node": ["node", "peer.mjs"],
    "curl": ["sh", "peer.sh"],
}
MOST_OF_AIOHTTP = 1.6
MOST_REQUESTS = 2.0  # per call


def compared(options: argparse.Namespace, folder: Path) -> dict[str, Measured]:
    """Run the command and then its peers, each against a server of its own."""
    file = listed(folder / "providers.csv", numbers(options.calls))
    found = {OURS: one(batch(file, options.lines, folder), options, folder)}
    for name in options.peers:
        program, script, *library = PEERS[name]
        arguments = (file, options.lines, options.poll, folder / "peer.json")
        found[name] = one([program, str(HERE / script), *library, *map(str, arguments)], options, folder)
    return found


def one(command: list[str], options: argparse.Namespace, folder: Path) -> Measured:
    """Run this command against a server of its own."""
    frozen = ["--frozen"] if options.frozen else []
    with server("--analysis", options.analysis, "--said", options.said, *frozen) as url:
        return run(command, url, settings(url, folder / "state", poll=options.poll))


def figures(rounds: list[dict[str, Measured]], options: argparse.Namespace) -> dict[str, Any]:
    """Return what each of them took in the middle of all rounds, and the command against each of its peers."""
    found: dict[str, Any] = {}
    for name in (OURS, *options.peers):
        each = [by_name[name] for by_name in rounds]
        found |= {
            f"{name}: CPU ms per call": median([1000 * one.used.cpu for one in each]) / options.calls,
            f"{name}: requests per call": median([one.requests for one in each]) / options.calls,
            f"{name}: requests of the first round": each[0].seen["requests"],
            f"{name}: idle line, mean ms": median([1000 * mean(one.idle(options.lines)) for one in each]),
            f"{name}: seconds": median([one.used.wall for one in each]),
            f"{name}: memory, MB": median([one.used.memory for one in each]),
        }
    if not options.frozen:
        found[f"{OURS}: requests per call"] = AtMost(found[f"{OURS}: requests per call"], MOST_REQUESTS)
    for name in options.peers:
        ratio = median([by_name[OURS].used.cpu / by_name[name].used.cpu for by_name in rounds])
        found[f"CPU against {name}"] = AtMost(ratio, MOST_OF_AIOHTTP) if name == "aiohttp" else ratio
    return found


def chosen() -> argparse.Namespace:
    """Return the options; a peer that is not installed is an error of its own."""
    options = parser(__doc__)
    options.add_argument("--calls", type=at_least(1), default=4000)
    options.add_argument("--lines", type=at_least(1), default=100)
    options.add_argument("--poll", type=above_zero, default=0.1, help="seconds between two looks, of the peers too")
    options.add_argument("--analysis", type=float, default=0.2, help="seconds from a call's end to its analysis")
    options.add_argument("--frozen", action="store_true", help="the analysis leaves updatedAt as it is")
    options.add_argument("--said", type=at_least(0), default=200, help="bytes of a transcript")
    options.add_argument("--rounds", type=at_least(1), default=3)
    options.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="only these, or none")
    found = options.parse_args()
    for name in found.peers:
        if not is_there(name):
            options.error(f"there is no {name} here; pip install -e '.[bench]' brings aiohttp and vapi")
    return found


def is_there(peer: str) -> bool:
    """Tell whether a peer can be run here."""
    program = PEERS[peer][0]
    return find_spec(peer) is not None if program == sys.executable else shutil.which(peer) is not None


def main() -> None:
    """Measure as the options say, and report."""
    options = chosen()
    rounds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(compared(options, Path(folder)))
    stamp = "frozen" if options.frozen else "moving"
    report(
        "CPU and requests of the command, journal and all, against peers with a semaphore and no journal",
        f"{options.calls:,} calls of 0.2 to 2 s, {options.lines} lines, feed and peers' questions {options.poll} s, "
        f"analysis {options.analysis} s late, updatedAt {stamp}, {options.said} bytes said, {UNLIMITED}, "
        f"rounds: {options.rounds} (median)",
        figures(rounds, options),
        options.json,
    )


if __name__ == "__main__":
    main()
