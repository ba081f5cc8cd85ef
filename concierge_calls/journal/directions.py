"""Names the command that takes up a run, and says whom that would call besides."""

from __future__ import annotations

from concierge_calls.plain import count


def to_resume(purpose: str, run_id: str, left: int) -> str:
    """Say how this is done by resuming the run by name.

    A named resume also calls the `left` providers of the run whom nobody has called yet, however old the run is;
    where there are any, that is said, so that nobody is called by surprise.
    """
    also = f", which also calls the {count(left, 'provider')} left in it" if left else ""
    return f"{purpose}{also}: concierge-calls resume {run_id}"
