"""What a call costs: processor time against a peer, and requests (python -m tests.benchmarks.calls [--json FILE]).

The peer is aiohttp with a semaphore that asks for each call every 0.1 s and keeps no journal; the extra `bench` has it.
Both are whole processes on the same calls, numbers and server, with what is kind to Vapi switched off, in turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.measured import HERE, Measured, batch, mean, median, providers, report, run, server, settings

MOST_OF_PEER = 1.6


def both(options: argparse.Namespace, folder: Path) -> tuple[Measured, Measured | None]:
    """Run the command and then the peer, each against a server of its own."""
    file = providers(folder / "providers.csv", options.calls)
    ours = one(batch(file, options.lines, folder), options, folder)
    if options.alone:
        return ours, None
    peer = [sys.executable, str(HERE / "peer.py"), str(file), str(options.lines), str(folder / "peer.json")]
    return ours, one(peer, options, folder)


def one(command: list[str], options: argparse.Namespace, folder: Path) -> Measured:
    """Run this command against a server of its own."""
    frozen = ["--frozen"] if options.frozen else []
    with server("--analysis", options.analysis, "--said", options.said, *frozen) as url:
        return run(command, url, settings(url, folder, poll=options.poll))


def shown(rounds: list[tuple[Measured, Measured | None]], options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all rounds."""
    ours = [mine for mine, _ in rounds]
    peers = [peer for _, peer in rounds if peer is not None]
    each = 1000 / options.calls
    figures: dict[str, Any] = {
        "settings": f"{options.calls} calls of 0.2 to 2 s, {options.lines} lines, feed {options.poll} s, analysis "
        f"{options.analysis} s late, updatedAt {'frozen' if options.frozen else 'moving'}, no limits",
        "CPU ms per call": median([mine.cpu for mine in ours]) * each,
        "requests per call": median([mine.requests for mine in ours]) / options.calls,
        "idle line, mean ms": median([1000 * mean(mine.idle(options.lines)) for mine in ours]),
        "seconds": median([mine.wall for mine in ours]),
        "memory, MB": median([mine.memory_mb for mine in ours]),
        "requests": ours[0].seen["requests"],
    }
    if peers:
        ratio = median([mine.cpu / peer.cpu for mine, peer in zip(ours, peers, strict=True)])
        figures |= {
            "peer: CPU ms per call": median([peer.cpu for peer in peers]) * each,
            "peer: requests per call": median([peer.requests for peer in peers]) / options.calls,
            "peer: idle line, mean ms": median([1000 * mean(peer.idle(options.lines)) for peer in peers]),
            "peer: seconds": median([peer.wall for peer in peers]),
            f"CPU against the peer (limit {MOST_OF_PEER})": ratio,
        }
    return figures


def main() -> None:
    """Measure as the options say, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--lines", type=int, default=100)
    parser.add_argument("--poll", type=float, default=0.1, help="seconds between two looks of the feed")
    parser.add_argument("--analysis", type=float, default=0.2, help="seconds from a call's end to its analysis")
    parser.add_argument("--frozen", action="store_true", help="the analysis leaves updatedAt as it is")
    parser.add_argument("--said", type=int, default=200, help="bytes of a transcript")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="without the peer")
    parser.add_argument("--json", type=Path, help="keep the figures in this file, too")
    options = parser.parse_args()
    rounds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(both(options, Path(folder)))
    title = "CPU of the command, journal and all, against aiohttp with a semaphore and no journal"
    report(title, shown(rounds, options), options.json)


if __name__ == "__main__":
    main()
