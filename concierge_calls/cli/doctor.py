"""The command that checks everything before strangers' phones ring."""

from __future__ import annotations

import os
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
BESIDE = 20  # columns that a check's name and state take
NO = frozenset({"", "0", "f", "false", "n", "no", "off"})  # what else is set means yes


def doctor(as_json: options.AsJson = False) -> None:
    """Check everything before strangers' phones ring; nobody is dialled."""
    import asyncio

    from concierge_calls.doctor import State, examine
    from concierge_calls.output import forget_stdout, write_to_stdout

    kestra = os.environ.get("KESTRA_ENABLED", "").strip().lower() not in NO
    checks = asyncio.run(examine(kestra_enabled=kestra))
    try:
        write_to_stdout(partial(_write_json if as_json else _write_lines, checks))
    except BrokenPipeError:
        forget_stdout()
    raise typer.Exit(WOULD_NOT_WORK if any(check.state is State.WRONG for check in checks) else 0)


def _write_json(checks: Sequence[Check], file: IO[str]) -> None:
    from dataclasses import asdict

    from concierge_calls.report import listed

    file.writelines(listed(map(asdict, checks)))


def _write_lines(checks: Sequence[Check], file: IO[str]) -> None:
    from concierge_calls.display import Column, PlainLines, Verbosity
    from concierge_calls.display.terminal import SMALLEST, size
    from concierge_calls.ranking import heard

    columns = min(COLUMNS, max(SMALLEST[0], size(file)[0])) if file.isatty() else COLUMNS
    screen = PlainLines(Verbosity.NORMAL, heard, file)
    rows = [line for check in checks for line in _lines(check, columns - BESIDE)]
    screen.table((Column(""), Column("", styled=True), Column("", flexible=True)), rows)
    screen.say("", _conclusion(checks))


def _lines(check: Check, width: int) -> Iterator[tuple[str, str, str]]:
    # Wrapped here, since a table cuts what takes more than a few lines, and what to do stands at the end.
    first, *rest = wrap(check.sentence, width, break_on_hyphens=False)
    yield check.name, check.state.value, first
    yield from (("", "", line) for line in rest)


def _conclusion(checks: Sequence[Check]) -> str:
    states = {check.state.value for check in checks}
    if "wrong" in states:
        return "A run would not work. Mend what is wrong, then: concierge-calls doctor"
    return "A run would work. Read the warnings first." if "warning" in states else "A run would work."
