"""What is said when a run is over: how many, how long, what else it would have taken, what to do; and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from concierge_calls.journal import to_resume
from concierge_calls.models import (
    SKIPPED_ON_PURPOSE,
    CallResult,
    CallStatus,
    RunResult,
    RunStats,
)
from concierge_calls.plain import clock, count

# Statuses that somebody should look at: exit code 3.
NEEDS_A_LOOK = ("failed", "timed_out", "uncertain", "cancelled", "unusable")
WORTH_SAYING = 1.0  # seconds saved
PAUSE = 2.0  # seconds from start to end in which nobody worked on the run; less is a clock that was set right


def exit_code(run: RunResult, *, interrupted: bool = False) -> int:
    """Return the exit code that says how the run went (README: exit codes; of several 4, then 5, 3, 0).

    `interrupted` says that somebody told it to stop, though everybody may have been called by then.
    """
    if run.run.stopped is not None and not run.run.finished:  # one that was stopped for good has ended
        return 4
    if interrupted or not (run.run.dry_run or run.run.finished):
        return 5
    figures = asdict(run.stats)
    return 3 if any(figures[name] for name in NEEDS_A_LOOK) else 0


def needs_a_look(result: CallResult) -> bool:
    """Tell whether this is one of those for whose sake the exit code is 3."""
    if result.status is CallStatus.SKIPPED:
        return result.error is not None and result.error.code not in SKIPPED_ON_PURPOSE
    return result.status.counted_as in NEEDS_A_LOOK


def summary(run: RunResult, line_times: Iterable[float] = (), *, worked_on: bool = False) -> Iterator[str]:
    """Return the closing lines for a person: how many of each, how long, what it cost, what to do next.

    `line_times` are the seconds that each call had its line, in the file's order; with them it is also said how long
    the same calls would have taken one after the other, and in fixed windows. `worked_on` says that some process is at
    it now, so that nobody need finish it.
    """
    stats, figures = run.stats, asdict(run.stats)
    if run.run.dry_run:
        yield f"{count(stats.total, 'provider')}: {stats.pending:,} would be called, {stats.skipped:,} not."
        return
    counts = [f"{number:,} {status.words}" for status in CallStatus if (number := figures[status.counted_as])]
    yield f"{count(stats.total, 'provider')}: {', '.join(counts) or 'nobody'}."
    if calls := stats.total - stats.skipped - stats.pending - stats.not_called:
        simulated = " Simulated: no phone rang, nothing was spent." if run.run.simulated else ""
        yield f"{', '.join(_facts(stats, calls, simulated=run.run.simulated))}.{simulated}"
        if _can_compare(run):
            yield from _otherwise(line_times, run.run.max_concurrent, stats.duration_ms / 1000)
    yield from _next_steps(run, worked_on=worked_on)


def _facts(stats: RunStats, calls: int, *, simulated: bool) -> Iterator[str]:
    yield f"{clock(stats.duration_ms / 1000)} in all"
    if calls > 1:
        yield f"at most {count(stats.peak_concurrent, 'call')} at once"
    if stats.average_call_duration:
        average = clock(stats.average_call_duration)
        yield f"{average} a conversation on average" if calls > 1 else f"{average} of conversation"
    if stats.cost and not simulated:
        yield f"${stats.cost:,.2f}" if stats.cost >= 0.01 else "less than a cent"


def _can_compare(run: RunResult) -> bool:
    # A call that still goes on has no line time yet, and one that was followed again after a pause has the pause in it.
    info, stats = run.run, run.stats
    if info.max_concurrent < 2 or info.ended_at is None or stats.in_progress:
        return False
    return abs((info.ended_at - info.started_at).total_seconds() - stats.duration_ms / 1000) <= PAUSE


def _otherwise(line_times: Iterable[float], window: int, took: float) -> Iterator[str]:
    """Say what the same calls would have taken, as far as that is longer than the seconds it took."""
    calls, in_turn, in_windows, longest = 0, 0.0, 0.0, 0.0
    for calls, seconds in enumerate(line_times, 1):
        in_turn += seconds
        longest = max(longest, seconds)
        if calls % window == 0:
            in_windows += longest
            longest = 0.0
    in_windows += longest
    if calls < 2 or in_turn - took < WORTH_SAYING:
        return
    is_longer = in_windows - took >= WORTH_SAYING
    windows = f"; in fixed windows of {window:,}, {clock(in_windows) if is_longer else 'about as long as this'}"
    yield f"One after the other, the same calls would have taken {clock(in_turn)}{windows if calls > window else ''}."


def _next_steps(run: RunResult, *, worked_on: bool) -> Iterator[str]:
    stopped, stats = run.run.stopped, run.stats
    if stopped is not None:
        yield f"Stopped: {stopped.message}"
    if stats.uncertain:
        may_have_rung = (
            f"{count(stats.uncertain, 'phone')} may have rung although nothing was heard of the call;"
            " nobody is called again by itself. Look them up in Vapi's dashboard, or look once more"
        )
        yield to_resume(may_have_rung, run.run.id, 0 if run.run.finished else stats.pending + stats.not_called)
    if run.run.finished:
        return
    if worked_on:
        yield "It is being worked on now, so there is no need to resume it."
    elif run.run.simulated:
        yield "A simulated run is not finished later, since its simulator is gone; start it again."
    else:
        yield f"To finish this run{' once that is mended' if stopped else ''}: concierge-calls resume {run.run.id}"
