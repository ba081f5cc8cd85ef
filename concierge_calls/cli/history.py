"""The commands that look back: the runs in the journal, one run's document again, and finishing a run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from heapq import merge
from itertools import chain
from typing import IO, TYPE_CHECKING

import typer

from concierge_calls.cli import options

if TYPE_CHECKING:
    from concierge_calls.journal import Journal
    from concierge_calls.models import RunInfo, RunStats

    Listed = tuple[Journal, RunInfo, RunStats]


def runs(as_json: options.AsJson = False, simulate: options.OnlySimulated = False) -> None:
    """List the runs in the journal, newest first."""
    from concierge_calls.output import write_to_stdout

    with _listed(simulated_only=simulate) as listed:
        write_to_stdout(partial(_write_json if as_json else _write_lines, listed))


def show(run: options.Run, output: options.OutputFile = None, format_: options.ShownFormat = None) -> None:
    """Write one run's document again; at a terminal also who can come, and who is on the line now."""
    from concierge_calls import report
    from concierge_calls.journals import found, journals
    from concierge_calls.models import Format
    from concierge_calls.output import Output

    with journals() as opened:
        journal, result = found(run, opened)
        wanted = Format(format_) if format_ else result.run.format
        place = Output.chosen(output, result.run.source, wanted)
        if wanted is Format.HTML:
            place.write(partial(report.write_page, result, spans=journal.line_spans(result.run.id)))
        else:
            place.write(partial(report.write, result, format_=wanted))
        if sys.stderr is not None and sys.stderr.isatty():
            from concierge_calls.cli.looking import show_run

            show_run(journal, result, place)


def resume(
    run: options.OptionalRun = None,
    output: options.OutputFile = None,
    format_: options.OtherFormat = None,
    redial_uncertain: options.RedialUncertain = None,
    yes: options.Yes = False,
    hang_up: options.HangUp = False,
    quiet: options.Quiet = False,
    verbose: options.EveryEvent = False,
) -> None:
    """Finish a run that was cut short; nobody is called again, unless by --redial-uncertain."""
    import asyncio

    from concierge_calls.cli.batch import verbosity
    from concierge_calls.cli.resuming import finish_run
    from concierge_calls.models import Format

    wanted = Format(format_) if format_ else None
    how_much = verbosity(quiet=quiet, verbose=verbose)
    again = redial_uncertain or ()
    finishing = finish_run(run, output, wanted, again=again, yes=yes, hang_up=hang_up, verbosity=how_much)
    raise typer.Exit(asyncio.run(finishing))


@contextmanager
def _listed(*, simulated_only: bool) -> Iterator[Iterator[Listed]]:
    from concierge_calls.journals import journals

    with journals(simulated=[True] if simulated_only else [False, True]) as opened:
        yield merge(*map(_runs, opened), key=lambda entry: entry[1].started_at, reverse=True)


def _runs(journal: Journal) -> Iterator[Listed]:
    return ((journal, run, stats) for run, stats in journal.runs())


def _write_lines(listed: Iterator[Listed], file: IO[str]) -> None:
    first = next(listed, None)
    if first is None:
        typer.echo("There is no run yet. Begin one with: concierge-calls batch PROVIDERS", err=True)
    else:
        file.writelines(f"{_line(entry)}\n" for entry in chain((first,), listed))


def _write_json(listed: Iterable[Listed], file: IO[str]) -> None:
    from concierge_calls import report

    entries = ({"run": report.run_document(run), "stats": report.stats_document(stats)} for _, run, stats in listed)
    file.writelines(report.listed(entries))


def _line(entry: Listed) -> str:
    """Say in 80 columns which run it was, when, of what, how many of how many are done, and how it stands."""
    from concierge_calls.plain import one_line

    journal, run, stats = entry
    done = stats.total - stats.pending - stats.in_progress - stats.not_called
    state = "finished" if run.finished else "running" if journal.is_worked_on(run.id) else "unfinished"
    when = f"{run.started_at.astimezone():%Y-%m-%d %H:%M}"
    kind = ", simulated" if run.simulated else ""
    return f"{run.id}  {when}  {one_line(run.source, 13):<13}  {f'{done}/{stats.total}':>7}  {state}{kind}"
