"""Has four plumbers called by a Python program, which prints each answer as it comes and then who is available.

`python examples/library.py --simulate` calls nobody; without --simulate phones ring, with the keys of .env.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from concierge_calls import (
    CallRequest,
    CallResult,
    ConciergeError,
    PlacementError,
    Provider,
    RunResult,
    ServiceRequest,
    call_providers,
)

PROVIDERS = [
    Provider(name="Blue Ridge Plumbing Co.", phone="(864) 555-0100"),
    Provider(name="Reedy River Plumbers", phone="864.555.0111", extra={"rating": 4.6}),
    Provider(name="Augusta Road Plumbing & Heating", phone="+1 864 555 0155", id="augusta-road"),
    Provider(name="Haywood Rooter", phone="864 555 0166", extension="12"),
]
REQUEST = ServiceRequest(service_needed="plumbing", user_criteria="licensed and insured", location="Greenville, SC")


def completed(result: CallResult, index: int) -> None:
    """Print what became of a call that is over."""
    print(f"{index + 1}. {result.provider.name}: {result.status}", file=sys.stderr)


def failed(error: PlacementError, request: CallRequest, index: int) -> None:
    """Print why a call could not be placed, or may not have been."""
    print(f"{index + 1}. {request.provider.name}: {error.message}", file=sys.stderr)


def available(run: RunResult) -> Iterator[str]:
    """Return a line for each provider who has time; the results are read one by one."""
    for result in run.results:
        said = result.analysis.structured_data
        if said.get("availability") == "available":
            yield f"{result.provider.name}: {said.get('earliest_availability')}, {said.get('estimated_rate')}"


def main() -> int:
    """Call them, print who is available, and return the exit code."""
    simulate = "--simulate" in sys.argv[1:]
    calling = call_providers(
        PROVIDERS, REQUEST, max_concurrent=2, on_call_complete=completed, on_call_error=failed, simulate=simulate
    )
    try:
        run = asyncio.run(calling)
    except ConciergeError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    print("\n".join(available(run)) or "Nobody is available.")
    if not run.run.finished:
        print(f"Not everybody was called; to finish it: concierge-calls resume {run.run.id}", file=sys.stderr)
    return 0 if run.run.finished else 5


if __name__ == "__main__":
    sys.exit(main())
