"""Runs 250 providers through a double as slices, and prints what came home: `python -m tests.kestra.slices`."""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.kestra.world import World

PROVIDERS, LIMIT = 250, 8
AREAS = (864, 803, 843)


def main(dialects: list[str]) -> None:
    """Run once for each dialect."""
    for dialect in dialects:
        with World(dialect, limit=LIMIT, speed=60.0) as world:
            numbers = [f"+1{AREAS[index // 100]}555{100 + index % 100:04}" for index in range(PROVIDERS)]
            world.write([(f"Provider {index}", number) for index, number in enumerate(numbers)])
            began = time.monotonic()
            sitting = world.batch("-q")
            code = sitting.finish()
            seconds = time.monotonic() - began
            document = sitting.document
            started = [line for line in world.children() if line["event"] == "start"]
            print(f"dialect {dialect}: exit {code} after {seconds:.0f} s, {len(started)} children")
            print(f"  results {dict(Counter(result['status'] for result in document['results']))}")
            print(f"  calls a number {dict(Counter(world.calls.values()))}, peak by Vapi {world.peak}", end="")
            print(f", peakConcurrent {document['stats']['peakConcurrent']}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["0", "1", "2"])
