"""The command for the numbers that asked not to be called: lists them, adds to them, and takes one off again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import IO, TYPE_CHECKING

import typer

from concierge_calls.cli import options
from concierge_calls.cli.questions import DECLINED, NEEDS_A_LOOK, agreed, at_a_terminal, say
from concierge_calls.errors import PhoneError, ProvidersFileError, UsageError
from concierge_calls.plain import count, one_line

if TYPE_CHECKING:
    from concierge_calls.journal import DoNotCall, Journal
    from concierge_calls.models import Reason
    from concierge_calls.providers.objects import Items, JsonLines
    from concierge_calls.providers.source import Source
    from concierge_calls.providers.table import Table
    from concierge_calls.settings.loading import Settings

AT_ONCE = 500  # numbers that are written together
ANOTHER_NUMBER = 5  # digits too many for one number: more than any international prefix has
A_NUMBER = 7  # digits by which a line is told from a header


def do_not_call(
    add: options.AddNumbers = None,
    import_: options.ImportNumbers = None,
    remove: options.RemoveNumbers = None,
    region: options.Region = None,
    yes: options.Sure = False,
    as_json: options.AsJson = False,
) -> None:
    """List the numbers that asked not to be called, add some, or take one off; no option lets them be called."""
    from concierge_calls.settings.loading import load

    if sum(map(bool, (add, import_, remove, as_json))) > 1:
        raise UsageError("--add, --import, --remove and --json exclude each other; give one of them at a time.")
    settings = load({"region": region})
    if add:
        _add(settings, [_number(given, settings.region) for given in add], "added by hand")
    elif import_ is not None:
        raise typer.Exit(_import(settings, import_))
    elif remove:
        raise typer.Exit(_remove(settings, [_number(given, settings.region) for given in remove], yes=yes))
    else:
        _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    from concierge_calls.journals import journals
    from concierge_calls.output import write_to_stdout

    with journals(simulated=[False]) as opened:
        entries = (entry for journal in opened for entry in journal.list_do_not_call())
        write_to_stdout(lambda file: (_write_json if as_json else _write_lines)(entries, file))


def _write_lines(entries: Iterable[DoNotCall], file: IO[str]) -> None:
    empty = True
    for entry in entries:
        file.write(f"{entry.number:<16}  {entry.since.astimezone():%Y-%m-%d}  {one_line(entry.note)}\n")
        empty = False
    if empty:
        say("Nobody has asked not to be called. To add a number: concierge-calls do-not-call --add PHONE")


def _write_json(entries: Iterable[DoNotCall], file: IO[str]) -> None:
    from concierge_calls.report import as_time, listed

    known = ({"phone": entry.number, "since": as_time(entry.since), "note": entry.note} for entry in entries)
    file.writelines(listed(known))


def _number(given: str, region: str) -> str:
    """Read one phone number; raises PhoneError, also for two in one, of which the second would be called after all."""
    from concierge_calls.phone import parse

    number = parse(given, region)
    more = _digits(given) - _digits(number.e164) - _digits(number.extension or "")
    if more >= ANOTHER_NUMBER:
        raise PhoneError("This is more than one number; give each of them by itself.", "not_a_number")
    return number.e164


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _add(settings: Settings, numbers: Collection[str], note: str) -> None:
    import asyncio

    from concierge_calls.journal import Journal

    with Journal(settings.journal_path(simulated=False)) as journal:
        listed = {number for number in numbers if journal.do_not_call(number)}
        asyncio.run(_write_down(journal, dict.fromkeys(numbers), note))
    new = len(set(numbers)) - len(listed)
    already = f"; {count(len(listed), 'number')} {'was' if len(listed) == 1 else 'were'} there before" if listed else ""
    say(f"{count(new, 'number')} added to those that are not to be called{already}.")


async def _write_down(journal: Journal, numbers: Iterable[str], note: str) -> None:
    import asyncio

    coming = iter(numbers)
    while chunk := list(islice(coming, AT_ONCE)):
        await asyncio.gather(*(journal.add_do_not_call(number, note) for number in chunk))


def _import(settings: Settings, file: str) -> int:
    """Add what can be read, and say what cannot; raises ProvidersFileError, with nothing added, where nothing can."""
    from concierge_calls.providers.source import Source

    source = Source(file)
    numbers: dict[str, None] = {}
    faults = []
    for where, cell, fault in _cells(source):
        try:
            numbers[_number(cell, settings.region)] = None
        except PhoneError as error:
            faults.append(f"{source.label}, {where}: {fault.message if fault else error.message}")
    if not numbers:
        why = f" The first: {faults[0]}" if faults else ""
        raise ProvidersFileError(f"{source.label} has no number that can be used, so none was added.{why}")
    _add(settings, numbers, f"imported from {'standard input' if source.is_stdin else source.name}")
    for sentence in faults:
        say(one_line(sentence))
    if faults:
        say(f"{count(len(faults), 'entry', 'entries')} could not be used; mend them and import the file again.")
    return NEEDS_A_LOOK if faults else 0


def _cells(source: Source) -> Iterator[tuple[str, str, Reason | None]]:
    """Yield where each number stands, how it is written, and what is wrong with its row.

    They stand in the file's column of phones, or one a line. Raises ProvidersFileError where they do neither.
    """
    from concierge_calls.providers.headers import listed, recognised

    first = next((line.strip() for line in source.lines() if line.strip()), "")
    if not first:
        raise source.fault("is empty; it needs a number a line, or a table with a column phone.")
    document = _document(source, first)
    column = recognised(document.columns).get("phone")
    if column is not None:
        # A row that is broken elsewhere still says whom not to call.
        yield from ((row.where, row.values["phone"], row.fault) for row in document.rows({"phone": column}))
    elif first[0] not in "[{" and (len(document.columns) == 1 or _digits(first) >= A_NUMBER):
        lines = enumerate(source.lines(), 1)
        yield from ((f"line {number}", line.strip(), None) for number, line in lines if line.strip())
    else:
        columns = listed(document.columns)
        raise source.fault(f"has no column of phone numbers that is recognised; name one of these phone: {columns}.")


def _document(source: Source, first: str) -> Table | Items | JsonLines:
    """Open the file in its format, as a providers file is, but without asking for a column of names."""
    from concierge_calls.providers.objects import Items, JsonLines, is_lines
    from concierge_calls.providers.table import Table

    if source.suffix in (".jsonl", ".ndjson") or (first[0] == "{" and is_lines(source)):
        return JsonLines(source)
    return Items(source) if source.suffix == ".json" or first[0] in "[{" else Table(source)


def _remove(settings: Settings, numbers: Collection[str], *, yes: bool) -> int:
    import asyncio

    from concierge_calls.journals import journals

    with journals(simulated=[False]) as opened:
        for number in numbers:
            if not any(journal.do_not_call(number) for journal in opened):
                raise UsageError(f"{_shown(number)} is not on the list; see: concierge-calls do-not-call")
        if not (yes or _may_be_called_again(numbers)):
            say("Nothing was changed.")
            return DECLINED
        for number in numbers:
            asyncio.run(opened[0].remove_do_not_call(number))
    say(f"{count(len(set(numbers)), 'number')} may be called again: {', '.join(map(_shown, dict.fromkeys(numbers)))}.")
    return 0


def _may_be_called_again(numbers: Collection[str]) -> bool:
    who = ", ".join(map(_shown, dict.fromkeys(numbers)))
    if not at_a_terminal():
        raise UsageError(f"Nobody can be asked here whether {who} may be called again; if so, say --yes.")
    return agreed(f"Have {who} called again, although it was asked not to be?")


def _shown(number: str) -> str:
    return f"…{number[-4:]}"
