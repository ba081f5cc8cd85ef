"""What benchmarks share: their options, what a process costs, and figures that are printed, kept and held to limits."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("concierge-calls"))
MEGABYTE = 1024 if sys.platform == "linux" else 1024 * 1024  # in what the system counts memory in


@dataclass(frozen=True, slots=True)
class AtMost:
    """A figure that has a limit."""

    figure: float
    limit: float

    def __str__(self) -> str:
        return f"{_written(self.figure)} (limit {self.limit:g})"


@dataclass(frozen=True, slots=True)
class Used:
    """What a process took: seconds, of which `cpu` are the user's and the system's, and at most so many megabytes."""

    until_first_byte: float
    wall: float
    cpu: float
    memory: float


def parser(described: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the benchmark's docstring as it stands, with the option that keeps the figures."""
    options = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    kept = "keep settings, figures and limits in this file, too"
    options.add_argument("--json", type=_file, metavar="FILE", help=kept)
    return options


def _file(text: str) -> Path:
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(text).parent}; make it first")
    return Path(text)


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads a whole number that is not less than this one from a command line."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return read


def above_zero(text: str) -> float:
    """Read a number that is more than nothing from a command line."""
    try:
        read = float(text)
    except ValueError:
        read = 0.0
    if not 0 < read < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return read


def used(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, first_byte_is_enough: bool = False
) -> Used:
    """Run a command to its end, or to the first byte of what it writes, and return what it took.

    Raises SystemExit, with what the command said, when its end is not a good one.
    """
    with tempfile.TemporaryFile("w+") as said:
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=said, bufsize=0)
        assert process.stdout is not None
        process.stdout.read(1)
        first = time.monotonic() - began
        if first_byte_is_enough:
            process.kill()
        while process.stdout.read(1 << 16):
            pass
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and not first_byte_is_enough:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said.read()}")
    return Used(first, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MEGABYTE)


def mean(values: Sequence[float]) -> float:
    """Return the mean of these; 0.0 of none."""
    return statistics.fmean(values) if values else 0.0


def median(values: Sequence[float]) -> float:
    """Return the middle one of these."""
    return statistics.median(values)


def report(title: str, settings: str, figures: Mapping[str, Any], file: Path | None) -> None:
    """Print what is compared, with which settings, and the figures, and keep all of it in a file if one is named.

    Raises SystemExit with 1, after a line that says so, when a figure is over its limit.
    """
    limited = {name: value for name, value in figures.items() if isinstance(value, AtMost)}
    over = {name: value for name, value in limited.items() if value.figure > value.limit}
    print(f"{title}\n  {settings}")
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"  {name:<{width}}  {_written(value)}")
    if file is not None:
        kept = {
            "compared": title,
            "settings": settings,
            "figures": {name: value.figure if name in limited else value for name, value in figures.items()},
            "limits": {name: value.limit for name, value in limited.items()},
            "over": list(over),
        }
        file.write_text(json.dumps(kept, indent=2) + "\n")
    if over:
        said = ", ".join(f"{name}: {value}" for name, value in over.items())
        print(f"Over the limit: {said}. The limits are for the command without options, on a quiet machine.")
        raise SystemExit(1)


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_written(each)}" for name, each in value.items())
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
