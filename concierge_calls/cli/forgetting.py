"""The command that erases what was said in old runs, and by whom."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import typer

from concierge_calls.cli import options
from concierge_calls.cli.questions import DECLINED, NEEDS_A_LOOK, agreed, at_a_terminal, say
from concierge_calls.errors import JournalError, UsageError
from concierge_calls.plain import count

if TYPE_CHECKING:
    from concierge_calls.journal import Journal
    from concierge_calls.models import RunInfo

    Chosen = list[tuple[Journal, RunInfo]]

AGE = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[hdw])", re.IGNORECASE)  # so many weeks are still a date
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def forget(run: options.RunToForget = None, older_than: options.OlderThan = None, yes: options.Sure = False) -> None:
    """Erase what was said in a run and by whom; which numbers were called when is kept, and so is do-not-call."""
    from concierge_calls.journals import journals

    if (run is None) == (older_than is None):
        raise UsageError("Name one run, or say how old: concierge-calls forget --older-than 90d")
    with journals() as opened:
        if run is not None:
            raise typer.Exit(_forget_one(run, opened, yes=yes))
        raise typer.Exit(_forget_old(datetime.now(UTC) - _age(older_than or ""), opened, yes=yes))


def _age(text: str) -> timedelta:
    """Read how old a run must be; raises UsageError."""
    known = AGE.fullmatch(text.strip())
    if known is None:
        raise UsageError(
            f"--older-than {text!r} is no length of time; write a number and d, w or h for days, weeks or hours: 90d"
        )
    return timedelta(**{UNITS[known["unit"].lower()]: int(known["number"])})


def _forget_one(run_id: str, opened: Iterable[Journal], *, yes: bool) -> int:
    from concierge_calls.journals import found

    journal, known = found(run_id, opened)
    if not journal.forgetting.check(run_id):
        say(f"Run {run_id} was forgotten before.")
        return 0
    return _forget([(journal, known.run)], f"run {run_id}", yes=yes)


def _forget_old(moment: datetime, opened: Iterable[Journal], *, yes: bool) -> int:
    chosen: Chosen = []
    kept = False
    for journal in opened:
        for run in journal.forgetting.ended_before(moment):
            try:
                journal.forgetting.check(run.id)
            except JournalError as error:
                say(error.message)
                kept = True
            else:
                chosen.append((journal, run))
    if not chosen:
        before = f"{moment.astimezone():%Y-%m-%d %H:%M}"
        say(f"No {'other ' if kept else ''}run that ended before {before} is left to forget.")
        return NEEDS_A_LOOK if kept else 0
    return _forget(chosen, count(len(chosen), "run"), yes=yes) or (NEEDS_A_LOOK if kept else 0)


def _forget(chosen: Chosen, what: str, *, yes: bool) -> int:
    import asyncio

    simulated = sum(run.simulated for _, run in chosen)
    marked = f"{what}{_mark(simulated, len(chosen))}"
    if not yes and at_a_terminal() and not agreed(f"Erase for good what was said in {marked} and by whom?"):
        say("Nothing was forgotten.")
        return DECLINED
    left = asyncio.run(_erase(chosen))
    verb = "is" if len(chosen) == 1 else "are"
    say(f"{marked[0].upper()}{marked[1:]} {verb} forgotten; which numbers were called when is kept.")
    if simulated < len(chosen):
        say("Documents that were written are files of yours, and Vapi has its own records: delete both where they are.")
    for sentence in left:
        say(sentence)
    return NEEDS_A_LOOK if left else 0


def _mark(simulated: int, runs: int) -> str:
    if runs == 1:
        return ", a simulated one," if simulated else ""
    return f", {simulated:,} of them simulated," if simulated else ""


async def _erase(chosen: Chosen) -> list[str]:
    """Forget the runs, and say what kept a journal's file from being rid of old copies of their words."""
    erased: dict[Journal, list[str]] = {}
    for journal, run in chosen:
        await journal.forgetting.forget(run.id)
        erased.setdefault(journal, []).append(run.id)
    return [left for journal, run_ids in erased.items() if (left := await _left(journal, run_ids))]


async def _left(journal: Journal, run_ids: list[str]) -> str | None:
    copies = f"Old copies of the words may be left in free room of {journal.path}"
    try:
        if await journal.forgetting.scrub(run_ids):
            return None
    except JournalError as error:
        return f"{copies}: {error.message} Then forget the same once more."
    return f"{copies}, since a run is going on; forget the same once more when it has ended."
