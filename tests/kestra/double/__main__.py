"""`python -m tests.kestra.double`: a Kestra on a loopback port; the first line that it prints is its address."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

from tests.kestra.double.options import USER, Options
from tests.kestra.double.server import Double
from tests.kestra.double.sources import COMMANDS


def main() -> None:
    """Serve until SIGTERM, which lets the children end first (facts 11)."""
    parser = argparse.ArgumentParser(prog="python -m tests.kestra.double", description=__doc__)
    parser.add_argument("--dialect", default="1", choices=["0", "1", "2"])
    parser.add_argument("--version", default="", help="the version that it says it is")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path, required=True, help="the folder that it keeps its state in")
    parser.add_argument("--restart-strategy", default="AFTER_TERMINATION_GRACE_PERIOD")
    parser.add_argument("--restart-after", type=float, default=0.1)
    parser.add_argument("--grace", type=float, default=300.0)
    parser.add_argument("--search-lag", type=float, default=0.0)
    parser.add_argument("--no-user", action="store_true", help="nobody has set a user yet")
    parser.add_argument("--without-plugin", action="store_true", help="the script plugin is not installed")
    asked = parser.parse_args()
    options = Options(
        dialect=asked.dialect,
        version=asked.version,
        restart_strategy=asked.restart_strategy,
        restart_after=asked.restart_after,
        grace=asked.grace,
        search_lag=asked.search_lag,
        user=None if asked.no_user else USER,
        plugins=() if asked.without_plugin else (COMMANDS,),
    )
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before any thread starts, which inherits it
    with Double(options, asked.state, asked.port) as double:
        print(double.url, flush=True)
        signal.sigwait(signals)
        double.engine.begin_nothing()  # before anybody can know that it stops
        double.close()
        double.engine.drain()
        os._exit(0)


if __name__ == "__main__":
    main()
