"""The command that checks everything before strangers' phones ring, and how checks are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from textwrap import wrap
from typing import IO, TYPE_CHECKING

import typer

from concierge_calls.cli import options

if TYPE_CHECKING:
    from concierge_calls.doctor import Check

WOULD_NOT_WORK = 2
COLUMNS = 80  # at most, for a sentence in longer lines reads badly
BESIDE = 11  # columns that a check's state takes, and the space after its name


def doctor(as_json: options.AsJson = False) -> None:
    """Check everything before strangers' phones ring; nobody is dialled."""
    import asyncio

    from concierge_calls.doctor import examine

    raise typer.Exit(tell(asyncio.run(examine()), as_json=as_json))


def tell(checks: Sequence[Check], *, as_json: bool, what: str = "A run", again: str = "doctor") -> int:
    """Write the checks to stdout, with what they mean for `what` and how to check `again`; return the exit code."""
    from concierge_calls.doctor import State
    from concierge_calls.output import forget_stdout, write_to_stdout

    lines = partial(_write_lines, conclusion=_conclusion(checks, what, again))
    try:
        write_to_stdout(partial(_write_json if as_json else lines, checks))
    except BrokenPipeError:
        forget_stdout()
    return WOULD_NOT_WORK if any(check.state is State.WRONG for check in checks) else 0


def _write_json(checks: Sequence[Check], file: IO[str]) -> None:
    from dataclasses import asdict

    from concierge_calls.report import listed

    file.writelines(listed(map(asdict, checks)))


def _write_lines(checks: Sequence[Check], file: IO[str], *, conclusion: str) -> None:
    from concierge_calls.display import Column, PlainLines, Verbosity
    from concierge_calls.display.terminal import SMALLEST, size
    from concierge_calls.ranking import heard

    columns = min(COLUMNS, max(SMALLEST[0], size(file)[0])) if file.isatty() else COLUMNS
    screen = PlainLines(Verbosity.NORMAL, heard, file)
    beside = max(len(check.name) for check in checks) + BESIDE
    rows = [line for check in checks for line in _lines(check, columns - beside)]
    screen.table((Column(""), Column("", styled=True), Column("", flexible=True)), rows)
    screen.say("", conclusion)


def _lines(check: Check, width: int) -> Iterator[tuple[str, str, str]]:
    # Wrapped here, since a table cuts what takes more than a few lines, and what to do stands at the end.
    first, *rest = wrap(check.sentence, width, break_on_hyphens=False)
    yield check.name, check.state.value, first
    yield from (("", "", line) for line in rest)


def _conclusion(checks: Sequence[Check], what: str, again: str) -> str:
    states = {check.state.value for check in checks}
    if "wrong" in states:
        return f"{what} would not work. Mend what is wrong, then: concierge-calls {again}"
    return f"{what} would work. Read the warnings first." if "warning" in states else f"{what} would work."
