"""Carries out `resume` for a person or a script: says what is taken up, finishes it, and writes the document."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from concierge_calls.cli.asking import Prompt, host
from concierge_calls.cli.closing import conclude
from concierge_calls.cli.questions import DECLINED
from concierge_calls.cli.running import called
from concierge_calls.cli.signals import INTERRUPTED, Stopper, stoppable
from concierge_calls.dialer import LOOK_AFTER
from concierge_calls.display import Display, Verbosity, chosen
from concierge_calls.journal import to_resume
from concierge_calls.models import CallState, Format, RunResult
from concierge_calls.output import Output
from concierge_calls.plain import count, shown
from concierge_calls.ranking import heard
from concierge_calls.resuming import continued, left_over
from concierge_calls.run import Run

MOST_NAMED = 3  # other runs that are left over


async def finish_run(
    run_id: str | None,
    target: str | None,
    format_: Format | None,
    *,
    again: Sequence[str],
    yes: bool,
    hang_up: bool,
    verbosity: Verbosity,
) -> int:
    """Finish a run that was cut short and return the exit code; 0 when there is nothing to do."""
    screen = chosen(verbosity, heard)
    with stoppable(screen.announce, hang_up=hang_up) as stopper:
        try:
            async with continued(run_id, again=again, hang_up=hang_up) as run:
                if run is not None:
                    return await _finish(run, run_id, target, format_, screen, stopper, yes=yes, verbosity=verbosity)
                if verbosity > Verbosity.QUIET:
                    screen.say("There is nothing to finish.", *_left_over(run_id, but=run_id))
                return 0
        except asyncio.CancelledError:
            screen.say("Interrupted before the first dial; nobody was dialled, and the run can still be resumed.")
            return INTERRUPTED


async def _finish(
    run: Run,
    named: str | None,
    target: str | None,
    format_: Format | None,
    screen: Display,
    stopper: Stopper,
    *,
    yes: bool,
    verbosity: Verbosity,
) -> int:
    known = run.result().run
    output = Output.chosen(target or known.output, known.source, format_ or known.format)
    output.check()
    if verbosity > Verbosity.QUIET:
        screen.say(*_before_resuming(run, await run.counts(), await run.handed_over()))
    result = await _finished(run, screen, stopper, yes=yes, verbosity=verbosity)
    if result is None:
        screen.say("Nobody was dialled.")
        return DECLINED
    code = await conclude(
        result, run.line_times(), output, screen, verbosity, published=run.document_is_out, stopper=stopper
    )
    if verbosity > Verbosity.QUIET:
        screen.say(*_left_over(named, but=run.id))
    return code


async def _finished(
    run: Run, screen: Display, stopper: Stopper, *, yes: bool, verbosity: Verbosity
) -> RunResult | None:
    known = run.result()
    if known.run.finished and not known.stats.uncertain:
        return known  # only its document was never written
    prompt = Prompt(run, screen, (), asked=not yes, verbosity=verbosity) if run.dials else None
    async with run.connected():
        if prompt is not None and not await _agreed(prompt):
            return None
        return await called(run, screen, stopper)


async def _agreed(prompt: Prompt) -> bool:
    try:
        return await prompt.agreed()
    except asyncio.CancelledError:  # Ctrl-C at the question is a no
        return False


def _before_resuming(run: Run, counts: Mapping[CallState, int], handed_over: int) -> Iterator[str]:
    known, left = run.result(), counts[CallState.PENDING]
    followed, again = counts[CallState.PLACED] + counts[CallState.ENDED], len(run.again)
    dialing = max(0, counts[CallState.DIALING] - handed_over)
    in_doubt = dialing + counts[CallState.UNCERTAIN]
    if known.run.finished and not (in_doubt or handed_over):
        yield f"Run {run.id} of {shown(known.run.source, 40)} is finished; its document was never written, and is now."
        return
    parts = [f"what Kestra knows of {count(handed_over, 'provider')} brought home"] if handed_over else []
    parts += [f"{count(followed, 'call')} followed"]
    parts += [f"{count(in_doubt, 'call')} in doubt looked for"] if in_doubt else []
    parts += [f"{again} of them dialled again unless found"] if again else []
    parts += [f"{count(left, 'provider')} left to call"] if run.dials else []
    parts += [f"at most {known.run.max_concurrent} at once"]
    yield f"Finishing run {run.id} of {shown(known.run.source, 40)}: {', '.join(parts)}."
    if not run.dials and left:
        yield _never_called(left) if run.is_stopped else _left_alone(known, left)
    if dialing:
        yield _how_long(dialing)
    if not (left and run.dials) and not handed_over:  # else the prompt says it
        yield from host(run.settings)


def _left_over(named: str | None, *, but: str | None) -> Iterator[str]:
    # Whoever names a run is done with it; whoever names none takes this for the end of all of them.
    runs = [] if named else left_over(but=but)
    for run in runs[:MOST_NAMED]:
        if run.finished:
            yield to_resume(f"The document of run {run.id} was never written; to have it written", run.id, run.left)
        else:
            yield to_resume(f"Run {run.id} too is unfinished; to finish it", run.id, run.left)
    if (more := len(runs) - MOST_NAMED) > 0:
        yield f"So it is with {count(more, 'more run', 'more runs')}; see: concierge-calls runs"


def _left_alone(known: RunResult, left: int) -> str:
    return (
        f"It was begun over 24 hours ago, on {known.run.started_at.astimezone():%Y-%m-%d}, so {count(left, 'provider')}"
        f" {'is' if left == 1 else 'are'} not called. To call them all the same: concierge-calls resume {known.run.id}"
    )


def _never_called(left: int) -> str:
    return f"It was stopped for good, so {count(left, 'provider')} {'is' if left == 1 else 'are'} not called."


def _how_long(in_doubt: int) -> str:
    # Vapi's list may lag, and only the whole time without a find makes a call uncertain.
    until = datetime.now().astimezone() + timedelta(seconds=LOOK_AFTER[-1] + 59)  # the next full minute
    calls = "the call whose reply" if in_doubt == 1 else "the calls whose replies"
    return f"Vapi is asked for {calls} never came, until {until:%H:%M} at the latest."
