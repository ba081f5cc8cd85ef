"""Carries out a run for a person or a script: plans it, asks, calls, shows, and hands on what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from concierge_calls.cli.asking import Prompt, host
from concierge_calls.cli.closing import conclude
from concierge_calls.cli.planned import show_plan
from concierge_calls.cli.signals import INTERRUPTED, Stopper, stoppable
from concierge_calls.display import Display, Verbosity, chosen
from concierge_calls.draft import Order
from concierge_calls.errors import RunInterrupted
from concierge_calls.models import Format, RunResult
from concierge_calls.output import Output
from concierge_calls.plain import count, shown
from concierge_calls.ranking import heard
from concierge_calls.run import Run, continued, drafted
from concierge_calls.settings.loading import Settings

DECLINED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a run is shown and asked for."""

    verbosity: Verbosity = Verbosity.NORMAL
    yes: bool = False
    notes: tuple[str, ...] = ()  # sentences about the file and the options that are worth a look before dialling


def carry_out(order: Order, settings: Settings, output: Output, manner: Manner) -> int:
    """Carry out the order and return the exit code; raises ConciergeError when nobody could be dialled."""
    return asyncio.run(_carry_out(order, settings, output, manner))


async def _carry_out(order: Order, settings: Settings, output: Output, manner: Manner) -> int:
    screen = chosen(manner.verbosity, heard)
    output.check()
    with stoppable(screen.announce, hang_up=order.hang_up) as stopper:
        try:
            async with drafted(order, settings) as run:
                if order.dry_run:
                    return show_plan(run, output, screen, manner.verbosity, manner.notes)
                asked = not (order.simulate or manner.yes)
                prompt = Prompt(run, screen, manner.notes, asked=asked, verbosity=manner.verbosity)
                prompt.introduce()
                async with run.connected():
                    if not await prompt.agreed():
                        screen.say("Nobody was dialled.")
                        return DECLINED
                    result = await _called(run, screen, stopper)
        except asyncio.CancelledError:
            screen.say("Interrupted before the first dial; nobody was dialled.")
            return DECLINED
        return await conclude(result, run.line_times(), output, screen, manner.verbosity, interrupted=stopper.was_asked)


def finish_run(
    run_id: str | None, target: str | None, format_: Format | None, *, yes: bool, hang_up: bool, verbosity: Verbosity
) -> int:
    """Finish a run that was cut short and return the exit code; 0 when there is nothing to do."""
    return asyncio.run(_finish_run(run_id, target, format_, yes=yes, hang_up=hang_up, verbosity=verbosity))


async def _finish_run(
    run_id: str | None, target: str | None, format_: Format | None, *, yes: bool, hang_up: bool, verbosity: Verbosity
) -> int:
    screen = chosen(verbosity, heard)
    with stoppable(screen.announce, hang_up=hang_up) as stopper:
        async with continued(run_id, hang_up=hang_up) as run:
            if run is None:
                if verbosity > Verbosity.QUIET:
                    screen.say("There is nothing to finish.")
                return 0
            known = run.result().run
            output = Output.chosen(target or known.output, known.source, format_ or known.format)
            output.check()
            if verbosity > Verbosity.QUIET:
                screen.say(*_before_resuming(run))
            prompt = Prompt(run, screen, (), asked=not yes, verbosity=verbosity)
            try:
                async with run.connected():
                    if not await prompt.agreed():
                        screen.say("Nobody was dialled.")
                        return DECLINED
                    result = await _called(run, screen, stopper)
            except asyncio.CancelledError:
                screen.say("Interrupted before the first dial.")
                return INTERRUPTED
        return await conclude(result, run.line_times(), output, screen, verbosity, interrupted=stopper.was_asked)


async def _called(run: Run, screen: Display, stopper: Stopper) -> RunResult:
    try:
        screen.begin(run.result(), run.live())  # what is shown first is there before the first dial
        return await run.start(screen, on_caller=stopper.found)
    except RunInterrupted as error:
        # Where the journal cannot be written any more, what it has is still the result, and the document comes out.
        screen.say(error.message)
        return run.result()
    except BaseException:
        await asyncio.to_thread(screen.close)  # in a thread: Ctrl-C is heard though a terminal stands still
        raise


def _before_resuming(run: Run) -> Iterator[str]:
    known = run.result()
    followed, left = known.stats.in_progress, known.stats.pending + known.stats.not_called
    yield (
        f"Finishing run {run.id} of {shown(known.run.source, 40)}: {count(followed, 'call')} followed,"
        f" {count(left, 'provider')} left to call, at most {known.run.max_concurrent} at once."
    )
    if not left:
        yield from host(run.settings)
