"""The commands that look back: the runs in the journal, one run's document again, and finishing a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from heapq import merge
from typing import IO, TYPE_CHECKING

import typer

from concierge_calls.cli import options
from concierge_calls.errors import NoSuchRun
from concierge_calls.models import RunInfo, RunResult, RunStats

if TYPE_CHECKING:
    from concierge_calls.journal import Journal


def runs(as_json: options.AsJson = False, simulate: options.OnlySimulated = False) -> None:
    """List the runs in the journal, newest first."""
    from concierge_calls.output import write_to_stdout

    with _listed(simulated_only=simulate) as listed:
        write_to_stdout(partial(_write_json if as_json else _write_lines, listed))


def show(run: options.Run, output: options.OutputFile = None, format_: options.Format = "json") -> None:
    """Write one run's document again."""
    from concierge_calls import report
    from concierge_calls.journals import journals
    from concierge_calls.output import Output

    with journals() as opened:
        Output.chosen(output or "-", run).write(partial(report.write, _found(run, opened)))


def resume(
    run: options.OptionalRun = None,
    output: options.OutputFile = None,
    hang_up: options.HangUp = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Finish a run that was cut short; nobody is called again."""
    from concierge_calls.cli.batch import verbosity
    from concierge_calls.cli.running import finish_run

    raise typer.Exit(finish_run(run, output, hang_up=hang_up, verbosity=verbosity(quiet=quiet, verbose=verbose)))


@contextmanager
def _listed(*, simulated_only: bool) -> Iterator[Iterator[tuple[RunInfo, RunStats]]]:
    from concierge_calls.journals import journals

    with journals(simulated=[True] if simulated_only else [False, True]) as opened:
        yield merge(*(journal.runs() for journal in opened), key=lambda entry: entry[0].started_at, reverse=True)


def _found(run_id: str, opened: Iterable[Journal]) -> RunResult:
    for journal in opened:
        with suppress(NoSuchRun):
            return journal.result(run_id)
    raise NoSuchRun(f"There is no run {run_id} in the journal; see: concierge-calls runs.")


def _write_lines(listed: Iterable[tuple[RunInfo, RunStats]], file: IO[str]) -> None:
    for run, stats in listed:
        file.write(_line(run, stats) + "\n")


def _write_json(listed: Iterable[tuple[RunInfo, RunStats]], file: IO[str]) -> None:
    from concierge_calls import report

    file.write("[")
    for number, (run, stats) in enumerate(listed):
        entry = {"run": report.run_document(run), "stats": report.stats_document(stats)}
        file.write((",\n" if number else "\n") + report.as_json(entry))
    file.write("\n]\n")


def _line(run: RunInfo, stats: RunStats) -> str:
    from concierge_calls.plain import count, one_line

    done = stats.total - stats.pending - stats.in_progress - stats.not_called
    state = "finished" if run.finished else f"unfinished, {done} of {stats.total} done"
    kind = "  simulated" if run.simulated else ""
    when = f"{run.started_at.astimezone():%Y-%m-%d %H:%M}"
    return f"{run.id}  {when}  {one_line(run.source, 30):<30}  {count(stats.total, 'provider'):>13}  {state}{kind}"
