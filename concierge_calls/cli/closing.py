"""When a run is over: its document is written, and a person is told who can come and how it went."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from concierge_calls import report
from concierge_calls.cli.signals import Stopper
from concierge_calls.display import Column, Display, Verbosity
from concierge_calls.errors import JournalError, OutputError, RunInterrupted
from concierge_calls.models import CallResult, CallStatus, RunResult
from concierge_calls.output import Output, forget_stdout, write_to_stdout
from concierge_calls.plain import one_line
from concierge_calls.ranking import Standing, best_first, standing

ALL, MOST = 20, 10  # up to so many providers are all listed; of more only the best, and those that need a look
NAME_WIDTH = 24
CANDIDATE_COLUMNS = (
    Column("Who may come"),
    Column("Phone"),
    Column("Answer", styled=True),
    Column("When", flexible=True, wraps=True),
    Column("Rate", flexible=True, wraps=True),
    Column("What else", flexible=True, wraps=True),
)
OTHER_COLUMNS = (
    Column("The others"),
    Column("Phone"),
    Column("Answer", styled=True),
    Column("Why", flexible=True, wraps=True),
)


async def conclude(
    result: RunResult,
    line_times: Iterable[float],
    output: Output,
    screen: Display,
    verbosity: Verbosity,
    *,
    published: Callable[[], object],
    stopper: Stopper,
) -> int:
    """Write the document, say how the run went, and return the exit code; `published` is called once it is written.

    From then on nothing stops the run any more, as the `stopper` is told. Raises RunInterrupted when the journal cannot
    be read any more.
    """
    with _readable(result.run.id):
        code = report.exit_code(result, interrupted=stopper.was_asked)
        if output.is_on_terminal:
            await asyncio.to_thread(screen.close)  # the document takes the table's place
        written = _write(result, output, screen)  # before a terminal that stands still can keep it from being written
        final = code if written else max(code, 3)
        stopper.let_end(final)
        if written:
            published()
        await asyncio.to_thread(screen.close)
        if verbosity > Verbosity.QUIET:
            show_standings(result, screen)
        if verbosity > Verbosity.QUIET or code in (4, 5):
            screen.say(*report.summary(result, line_times))
        if (
            written
            and not output.is_stdout
            and (verbosity > Verbosity.QUIET or code in (4, 5) or output.was_chosen_by_us)
        ):
            screen.say(f"The document is in {output.target}")
        return final


@contextmanager
def _readable(run_id: str) -> Iterator[None]:
    try:
        yield
    except JournalError as error:  # people were called, so this is not the exit code for wrong use
        raise RunInterrupted(
            f"{error.message} Whoever was called is in it; to have it written: concierge-calls resume {run_id}"
        ) from error


def show_standings(result: RunResult, screen: Display) -> None:
    """Show who can come when and for how much, best first, and why the others cannot.

    Of many providers the best are shown and those that need a look; how many there are of the others is said.
    """
    all_ = result.stats.total <= ALL
    answers: Counter[str] = Counter()
    needy: list[Standing] = []
    best = best_first(_noted(result.results, answers, needy), ALL if all_ else MOST)
    standings = [one for one in map(standing, best) if one.is_candidate or all_]
    _show(CANDIDATE_COLUMNS, [_candidate(one) for one in standings if one.is_candidate], screen)
    others = [one for one in standings if not one.is_candidate] if all_ else needy
    _show(OTHER_COLUMNS, [(*_who(one), one.note) for one in others], screen)
    if not all_:
        screen.say("", f"Of all: {', '.join(f'{number:,} {answer}' for answer, number in answers.most_common())}.")
    if standings or others:
        screen.say("")
    if result.stats.successful and not any(one.is_candidate for one in standings):
        screen.say("Nobody can come.")


def _noted(results: Iterable[CallResult], answers: Counter[str], needy: list[Standing]) -> Iterator[CallResult]:
    """Give those that are over, and note in passing how they answered and the first that need a look."""
    for result in filter(_is_over, results):  # read once: there may be very many, each with all that was said
        one = standing(result)
        answers[one.answer] += 1
        if len(needy) < MOST and report.needs_a_look(result):
            needy.append(one)
        yield result


def _show(columns: Sequence[Column], rows: Sequence[Sequence[str]], screen: Display) -> None:
    # A column in which nothing stands takes room from those in which something does.
    kept = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    if rows:
        screen.say("")
        screen.table([columns[number] for number in kept], [[row[number] for number in kept] for row in rows])


def _is_over(result: CallResult) -> bool:
    return result.status not in (CallStatus.PENDING, CallStatus.IN_PROGRESS, CallStatus.NOT_CALLED)


def _who(one: Standing) -> tuple[str, str, str]:
    return one_line(one.name, NAME_WIDTH), f"…{one.last_four}" if one.last_four else "-", one.answer


def _candidate(one: Standing) -> tuple[str, ...]:
    # Who named no day has the room of one for what they did say.
    return (*_who(one), one.when, one.rate, one.note) if one.when else (*_who(one), one.note, one.rate, "")


def _write(result: RunResult, output: Output, screen: Display) -> bool:
    # The calls cannot be made again, so the document comes out somewhere, whatever became of its place.
    writer = partial(report.write, result, format_=result.run.format)
    try:
        output.write(writer)
    except BrokenPipeError:
        forget_stdout()
    except OutputError as error:
        again = f"concierge-calls show {result.run.id} -o FILE"
        if output.is_stdout:
            screen.say(f"{error.message} The journal still has the document: {again}")
            return False
        screen.say(f"{error.message} The document goes to stdout instead, and can be had again: {again}")
        with suppress(OutputError, BrokenPipeError):
            write_to_stdout(writer)
        return False
    return True
