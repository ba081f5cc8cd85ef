"""A whole run of the command or of a peer at the benchmarks' server: what it took, did, and could have done at best."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.measured import COMMAND, Used, used
from tests.benchmarks.servers import figures

PAUSE = 0.5  # seconds between two windows, as the plan has them (its batchDelayMs)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: what it used, and what the server saw."""

    used: Used
    seen: dict[str, Any]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls, in the order in which they began."""
        return sorted(self.seen["calls"], key=lambda call: call["begun"])

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return sum(self.seen["requests"].values())

    @property
    def makespan(self) -> float:
        """Seconds from the first create to the last end."""
        return float(max(call["ended"] for call in self.calls) - self.calls[0]["begun"])

    @property
    def lengths(self) -> list[float]:
        """Seconds that each call took, in the order in which they began."""
        return [call["ended"] - call["begun"] for call in self.calls]

    def idle(self, lines: int) -> list[float]:
        """Return for each line that was taken again the seconds that it was free: the k-th end, the lines+k-th begin.

        Only while somebody is left to call.
        """
        begun = [call["begun"] for call in self.calls][lines:]
        ended = sorted(call["ended"] for call in self.calls)
        return [begin - end for begin, end in zip(begun, ended, strict=False)]


def batch(file: Path, lines: int, folder: Path) -> list[str]:
    """Return the command that calls everybody in the file."""
    return [COMMAND, "batch", str(file), "-y", "-q", "-o", str(folder / "out.json"), "--max-concurrent", str(lines)]


def run(command: Sequence[str], url: str, environment: Mapping[str, str]) -> Measured:
    """Run a command to its end and return what that took, and what the server at this address saw."""
    return Measured(used(command, environment), figures(url))


def greedy(lengths: Sequence[float], lines: int) -> float:
    """Return the seconds that the calls take in this order when a free line is never idle."""
    free = [0.0] * lines
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def windows(lengths: Sequence[float], lines: int) -> float:
    """Return the seconds that the calls take in the plan's windows, which wait for their slowest call and pause."""
    slowest = [max(lengths[start : start + lines]) for start in range(0, len(lengths), lines)]
    return sum(slowest) + PAUSE * (len(slowest) - 1)
