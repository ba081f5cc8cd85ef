"""What the shell offers for a run's id."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice

MOST = 50  # more than anybody reads through


def every_run(incomplete: str) -> list[str]:
    """Return the latest runs that begin so, simulated ones too."""
    return list(islice(_runs(incomplete, simulated=(False, True), finished=True), MOST))


def unfinished_runs(incomplete: str) -> list[str]:
    """Return the latest runs that begin so and can be resumed."""
    return list(islice(_runs(incomplete, simulated=(False,), finished=False), MOST))


def _runs(incomplete: str, *, simulated: tuple[bool, ...], finished: bool) -> Iterator[str]:
    from concierge_calls.errors import ConciergeError
    from concierge_calls.journals import journals

    try:
        with journals(simulated=simulated) as opened:
            known = merge(*(journal.infos() for journal in opened), key=lambda run: run.started_at, reverse=True)
            yield from (run.id for run in known if run.id.startswith(incomplete) and (finished or not run.finished))
    except ConciergeError:  # what is wrong is said by the command itself, not in the middle of its line
        return
