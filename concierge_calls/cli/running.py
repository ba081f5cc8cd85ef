"""Carries out a run for a person or a script: checks, asks, calls, shows, writes the document."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO
from urllib.parse import urlsplit

from concierge_calls import report
from concierge_calls.cli.signals import INTERRUPTED, Stopper, stoppable
from concierge_calls.display import NAME_WIDTH, PlainLines, Verbosity, is_wrong
from concierge_calls.draft import Order
from concierge_calls.errors import OutputError, RunInterrupted
from concierge_calls.models import CallResult, CallStatus, RunResult
from concierge_calls.output import Output, forget_stdout, write_to_stdout
from concierge_calls.plain import count, one_line
from concierge_calls.run import Run, continued, drafted
from concierge_calls.settings.fields import SETTINGS
from concierge_calls.settings.loading import Settings, is_loopback

DECLINED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a run is shown and asked for."""

    verbosity: Verbosity = Verbosity.NORMAL
    yes: bool = False
    columns: Iterable[str] = field(default=())  # sentences about columns that are used for the service request

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is said unless something is wrong."""
        return self.verbosity is Verbosity.QUIET


def carry_out(order: Order, settings: Settings, output: Output, manner: Manner) -> int:
    """Carry out the order and return the exit code; raises ConciergeError when nobody could be dialled."""
    return asyncio.run(_carry_out(order, settings, output, manner))


async def _carry_out(order: Order, settings: Settings, output: Output, manner: Manner) -> int:
    lines = PlainLines(manner.verbosity, report.heard)
    output.check()
    with stoppable(lines.say, hang_up=order.hang_up) as stopper:
        try:
            async with drafted(order, settings) as run:
                if order.dry_run:
                    return _show_plan(run, output, lines, manner, settings.region)
                if not await _agreed(run, order, settings, lines, manner):
                    lines.say("Nobody was dialled.")
                    return DECLINED
                result = await _called(run, lines, stopper)
        except asyncio.CancelledError:
            lines.say("Interrupted before the first dial; nobody was dialled.")
            return DECLINED
        return _conclude(result, output, lines, quiet=manner.is_quiet)


def finish_run(run_id: str | None, target: str | None, *, hang_up: bool, verbosity: Verbosity) -> int:
    """Finish a run that was cut short and return the exit code; 0 when there is nothing to do."""
    return asyncio.run(_finish_run(run_id, target, hang_up=hang_up, verbosity=verbosity))


async def _finish_run(run_id: str | None, target: str | None, *, hang_up: bool, verbosity: Verbosity) -> int:
    lines = PlainLines(verbosity, report.heard)
    with stoppable(lines.say, hang_up=hang_up) as stopper:
        async with continued(run_id, hang_up=hang_up) as run:
            if run is None:
                if verbosity > Verbosity.QUIET:
                    lines.say("There is nothing to finish.")
                return 0
            known = run.result().run
            output = Output.chosen(target or known.output, known.source)
            output.check()
            if verbosity > Verbosity.QUIET:
                lines.say(*_before_resuming(run))
            try:
                result = await _called(run, lines, stopper)
            except asyncio.CancelledError:
                lines.say("Interrupted before the first dial.")
                return INTERRUPTED
        return _conclude(result, output, lines, quiet=verbosity is Verbosity.QUIET)


async def _called(run: Run, lines: PlainLines, stopper: Stopper) -> RunResult:
    # Where the journal cannot be written any more, what it has is still the result, and the document comes out.
    try:
        async with run.connected():
            return await run.start(lines, on_caller=stopper.found)
    except RunInterrupted as error:
        lines.say(error.message)
        return run.result()


def _conclude(result: RunResult, output: Output, lines: PlainLines, *, quiet: bool) -> int:
    # The document is written first: what is said of it must be true.
    code = report.exit_code(result)
    written = _write(result, output, lines)
    if not quiet or code in (4, 5):
        lines.say(*report.summary(result))
        if written and not output.is_stdout:
            lines.say(f"The document is in {output.target}")
    return code if written else max(code, 3)


def _write(result: RunResult, output: Output, lines: PlainLines) -> bool:
    # The calls cannot be made again, so the document comes out somewhere, whatever became of its place.
    try:
        output.write(partial(report.write, result))
    except BrokenPipeError:
        forget_stdout()
    except OutputError as error:
        again = f"concierge-calls show {result.run.id} -o FILE"
        if output.is_stdout:
            lines.say(f"{error.message} The journal still has the document: {again}")
            return False
        lines.say(f"{error.message} The document goes to stdout instead, and can be had again: {again}")
        with suppress(OutputError, BrokenPipeError):
            write_to_stdout(partial(report.write, result))
        return False
    return True


def _before(run: Run, order: Order, settings: Settings, manner: Manner) -> Iterator[str]:
    stats = run.result().stats
    if not stats.pending:
        yield f"Nobody will be called: {count(stats.skipped, 'provider')}, each with its reason in the document."
        return
    most = f", at most {settings.max_concurrent:,} at once" if stats.pending > 1 else ""
    others = f"; {stats.skipped:,} of {stats.total:,} will not, each with its reason in the document"
    yield f"{count(stats.pending, 'provider')} will be called{most}{others if stats.skipped else ''}."
    if order.simulate:
        yield "A simulator takes the calls: no phone rings."
    else:
        yield from _host(settings)
    yield from manner.columns
    yield from run.warnings


def _host(settings: Settings) -> Iterator[str]:
    if settings.base_url != SETTINGS["base_url"].default:
        host = urlsplit(settings.base_url).hostname or ""
        yield f"The calls go through {'this machine' if is_loopback(host) else host}, as VAPI_BASE_URL says."


def _before_resuming(run: Run) -> Iterator[str]:
    known = run.result()
    followed, left = known.stats.in_progress, known.stats.pending + known.stats.not_called
    yield (
        f"Finishing run {run.id} of {known.run.source}: {count(followed, 'call')} followed,"
        f" {count(left, 'provider')} left to call, at most {known.run.max_concurrent} at once."
    )
    yield from _host(run.settings)


async def _agreed(run: Run, order: Order, settings: Settings, lines: PlainLines, manner: Manner) -> bool:
    somebody = run.result().stats.pending > 0
    asked = somebody and not (order.simulate or manner.yes) and _is_terminal(sys.stdin) and _is_terminal(sys.stderr)
    if asked or not manner.is_quiet:
        lines.say(*_before(run, order, settings, manner))
    if not asked:
        return True
    sys.stderr.write("Call them now? [y/N] ")
    sys.stderr.flush()
    answer = ""
    try:
        answer = await _typed_line()
    finally:
        if not answer.endswith("\n"):  # Ctrl-C or Ctrl-D: the sentence that follows has a line of its own
            lines.say("")
    return answer.strip().lower() in ("y", "yes")


def _is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty()


async def _typed_line() -> str:
    # Not by a thread, and not by a blocking read: Ctrl-C at the prompt must end it at once.
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()


def _show_plan(run: Run, output: Output, lines: PlainLines, manner: Manner, region: str) -> int:
    # The plan is there to be read, so numbers are whole; a file is made of it only where one was asked for.
    result = run.result()
    for row in result.results:
        if not manner.is_quiet or is_wrong(row):
            lines.say(_planned(row))
        if not manner.is_quiet and row.provider.phone:
            lines.say(*_warnings(row, region))
    if not manner.is_quiet:
        lines.say(*manner.columns, *report.summary(result))
    if not output.was_chosen_by_us:
        output.write(partial(report.write, result))
    return report.exit_code(result)


def _planned(row: CallResult) -> str:
    called = row.status is not CallStatus.SKIPPED
    name = one_line(row.provider.name, NAME_WIDTH) or "(no name)"
    number = row.provider.phone or one_line(row.provider.phone_given, 16) or "-"
    why = "" if called or row.error is None else one_line(row.error.message)
    return f"{'call' if called else 'skip'}  {name:<{NAME_WIDTH}}  {number:<16}  {why}".rstrip()


def _warnings(row: CallResult, region: str) -> Iterator[str]:
    # The journal keeps what is warned of with the request; the result that it gives back has no place for it.
    from concierge_calls.phone import parse

    if warning := parse(row.provider.phone_given, region).warning:
        yield f"      {warning}"
