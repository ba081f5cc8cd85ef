"""Carries out a run for a person or a script: plans it, asks, calls, shows, and hands on what came of it."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass

from concierge_calls.beginning import drafted
from concierge_calls.cli.asking import Prompt, dialled_first
from concierge_calls.cli.closing import conclude
from concierge_calls.cli.planned import show_plan
from concierge_calls.cli.questions import DECLINED
from concierge_calls.cli.signals import Stopper, stoppable
from concierge_calls.display import Display, Verbosity, chosen
from concierge_calls.draft import Order
from concierge_calls.errors import JournalError, RunInterrupted
from concierge_calls.models import RunResult
from concierge_calls.output import Output
from concierge_calls.ranking import heard
from concierge_calls.run import Run
from concierge_calls.settings.loading import Settings


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
                notes = (*manner.notes, *dialled_first(run))
                if order.dry_run:
                    return show_plan(run, output, screen, manner.verbosity, notes)
                asked = not (order.simulate or manner.yes)
                prompt = Prompt(run, screen, notes, asked=asked, verbosity=manner.verbosity)
                prompt.introduce()
                async with run.connected():
                    if not await prompt.agreed():
                        screen.say("Nobody was dialled.")
                        return DECLINED
                    result = await called(run, screen, stopper)
                times, verbosity = run.line_times(), manner.verbosity
                return await conclude(
                    result, times, output, screen, verbosity, published=run.document_is_out, stopper=stopper
                )
        except asyncio.CancelledError:
            screen.say("Interrupted before the first dial; nobody was dialled.")
            return DECLINED


async def called(run: Run, screen: Display, stopper: Stopper) -> RunResult:
    """Have the run call everybody, shown on the screen, which stays open, and return what is known then."""
    _collect_seldom()
    try:
        screen.begin(run.result(), run.live())  # what is shown first is there before the first dial
        return await run.start(screen, on_caller=stopper.found)
    except RunInterrupted as error:
        # Where the journal cannot be written any more, what it has is still the result, and the document comes out.
        screen.say(error.message)
        try:
            return run.result()
        except JournalError:
            raise error from None
    except BaseException:
        await asyncio.to_thread(screen.close)  # in a thread: Ctrl-C is heard though a terminal stands still
        raise


def _collect_seldom() -> None:
    # What is loaded by now stays to the end, and a call leaves nothing in circles worth a search at each of them.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
